/**
 * Figures of the original's PyTorch code, which every engine has to reproduce. `core/testing/data/*.safetensors` has
 * the weights of a 2-layer model, three batches, the first one's logits and gradients, three
 * losses, and the weights after three steps of AdamW.
 */
import { type Config, makeConfig } from "../../core/config.ts";
import { readSafetensors } from "../../files/safetensors.ts";
import type { Batch, LanguageModel } from "../../core/language_model.ts";
import { parameterShapes } from "../../core/model.ts";
import { windowLogits } from "../../core/programs.ts";
import { gradients } from "../../core/training/gradients.ts";
import { initialMoments, scheduleAt } from "../../core/training/optimizer.ts";
import { trainStep } from "../../core/training/step.ts";
import type { Engine } from "../../engines/engine.ts";
import type { HostTensors } from "../../engines/tensors.ts";
import { largestDifference, tolerance } from "../../engines/tolerance.ts";

/** How far an engine is from the original in one respect, and how far it may be. */
export interface Difference {
  what: string;
  difference: number;
  allowed: number;
}

interface Reference {
  config: Config;
  weights: HostTensors;
  batches: Batch[];
  losses: number[];
  tensor(name: string): Float32Array;
}

async function readReference(model: LanguageModel): Promise<Reference> {
  const file = new URL(`../../core/testing/data/${model.kind}.safetensors`, import.meta.url);
  const { tensors, metadata } = readSafetensors(await Deno.readFile(file));
  const number = (key: string) => Number(metadata[key]);
  const config: Config = {
    ...makeConfig(model.kind, "full", [...metadata.vocab].length, { batch: number("batch") }),
    context: number("ctx"),
    layers: number("layers"),
    heads: number("heads"),
    width: number("embd"),
  };
  const tensor = (name: string) => tensors[name].data as Float32Array;
  const tokens = (name: string) => tensors[name].data as Int32Array;
  const batches = [0, 1, 2].map((i): Batch => ({
    tokens: tokens(`batch${i}.x`),
    targets: tokens(`batch${i}.y`),
    lossWeights: Float32Array.from(
      model.kind === "gpt" ? tokens(`batch${i}.x`).map(() => 1) : tokens(`batch${i}.mask`),
    ),
  }));
  const weights = Object.fromEntries(
    Object.entries(parameterShapes(config)).map((
      [name, shape],
    ) => [name, { shape, data: tensor(`weights.${name}`) }]),
  );
  return { config, weights, batches, losses: JSON.parse(metadata.losses_nats), tensor };
}

/** Compares logits, loss and gradients of a batch with the original's. */
export async function compareGradients(
  engine: Engine,
  model: LanguageModel,
  allowed = tolerance(engine),
): Promise<Difference[]> {
  const { config, weights, batches: [batch], losses, tensor } = await readReference(model);
  const session = await engine.load(weights, {
    logits: windowLogits(model, config, config.batch),
    gradients: gradients(model, config, config.batch),
  });
  const { logits } = await session.run("logits", { tokens: batch.tokens });
  const { loss, ...grads } = await session.run("gradients", { ...batch });
  session.dispose();
  const shares = Object.keys(weights).map((name) => {
    const theirs = tensor(`grad.${name}`);
    const largest = largestDifference(theirs, new Float32Array(theirs.length));
    const difference = largestDifference(grads[`gradient/${name}`], theirs) / largest;
    return { what: `gradient of ${name} (share of its largest entry)`, difference, allowed };
  });
  return [
    { what: "logits", difference: largestDifference(logits, tensor("logits")), allowed },
    { what: "loss", difference: Math.abs(loss[0] - losses[0]), allowed },
    ...shares,
  ];
}

/** Compares the losses and the weights of three steps of AdamW with the original's. */
export async function compareSteps(
  engine: Engine,
  model: LanguageModel,
  allowed = tolerance(engine),
): Promise<Difference[]> {
  const { config, weights, batches, losses, tensor } = await readReference(model);
  const state = { ...weights, ...initialMoments(weights, "adamw") };
  const session = await engine.load(state, { step: trainStep(model, config) });
  const differences: Difference[] = [];
  for (const [i, batch] of batches.entries()) {
    const { loss } = await session.run("step", { ...batch, ...scheduleAt(i + 1, config) });
    const difference = Math.abs(loss[0] - losses[i]);
    differences.push({ what: `loss of step ${i + 1}`, difference, allowed });
  }
  const after = await session.readState(Object.keys(weights));
  session.dispose();
  // AdamW's first steps go by the sign of the gradient, so where one is nearly zero rounding
  // decides; never by more than the length of the steps.
  for (const [name, { data }] of Object.entries(after)) {
    const theirs = tensor(`after3.${name}`);
    const far = data.filter((value, i) => !(Math.abs(value - theirs[i]) <= allowed / 10));
    const share = far.length / data.length;
    const all = largestDifference(data, theirs);
    differences.push(
      { what: `share of ${name} that is off`, difference: share, allowed: 0.001 },
      { what: `${name} after three steps`, difference: all, allowed: 6 * config.learningRate },
    );
  }
  return differences;
}
