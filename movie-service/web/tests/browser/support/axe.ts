/** Checks of accessibility by axe-core. */
import axe from "axe-core";
import type { Page } from "playwright-core";

/** Returns what axe-core finds on a page: the rule, the elements and why. */
export async function violations(page: Page): Promise<string[]> {
  if (!(await page.evaluate(() => "axe" in globalThis))) await page.evaluate(axe.source);
  // An animation that runs is between two colours.
  await page.evaluate(() => document.getAnimations().forEach((animation) => animation.effect?.getComputedTiming().iterations === 1 && animation.finish()));
  return page.evaluate(async () => {
    const { violations } = await (globalThis as unknown as { axe: typeof axe }).axe.run(document, { resultTypes: ["violations"] });
    return violations.flatMap(({ id, nodes }) => nodes.map(({ target, failureSummary }) => `${id}: ${target.join(" ")}: ${failureSummary}`));
  });
}
