/** A reverse proxy, as people put one in front of the service. */
import { createServer, request, type IncomingMessage, type Server, type ServerResponse } from "node:http";

export interface ProxyOptions {
  /** The service. */
  readonly target: string;
  /** The folder of the service, such as "/films/"; it is taken off the paths. */
  readonly folder?: string;
  /** The port of the loopback interface to listen on; 0 for any. */
  readonly port?: number;
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

function handle({ target, folder = "/" }: ProxyOptions, incoming: IncomingMessage, outgoing: ServerResponse): void {
  const { url = "/", method = "GET", headers } = incoming;
  if (!url.startsWith(folder)) {
    outgoing.writeHead(404).end();
    return;
  }
  const path = url.slice(folder.length - 1);
  const forwarded = request(new URL(path, target), { method, headers }, (response) => {
    outgoing.writeHead(response.statusCode!, response.headers);
    response.pipe(outgoing);
    response.once("error", () => outgoing.destroy());
  });
  forwarded.once("error", () => outgoing.destroy());
  outgoing.once("close", () => forwarded.destroy());
  incoming.pipe(forwarded);
}
