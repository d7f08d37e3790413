import type { Page } from "playwright-core";
import type { Tab } from "./support/browser";
import { violations } from "./support/axe";
import { DOZEN, FULL } from "./support/films";
import type { Folder } from "./support/service";
import { STATES } from "./support/states";
import { expect, test } from "./support/test";

const writable = (folder: Folder) => ({ database: folder.sqlite("films.db", [FULL, ...DOZEN]), args: ["--allow-anonymous-writes"] });

const NARROW = { width: 320, height: 640 };

test.for(STATES)("axe finds nothing, and at 320 pixels nothing has to be scrolled sideways: $name", async ({ query, writable: writes, enter }, { films, folder, serve, open }) => {
  const service = writes ? await serve(writable(folder)) : films;
  const tab = await open(`${service.url}${query}`, { colorScheme: "light" });
  await enter?.(tab, service);
  const found: Record<string, string[]> = { light: await violations(tab.page) };
  await tab.page.emulateMedia({ colorScheme: "dark" });
  found.dark = await violations(tab.page);
  await tab.page.setViewportSize(NARROW);
  found.narrow = await violations(tab.page);
  found.wide = await tab.page.evaluate(wide);
  expect(found).toEqual({ light: [], dark: [], narrow: [], wide: [] });
});

/** Returns the elements that make the page, or a part that scrolls downwards, wider than it is. */
function wide(): string[] {
  const scrolls = [document.documentElement, ...document.querySelectorAll("*")].filter((element) => {
    const { overflowX, overflowY } = getComputedStyle(element);
    const isRoot = element === document.documentElement;
    const isMeant = element.matches("pre, .hex, [role=grid]");
    return !isMeant && (isRoot || (overflowX === "auto" && overflowY === "auto")) && element.scrollWidth > element.clientWidth + 1;
  });
  return scrolls.map((element) => `${element.tagName}.${element.className}: ${element.scrollWidth} > ${element.clientWidth}`);
}

test("the page is usable at 4K", async ({ films, open }) => {
  const tab = await open(`${films.url}?film=tt0068646`, { viewport: { width: 3840, height: 2160 } });
  await expect.poll(() => tab.title.textContent()).toBe("The Godfather");
  expect(await tab.page.evaluate(wide)).toEqual([]);
  const first = (await tab.films.first().boundingBox())!;
  expect(first.width).toBeLessThan(420);
});

/** Returns the name and role of the focused element, and whether its focus can be seen. */
function focused(): { name: string; isVisible: boolean } {
  let element = document.activeElement!;
  while (element.shadowRoot?.activeElement) element = element.shadowRoot.activeElement;
  const hasOutline = (candidate: Element | null) => {
    if (!candidate) return false;
    const { outlineStyle, outlineWidth } = getComputedStyle(candidate);
    return outlineStyle !== "none" && parseFloat(outlineWidth) >= 2;
  };
  const { width, height, bottom, right } = element.getBoundingClientRect();
  const isInView = width > 0 && height > 0 && bottom > 0 && right > 0;
  const name = element.getAttribute("aria-label") ?? (element.closest("label") ?? element).textContent ?? "";
  return { name: `${element.localName} ${name.trim().replace(/\s+/g, " ").slice(0, 40)}`, isVisible: isInView && (hasOutline(element) || hasOutline(element.closest("label"))) };
}

/** Presses Tab until the element with the name has the focus, which each element on the way must show. */
async function tabTo(page: Page, name: RegExp, key = "Tab"): Promise<void> {
  const passed: string[] = [];
  for (let presses = 0; presses < 90; presses++) {
    await page.keyboard.press(key);
    const now = await page.evaluate(focused);
    // After the last element, the browser's own controls would have the focus.
    if (now.name.startsWith("body ")) continue;
    expect(now).toEqual({ ...now, isVisible: true });
    if (name.test(now.name)) return;
    passed.push(now.name);
  }
  throw new Error(`nothing named ${name} among ${passed.join(", ")}`);
}

test("everything can be done with the keyboard, and the focus is always seen", async ({ folder, serve, open }) => {
  const service = await serve(writable(folder));
  const tab: Tab = await open(service.url);
  const { page } = tab;
  // From the search box over the filters and the order to the films.
  await tabTo(page, /Rating from/);
  await tabTo(page, /Drama/);
  await tab.press("Space");
  await expect.poll(() => tab.query.genre).toBe("Drama");
  await tabTo(page, /Sort by/);
  await tab.press("T");
  await expect.poll(() => tab.query.sort).toBe("title");
  await tabTo(page, /Remove the filter Drama/);
  await tab.press("Enter");
  await expect.poll(() => tab.query.genre).toBeUndefined();
  await tab.search.focus();
  await tab.page.keyboard.type("lighthouse");
  await expect.poll(() => tab.count.textContent()).toBe("1 film");
  await tab.press("ArrowDown", "Enter");
  await expect.poll(() => tab.title.textContent()).toBe(FULL.title);
  // Change the film.
  await tabTo(page, /^button Edit/);
  await tab.press("Enter");
  await expect.poll(() => page.evaluate(focused)).toMatchObject({ name: expect.stringContaining("input") });
  await tab.press("Control+A");
  await tab.page.keyboard.type("By the keyboard");
  await tab.press("Enter");
  await expect.poll(() => tab.title.textContent()).toBe("By the keyboard");
  // Delete it, and undo that.
  await tabTo(page, /Delete By the keyboard/);
  await tab.press("Enter");
  await expect.poll(() => tab.notices.textContent()).toContain("By the keyboard was deleted.");
  await tabTo(page, /Undo/);
  await tab.press("Enter");
  await expect.poll(() => tab.title.textContent()).toBe("By the keyboard");
  await tab.press("Escape");
  await expect.poll(() => tab.sheet.count()).toBe(0);
  // The catalogue and the panel.
  await tabTo(page, /Catalogue/, "Shift+Tab");
  await tab.press("Enter");
  await expect.poll(() => page.getByRole("dialog", { name: "Catalogue" }).count()).toBe(1);
  await tab.press("Escape");
  await tabTo(page, /On the wire/);
  await tab.press("Enter");
  await expect.poll(() => tab.wire.count()).toBe(1);
  await tabTo(page, /CreateMovie|GetMovie|SearchMovies|GetCatalog|ListMovies|WatchMovies/);
  await tab.press("ArrowDown");
  await tabTo(page, /Metadata/);
  await tabTo(page, /button curl/);
  await tab.press("Escape");
  await expect.poll(() => tab.wire.count()).toBe(0);
});

test("the first Tab stop leads past the header to the films", async ({ films, open }) => {
  const tab = await open(films.url);
  await tab.press("Shift+Tab", "Shift+Tab");
  expect(await tab.page.evaluate(focused)).toEqual({ name: "a Skip to the films", isVisible: true });
  await tab.press("Enter");
  await expect.poll(() => tab.films.first().evaluate((card) => card.matches(":focus"))).toBe(true);
});

test("the focus stays in a dialog, and returns to where it was opened", async ({ films, open }) => {
  const tab = await open(films.url);
  await tab.light.click();
  const dialog = tab.page.getByRole("dialog", { name: "Catalogue" });
  for (let presses = 0; presses < 8; presses++) {
    await tab.press("Tab");
    const isInside = await dialog.evaluate((element) => element.contains(document.activeElement) || document.activeElement === document.body);
    expect(isInside).toBe(true);
  }
  await tab.press("Escape");
  await expect.poll(() => tab.light.evaluate((light) => light.matches(":focus"))).toBe(true);
});

test.for([
  ["no-preference", true],
  ["reduce", false],
] as const)("motion: %s", async ([reducedMotion, moves], { folder, serve, open }) => {
  const service = await serve(writable(folder));
  const tab = await open(service.url, { reducedMotion });
  await expect.poll(() => tab.light.textContent()).toContain("Live");
  const watched = tab.page.evaluate(
    () =>
      new Promise<boolean>((done) => {
        const end = performance.now() + 2000;
        const look = () => {
          const moving = document.getAnimations().filter((animation) => Number(animation.effect?.getComputedTiming().duration) > 20);
          if (moving.length > 0) done(true);
          else if (performance.now() > end) done(false);
          else requestAnimationFrame(look);
        };
        look();
      }),
  );
  await tab.film("Film 1").click();
  await service.change("film-2", { year: 1901 });
  await expect.poll(() => tab.film("Film 2").textContent()).toContain("1901");
  expect(await watched).toBe(moves);
});

test("a printed page has the films without controls", async ({ films, open }) => {
  const tab = await open(`${films.url}?q=godfather`);
  await tab.page.emulateMedia({ media: "print" });
  expect(await tab.search.isVisible()).toBe(false);
  expect(await tab.filters.isVisible()).toBe(false);
  expect(await tab.films.first().isVisible()).toBe(true);
  expect((await tab.page.pdf()).length).toBeGreaterThan(1000);
});
