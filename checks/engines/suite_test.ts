/**
 * Parity with the original, training, sampling and evaluation on every engine.
 *
 *   deno task --cwd checks engines     # all 50 steps of training on the slow engines, too
 */
import { testOnEngines } from "../../engines/testing/suite.ts";
import { evaluationCases } from "./evaluation.ts";
import { parityCases } from "./parity.ts";
import { samplingCases } from "./sampling.ts";
import { trainingCases } from "./training.ts";

await testOnEngines([...parityCases, ...trainingCases, ...samplingCases, ...evaluationCases]);
