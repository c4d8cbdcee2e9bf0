/**
 * A masked diffusion language model and a GPT twin over characters, in plain tfjs operations, and
 * what trains, scores and samples them.
 *
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { diffusion, initialWeights, loadNetwork, makeConfig } from "@tiny-diffusion/core";
 * import { makeTokenizer, seededRandom, startEngine, write } from "@tiny-diffusion/core";
 *
 * const vocabulary = diffusion.vocabulary("to be, or not to be");
 * const config = makeConfig("diffusion", "smoke", vocabulary.length);
 * const weights = initialWeights(config, seededRandom(1)); // those of a trained model: `loadWeights`
 *
 * const { engine } = await startEngine("onnx"); // or "auto"
 * using network = await loadNetwork(engine, diffusion, config, weights);
 * const tokenizer = makeTokenizer("diffusion", vocabulary);
 * const writing = await write(network, tokenizer, { prompt: "to be, ", length: 33 });
 * for await (const { changes } of writing) console.assert(changes.length > 0); // a forward pass
 * assertEquals(writing.text.length, 40);
 * ```
 *
 * @module
 */

// text -> tokens
export { type Corpus, type CorpusInfo, loadCorpus, makeCorpus } from "./data/corpus.ts";
export { type Dataset, encodeCorpus } from "./data/corpus.ts";
export { listCharacters, makeTokenizer, MASK, MASK_TOKEN } from "./data/tokenizer.ts";
export type { Tokenizer } from "./data/tokenizer.ts";
export { type Random, restoreRandom, seededRandom } from "./random.ts";

// the two models
/** The GPT: predicts each character from those before it. */
export * as gpt from "./gpt.ts";
/**
 * The masked diffusion model: the GPT with five changes, predicts hidden characters from those
 * shown.
 */
export * as diffusion from "./diffusion.ts";
export { models } from "./models.ts";
export type { Batch, LanguageModel, Network, TrainedNetwork } from "./language_model.ts";
export type { Fixed, GenerationOptions, MaskedWindow } from "./language_model.ts";
export type { Sampler, Truncation } from "./language_model.ts";
export { checkModelConfig, makeConfig, presets } from "./config.ts";
export type { Config, ModelConfig, ModelKind, TrainingConfig } from "./config.ts";
export type { Preset, PresetName } from "./config.ts";
export { attendBothSides, attendLeft, crossEntropy, forward } from "./model.ts";
export { initialWeights, parameterShapes } from "./model.ts";
export type { Attend, ForwardOptions, Heads, Rotation } from "./model.ts";
export type { Dropout } from "./dropout.ts";

// training
export { train } from "./training/trainer.ts";
export type { TrainingRun } from "./training/trainer.ts";
export { makeLocalStepper, runTraining } from "./training/loop.ts";
export type { RunPoint, StepOutcome, Stepper } from "./training/loop.ts";
export type { SampleReport, StepReport, ValidationReport } from "./training/loop.ts";
export type { TrainingObserver, TrainingResult } from "./training/loop.ts";
export type { TrainingStore, TrainingTask } from "./training/loop.ts";
export { type LoadedModel, type LoadOptions, loadTraining, loadWeights } from "./checkpoint.ts";
export { type SavedModel, saveWeights, trainingPath, type TrainingState } from "./checkpoint.ts";
export type { ModelFacts, TrainingFacts } from "./checkpoint_schema.ts";
export type { ForeignOptions } from "./foreign_weights.ts";
export type { StoredDType } from "@tiny-diffusion/files/safetensors";
export { makeParallelStepper, requireSameFacts } from "./training/data_parallel.ts";
export type { ParallelPrograms, ParallelStepper } from "./training/data_parallel.ts";

// sampling
export { write } from "./sampling/write.ts";
export type { Change, Step, WriteOptions, WriteRequest, Writing } from "./sampling/write.ts";
export type { Block } from "./sampling/blocks.ts";
export { loadNetwork, loadNetworks, type NetworkOptions } from "./sampling/network.ts";
export {
  chooseDefaultSampler,
  defaultOptions,
  defaultSampler,
  defaultWindow,
  originalOptions,
} from "./sampling/defaults.ts";
export { samplerList, samplers } from "./sampling/samplers/mod.ts";
export type { SamplerName } from "./sampling/samplers/mod.ts";
export { computeLaw, type PassView } from "./sampling/samplers/copula.ts";
export { defineSampler, drawEach, revealPerPass } from "./sampling/samplers/sampler.ts";
export type { DefinedSampler, Pass, SamplerDefinition } from "./sampling/samplers/sampler.ts";
export type { ChoiceOption, NumberOption, OptionText } from "./sampling/samplers/sampler.ts";
export type { SamplerOptions, Settings } from "./sampling/samplers/sampler.ts";
export { type Candidates, candidates, type Certainty, certainty, draw } from "./sampling/draw.ts";
export { type Gap, parseTemplate, type Piece } from "./sampling/template.ts";

// scores
export { evaluate, type EvaluateOptions, type Evaluation } from "./scoring/estimators.ts";
export { cutIntoBlocks } from "./scoring/rows.ts";
export type { EstimateOptions, Estimator } from "./scoring/estimators.ts";
export { type Decoder, type DecoderPrice, priceDecoders } from "./scoring/decoders.ts";
export type { DecoderCost, PriceOptions } from "./scoring/decoders.ts";
export { loadScorer, makeScorer } from "./scoring/scorer.ts";
export type { Scorer } from "./scoring/scorer.ts";
export type { ScoreOptions } from "./scoring/rows.ts";
export { kneserNey, type NgramTable } from "./ngrams/kneser_ney.ts";
export { type Baseline, type BaselineName, trainBaselines } from "./scoring/baselines.ts";
export { scoreBaseline } from "./scoring/baselines.ts";
export { type BlockFigures, type Compared, compareOnBlocks } from "./scoring/comparison.ts";
export type { ModelComparison } from "./scoring/comparison.ts";

// engines, and the programs that they run
export * from "@tiny-diffusion/engines";
export { attentionShares, targetNats, windowLogits } from "./programs.ts";
export { drawStepInputs, drawWindows, initialState } from "./training/step.ts";
export { type StepInputs, trainStep } from "./training/step.ts";
