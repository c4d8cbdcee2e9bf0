import { assertAlmostEquals, assertEquals, assertLess, assertRejects } from "@std/assert";
import { UserError } from "@tiny-diffusion/engines/errors";
import type { Fixed } from "../../language_model.ts";
import { kneserNey, type NgramTable } from "../../ngrams/kneser_ney.ts";
import { seededRandom } from "../../random.ts";
import { maskedWindow } from "../../testing/masked_window.ts";
import { chiSquare, toyStrings } from "../../testing/toy_world.ts";
import { computeLaw, copula, type PassView } from "./copula.ts";
import { ancestral } from "./ancestral.ts";

const MASK = 0;

/** A Markov chain of three characters: after each, the next one's probabilities; at first, as `first`. */
const first = [0.5, 0.3, 0.2];
const after = [[0.1, 0.8, 0.1], [0.6, 0.1, 0.3], [0.05, 0.05, 0.9]];

/** The chain as a table of pairs of characters. */
const chainTable: NgramTable = {
  name: "kneser-ney-2",
  order: 2,
  vocab: 3,
  row: (history) =>
    Float64Array.from(history.length === 0 ? first : after[history[history.length - 1]]),
  probability: (history, character) => chainTable.row(history)[character],
};

/** What a perfect network says where nothing is seen: the chain's own marginal at each position. */
function chainLogits(length: number): Float32Array[] {
  const marginals = [first];
  while (marginals.length < length) {
    const last = marginals.at(-1)!;
    marginals.push(first.map((_, x) => last.reduce((sum, p, y) => sum + p * after[y][x], 0)));
  }
  return marginals.map((marginal) => Float32Array.of(9, ...marginal.map(Math.log)));
}

/** The chain's probability of a string of tokens. */
function chainProbability(tokens: Int32Array): number {
  return tokens.reduce((product, token, i) => {
    const law = i === 0 ? first : after[tokens[i - 1] - 1];
    return product * law[token - 1];
  }, 1);
}

function chainView(length: number): PassView {
  return {
    logits: chainLogits(length),
    seen: new Int32Array(length),
    now: new Int32Array(length),
    before: new Int32Array(),
    ngrams: chainTable,
  };
}

Deno.test("where the text is a chain of pairs that the table knows, one pass has the joint law of all characters", () => {
  for (const tokens of toyStrings(4)) {
    let product = 1;
    const view = chainView(4);
    for (const [position, token] of tokens.entries()) {
      product *= computeLaw(view, position, 1)[token - 1];
      view.now[position] = token;
    }
    assertAlmostEquals(product, chainProbability(tokens), 1e-6, `${tokens}`); // float32 logits
  }
});

Deno.test("in one pass copula draws from the joint law of a chain, where independent draws do not", async () => {
  const law = new Map(toyStrings(3).map((tokens) => [`${tokens}`, chainProbability(tokens)]));
  const drawAll = async (sampler: typeof copula | typeof ancestral) => {
    const drawn: string[] = [];
    for (let seed = 0; seed < 3000; seed++) {
      const text = new Int32Array(3);
      const forward = () => Promise.resolve(chainLogits(3));
      const window = { ...maskedWindow([0, 1, 2], forward, text), ngrams: chainTable };
      const steps = sampler.fill(window, { temperature: 1 }, seededRandom(seed));
      for (const { position, token } of (await steps.next()).value as Fixed[]) {
        text[position] = token;
      }
      drawn.push(`${text}`);
    }
    return chiSquare(drawn, law);
  };
  const joint = await drawAll(copula.with({ entropyBudget: 9 }) as typeof copula);
  assertLess(joint.statistic, joint.limit);
  const independent = await drawAll(ancestral.with({ denoisingSteps: 1 }) as typeof ancestral);
  assertLess(10 * independent.limit, independent.statistic); // the same test sees the difference
});

Deno.test("the law is the formula of the file, the characters on both sides included", () => {
  const ngrams = kneserNey(
    Int32Array.from("0120102012021102201200112", Number),
    3,
    3,
  );
  const random = seededRandom(3);
  const logits = Array.from({ length: 4 }, () => Float32Array.from({ length: 4 }, random.normal));
  // given 2 (before the window), [1, ?, ?, 3]: the last gap, once the first is drawn as 2
  const view: PassView = {
    logits,
    seen: Int32Array.of(1, MASK, MASK, 3),
    now: Int32Array.of(1, 2, MASK, 3),
    before: Int32Array.of(2),
    ngrams,
  };
  const normalized = (values: number[]) => values.map((v) => v / values.reduce((a, b) => a + b));
  const network = (i: number) => normalized([1, 2, 3].map((token) => Math.exp(logits[i][token])));
  const table = (left: number[]) =>
    normalized(
      [0, 1, 2].map((x) => ngrams.probability(left, x) * ngrams.probability([...left, x], 2)),
    );
  const seen = [0, 1, 2].map((x) =>
    network(1).reduce((sum, share, y) => sum + share * table([1, 0, y])[x], 0)
  );
  for (const weight of [0, 0.4, 1]) {
    const expected = normalized(
      table([1, 0, 1]).map((p, x) => p * (network(2)[x] / seen[x]) ** weight),
    );
    const law = computeLaw(view, 2, weight);
    // float64 sums in another order
    for (const [x, p] of law.entries()) assertAlmostEquals(p, expected[x], 1e-12, `${weight} ${x}`);
  }
});

Deno.test("a run ends before the character that exceeds the budget, at the longest run, and at a given character", async () => {
  const entropy = (law: number[]) => law.reduce((sum, p) => sum - p * Math.log(p), 0);
  const even = Array(6).fill(Float32Array.of(0, 1, 1, 1));
  const flat: NgramTable = { ...chainTable, row: () => new Float64Array(3).fill(1 / 3) };
  const each = entropy([1 / 3, 1 / 3, 1 / 3]);
  const runsOf = async (settings: Partial<typeof copula.settings>, masked = [0, 1, 2, 3, 4, 5]) => {
    const window = { ...maskedWindow(masked, () => Promise.resolve(even)), ngrams: flat };
    const steps = copula.with(settings).fill(window, { temperature: 1 }, seededRandom(1));
    return (await Array.fromAsync(steps)).map((run) => run.map(({ position }) => position));
  };
  assertEquals(await runsOf({ entropyBudget: 2.01 * each }), [[0, 1, 2], [3, 4, 5]]);
  assertEquals(await runsOf({ entropyBudget: 0 }), [[0], [1], [2], [3], [4], [5]]);
  assertEquals(await runsOf({ entropyBudget: 99, longestRun: 4 }), [[0, 1, 2, 3], [4, 5]]);
  assertEquals(await runsOf({ entropyBudget: 99 }, [1, 2, 4, 5]), [[1, 2], [4, 5]]);
});

Deno.test("copula without a table is refused before any pass", async () => {
  const window = maskedWindow([0, 1], () => Promise.reject(new Error("a pass")));
  await assertRejects(
    () => Array.fromAsync(copula.fill(window, { temperature: 1 }, seededRandom(1))),
    UserError,
    "there is no table of n-grams of the text that the weights were trained on; fetch that text",
  );
});
