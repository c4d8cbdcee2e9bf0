import { assertAlmostEquals, assertEquals, assertLess } from "@std/assert";
import * as tf from "@tiny-diffusion/engines/tfjs";
import { drawDropout, dropoutInputs, makeDropout } from "./dropout.ts";
import { seededRandom } from "./random.ts";

await tf.setBackend("cpu");

const shape = { context: 8, layers: 3, width: 256, dropout: 0.2 };
const ROWS = 16, ENTRIES = ROWS * shape.context * shape.width; // 32,768 a site

function drop(config: typeof shape, seed = 1) {
  const drawn = drawDropout(config, ROWS, seededRandom(seed));
  const specs = dropoutInputs(config, ROWS);
  return makeDropout(
    Object.fromEntries(
      Object.entries(specs).map(([name, { shape }]) => [name, tf.tensor(drawn[name], shape)]),
    ),
    config,
  );
}
const ones = () => tf.ones<tf.Rank.R3>([ROWS, shape.context, shape.width]);

for (const rate of [0.05, 0.2, 0.5, 0.9]) {
  Deno.test(`dropout ${rate} leaves out that share of the entries and scales up the others`, async () => {
    const at = drop({ ...shape, dropout: rate });
    const sites = await Promise.all(Array.from({ length: 7 }, () => at(ones()).data()));
    for (const values of sites) {
      const dropped = values.filter((value) => value === 0).length / ENTRIES;
      // Rows share their columns' directions, so the share varies like that of some hundred
      // independent rows.
      assertAlmostEquals(dropped, rate, 0.03);
      const kept = values.filter((value) => value !== 0);
      assertAlmostEquals(kept[0], 1 / (1 - rate), 1e-6);
      assertEquals(kept.every((value) => value === kept[0]), true);
    }
    const all = sites.reduce((sum, values) => sum + values.filter((v) => v === 0).length, 0);
    assertAlmostEquals(all / (7 * ENTRIES), rate, 0.01);
  });
}

Deno.test("whether an entry is dropped says nothing about its neighbours, nor about another place", async () => {
  const at = drop({ ...shape, dropout: 0.5 });
  const [first, second] = await Promise.all([at(ones()).data(), at(ones()).data()]);
  const agreement = (other: (i: number) => number) => {
    let same = 0;
    for (let i = 0; i < ENTRIES; i++) same += Number((first[i] === 0) === (other(i) === 0));
    return same / ENTRIES;
  };
  const next = (step: number) => (i: number) => first[(i + step) % ENTRIES];
  // Half agrees by chance; the standard error is below 1 / sqrt(256 columns) / 2 = 0.03.
  for (
    const other of [next(1), next(shape.width), next(8 * shape.width), (i: number) => second[i]]
  ) {
    assertAlmostEquals(agreement(other), 0.5, 0.12);
  }
});

Deno.test("the gradient passes where the value passed, equally scaled", async () => {
  const value = drop(shape, 3)(ones());
  const gradient = tf.grad((x) => drop(shape, 3)(x as tf.Tensor3D))(ones());
  assertEquals(await gradient.data(), await value.data());
});

Deno.test("without dropout a step needs no noise and draws none", () => {
  const config = { ...shape, dropout: 0 }, random = seededRandom(1), before = random.state();
  assertEquals(dropoutInputs(config, ROWS), {});
  assertEquals(drawDropout(config, ROWS, random), {});
  assertEquals(random.state(), before);
  const x = ones();
  assertEquals(makeDropout({}, config)(x), x);
});

Deno.test("the noise is directions: pairs of length 1", () => {
  const { dropoutRows, dropoutColumns } = drawDropout(shape, ROWS, seededRandom(1));
  for (let i = 0; i < dropoutRows.length; i += 2) {
    assertLess(Math.abs(Math.hypot(dropoutRows[i], dropoutRows[i + 1]) - 1), 1e-6);
  }
  for (let site = 0; site < 7; site++) {
    const at = 2 * site * shape.width;
    for (let i = at; i < at + shape.width; i++) {
      assertLess(
        Math.abs(Math.hypot(dropoutColumns[i], dropoutColumns[i + shape.width]) - 1),
        1e-6,
      );
    }
  }
});
