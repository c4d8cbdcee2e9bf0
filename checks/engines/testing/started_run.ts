/** A run of training in which an engine makes a few steps at a time, to compare engines. */
import { makeConfig, type ModelKind, type PresetName } from "../../../core/config.ts";
import { makeTokenizer } from "../../../core/data/tokenizer.ts";
import { models } from "../../../core/models.ts";
import { seededRandom } from "../../../core/random.ts";
import {
  drawStepInputs,
  drawWindows,
  initialState,
  trainStep,
} from "../../../core/training/step.ts";
import { type Engine, runSteps } from "../../../engines/engine.ts";

/** What to train on which text. */
export interface RunRequest {
  kind: ModelKind;
  preset: PresetName;
  text: string;
}

/** A run under way. */
export interface StartedRun {
  /** Characters of a step. */
  chars: number;
  /** Makes some steps in one call of the engine. */
  makeSteps(count: number): Promise<{ losses: number[]; ms: number }>;
  dispose(): void;
}

/** Starts a run from fresh weights; all of it follows from the preset's seed. */
export async function startRun(
  engine: Engine,
  { kind, preset, text }: RunRequest,
): Promise<StartedRun> {
  const model = models[kind];
  const vocabulary = model.vocabulary(text);
  const config = makeConfig(kind, preset, vocabulary.length);
  const tokens = makeTokenizer(kind, vocabulary).encode(text);
  const random = seededRandom(config.seed);
  const state = initialState(config, random);
  const session = await engine.load(state, { step: trainStep(model, config) });
  let made = 0;
  return {
    chars: config.batch * config.context,
    async makeSteps(count) {
      const inputs = Array.from({ length: count }, () => {
        const windows = drawWindows(tokens, config.batch, config.context, random);
        return drawStepInputs(model, config, windows, ++made, random);
      });
      const start = performance.now();
      const outcomes = await runSteps(session, "step", inputs);
      return { losses: outcomes.map(({ loss }) => loss[0]), ms: performance.now() - start };
    },
    dispose: () => session.dispose(),
  };
}
