/**
 * Parity with the original, training, sampling and evaluation on every engine.
 *
 *   deno task --cwd checks engines     # all 50 steps of training on the slow engines, too
 */
import { testOnEngines } from "../../engines/testing/suite.ts";
import { evaluationCases } from "./testing/evaluation.ts";
import { parityCases } from "./testing/parity.ts";
import { samplingCases } from "./testing/sampling.ts";
import { trainingCases } from "./testing/training.ts";

await testOnEngines([...parityCases, ...trainingCases, ...samplingCases, ...evaluationCases]);
