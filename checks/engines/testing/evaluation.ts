/** Evaluation: the rows of every estimator, compared with the reference's. */
import { assert, assertEquals } from "@std/assert";
import { makeConfig, type ModelKind } from "../../../core/config.ts";
import { evaluate, type Evaluation } from "../../../core/scoring/estimators.ts";
import { initialWeights } from "../../../core/model.ts";
import { models } from "../../../core/models.ts";
import { seededRandom } from "../../../core/random.ts";
import type { Estimator } from "../../../core/scoring/estimators.ts";
import { loadScorer } from "../../../core/scoring/scorer.ts";
import type { Engine } from "../../../engines/engine.ts";
import {
  type EngineCase,
  referenceEngine,
  tolerance,
} from "../../../engines/testing/engine_case.ts";

const estimators: [ModelKind, Estimator][] = [
  ["gpt", "exact"],
  ["diffusion", "nelbo"],
  ["diffusion", "left-to-right"],
  ["diffusion", "masked-mean"],
];

/** Evaluates random weights, ten times as large as at the start of training, on 4 random blocks. */
async function rowOf(engine: Engine, kind: ModelKind, estimator: Estimator): Promise<Evaluation> {
  const config = makeConfig(kind, "smoke", 20, { context: 8, batch: 8 }), model = models[kind];
  const random = seededRandom(1);
  const weights = Object.entries(initialWeights(config, random))
    .map(([name, { shape, data }]) => [name, { shape, data: data.map((value) => 10 * value) }]);
  const blocks = Array.from(
    { length: 4 },
    () => Int32Array.from({ length: config.context }, () => 1 + random.integer(19)),
  );
  using scorer = await loadScorer(engine, model, config, Object.fromEntries(weights), {
    rows: config.batch,
    keepMask: true,
  });
  return await evaluate(scorer, blocks, { estimator, blocks: 3, passes: 3, batches: 2, random });
}

export const evaluationCases: EngineCase[] = estimators.map(([kind, estimator]) => ({
  name: `${estimator} of a ${kind} gives the reference's row`,
  bf16: true,
  async run(engine) {
    const theirs =
      await (expected[estimator] ??= referenceEngine().then((reference) =>
        rowOf(reference, kind, estimator)
      ));
    const ours = new Map(leaves(await rowOf(engine, kind, estimator)));
    assertEquals([...ours.keys()], leaves(theirs).map(([name]) => name));
    for (const [name, value] of leaves(theirs)) {
      const own = ours.get(name);
      // Means and deviations of nats of size 3; counts are whole numbers and so must be the same
      // ones.
      const near = own === value ||
        typeof value === "number" && Math.abs(Number(own) - value) <= 3 * tolerance(engine);
      assert(near, `${name} is ${own}, expected ${value}`);
    }
  },
}));
const expected: Partial<Record<Estimator, Promise<Evaluation>>> = {};

/** The values of a row, each with its path. */
function leaves(value: unknown, name = ""): [name: string, leaf: unknown][] {
  if (typeof value !== "object" || value === null) return [[name, value]];
  return Object.entries(value).flatMap(([key, inner]) => leaves(inner, `${name}.${key}`));
}
