/** Tests with a browser, in which nothing that a page reports may go unnoticed. */
import { type BrowserContextOptions } from "playwright-core";
import { expect, test as base } from "vitest";
import { launch, Tab } from "./browser";
import { FILMS, Folder, type Options, Service } from "./service";

export { expect } from "vitest";

export const test = base
  .extend("browser", { scope: "worker" }, async ({}, { onCleanup }) => {
    const browser = await launch();
    onCleanup(() => browser.close());
    return browser;
  })
  // A service of real films, which no test changes.
  .extend("films", { scope: "worker" }, async ({}, { onCleanup }) => {
    const service = await Service.start({ database: FILMS });
    onCleanup(() => service.stop());
    return service;
  })
  .extend("folder", async ({}, { onCleanup }) => {
    const folder = new Folder();
    onCleanup(() => folder.remove());
    return folder;
  })
  // Starts a service that the test may change and stop.
  .extend("serve", async ({}, { onCleanup }) => {
    const services: Service[] = [];
    onCleanup(async () => {
      for (const service of services) await service.stop();
    });
    return async (options: Options) => {
      const service = await Service.start(options);
      services.push(service);
      return service;
    };
  })
  // Opens the page. At the end of the test, each tab is closed, and must have no problems.
  .extend("open", async ({ browser }, { onCleanup }) => {
    const tabs: Tab[] = [];
    onCleanup(async () => {
      for (const tab of tabs) await tab.close();
      expect(tabs.flatMap((tab) => tab.unexpected)).toEqual([]);
    });
    return async (url: string, options: BrowserContextOptions = {}) => {
      const tab = await Tab.open(browser, url, options);
      tabs.push(tab);
      await expect.poll(() => tab.page.locator("film-list [aria-busy=false]").count()).toBe(1);
      return tab;
    };
  });
