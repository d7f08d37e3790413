const KEY = "movie-service.token";

/** The characters that a token may have: those of a header, without spaces. */
export const isToken = (text: string): boolean => /^[\x21-\x7e]+$/.test(text);

/** The caller's token. It is kept by the browser until the tab is closed. Dispatches "change". */
export class Session extends EventTarget {
  private current: string | undefined;
  private readonly storage: Storage | undefined;

  constructor() {
    super();
    try {
      this.storage = sessionStorage;
      this.current = this.storage.getItem(KEY) ?? undefined;
    } catch {
      // A browser that blocks storage keeps the token until the page is left.
    }
  }

  get token(): string | undefined {
    return this.current;
  }

  set token(token: string | undefined) {
    if (token === this.token) return;
    this.current = token;
    if (token) this.storage?.setItem(KEY, token);
    else this.storage?.removeItem(KEY);
    this.dispatchEvent(new Event("change"));
  }
}
