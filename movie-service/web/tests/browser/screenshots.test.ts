/** Pictures of the page in each state, which people look at. */
import { mkdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { DOZEN, FULL } from "./support/films";
import { STATES } from "./support/states";
import { expect, test } from "./support/test";

/** The folder for the pictures; without it, none are made. */
const FOLDER = process.env.MOVIE_SCREENSHOTS ?? "";

const SIZES = {
  wide: { viewport: { width: 1280, height: 800 } },
  narrow: { viewport: { width: 390, height: 844 }, colorScheme: "dark", hasTouch: true, isMobile: true },
} as const;

/** The most bytes of the picture in the README. */
const README_LIMIT_BYTES = 150 * 1024;

const sizes = Object.keys(SIZES) as (keyof typeof SIZES)[];

test.runIf(FOLDER).for(sizes.flatMap((size) => STATES.map((state) => ({ size, state, title: `${state.name}, ${size}` }))))(
  "picture: $title",
  async ({ size, state: { name, query, writable, enter } }, { films, folder, serve, open }) => {
    mkdirSync(FOLDER, { recursive: true });
    const database = writable ? folder.sqlite("films.db", [FULL, ...DOZEN]) : "";
    const service = writable ? await serve({ database, args: ["--allow-anonymous-writes"] }) : films;
    const tab = await open(`${service.url}${query}`, SIZES[size]);
    await enter?.(tab, service);
    await expect.poll(() => tab.light.textContent()).toContain("Live");
    await tab.page.screenshot({ path: join(FOLDER, `${name}-${size}.png`), animations: "disabled" });
  },
);

test.runIf(FOLDER)("the picture of the README is small", async ({ films, open }) => {
  mkdirSync(FOLDER, { recursive: true });
  const tab = await open(`${films.url}?q=godfather&film=tt0068646`, { viewport: { width: 1136, height: 710 }, colorScheme: "light" });
  await expect.poll(() => tab.title.textContent()).toBe("The Godfather");
  await expect.poll(() => tab.light.textContent()).toContain("Live");
  const path = join(FOLDER, "readme.png");
  await tab.page.screenshot({ path, animations: "disabled" });
  const { size } = statSync(path);
  console.log(`readme.png: ${size} bytes`);
  expect(size).toBeLessThanOrEqual(README_LIMIT_BYTES);
});
