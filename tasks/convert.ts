/**
 * Turns weights into another format: PyTorch's `.pt`, as the original writes it, from and to our
 * `.safetensors`; or the network with its weights into an ONNX model (it uses operators of ONNX
 * Runtime).
 */
import { extname } from "@std/path";
import { type LoadedModel, loadWeights, saveWeights } from "../core/checkpoint.ts";
import { assumeShape } from "../core/foreign_weights.ts";
import type { Config } from "../core/config.ts";
import { takeOpening } from "../core/data/corpus.ts";
import { onnxModel } from "../engines/onnx/model.ts";
import { compile } from "../engines/record/compile.ts";
import { lockFile } from "../files/lock.ts";
import { requireWritable, writeFileAtomically } from "../files/write.ts";
import { writePt } from "../files/pt.ts";
import { models } from "../core/models.ts";
import { windowLogits } from "../core/programs.ts";
import { outputFlags, parseFlags, UsageError } from "./shared/flags.ts";
import { note, print, printJson, runTask } from "./shared/run.ts";
import { describeShape } from "./shared/text.ts";
import { makeTextReader, noteAssumed } from "./shared/weights.ts";

const task = {
  name: "convert",
  summary: "Turn weights into another format, chosen by the extension of OUT: PyTorch's .pt " +
    "holds the weights alone, .safetensors the vocabulary and the config with them, .onnx the whole network.",
  positionals: ["IN", "OUT"],
  examples: [
    "deno task convert original.pt weights/original.safetensors",
    "deno task convert weights/gpt.safetensors gpt.pt",
    "deno task convert weights/diffusion.safetensors diffusion.onnx",
    "deno task convert small.pt small.safetensors --heads 4 --block-size 64 --data my-book.txt",
  ],
} as const;

const flags = {
  model: {
    choices: ["gpt", "diffusion"],
    help: "which of the two weights from .pt are",
    defaultHelp: "what their size says",
  },
  heads: {
    type: "integer",
    min: 1,
    help: "attention heads of weights from .pt",
    defaultHelp: "width / 64",
  },
  blockSize: {
    type: "integer",
    min: 1,
    help: "context of weights from .pt",
    defaultHelp: "256",
  },
  data: {
    type: "path",
    help: "text that weights from .pt were trained on",
    defaultHelp: "the one fetched last",
  },
  ...outputFlags,
} as const;

/** A function that writes each format, by the extension of OUT. */
const writers: Record<string, (path: string, model: LoadedModel) => Promise<unknown>> = {
  ".safetensors": (path, model) =>
    saveWeights(path, model, { dtype: isHalf(model) ? "float16" : "float32" }),
  ".pt": (path, { weights }) => writeFileAtomically(path, writePt(weights)),
  // One window: "in/tokens", int32 [1, context], to "out/logits", [1, context, vocab].
  ".onnx": (path, { config, weights }) => {
    const program = windowLogits(models[config.kind], config, 1);
    const graph = compile("logits", program, weights);
    return writeFileAtomically(path, onnxModel(graph, { fixed: weights, portable: true }));
  },
};

const isHalf = ({ dtypes = [] }: LoadedModel) => dtypes.length === 1 && dtypes[0] === "F16";

export async function main(args: string[]): Promise<void> {
  const values = parseFlags(task, flags, args);
  const { positionals: [input, output], model: expectKind, heads, blockSize, data, json } = values;
  const format = extname(output).toLowerCase();
  const write = writers[format];
  if (!write) {
    throw new UsageError(
      `Cannot write ${JSON.stringify(output)}: expected a name that ends in ` +
        `${Object.keys(writers).join(" or ")}`,
    );
  }
  await requireWritable(output);

  const text = makeTextReader(data);
  const model = await loadWeights(input, {
    expectKind,
    heads,
    context: blockSize,
    advice: "check the path of IN",
    characters: text.characters,
  });
  const corpus = text.read(model);
  if (corpus) noteAssumed(input, model.config, { heads, blockSize });
  using _lock = await lockFile(output); // of a training that may be writing it
  await write(output, { ...model, prompt: model.prompt ?? (corpus && takeOpening(corpus.text)) });

  if (format === ".pt") noteOnReading(model.config);
  if (model.dtypes && !(format === ".safetensors" && isHalf(model))) {
    const loss = model.dtypes.includes("F64") ? "rounds them" : "holds each exactly";
    note(
      `note: the weights of ${input} are ${model.dtypes.join(" and ")}; ` +
        `${output} has float32, which ${loss}`,
    );
  }

  const sizes = Object.values(model.weights).map(({ data }) => data.length);
  const parameters = sizes.reduce((sum, size) => sum + size, 0);
  if (json) printJson({ in: input, out: output, tensors: sizes.length, parameters });
  else {
    print(
      `${output}: ${model.config.kind}, ${describeShape(model.config)}; ` +
        `${sizes.length} tensors, ${parameters.toLocaleString("en-US")} parameters`,
    );
  }
}

/** Names the flags that reading the weights back from `.pt` needs, if any. */
function noteOnReading({ heads, width, context }: Config): void {
  const assumed = assumeShape(width);
  const flags = [
    ...(heads === assumed.heads ? [] : [`--heads ${heads}`]),
    ...(context === assumed.context ? [] : [`--block-size ${context}`]),
  ];
  if (flags.length === 0) return;
  note(`note: heads and context are not in a .pt file: read it with ${flags.join(" ")}`);
}

if (import.meta.main) await runTask(main, Deno.args);
