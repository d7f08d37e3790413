const KEY = "movie-service.token";

/** The caller's token. It is kept by the browser until the tab is closed. Dispatches "change". */
export class Session extends EventTarget {
  constructor(private readonly storage: Pick<Storage, "getItem" | "setItem" | "removeItem"> = sessionStorage) {
    super();
  }

  get token(): string | undefined {
    return this.storage.getItem(KEY) ?? undefined;
  }

  set token(token: string | undefined) {
    if (token === this.token) return;
    if (token) this.storage.setItem(KEY, token);
    else this.storage.removeItem(KEY);
    this.dispatchEvent(new Event("change"));
  }
}
