/**
 * Holds every engine of this machine against tensors that the original's PyTorch code made: `core/testdata/*.safetensors` has
 * the weights of a 2-layer model, three batches, the first one's logits and gradients, three losses, and the weights after
 * three steps of AdamW.
 */
import { assert, assertAlmostEquals } from "@std/assert";
import { type Config, makeConfig } from "../config.ts";
import * as diffusion from "../diffusion.ts";
import { readSafetensors } from "../formats/safetensors.ts";
import * as gpt from "../gpt.ts";
import type { Batch, LanguageModel } from "../language_model.ts";
import { parameterShapes } from "../model.ts";
import { initialMoments, scheduleAt } from "../optimizer.ts";
import { gradients, trainStep, windowLogits } from "../programs.ts";
import type { HostTensors } from "./engine.ts";
import { startEngine } from "./mod.ts";
import { testedStatuses } from "./tested_engines.ts";

/**
 * Logits, losses: 1e-5, gradients: 1e-5 of a tensor's largest entry. Float32 sums of some hundred terms in another order come
 * out within about 1e-6; an independent implementation measured that too. WebGPU's drivers may fuse and approximate
 * (its specification allows 3 ulp for a division and 2^-11 absolute for some functions), so it gets a hundred times more.
 */
const tolerances = (engine: string) => engine.endsWith("webgpu") ? 1e-3 : 1e-5;

interface Reference {
  config: Config;
  weights: HostTensors;
  batches: Batch[];
  losses: number[];
  tensor(name: string): Float32Array;
}

async function reference(model: LanguageModel): Promise<Reference> {
  const file = new URL(`../testdata/${model.kind}.safetensors`, import.meta.url);
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

function largestDifference(ours: Float32Array, theirs: Float32Array): number {
  assert(ours.length === theirs.length, `length ${ours.length}, expected ${theirs.length}`);
  return ours.reduce((most, value, i) => Math.max(most, Math.abs(value - theirs[i])), 0);
}

const largest = (values: Float32Array) =>
  largestDifference(values, new Float32Array(values.length));

for (const { name, available } of await testedStatuses("parity")) {
  const ignore = !available;
  const tolerance = tolerances(name);
  for (const model of [gpt, diffusion] as LanguageModel[]) {
    Deno.test({
      name: `${name} gives the original's logits, loss and gradients for its ${model.kind}`,
      ignore,
      async fn() {
        const { config, weights, batches: [batch], losses, tensor } = await reference(model);
        const { engine } = await startEngine(name);
        const session = await engine.load(weights, {
          logits: windowLogits(model, config, config.batch),
          gradients: gradients(model, config, config.batch),
        });
        const { logits } = await session.run("logits", { tokens: batch.tokens });
        const difference = largestDifference(logits, tensor("logits"));
        assert(difference <= tolerance, `logits differ by ${difference}`);

        const { loss, ...grads } = await session.run("gradients", { ...batch });
        assertAlmostEquals(loss[0], losses[0], tolerance);
        for (const parameter of Object.keys(weights)) {
          const theirs = tensor(`grad.${parameter}`);
          const share = largestDifference(grads[`gradient/${parameter}`], theirs) / largest(theirs);
          assert(share <= tolerance, `gradient of ${parameter} differs by ${share} of its largest`);
        }
        session.dispose();
      },
    });

    Deno.test({
      name:
        `${name} has the original's losses and weights after three AdamW steps of its ${model.kind}`,
      ignore,
      async fn() {
        const { config, weights, batches, losses, tensor } = await reference(model);
        const { engine } = await startEngine(name);
        const session = await engine.load(
          { ...weights, ...initialMoments(weights, "adamw") },
          { step: trainStep(model, config) },
        );
        for (const [i, batch] of batches.entries()) {
          const { loss } = await session.run("step", { ...batch, ...scheduleAt(i + 1, config) });
          assertAlmostEquals(loss[0], losses[i], tolerance);
        }
        // AdamW's first steps go by the sign of the gradient, so where one is nearly zero rounding decides; never by more
        // than the length of the steps.
        const after = await session.readState(Object.keys(weights));
        for (const [parameter, { data }] of Object.entries(after)) {
          const theirs = tensor(`after3.${parameter}`);
          const close = data.filter((value, i) => Math.abs(value - theirs[i]) <= tolerance / 10);
          const share = close.length / data.length;
          assert(
            share >= 0.999,
            `${parameter}: only ${share} of the entries agree to ${tolerance / 10}`,
          );
          const difference = largestDifference(data, theirs);
          assert(difference <= 6 * config.learningRate, `${parameter} differs by ${difference}`);
        }
        session.dispose();
      },
    });
  }
}
