/** The gRPC-Web calls of a page, with the messages that it sent. */
import { type DescMethod, fromBinary, type MessageShape } from "@bufbuild/protobuf";
import type { Page, Request } from "playwright-core";

/** The length of the prefix of a frame. */
const PREFIX_BYTES = 5;

export class Calls {
  private readonly all: Request[] = [];
  private readonly failed = new Map<Request, string>();

  constructor(page: Page) {
    page.on("request", (request) => {
      if (request.method() === "POST") this.all.push(request);
    });
    page.on("requestfailed", (request) => this.failed.set(request, request.failure()?.errorText ?? ""));
  }

  /** Forgets the calls so far. */
  clear(): void {
    this.all.length = 0;
  }

  private of(method: DescMethod): Request[] {
    return this.all.filter((request) => new URL(request.url()).pathname.endsWith(`${method.parent.typeName}/${method.name}`));
  }

  /** The messages sent to a method, in order. */
  sent<Method extends DescMethod>(method: Method): MessageShape<Method["input"]>[] {
    return this.of(method).map((request) => fromBinary<Method["input"]>(method.input, request.postDataBuffer()!.subarray(PREFIX_BYTES)));
  }

  /** How many calls to a method were aborted. */
  aborted(method: DescMethod): number {
    return this.of(method).filter((request) => this.failed.get(request) === "net::ERR_ABORTED").length;
  }
}
