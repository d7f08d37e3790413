/** A reverse proxy, as people put one in front of the service. */
import { existsSync, readFileSync } from "node:fs";
import { createServer, request, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { extname, join } from "node:path";

export interface ProxyOptions {
  /** The service. */
  readonly target: string;
  /** The folder of the service, such as "/films/"; it is taken off the paths. */
  readonly folder?: string;
  /** The port of the loopback interface to listen on; 0 for any. */
  readonly port?: number;
  /** Serves the build in this folder as the page, with these hosts of posters. */
  readonly page?: { readonly dist: string; readonly posterOrigins: readonly string[] };
}

export class Proxy {
  private constructor(
    private readonly server: Server,
    private readonly options: ProxyOptions,
  ) {}

  static async start(options: ProxyOptions): Promise<Proxy> {
    const server = createServer((incoming, outgoing) => handle(options, incoming, outgoing));
    await new Promise<void>((done, failed) => server.once("error", failed).listen(options.port ?? 0, "127.0.0.1", done));
    return new Proxy(server, options);
  }

  /** The address of the service behind the proxy. */
  get url(): string {
    const address = this.server.address();
    if (typeof address !== "object" || !address) throw new Error("the proxy does not listen");
    return `http://127.0.0.1:${address.port}${this.options.folder ?? "/"}`;
  }

  /** Ends at once, with the connections. */
  async stop(): Promise<void> {
    const closed = new Promise((done) => this.server.close(done));
    this.server.closeAllConnections();
    await closed;
  }
}

function handle({ target, folder = "/", page }: ProxyOptions, incoming: IncomingMessage, outgoing: ServerResponse): void {
  const { url = "/", method = "GET", headers } = incoming;
  if (!url.startsWith(folder)) {
    outgoing.writeHead(404).end();
    return;
  }
  const path = url.slice(folder.length - 1);
  const file = page && method === "GET" ? pageFile(page.dist, path) : undefined;
  if (page && file !== undefined) {
    servePage(page, file, outgoing);
    return;
  }
  const forwarded = request(new URL(path, target), { method, headers }, (response) => {
    outgoing.writeHead(response.statusCode!, response.headers);
    response.pipe(outgoing);
    response.once("error", () => outgoing.destroy());
  });
  forwarded.once("error", () => outgoing.destroy());
  outgoing.once("close", () => forwarded.destroy());
  incoming.pipe(forwarded);
}

const TYPES: Record<string, string> = {
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript",
  ".css": "text/css",
  ".json": "application/json",
  ".svg": "image/svg+xml",
};

/** Returns the file of the page at a path. */
function pageFile(dist: string, path: string): string | undefined {
  const { pathname } = new URL(path, "http://localhost");
  if (pathname === "/") return join(dist, "index.html");
  return /^\/(assets\/[\w.-]+|favicon\.svg)$/.test(pathname) ? join(dist, pathname) : undefined;
}

function servePage({ posterOrigins }: { posterOrigins: readonly string[] }, file: string, outgoing: ServerResponse): void {
  const content = readFileSync(existsSync(`${file}.br`) ? `${file}.br` : file);
  const origins = posterOrigins.join(" ");
  const isDocument = extname(file) === ".html";
  const isCompressed = existsSync(`${file}.br`);
  outgoing.writeHead(200, {
    ...(isCompressed && { "content-encoding": "br" }),
    "content-type": TYPES[extname(file)]!,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    ...(isDocument && { "content-security-policy": policy(origins) }),
  });
  outgoing.end(isDocument ? content.toString().replace('"poster-origins" content=""', `"poster-origins" content="${origins}"`) : content);
}

const policy = (posterOrigins: string): string =>
  [
    "default-src 'none'",
    "script-src 'self'",
    "style-src 'self'",
    "connect-src 'self'",
    `img-src 'self' data: ${posterOrigins}`,
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
    "require-trusted-types-for 'script'",
    "trusted-types lit-html",
  ].join("; ");
