import { UserError } from "@tiny-diffusion/engines/errors";
import {
  assert,
  assertEquals,
  assertGreater,
  assertLess,
  assertRejects,
  assertThrows,
} from "@std/assert";
import * as fc from "fast-check";
import * as diffusion from "../../diffusion.ts";
import { kneserNey } from "../../ngrams/kneser_ney.ts";
import { seededRandom } from "../../random.ts";
import { certainty } from "../draw.ts";
import { maskedWindow } from "../../testing/masked_window.ts";
import { plainOptions } from "../../testing/options.ts";
import {
  chiSquare,
  type Order,
  TOY,
  toyLaw,
  toyNetwork,
  toyStrings,
  toyWorld,
} from "../../testing/toy_world.ts";
import { collectOptions, samplerList, type SamplerName, samplers } from "./mod.ts";
import type { Fixed, GenerationOptions, Network, Truncation } from "../../language_model.ts";
import {
  type ChoiceOption,
  type DefinedSampler,
  defineSampler,
  type NumberOption,
} from "./sampler.ts";

const names = Object.keys(samplers) as SamplerName[];
const MASK = 0;

/** A value for any option of any sampler. */
type AnySettings = Record<string, number | string>;

/** A sampler with those of the settings that it has. */
function samplerWith(name: SamplerName, settings: AnySettings): DefinedSampler {
  const sampler: DefinedSampler = samplers[name];
  const own = Object.entries(settings).filter(([key]) => key in sampler.options);
  return sampler.with(Object.fromEntries(own) as DefinedSampler["settings"]);
}

/** A table of so many characters, five as in `noisy`, or three as in the toy world. */
const tableOf = (vocab: number) =>
  kneserNey(Int32Array.from({ length: 99 }, (_, i) => (i * i + (i >> 2)) % vocab), vocab, 3);
const ngrams = tableOf(5), toyNgrams = tableOf(TOY.vocab - 1);

function optionsFor(
  name: SamplerName,
  settings: AnySettings = {},
  truncation: Partial<Truncation> = {},
) {
  const sampler = samplerWith(name, { threshold: 0.9, ...settings });
  return plainOptions({ overlap: 2, sampler, ngrams, ...truncation });
}

/** A network with random logits whose favourite is always the mask; it counts its passes. */
function noisy(context: number, seed: number): Network & { passes: number } {
  const random = seededRandom(seed);
  const row = () => Float32Array.of(50, ...Array.from({ length: 5 }, () => 4 * random.normal()));
  return {
    context,
    vocab: 6,
    passes: 0,
    logits(tokens) {
      this.passes++;
      return Promise.resolve(Array.from({ length: tokens.length }, row));
    },
  };
}

const anyTruncation = fc.record({
  temperature: fc.constantFrom(0, 0.5, 1, 3),
  topK: fc.constantFrom(undefined, 1, 2),
  topP: fc.constantFrom(undefined, 0.5, 1),
});

/** Any value of an option, its limits and its default often; whole numbers up to 40. */
function anyValue(option: NumberOption | ChoiceOption): fc.Arbitrary<number | string> {
  if ("choices" in option) return fc.constantFrom(...option.choices);
  const { type, min = option.above ?? 0, max = Infinity, above } = option;
  const often = fc.constantFrom(...[option.default, min, max].filter((value) => value !== above));
  if (type === "integer") {
    const some = fc.integer({ min: above === undefined ? min : min + 1, max: Math.min(max, 40) });
    return Number.isFinite(max) ? some : fc.oneof(some, often);
  }
  const some = fc.double({ min, max: Math.min(max, 5), minExcluded: above === min, noNaN: true });
  return fc.oneof(some, often);
}

const anySettings = fc.record(
  Object.fromEntries(Array.from(collectOptions(), ([key, { option }]) => [key, anyValue(option)])),
);

for (const name of names) {
  Deno.test(`${name} fills every hidden position, never with the mask, in no more passes than it said`, async () => {
    await fc.assert(fc.asyncProperty(
      fc.nat(30),
      anySettings,
      anyTruncation,
      fc.nat(1000),
      async (hidden, settings, truncation, seed) => {
        const options = optionsFor(name, settings, truncation);
        const network = noisy(hidden + 3, seed);
        const text = Int32Array.of(1, ...new Array(hidden).fill(MASK), 2, 3);
        const masked = Array.from({ length: hidden }, (_, i) => 1 + i);
        const forward = () => network.logits(text);
        let steps = 0, before = 0;
        const window = { ...maskedWindow(masked, forward, text), ngrams };
        for await (const fixed of options.sampler.fill(window, options, seededRandom(seed))) {
          const revealed = fixed.filter(({ token }) => token !== MASK);
          assertEquals(
            network.passes - before,
            revealed.length > 0 ? 1 : 0,
            "a pass that reveals nothing",
          );
          assertEquals(new Set(fixed.map(({ position }) => position)).size, fixed.length);
          for (const { position, token, confidence } of fixed) {
            assert(masked.includes(position), `${position} was given`);
            assertEquals(token === MASK, text[position] !== MASK); // revealed if hidden, hidden if shown
            assert(confidence > 0 && confidence <= 1, `${confidence}`);
            text[position] = token;
          }
          before = network.passes;
          steps++;
        }
        assertEquals([...text].filter((token) => token < 1 || token > 5), []);
        const { maxPasses } = options.sampler;
        assert(network.passes <= maxPasses(hidden), `${network.passes}`);
        assert(maxPasses(hidden) <= hidden * maxPasses(1), `${maxPasses(hidden)}`);
        if (name !== "remask") assertEquals(steps, network.passes);
        if (["threshold", "confidence", "entropy", "copula"].includes(name)) {
          assert(network.passes <= hidden);
        }
      },
    ));
  });

  Deno.test(`${name} refuses logits that are not numbers`, async () => {
    const network = {
      ...noisy(4, 1),
      logits: () => Promise.resolve(Array(4).fill(Float32Array.of(0, NaN, 1))),
    };
    const run = () =>
      Array.fromAsync(
        diffusion.generate(network, Int32Array.of(), 4, optionsFor(name), seededRandom(1)),
      );
    await assertRejects(
      run,
      UserError,
      "Cannot choose a character: the network's logits are not finite numbers",
    );
  });
}

Deno.test("the list has each sampler under its name, and an option that several share is one", () => {
  assertEquals(samplerList.map(({ name }) => name), names); // two of the same name would be one
  assertEquals(Object.values(samplers).map(({ name }) => name), names);
  const shared = [...collectOptions()].filter(([, { samplers }]) => samplers.length > 1);
  assertEquals(shared.map(([key, { samplers }]) => [key, ...samplers]), [
    ["denoisingSteps", "confidence", "ancestral", "remask"],
    ["grid", "ancestral", "remask"],
  ]);
});

Deno.test("an option that is a flag already, or differs from another sampler's of the same key, is refused by name", () => {
  const define = (name: string, key: string) =>
    defineSampler({
      name,
      source: "this test",
      options: { [key]: { type: "number", default: 1, help: "a test's" } },
      maxPasses: (count) => count,
      fill: () => samplers.threshold.fill,
    });
  for (const key of ["seed", "window", "length", "topP"]) {
    assertThrows(
      () => collectOptions([...samplerList, define("own", key)]),
      TypeError,
      `The sampler own can't have an option "${key}"`,
    );
  }
  assertThrows(
    () => collectOptions([...samplerList, define("own", "grid")]),
    TypeError,
    'The samplers ancestral and own have different options "grid"; export one from sampler.ts',
  );
});

for (const name of ["threshold", "confidence", "entropy", "copula"] as const) {
  Deno.test(`${name} does not depend on the seed at temperature 0`, async () => {
    const options = optionsFor(name, { denoisingSteps: 4 }, { temperature: 0 });
    const [one, two] = await Promise.all([1, 2].map((seed) => toyString(options, seed)));
    assertEquals(one, two);
  });
}

const world = toyWorld();

async function toyString(plain: GenerationOptions, seed: number): Promise<number[]> {
  const options = { ...plain, ngrams: toyNgrams };
  const text = new Array<number>(TOY.length).fill(MASK);
  const random = seededRandom(seed), network = toyNetwork(world);
  for await (
    const fixed of diffusion.generate(network, Int32Array.of(), TOY.length, options, random)
  ) {
    for (const { position, token } of fixed) text[position] = token;
  }
  return text;
}

async function toyStringsOf(options: GenerationOptions, count = 4000): Promise<string[]> {
  const drawn: string[] = [];
  for (let seed = 0; seed < count; seed++) drawn.push(`${await toyString(options, seed)}`);
  return drawn;
}

const leftToRight: Order = (_, masked) => masked.slice(0, 1);
const anyOrder: Order = (_, masked) => masked;
const best = (score: (row: Float32Array) => number): Order => (logits, masked) => {
  const scores = masked.map((i) =>
    score(Float32Array.from(logits).subarray(i * TOY.vocab, (i + 1) * TOY.vocab))
  );
  return [masked[scores.indexOf(Math.max(...scores))]];
};
const surest = best((row) => certainty(row).confidence);
const leastUncertain = best((row) => -certainty(row).entropy);

/**
 * Options with which each sampler reveals one character at a time, and its order. With 400 steps,
 * two of four characters still fall into one step in about 1 % of the strings, too few to be seen
 * in 4,000.
 */
const oneAtATime: [SamplerName, AnySettings, Order][] = [
  ["threshold", { threshold: 1 }, leftToRight],
  ["confidence", { denoisingSteps: TOY.length }, surest],
  ["entropy", { entropyBound: 0 }, leastUncertain],
  ["copula", { longestRun: 1 }, leftToRight],
  ["ancestral", { denoisingSteps: 400, grid: "uniform" }, anyOrder],
  ["ancestral", { denoisingSteps: 400, grid: "cosine" }, anyOrder],
  ["remask", { denoisingSteps: 400, remaskCap: 0 }, anyOrder],
];

Deno.test("every sampler is compared with the exact distribution", () => {
  assertEquals([...new Set(oneAtATime.map(([name]) => name))], names);
});

for (const [name, changes, order] of oneAtATime) {
  const shown = Object.entries(changes).map(([key, value]) => `${key} ${value}`).join(", ");
  Deno.test(`${name} with ${shown} draws from the exact distribution of its order at temperature 1`, async () => {
    const drawn = await toyStringsOf(optionsFor(name, changes));
    const { statistic, limit } = chiSquare(drawn, toyLaw(world, order));
    assertLess(statistic, limit);
  });
}

Deno.test("the exact distribution sums to 1 over all strings, whatever the order, and depends on the order", () => {
  const laws = [leftToRight, surest, leastUncertain, anyOrder].map((order) => toyLaw(world, order));
  for (const law of laws) {
    assertEquals(law.size, toyStrings().length);
    const sum = law.values().reduce((a, b) => a + b);
    assert(Math.abs(sum - 1) < 1e-12, `${sum}`); // 81 sums of products in float64
  }
  const [first, other] = laws;
  assert([...first].some(([text, p]) => Math.abs(p - other.get(text)!) > 1e-3));
});

Deno.test("all characters at once do not follow the exact distribution of any order, and the test of it sees that", async () => {
  for (
    const [name, changes, order] of [
      ["threshold", { threshold: 0.01 }, leftToRight],
      ["confidence", { denoisingSteps: 1 }, surest],
      ["entropy", { entropyBound: 100 }, leastUncertain],
      ["copula", { entropyBudget: 100 }, leftToRight],
      ["ancestral", { denoisingSteps: 1 }, anyOrder],
    ] as [SamplerName, AnySettings, Order][]
  ) {
    const drawn = await toyStringsOf(optionsFor(name, changes), 2000);
    const { statistic, limit } = chiSquare(drawn, toyLaw(world, order));
    assertGreater(statistic, 2 * limit, name);
  }
});

Deno.test("temperature and truncation leave the order of confidence and entropy as it is", async () => {
  const firstOf = async (name: SamplerName, truncation: Partial<Truncation>) => {
    const options = optionsFor(name, { denoisingSteps: 4, entropyBound: 0 }, truncation);
    const steps = diffusion.generate(
      toyNetwork(world),
      Int32Array.of(),
      4,
      options,
      seededRandom(3),
    );
    const { value } = await steps.next() as IteratorYieldResult<Fixed[]>;
    return value.map(({ position }) => position);
  };
  for (const name of ["confidence", "entropy"] as const) {
    const first = await firstOf(name, {});
    for (const changes of [{ temperature: 0 }, { temperature: 9 }, { topK: 1 }, { topP: 0.4 }]) {
      assertEquals(await firstOf(name, changes), first);
    }
  }
});
