/**
 * Results as the other tasks would leave them, made up from a seed, for the tests of the page. Run
 * by itself it writes them to a folder: `deno run -A tasks/testing/example_results.ts FOLDER
 * [TEXT AS JSON]`.
 */
import { join } from "@std/path";
import { cutBlocks } from "../../core/sampling/blocks.ts";
import { makeConfig, type ModelKind } from "../../core/config.ts";
import { sha256Hex } from "../../files/read.ts";
import { type Random, seededRandom } from "../../core/random.ts";
import {
  type BaselineRow,
  type DecoderPrices,
  type DecoderRow,
  type EvaluationResult,
  type EvaluationRow,
  type GenerationStep,
  type Provenance,
  qualityFigures,
  type QualityResult,
  type QualityRow,
  type RunHeader,
  type RunLine,
  type Sample,
  type SampleResult,
} from "../shared/results.ts";

export const PROMPT = "MIRANDA:\n";

export const CORPUS = `The harbour lay in silver, and the gulls
Had not yet quarrelled over what was left.
`;

const VERSES = `What vessel comes so late, with lanterns low,
And no one at the helm to call her name?
I heard the water whisper to the stones,
And thought it was my father at the door.

ORLAN:
Be still, my lady; nothing but the tide
That knocks and goes, and never will come in.
The watch has lit the beacon on the hill,
And all the town is sleeping, save the bell.

`;

/** The origin of a result; the hashes are those of the files that `writeExample` writes. */
export function exampleProvenance(model: ModelKind, changes: Partial<Provenance> = {}): Provenance {
  return {
    date: "2026-03-01T10:00:00.000Z",
    command: `deno task sample --model ${model} --weights weights/${model}-small.safetensors`,
    engine: "onnx",
    precision: "f32",
    threads: 2,
    seed: 7,
    weights: `weights/${model}-small.safetensors`,
    weightsSha256: "1".repeat(64),
    corpus: "data/harbour.txt",
    corpusSha256: "2".repeat(64),
    machine: "an example processor, 2 cores, linux",
    versions: { deno: "2.9.6", "onnxruntime-node": "1.30.0" },
    commit: "0123456789abcdef0123456789abcdef01234567",
    config: makeConfig(model, "small", model === "gpt" ? 65 : 66),
    ...changes,
  };
}

/**
 * Two samples whose steps lead to `text`: one character a step for a GPT; for diffusion several
 * anywhere in a block, of which some are masked again.
 */
export function exampleSample(
  model: ModelKind,
  { text = PROMPT + VERSES.repeat(2), prompt = PROMPT, provenance = exampleProvenance(model) } = {},
): SampleResult {
  const samples = [7, 8].map((seed): Sample => {
    const { steps, ...cut } = model === "gpt"
      ? { steps: writeInOrder(text, prompt) }
      : denoise(text, prompt, seededRandom(seed + 4));
    return {
      text,
      seed,
      forwards: steps.at(-1)?.forwards ?? 0,
      seconds: steps.at(-1)?.seconds ?? 0,
      steps,
      ...cut,
      realWords: (model === "gpt" ? 0.9137 : 0.8462) - 0.01 * (seed - 7),
    };
  });
  return {
    kind: "sample",
    model,
    prompt,
    samples,
    realWordsHeldOut: 0.9605,
    provenance,
    sampler: model === "gpt" ? "autoregressive" : "remask",
    settings: model === "gpt"
      ? { temperature: 0.8 }
      : { temperature: 0.8, "top-k": 2, "denoising-steps": 24, overlap: 16, window: 64 },
  };
}

function writeInOrder(text: string, prompt: string): GenerationStep[] {
  const given = [...prompt].length;
  return [...text].slice(given).map((character, i) => ({
    seconds: 0.0011 * (i + 1),
    forwards: i + 1,
    changes: [[given + i, character, 0.6]],
  }));
}

function denoise(text: string, prompt: string, random: Random) {
  const characters = [...text];
  const steps: GenerationStep[] = [];
  const given = [...prompt].length;
  const tokens = characters.map((_, position) => position < given ? 1 : 0);
  let forwards = 0;
  const blocks = cutBlocks(tokens, { context: 64, overlap: 16 });
  for (const { start, masked } of blocks) {
    const left = masked.map((position) => start + position);
    let isToRepeat = true;
    while (left.length > 0) {
      const changes: GenerationStep["changes"] = [];
      for (let n = 1 + random.integer(4); n > 0 && left.length > 0; n--) {
        const [position] = left.splice(random.integer(left.length), 1);
        changes.push([position, characters[position], 0.3 + 0.7 * random.uniform()]);
      }
      steps.push({ seconds: 0.009 * (steps.length + 1), forwards: ++forwards, changes });
      if (!isToRepeat || left.length > 20) continue;
      isToRepeat = false;
      const [[position]] = changes;
      left.push(position);
      const seconds = 0.009 * (steps.length + 1);
      steps.push({ seconds, forwards, changes: [[position, "", 0.2]] }); // takes no pass
    }
  }
  return { steps, blocks: blocks.map(({ start, masked }) => start + masked[0]) };
}

/** An evaluation of one model by all its estimators. */
export function exampleEvaluation(
  model: ModelKind,
  provenance = exampleProvenance(model, { command: `deno task eval --model ${model}` }),
): EvaluationResult {
  const common = {
    model,
    weights: provenance.weights,
    context: 64,
    blocks: 1742,
    chars: 109746,
    passes: 1,
    by_mask_share: [],
  };
  const figure = (bpc: number) => ({ bpc, nats: bpc * Math.LN2 });
  const rows: EvaluationResult["rows"] = model === "gpt"
    ? [{ ...common, ...figure(2.51234), estimator: "exact", se_passes: null, se_blocks: 0.0117 }]
    : [
      {
        ...common,
        ...figure(2.98765),
        estimator: "nelbo",
        se_passes: 0.00213,
        se_blocks: 0.0131,
        passes: 16,
        by_mask_share: Array.from({ length: 8 }, (_, i) => ({
          from: i / 8,
          to: (i + 1) / 8,
          bits: 1.9 + 0.31 * i - 0.004 * i * i,
          blocks: 3484,
        })),
      },
      {
        ...common,
        ...figure(3.04321),
        estimator: "left-to-right",
        se_passes: null,
        se_blocks: 0.0333,
        blocks: 32,
        chars: 2016,
      },
      {
        ...common,
        estimator: "masked-mean",
        bpc: null,
        nats: 2.2191,
        se_passes: 0.004,
        se_blocks: 0.011,
      },
    ];
  const [row] = rows;
  const baselines = ([["uniform", 6.0224], ["unigram", 4.829], ["kneser-ney-6", 2.2329]] as const)
    .map(([model, bpc]): BaselineRow => ({
      ...common,
      model,
      weights: "",
      estimator: "exact",
      se_passes: null,
      se_blocks: 0.0098,
      ...figure(bpc),
    }));
  const comparisons: EvaluationResult["comparisons"] = [{
    a: { model, weights: row.weights, estimator: row.estimator },
    b: { model: "kneser-ney-6", weights: "", estimator: "exact" },
    difference: row.bpc! - 2.2329,
    se_blocks: 0.0063,
    interval: [row.bpc! - 2.2329 - 0.0123, row.bpc! - 2.2329 + 0.0124],
    excludes_zero: true,
    context: common.context,
    blocks: common.blocks,
  }];
  const result = { kind: "evaluation", rows, baselines, comparisons, provenance } as const;
  return model === "gpt" ? result : { ...result, decoders: exampleDecoders(row) };
}

/** Prices of decoders: dear if drawn independently, nearly for nothing by copula. */
function exampleDecoders({ weights, context }: EvaluationRow): DecoderPrices {
  const price = (
    order: DecoderRow["order"],
    draws: DecoderRow["draws"],
    run: number,
    entropy_budget: number | null = null,
  ): DecoderRow => {
    const above_one = (draws === "independent" ? 0.5 : 0.01) * Math.log2(run);
    return {
      ...{ order, draws, run, entropy_budget },
      characters_per_pass: entropy_budget === null ? run : 0.6 * run,
      ...{ bpc: 2.31 + above_one, se_blocks: 0.1, above_one, se_above_one: 0.02 },
    };
  };
  const each = (["left-to-right", "drawn"] as const).flatMap((order) =>
    (["independent", "copula"] as const).flatMap((draws) =>
      [1, 2, 4, 8, 16].map((run) => price(order, draws, run))
    )
  );
  return {
    ...{ weights, context, blocks: 8, network_weight: 1 },
    rows: [...each, price("left-to-right", "copula", 16, 10)],
    references: [{ model: "kneser-ney-6", bpc: 2.2329 }, { model: "gpt", bpc: 2.1203 }],
  };
}

/** The quality of one model's samples over three temperatures, next to the reference texts. */
export function exampleQuality(
  model: ModelKind,
  provenance = exampleProvenance(model, { command: `deno task quality --model ${model}` }),
): QualityResult {
  const random = seededRandom(12);
  const figures = (bpc: number) =>
    Object.fromEntries(qualityFigures.map((name) => {
      const mean = name.startsWith("judge") ? bpc : random.uniform();
      return [name, { mean, sd: 0.03 * mean }];
    })) as QualityRow["figures"];
  const reference = (source: QualityRow["source"], bpc: number): QualityRow => ({
    source,
    sampler: null,
    temperature: null,
    settings: {},
    texts: 27,
    length: 2000,
    figures: figures(bpc),
    cost: null,
  });
  const control = (temperature: number): QualityRow => ({
    ...reference("n-grams", 1.2 + temperature),
    temperature,
    settings: { temperature },
    texts: 3,
  });
  const written = (temperature: number): QualityRow => ({
    source: model,
    sampler: model === "gpt" ? "autoregressive" : "threshold",
    temperature,
    settings: { temperature, "top-k": "all" },
    texts: 3,
    length: 2000,
    figures: { ...figures(1.6 + temperature), judge_gpt: null },
    cost: { forwards: { mean: 1500, sd: 21.5 }, seconds: { mean: 31.25, sd: 0.5 } },
  });
  return {
    kind: "quality",
    model,
    prompt: PROMPT,
    rows: [
      reference("held-out", 2.5),
      reference("shuffled-words", 3.3),
      reference("shuffled-characters", 7.5),
      ...[0.5, 0.8, 1].map(control),
      ...[0.5, 0.8, 1].map(written),
    ],
    judges: {
      gpt: { weights: "weights/gpt-small.safetensors", weightsSha256: "1".repeat(64), context: 64 },
      independent: {
        weights: "weights/judge.safetensors",
        weightsSha256: "2".repeat(64),
        context: 128,
      },
      ngram: { name: "kneser-ney-6", context: 64 },
    },
    halves: [0.0007, 0.008, 0.05, 0.15, 0.29],
    provenance,
  };
}

/** The log of a training run, as JSON lines. */
export function exampleRun(model: ModelKind): string {
  const random = seededRandom(model === "gpt" ? 3 : 4);
  const { engine, precision, threads, corpus, corpusSha256, date, config } = exampleProvenance(
    model,
  );
  const header: RunHeader = {
    kind: "run",
    name: `weights/${model}-small.safetensors`,
    model,
    config,
    engine,
    precision,
    threads,
    corpus,
    corpusSha256,
    charsPerStep: 12 * 64,
    date,
    command: `deno task train-${model} --preset small`,
  };
  const lines: (RunHeader | RunLine)[] = [header];
  const floor = model === "gpt" ? 1.62 : 2.05;
  let lowest = Infinity;
  for (let step = 10; step <= 2000; step += 10) {
    const at = { step, chars: step * header.charsPerStep, seconds: step * 0.045 };
    const smooth = floor + (Math.log(66) - floor) * Math.exp(-step / 180) ** 0.8 +
      0.3 / Math.sqrt(step);
    const lossNats = smooth + (model === "gpt" ? 0.04 : 0.16) * random.normal();
    lines.push({ kind: "train", ...at, lossNats, learningRate: 0.001 });
    if (step % 100 !== 0) continue;
    const overfit = model === "gpt" ? Math.max(0, step - 1400) * 0.00015 : 0;
    const bpc = (smooth + 0.05 + overfit + 0.004 * random.normal()) / Math.LN2;
    lines.push({ kind: "validation", ...at, bpc, best: bpc < lowest });
    lowest = Math.min(lowest, bpc);
    if (step % 500 === 0) lines.push({ kind: "sample", ...at, text: VERSES.slice(0, step / 10) });
  }
  return lines.map((line) => JSON.stringify(line) + "\n").join("");
}

/**
 * Writes weights, a text, results and logs of both models under `folder`; the hashes agree.
 *
 * @param text What the models wrote after the prompt, and what is in the fields that may hold
 * any text.
 */
export async function writeExample(folder: string, text?: string): Promise<void> {
  for (const name of ["weights", "data", "reports/results", "reports/runs"]) {
    await Deno.mkdir(join(folder, name), { recursive: true });
  }
  const write = async (path: string, content: string) => {
    await Deno.writeTextFile(join(folder, path), content);
    return await sha256Hex(new TextEncoder().encode(content));
  };
  const corpusSha256 = await write("data/harbour.txt", CORPUS);
  for (const model of ["gpt", "diffusion"] as const) {
    const weightsSha256 = await write(`weights/${model}-small.safetensors`, `weights of ${model}`);
    const provenance = exampleProvenance(model, {
      weightsSha256,
      corpusSha256,
      ...(text === undefined ? {} : { machine: text, commit: text, versions: { [text]: text } }),
    });
    const sample = exampleSample(model, {
      provenance,
      ...(text === undefined ? {} : { text: PROMPT + text }),
    });
    const evaluation = exampleEvaluation(model, {
      ...provenance,
      command: `deno task eval --model ${model}`,
    });
    await write(`reports/results/sample-${model}.json`, JSON.stringify(sample));
    await write(`reports/results/evaluation-${model}.json`, JSON.stringify(evaluation));
    const quality = exampleQuality(model, {
      ...provenance,
      command: `deno task quality --model ${model}`,
    });
    await write(`reports/results/quality-${model}.json`, JSON.stringify(quality));
    const log = exampleRun(model).replaceAll("2".repeat(64), corpusSha256);
    await write(`reports/runs/${model}-small.jsonl`, log);
  }
}

if (import.meta.main) {
  const [folder, text] = Deno.args;
  await writeExample(folder, text === undefined ? undefined : JSON.parse(text));
}
