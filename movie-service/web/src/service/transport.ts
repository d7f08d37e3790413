import type { Interceptor, Transport } from "@connectrpc/connect";
import { createGrpcWebTransport } from "@connectrpc/connect-web";
import { httpError } from "./errors";
import type { Session } from "./session";

/** Returns the transport for gRPC-Web to the service that sent the page, under the page's own folder. */
export function createTransport(session: Session, fetch: typeof globalThis.fetch): Transport {
  const authorize: Interceptor = (next) => (request) => {
    if (session.token) request.header.set("authorization", `Bearer ${session.token}`);
    return next(request);
  };
  return createGrpcWebTransport({ baseUrl: new URL(".", document.baseURI).href, interceptors: [authorize], fetch: withHttpErrors(fetch) });
}

/** Fails with the service's own error if it refuses a request before the call, such as one from another origin. */
export const withHttpErrors =
  (fetch: typeof globalThis.fetch): typeof globalThis.fetch =>
  async (input, init) => {
    const response = await fetch(input, init);
    if (response.ok || !response.headers.get("content-type")?.startsWith("application/json")) return response;
    throw httpError(response.status, await response.json());
  };

/** Asks whether the service is serving. Fails if it cannot be reached. */
export async function isServing(): Promise<boolean> {
  const response = await fetch(new URL("healthz", document.baseURI), { cache: "no-store" });
  return response.ok;
}
