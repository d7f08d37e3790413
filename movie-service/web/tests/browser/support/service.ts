/** A running service, as people start it. */
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { connect, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";

const ROOT = resolve(import.meta.dirname, "../../../../..");
const START_TIMEOUT_MS = 60_000;

/** The program of the service. */
const PROGRAM = process.env.MOVIE_SERVICE_PROGRAM ?? join(ROOT, "target/debug/movie-service");

export const FILMS = join(ROOT, "databases/films.json");
export const MOVIES = join(ROOT, "databases/movies.json");

export interface Options {
  /** A JSON file, or `sqlite:` and a path. */
  readonly database: string;
  readonly args?: readonly string[];
  readonly posterOrigins?: readonly string[];
}

/** A movie in JSON over HTTP, as far as tests look at it. */
export interface MovieJson {
  readonly id: string;
  readonly title: string;
  readonly year?: number;
  readonly rating?: number;
  readonly director?: string;
  readonly overview?: string;
  readonly genres?: readonly string[];
  readonly etag: string;
}

export class Service {
  private child: ChildProcess | undefined;

  private constructor(
    private readonly port: number,
    private readonly options: Options,
  ) {}

  /** Starts a service on a free port of the loopback interface, and waits until it serves. */
  static async start(options: Options): Promise<Service> {
    const service = new Service(await freePort(), options);
    await service.start();
    return service;
  }

  /** The address of the page. */
  get url(): string {
    return `http://127.0.0.1:${this.port}/`;
  }

  /** Starts the service on its port; also again, after `stop`. */
  async start(): Promise<void> {
    const { database, args = [], posterOrigins = [] } = this.options;
    const listen = `127.0.0.1:${this.port}`;
    const origins = posterOrigins.flatMap((origin) => ["--poster-origin", origin]);
    const all = ["--quiet", "--listen", listen, "--database", database, ...origins, ...args];
    const child = spawn(PROGRAM, all, { stdio: ["ignore", "ignore", "pipe"] });
    this.child = child;
    let errors = "";
    child.stderr!.on("data", (text) => (errors += text));
    const deadline = Date.now() + START_TIMEOUT_MS;
    while (!(await accepts(this.port))) {
      if (child.exitCode !== null) throw new Error(`${PROGRAM} ended with ${child.exitCode}:\n${errors}`);
      if (Date.now() > deadline) throw new Error(`${PROGRAM} did not serve in time:\n${errors}`);
      await new Promise((done) => setTimeout(done, 20));
    }
  }

  /** Ends the service at once, as a crash does. */
  async stop(): Promise<void> {
    const { child } = this;
    this.child = undefined;
    if (!child || child.exitCode !== null) return;
    const ended = new Promise((done) => child.once("exit", done));
    child.kill("SIGKILL");
    await ended;
  }

  /** Calls the service in JSON over HTTP; fails if it answers with an error. */
  async json<T = any>(method: string, path: string, body?: unknown, headers: Record<string, string> = {}): Promise<T> {
    const response = await fetch(new URL(path, this.url), {
      method,
      headers: { ...(body !== undefined && { "content-type": "application/json" }), ...headers },
      ...(body !== undefined && { body: JSON.stringify(body) }),
    });
    if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${await response.text()}`);
    return response.json() as Promise<T>;
  }

  /** Returns a movie as it is stored. */
  movie(id: string): Promise<MovieJson> {
    return this.json("GET", `v1/movies/${id}`);
  }

  /** Changes fields of a movie, as another caller. */
  change(id: string, fields: Record<string, unknown>): Promise<MovieJson> {
    return this.json("PATCH", `v1/movies/${id}`, fields);
  }
}

/** Runs a command of the program, such as `import`, to its end. */
export function run(...args: string[]): string {
  const { status, stdout, stderr } = spawnSync(PROGRAM, args, { encoding: "utf8", timeout: 10 * START_TIMEOUT_MS });
  if (status !== 0) throw new Error(`${PROGRAM} ${args.join(" ")} ended with ${status}:\n${stderr}`);
  return stdout;
}

/** A folder that `remove` deletes. */
export class Folder {
  readonly path = mkdtempSync(join(tmpdir(), "movie-page-"));

  file(name: string): string {
    return join(this.path, name);
  }

  write(name: string, content: string): string {
    writeFileSync(this.file(name), content);
    return this.file(name);
  }

  /** Writes a database as a JSON file. */
  json(name: string, movies: readonly object[]): string {
    return this.write(name, JSON.stringify({ movies }));
  }

  /** Writes a database as a SQLite file, and returns the option that names it. */
  sqlite(name: string, movies: readonly object[]): string {
    const database = `sqlite:${this.file(name)}`;
    run("import", "--database", database, this.json(`${name}.json`, movies));
    return database;
  }

  remove(): void {
    rmSync(this.path, { recursive: true, force: true });
  }
}

function accepts(port: number): Promise<boolean> {
  return new Promise((done) => {
    const socket = connect(port, "127.0.0.1", () => done(true));
    socket.once("connect", () => socket.destroy()).once("error", () => done(false));
  });
}

/** Returns a port that is free, below those that systems give to outgoing connections, which could take it meanwhile. */
async function freePort(): Promise<number> {
  for (;;) {
    const port = 20_000 + Math.floor(Math.random() * 12_000);
    const server = createServer();
    const isFree = await new Promise<boolean>((done) => server.once("error", () => done(false)).listen(port, "127.0.0.1", () => done(true)));
    if (!isFree) continue;
    await new Promise((done) => server.close(done));
    return port;
  }
}
