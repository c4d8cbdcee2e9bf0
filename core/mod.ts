/**
 * A masked diffusion language model and a GPT twin over characters, in plain tfjs operations, and what trains, scores and
 * samples them.
 *
 * ```ts ignore
 * import { charactersOf, gpt, loadNetwork, loadWeights, startEngine } from "@tiny-diffusion/core";
 *
 * const { config, vocabulary, weights } = await loadWeights("weights/gpt.safetensors");
 * const { engine } = await startEngine("auto");
 * using network = await loadNetwork(engine, config, weights);
 * ```
 *
 * @module
 */
export * as diffusion from "./diffusion.ts";
export * as gpt from "./gpt.ts";
export type {
  Batch,
  Fixed,
  GenerationOptions,
  LanguageModel,
  Network,
  Sampler,
} from "./language_model.ts";
export { models } from "./models.ts";
export { forward, initialWeights, parameterShapes } from "./model.ts";
export { type Config, makeConfig, type ModelConfig, type ModelKind, presets } from "./config.ts";
export { charactersOf, MASK, type Tokenizer, tokenizer } from "./tokenizer.ts";
export { type Corpus, defaultCorpus, loadCorpus } from "./corpus.ts";
export { type Dataset, datasetOf, drawWindows } from "./dataset.ts";
export { loadWeights, type SavedModel, saveWeights } from "./checkpoint.ts";
export { train, type TrainingResult, type TrainingRun } from "./trainer.ts";
export { requireAlike, shared } from "./distributed/data_parallel.ts";
export { joinRanks, type Mpi } from "./distributed/mpi.ts";
export { evaluate, type Evaluation, validationBlocks } from "./evaluate.ts";
export { baselines, scoreBaseline } from "./baselines.ts";
export { compareOnBlocks } from "./comparison.ts";
export { qualityOf } from "./quality/measure.ts";
export { type LoadedNetwork, loadNetwork, loadNetworks } from "./network.ts";
export { parseTemplate } from "./template.ts";
export { chooseLengths } from "./gap_length.ts";
export { samplers } from "./samplers/mod.ts";
export { candidates, draw } from "./sampling.ts";
export { type Random, restoreRandom, seededRandom } from "./random.ts";
export {
  gradients,
  initialState,
  targetNats,
  trainInputs,
  trainStep,
  windowLogits,
} from "./programs.ts";
export { type Engine, type HostTensors, type Program, type Session } from "./engines/engine.ts";
export { engineNames, engineStatuses, startEngine } from "./engines/mod.ts";
