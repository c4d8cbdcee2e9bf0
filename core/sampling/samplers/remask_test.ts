import { assert, assertEquals, assertLess } from "@std/assert";
import type { Fixed, Sampler } from "../../language_model.ts";
import { seededRandom } from "../../random.ts";
import { maskedWindow } from "../../testing/masked_window.ts";
import { ancestral } from "./ancestral.ts";
import { remask } from "./remask.ts";
import { scheduleSteps } from "./sampler.ts";

const MASK = 0;

/**
 * Fills `count` positions by a network of which position i prefers what `favourite` says, given the
 * share that is shown.
 */
async function run(
  count: number,
  sampler: Sampler,
  { favourite = (_: number): number => 1, seed = 1 } = {},
) {
  const text = new Int32Array(count + 1).fill(MASK), steps: Fixed[][] = [];
  text[count] = 2; // given
  const shown = () => text.filter((token) => token !== MASK).length / text.length;
  const forward = () => {
    const row = Float32Array.of(99, -50, -50);
    row[favourite(shown())] = 0;
    return Promise.resolve(Array(text.length).fill(row));
  };
  const masked = Array.from({ length: count }, (_, i) => i);
  const window = maskedWindow(masked, forward, text);
  for await (const fixed of sampler.fill(window, { temperature: 1 }, seededRandom(seed))) {
    for (const { position, token } of fixed) text[position] = token;
    steps.push(fixed);
  }
  return { text, steps };
}

Deno.test("what is hidden again are shown characters of the block, as many as the cap says, and the grid's share stays", async () => {
  const count = 20_000, remaskCap = 0.1;
  const sampler = remask.with({ denoisingSteps: 6, remaskCap });
  const { steps, text } = await run(count, sampler);
  let hidden = count, ever = false;
  scheduleSteps(sampler.settings).forEach(({ from, to }, i) => {
    const again = steps[i].filter(({ token }) => token === MASK).length;
    const sigma = from === 1 ? 0 : Math.min(remaskCap, to / (1 - from));
    const shown = count - hidden;
    // Binomial: 4 standard errors
    assert(Math.abs(again - sigma * shown) <= 4 * Math.sqrt(sigma * (1 - sigma) * shown));
    hidden += again - (steps[i].length - again);
    // A little more than binomial, as what was hidden before varies too: 5 standard errors
    assert(Math.abs(hidden / count - to) <= 5 * Math.sqrt(to * (1 - to) / count), `step ${i}`);
    ever ||= again > 0;
  });
  assert(ever);
  assertEquals(steps.at(-1)!.filter(({ token }) => token === MASK), []); // the last one hides nothing
  assertEquals([...text].filter((token) => token === MASK), []);
  assertEquals(text[count], 2);
});

Deno.test("remask with cap 0 is ancestral but for how it draws, and takes nothing back", async () => {
  const { steps } = await run(500, remask.with({ denoisingSteps: 20, remaskCap: 0 }));
  assertEquals(steps.flat().length, 500);
  assertEquals(steps.flat().filter(({ token }) => token === MASK), []);
});

Deno.test("remask corrects what a network got wrong while little was shown, ancestral can't", async () => {
  const favourite = (shown: number) => shown < 0.5 ? 1 : 2;
  const wrong = async (sampler: Sampler) => {
    const { text } = await run(400, sampler, { favourite });
    return text.filter((token) => token === 1).length;
  };
  const without = await wrong(ancestral.with({ denoisingSteps: 64, grid: "uniform" }));
  assert(Math.abs(without - 200) < 40, `${without}`); // half of them, 4 standard errors
  // Each of the 32 later steps hides 5 % of them again: a share of 0.95^32 = 0.19 stays; 0.3 is 2.5
  // standard errors away.
  assertLess(
    await wrong(remask.with({ denoisingSteps: 64, grid: "uniform", remaskCap: 0.05 })),
    0.3 * without,
  );
});

Deno.test("remask ends within its steps even if all that is shown may be hidden again", async () => {
  for (let seed = 0; seed < 50; seed++) {
    const { text, steps } = await run(7, remask.with({ denoisingSteps: 9, remaskCap: 1 }), {
      seed,
    });
    assert(steps.length <= 9);
    assert(!text.includes(MASK));
  }
});
