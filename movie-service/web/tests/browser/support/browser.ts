/** Pages in Debian's Chromium, which collect all that goes wrong on them. */
import { type Browser, type BrowserContextOptions, chromium, type Locator, type Page } from "playwright-core";
import { Calls } from "./calls";

const EXECUTABLE = process.env.CHROMIUM ?? "/usr/bin/chromium";

/** The time for one step of a test. The machine may be busy. */
const STEP_TIMEOUT_MS = 20_000;

export function launch(): Promise<Browser> {
  return chromium.launch({
    executablePath: EXECUTABLE,
    args: [
      // The tests may run as root, and load pages of the service only.
      "--no-sandbox",
      "--disable-gpu",
      "--disable-quic",
      "--disable-background-networking",
      "--disable-component-update",
      "--disable-sync",
    ],
  });
}

/** A page with storage of its own, in English if nothing else is said. */
export class Tab {
  /** Uncaught errors, errors on the console, violations of the Content-Security-Policy, and requests to other hosts. */
  readonly problems: string[] = [];
  readonly calls: Calls;
  private readonly expected: RegExp[] = [];

  private constructor(readonly page: Page) {
    this.calls = new Calls(page);
    page.on("pageerror", (error) => this.problems.push(`uncaught: ${error.message}`));
    page.on("console", (message) => {
      if (message.type() === "error") this.problems.push(`console: ${message.text()}`);
    });
    page.on("request", (request) => {
      const { origin, protocol } = new URL(request.url());
      if (protocol !== "data:" && origin !== new URL(page.url()).origin && page.url() !== "about:blank") {
        this.problems.push(`request to another host: ${request.url()}`);
      }
    });
  }

  static async open(browser: Browser, url: string, options: BrowserContextOptions = {}): Promise<Tab> {
    const context = await browser.newContext({ locale: "en-GB", viewport: { width: 1280, height: 800 }, ...options });
    context.setDefaultTimeout(STEP_TIMEOUT_MS);
    const page = await context.newPage();
    await page.addInitScript(() =>
      addEventListener("securitypolicyviolation", ({ effectiveDirective, blockedURI, sample }) =>
        console.error(`violation of ${effectiveDirective}: ${blockedURI} ${sample}`),
      ),
    );
    const tab = new Tab(page);
    await page.goto(url);
    return tab;
  }

  close(): Promise<void> {
    return this.page.context().close();
  }

  /** Accepts problems that a test causes itself. */
  expect(problem: RegExp): void {
    this.expected.push(problem);
  }

  /** The problems that no test expects. */
  get unexpected(): string[] {
    return this.problems.filter((problem) => !this.expected.some((pattern) => pattern.test(problem)));
  }

  /** The query string, decoded. */
  get query(): Record<string, string> {
    return Object.fromEntries(new URL(this.page.url()).searchParams);
  }

  /** Presses keys, one after the other. */
  async press(...keys: string[]): Promise<void> {
    for (const key of keys) await this.page.keyboard.press(key);
  }

  button(name: string | RegExp): Locator {
    return this.page.getByRole("button", { name, exact: true });
  }

  get search(): Locator {
    return this.page.getByRole("searchbox");
  }

  /** The films that are in the document. */
  get films(): Locator {
    return this.page.locator("film-list").getByRole("link");
  }

  film(title: string): Locator {
    return this.page.locator("film-list").getByRole("link").filter({ has: this.page.getByText(title, { exact: true }) });
  }

  /** The number of films, as a sentence. */
  get count(): Locator {
    return this.page.getByRole("main").getByRole("heading", { level: 2 });
  }

  get filters(): Locator {
    return this.page.getByRole("complementary");
  }

  /** The film that is shown with all its fields, or its form. */
  get sheet(): Locator {
    return this.page.getByRole("dialog", { name: "Film", exact: true });
  }

  /** The title of what the sheet shows. */
  get title(): Locator {
    return this.sheet.getByRole("heading", { level: 2 });
  }

  /** How live the page is; a press shows the catalogue. */
  get light(): Locator {
    return this.page.getByRole("banner").getByRole("button", { name: /, Catalog/ });
  }

  get notices(): Locator {
    return this.page.getByRole("log");
  }

  /** The panel with the calls. */
  get wire(): Locator {
    return this.page.locator("wire-panel");
  }
}

/** What the console says of requests that do not reach a stopped service. */
export const CONNECTION_ERROR = /net::ERR_(CONNECTION|EMPTY_RESPONSE|INCOMPLETE_CHUNKED|FAILED|SOCKET)/;
