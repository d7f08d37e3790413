import { DOZEN, FULL } from "./support/films";
import { expect, test } from "./support/test";

const ORIGIN = "https://posters.example";

/** A picture of one pixel, in red. */
const PNG = Buffer.from("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR4nGP4z8DwHwAFAAH/iZk9HQAAAABJRU5ErkJggg==", "base64");

test("without a host of posters, a placeholder is drawn and no other host is asked", async ({ folder, serve, open }) => {
  const service = await serve({ database: folder.json("films.json", [FULL, ...DOZEN]) });
  const tab = await open(`${service.url}?film=full`);
  await expect.poll(() => tab.title.textContent()).toBe(FULL.title);
  expect(await tab.page.locator("img").count()).toBe(0);
  const placeholder = tab.film(FULL.title).locator("svg");
  expect(await placeholder.textContent()).toMatch(/\w/);
  expect(await placeholder.textContent()).toContain("1987");
  const box = (await placeholder.boundingBox())!;
  expect(box.height / box.width).toBeCloseTo(1.5, 1);
});

test("pictures of a host that is allowed are shown, without telling it the address of the page", async ({ folder, serve, open }) => {
  const service = await serve({ database: folder.json("films.json", [FULL, ...DOZEN]), posterOrigins: [ORIGIN] });
  const tab = await open(service.url);
  tab.expect(/request to another host: https:\/\/posters\.example\/full\.png|net::ERR/);
  const referrers: (string | undefined)[] = [];
  await tab.page.context().route(`${ORIGIN}/**`, (route) => {
    referrers.push(route.request().headers().referer);
    return route.fulfill({ body: PNG, contentType: "image/png" });
  });
  await tab.page.reload();
  const picture = tab.film(FULL.title).locator("img");
  await expect.poll(() => picture.evaluate((image: HTMLImageElement) => image.naturalWidth)).toBe(1);
  expect(await picture.getAttribute("src")).toBe(FULL.poster_uri);
  expect(referrers).toEqual([undefined]);
  const [covered, cover] = [await tab.film(FULL.title).locator("svg").boundingBox(), await picture.boundingBox()];
  expect(cover).toEqual(covered);
});

test("a picture of another host than those that are allowed is not asked for", async ({ folder, serve, open }) => {
  const others = ["https://posters.example.evil.example/a.png", "https://posters.example:8443/a.png", "https://evil.example/https://posters.example"];
  const films = others.map((poster_uri, at) => ({ id: `other-${at}`, title: `Other ${at}`, poster_uri }));
  const service = await serve({ database: folder.json("films.json", films), posterOrigins: [ORIGIN] });
  const tab = await open(service.url);
  expect(await tab.films.count()).toBe(3);
  expect(await tab.page.locator("img").count()).toBe(0);
});

test("a picture that does not come leaves the placeholder", async ({ folder, serve, open }) => {
  const service = await serve({ database: folder.json("films.json", [FULL]), posterOrigins: [ORIGIN] });
  const tab = await open(service.url);
  tab.expect(/request to another host: https:\/\/posters\.example\/full\.png|net::ERR|404/);
  await tab.page.context().route(`${ORIGIN}/**`, (route) => route.fulfill({ status: 404 }));
  await tab.page.reload();
  await expect.poll(() => tab.film(FULL.title).locator("img[hidden]").count()).toBe(1);
  expect(await tab.film(FULL.title).locator("svg").isVisible()).toBe(true);
});
