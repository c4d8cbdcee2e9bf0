/**
 * Figures of the original's PyTorch code: `core/testing/data/*.safetensors` has the weights of a
 * 2-layer model, three batches, the first one's logits and gradients, three losses, and the weights
 * after three steps of AdamW.
 */
import { assert, assertAlmostEquals } from "@std/assert";
import { type Config, makeConfig } from "../../../core/config.ts";
import * as diffusion from "../../../core/diffusion.ts";
import { readSafetensors } from "../../../core/files/safetensors.ts";
import * as gpt from "../../../core/gpt.ts";
import type { Batch, LanguageModel } from "../../../core/language_model.ts";
import { parameterShapes } from "../../../core/model.ts";
import { initialMoments, scheduleAt } from "../../../core/training/optimizer.ts";
import { windowLogits } from "../../../core/programs.ts";
import { trainStep } from "../../../core/training/step.ts";
import { gradients } from "../../../core/training/gradients.ts";
import type { HostTensors } from "../../../engines/tensors.ts";
import {
  type EngineCase,
  largestDifference,
  tolerance,
} from "../../../engines/testing/engine_case.ts";

interface Reference {
  config: Config;
  weights: HostTensors;
  batches: Batch[];
  losses: number[];
  tensor(name: string): Float32Array;
}

async function reference(model: LanguageModel): Promise<Reference> {
  const file = new URL(`../../../core/testing/data/${model.kind}.safetensors`, import.meta.url);
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

const largest = (values: Float32Array) =>
  largestDifference(values, new Float32Array(values.length));

export const parityCases: EngineCase[] = ([gpt, diffusion] as LanguageModel[]).flatMap((model) =>
  [
    {
      name: `gives the original's logits, loss and gradients for its ${model.kind}`,
      async run(engine) {
        const { config, weights, batches: [batch], losses, tensor } = await reference(model);
        const session = await engine.load(weights, {
          logits: windowLogits(model, config, config.batch),
          gradients: gradients(model, config, config.batch),
        });
        const { logits } = await session.run("logits", { tokens: batch.tokens });
        const difference = largestDifference(logits, tensor("logits"));
        assert(difference <= tolerance(engine), `logits differ by ${difference}`);

        const { loss, ...grads } = await session.run("gradients", { ...batch });
        assertAlmostEquals(loss[0], losses[0], tolerance(engine));
        for (const parameter of Object.keys(weights)) {
          const theirs = tensor(`grad.${parameter}`);
          const share = largestDifference(grads[`gradient/${parameter}`], theirs) / largest(theirs);
          const what = `gradient of ${parameter} differs by ${share} of its largest`;
          assert(share <= tolerance(engine), what);
        }
        session.dispose();
      },
    },
    {
      name: `has the original's losses and weights after three AdamW steps of its ${model.kind}`,
      async run(engine) {
        const { config, weights, batches, losses, tensor } = await reference(model);
        const session = await engine.load(
          { ...weights, ...initialMoments(weights, "adamw") },
          { step: trainStep(model, config) },
        );
        for (const [i, batch] of batches.entries()) {
          const { loss } = await session.run("step", { ...batch, ...scheduleAt(i + 1, config) });
          assertAlmostEquals(loss[0], losses[i], tolerance(engine));
        }
        // AdamW's first steps go by the sign of the gradient, so where one is nearly zero rounding
        // decides; never by more than the length of the steps.
        const after = await session.readState(Object.keys(weights)), near = tolerance(engine) / 10;
        for (const [parameter, { data }] of Object.entries(after)) {
          const theirs = tensor(`after3.${parameter}`);
          const close = data.filter((value, i) => Math.abs(value - theirs[i]) <= near);
          const share = close.length / data.length;
          assert(share >= 0.999, `${parameter}: only ${share} of the entries agree to ${near}`);
          const difference = largestDifference(data, theirs);
          assert(difference <= 6 * config.learningRate, `${parameter} differs by ${difference}`);
        }
        session.dispose();
      },
    },
  ] satisfies EngineCase[]
);
