/** What axe-core finds in a page, and how often Tab has to be pressed to get through it. */
import axe from "axe-core";
import type { Page } from "playwright-core";

/** Violations of axe-core's rules, each with the element it was found in. */
export async function findViolations(page: Page): Promise<string[]> {
  await page.evaluate(axe.source);
  const { violations } = await page.evaluate(() => {
    const { axe } = globalThis as unknown as { axe: typeof import("axe-core") };
    return axe.run(document, { resultTypes: ["violations"] });
  });
  return violations.flatMap(({ id, help, nodes }) =>
    nodes.map(({ html }) => `${id} (${help}): ${html.slice(0, 200)}`)
  );
}

/** Presses Tab from the start of the page until its end, at most 1,000 times. */
export async function countTabStops(page: Page): Promise<number> {
  await page.evaluate(() => (document.activeElement as HTMLElement | null)?.blur());
  for (let stops = 0; stops < 1000; stops++) {
    await page.keyboard.press("Tab");
    if (await page.evaluate(() => document.activeElement === document.body)) return stops;
  }
  return Infinity;
}
