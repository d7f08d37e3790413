import type { Interceptor, Transport } from "@connectrpc/connect";
import { createGrpcWebTransport } from "@connectrpc/connect-web";
import type { Session } from "./session";

/** Returns the transport for gRPC-Web to the service that sent the page, under the page's own folder. */
export function createTransport(session: Session, fetch: typeof globalThis.fetch): Transport {
  const authorize: Interceptor = (next) => (request) => {
    if (session.token) request.header.set("authorization", `Bearer ${session.token}`);
    return next(request);
  };
  return createGrpcWebTransport({ baseUrl: new URL(".", document.baseURI).href, interceptors: [authorize], fetch });
}

/** Asks whether the service is serving. Fails if it cannot be reached. */
export async function isServing(signal?: AbortSignal): Promise<boolean> {
  const response = await fetch(new URL("healthz", document.baseURI), { signal: signal ?? null, cache: "no-store" });
  return response.ok;
}
