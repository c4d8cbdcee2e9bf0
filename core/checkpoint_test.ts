import { assert, assertEquals, assertMatch, assertRejects } from "@std/assert";
import { fromFileUrl, join } from "@std/path";
import * as fc from "fast-check";
import { UserError } from "@tiny-diffusion/engines/errors";
import {
  loadTraining,
  loadWeights,
  type SavedModel,
  saveTraining,
  saveWeights,
  trainingPath,
  type TrainingState,
} from "./checkpoint.ts";
import { type Config, makeConfig, type ModelKind } from "./config.ts";
import { writePieces } from "../files/pieces.ts";
import { writePt } from "../files/pt.ts";
import { readSafetensors, writeSafetensors } from "../files/safetensors.ts";
import { initialWeights } from "./model.ts";
import { restoreRandom, seededRandom } from "./random.ts";
import type { HostTensors } from "@tiny-diffusion/engines/tensors";
import { inFolder } from "../files/testing/temporary_folder.ts";

const testdata = fromFileUrl(new URL("testing/data/", import.meta.url));

/** The 65 characters of Tiny Shakespeare. */
const characters = [
  ..."\n !$&',-.3:;?ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz",
];

function smallModel(kind: ModelKind, seed = 1): SavedModel {
  const vocabulary = kind === "gpt" ? ["a", "b", "_", "🎭"] : ["_", "a", "b", "_", "🎭"];
  const config = {
    ...makeConfig(kind, "smoke", vocabulary.length),
    layers: 1,
    heads: 2,
    width: 8,
    context: 6,
  };
  return {
    config,
    vocabulary,
    weights: initialWeights(config, seededRandom(seed)),
    prompt: "ab_🎭",
    step: 30,
    scores: { val_bpc: 1.25 },
    corpusSha256: "0123",
    command: "deno task train-gpt --preset smoke",
    engine: "onnx",
    precision: "f32",
  };
}

function smallTraining(kind: ModelKind): TrainingState {
  const { config, vocabulary, weights, corpusSha256 } = smallModel(kind);
  const moments: HostTensors = {
    "adam.step": { shape: [], data: Float32Array.of(30) },
  };
  for (const [name, { shape, data }] of Object.entries(weights)) {
    moments[`adam.m/${name}`] = { shape, data: data.map((value) => value / 3) };
    moments[`adam.v/${name}`] = { shape, data: data.map((value) => value * value) };
  }
  return {
    config,
    vocabulary,
    weights,
    moments,
    random: { batches: seededRandom(7).state() },
    counters: { step: 30, chars: 7680, seconds: 0.1 + 0.2 },
    bestScore: 2.5,
    corpusSha256: corpusSha256!,
    engine: "onnx",
  };
}

for (const kind of ["gpt", "diffusion"] as const) {
  Deno.test(`a ${kind} model comes back from float32 bit for bit, with all that was said of it`, () =>
    inFolder(async (folder) => {
      const path = join(folder, "x.safetensors");
      const seeds = fc.tuple(fc.nat(), fc.string({ unit: "grapheme" }), fc.nat());
      await fc.assert(
        fc.asyncProperty(seeds, async ([seed, prompt, step]) => {
          const model = { ...smallModel(kind, seed), prompt, step };
          const written = await saveWeights(path, model);
          const { sha256, ...back } = await loadWeights(path, { expectKind: kind });
          assertEquals(back, model);
          assertEquals(sha256, written);
        }),
        { numRuns: 20 },
      );
    }));

  Deno.test(`a ${kind} model comes back from float16 with every weight at most half a step off`, () =>
    inFolder(async (folder) => {
      const path = join(folder, "x.safetensors");
      const model = smallModel(kind);
      await saveWeights(path, model, { dtype: "float16" });
      const { weights } = await loadWeights(path);
      for (const [name, { data }] of Object.entries(model.weights)) {
        // 11 significant bits: half a step is 2^-11 of the value, or 2^-25 below the normal range
        const isClose = data.every((value, i) =>
          Math.abs(weights[name].data[i] - value) <= Math.max(Math.abs(value) * 2 ** -11, 2 ** -25)
        );
        assert(isClose, name);
      }
    }));

  Deno.test(`the original's ${kind}.pt says which model it is by its rows`, async () => {
    const { tensors } = readSafetensors(await Deno.readFile(`${testdata}${kind}.safetensors`));
    const model = await loadWeights(`${testdata}${kind}.pt`, {
      heads: 2,
      context: 24,
      characters: () => characters,
    });
    assertEquals(model.config.kind, kind);
    assertEquals(model.vocabulary, kind === "gpt" ? characters : ["_", ...characters]);
    const { vocab, context, layers, heads, width } = model.config;
    assertEquals([vocab, context, layers, heads, width], [
      kind === "gpt" ? 65 : 66,
      24,
      2,
      2,
      32,
    ]);
    for (const [name, { shape, data }] of Object.entries(model.weights)) {
      assertEquals({ shape, data }, {
        shape: tensors[`weights.${name}`].shape,
        data: tensors[`weights.${name}`].data,
      });
    }
    assertEquals(Object.keys(model.weights).length, 14);
    assertEquals(model.step, undefined);
  });

  Deno.test(`a ${kind} run goes on from the numbers where it stopped`, () =>
    inFolder(async (folder) => {
      const path = trainingPath(join(folder, "x.safetensors"));
      const random = seededRandom(5);
      for (let i = 0; i < 10; i++) random.uniform();
      const state = { ...smallTraining(kind), random: { batches: random.state() } };
      await saveTraining(path, state);
      const back = await loadTraining(path, { expectKind: kind });
      assertEquals(back, state);
      const again = restoreRandom(back.random.batches);
      for (let i = 0; i < 10; i++) assertEquals(again.uniform(), random.uniform());
    }));
}

Deno.test("defaults for a .pt file are a head for every 64 channels and a context of 256", () =>
  inFolder(async (folder) => {
    const path = join(folder, "x.pt");
    const config = { ...makeConfig("gpt", "smoke", 65), layers: 1, heads: 2, width: 128 };
    await Deno.writeFile(path, writePt(initialWeights(config, seededRandom(1))));
    const loaded = await loadWeights(path, { characters: () => characters });
    assertEquals([loaded.config.heads, loaded.config.context], [2, 256]);
    const small = await loadWeights(`${testdata}gpt.pt`, { characters: () => characters });
    assertEquals(small.config.heads, 1);
  }));

Deno.test("names that torch.compile has prefixed are read as they were", () =>
  inFolder(async (folder) => {
    const path = join(folder, "compiled.pt");
    const { weights } = smallModel("gpt");
    const prefixed = Object.entries(weights).map(([name, w]) => ["_orig_mod." + name, w]);
    await Deno.writeFile(path, writePt(Object.fromEntries(prefixed)));
    const options = { heads: 2, context: 6, characters: () => ["a", "b", "_", "🎭"] };
    assertEquals((await loadWeights(path, options)).weights, weights);
  }));

Deno.test("names from within any wrappers of PyTorch, or of a part of a module, are read as they were", () =>
  inFolder(async (folder) => {
    const path = join(folder, "wrapped.pt");
    const { weights } = smallModel("gpt");
    const options = { heads: 2, context: 6, characters: () => ["a", "b", "_", "🎭"] };
    const load = async (rename: (name: string) => string) => {
      const renamed = Object.entries(weights).map(([name, w]) => [rename(name), w]);
      await Deno.writeFile(path, writePt(Object.fromEntries(renamed)));
      return (await loadWeights(path, options)).weights;
    };
    for (const prefix of ["module._orig_mod.", "_orig_mod.module._orig_mod.", "model.module."]) {
      assertEquals(await load((name) => prefix + name), weights, prefix);
    }
    const inside = (name: string) => name.replace(/^blocks\.0\./, "blocks.0._orig_mod.");
    assertEquals(await load(inside), weights);
    const twice = { ...weights, "module.lm_head.weight": weights["lm_head.weight"] };
    await Deno.writeFile(path, writePt(twice));
    await assertRejects(
      () => loadWeights(path, options),
      UserError,
      '"module.lm_head.weight" is not a parameter',
    );
  }));

Deno.test("a vocabulary is that of the text as Python reads it, and never a guess between two", () =>
  inFolder(async (folder) => {
    const path = join(folder, "x.pt");
    const config = { layers: 1, heads: 1, width: 2, context: 4 };
    /** Loads weights of so many rows with a text whose characters are these as Python reads it. */
    const load = async (rows: number, python: string, plain: string, expectKind?: ModelKind) => {
      const made = { ...makeConfig("gpt", "smoke", rows), ...config };
      await Deno.writeFile(path, writePt(initialWeights(made, seededRandom(1))));
      const characters = (likePython: boolean) => [...(likePython ? python : plain)];
      const { vocabulary, config: { kind } } = await loadWeights(path, { characters, expectKind });
      return [kind, vocabulary.join("")];
    };
    const crlf = ["\nab", "\n\rab"] as const;
    const mark = ["\nab\ufeff", "\nab"] as const;
    const both = ["\nab\ufeff", "\n\rab"] as const;
    assertEquals(await load(3, ...crlf), ["gpt", "\nab"]);
    assertEquals(await load(5, ...crlf), ["diffusion", "_\n\rab"]); // only weights of our own
    assertEquals(await load(5, ...mark), ["diffusion", "_\nab\ufeff"]);
    assertEquals(await load(4, ...crlf, "diffusion"), ["diffusion", "_\nab"]);
    assertEquals(await load(4, ...mark, "gpt"), ["gpt", "\nab\ufeff"]);
    assertEquals(await load(4, ...both, "gpt"), ["gpt", "\nab\ufeff"]);
    for (
      const [texts, expectKind] of [
        [crlf, undefined],
        [crlf, "gpt"],
        [mark, undefined],
        [mark, "diffusion"],
        [both, undefined],
      ] as const
    ) {
      const loading = () => load(4, texts[0], texts[1], expectKind);
      const { message } = await assertRejects(loading, UserError);
      assertMatch(
        message,
        /\[4, 2\], which fits a .+ as Python reads it and a .+ as it is in the file; --model \w+ takes/,
      );
    }
    await assertRejects(
      () => load(7, ...crlf),
      UserError,
      "expected 3 rows (GPT) or 4 (diffusion) for the 3 characters of the text as Python reads it; " +
        "or 4 rows (GPT) or 5 (diffusion) for the 4 characters of the text as it is in the file",
    );
  }));

Deno.test("a file is read as what it is, whatever its name, and says where it is not float32", () =>
  inFolder(async (folder) => {
    const path = join(folder, "x.pt");
    const model = smallModel("gpt");
    await saveWeights(path, model);
    const { sha256: _, ...back } = await loadWeights(path);
    assertEquals(back, model);
    await saveWeights(path, model, { dtype: "float16" });
    assertEquals((await loadWeights(path)).dtypes, ["F16"]);
  }));

for (
  const [text, message] of [
    [
      "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n",
      "Git LFS pointer",
    ],
    ["<!DOCTYPE html><html><body>404 Not found</body></html>", "it is a web page; download"],
    ['\ufeff\n<?xml version="1.0"?><Error><Code>AccessDenied</Code></Error>', "it is a web page"],
  ]
) {
  Deno.test(`what a download left in place of weights is named: ${message}`, () =>
    inFolder(async (folder) => {
      for (const name of ["x.pt", "x.safetensors", "x.training.safetensors"]) {
        const path = join(folder, name);
        await Deno.writeTextFile(path, text);
        await assertRejects(() => loadWeights(path), UserError, message);
        await assertRejects(() => loadTraining(path), UserError, message);
      }
    }));
}

Deno.test("the text is asked for only if the file has no vocabulary", () =>
  inFolder(async (folder) => {
    const path = join(folder, "x.safetensors");
    await saveWeights(path, smallModel("gpt"));
    const never = () => Promise.reject(new Error("it was asked"));
    await loadWeights(path, { characters: never });
    await assertRejects(
      () => loadWeights(`${testdata}gpt.pt`, { characters: never }),
      Error,
      "it was asked",
    );
  }));

Deno.test("a training state is named after its export", () => {
  assertEquals(trainingPath("weights/a.safetensors"), "weights/a.training.safetensors");
  assertEquals(trainingPath("weights/a"), "weights/a.training.safetensors");
});

Deno.test("files of version 1.0.0 are read, and so is a state that lacks settings that came later", () =>
  inFolder(async (folder) => {
    const { weights, ...model } = await loadWeights(`${testdata}1.0.0.safetensors`);
    assertEquals([model.vocabulary, model.prompt, model.step, model.scores, model.config.width], [
      ["_", "a", "b", "_", "🎭"],
      ...["ab_🎭", 30, { val_bpc: 1.25 }, 8],
    ]);
    const file = `${testdata}1.0.0.training.safetensors`;
    const state = await loadTraining(file);
    assertEquals(state.random.batches, seededRandom(7).state());
    assertEquals([state.counters, state.bestScore], [{ step: 30, chars: 7680, seconds: 0.5 }, 2.5]);
    for (const [name, { data }] of Object.entries(state.weights)) {
      // 11 significant bits: half a step is 2^-11 of the value, or 2^-25 below the normal range
      const isClose = data.every((value, i) =>
        Math.abs(weights[name].data[i] - value) <= Math.max(Math.abs(value) * 2 ** -11, 2 ** -25)
      );
      assert(isClose, name);
      assertEquals(state.moments[`adam.m/${name}`].data, data.map((value) => value / 3));
    }
    const { tensors, metadata } = readSafetensors(await Deno.readFile(file));
    const { dropout: _1, emaDecay: _2, zeroProjections: _3, boundWeighting: _4, ...first } = JSON
      .parse(metadata.config);
    const older = join(folder, "older.safetensors");
    const changed = { ...metadata, config: JSON.stringify(first) };
    await Deno.writeFile(older, writeSafetensors(tensors, changed));
    assertEquals(await loadTraining(older), state);
  }));

/** Asserts that an action fails with this line, in which PATH stands for the quoted path. */
async function assertLine(action: () => Promise<unknown>, path: string, line: string) {
  const error = await assertRejects(action, Error);
  assertEquals(error.message, line.replace("PATH", JSON.stringify(path)));
}

Deno.test("weights of the other model are told by kind and by rows, with the flag that helps", () =>
  inFolder(async (folder) => {
    const path = join(folder, "x.safetensors");
    await saveWeights(path, smallModel("diffusion"));
    await assertLine(
      () => loadWeights(path, { expectKind: "gpt" }),
      path,
      'Cannot load PATH: "lm_head.weight" is [5, 8], expected [4, 8] for a GPT; ' +
        "these are diffusion weights, try --model diffusion",
    );
    const pt = `${testdata}gpt.pt`;
    await assertLine(
      () => loadWeights(pt, { expectKind: "diffusion", characters: () => characters }),
      pt,
      'Cannot load PATH: "lm_head.weight" is [65, 32], expected [66, 32] for a diffusion model; ' +
        "these look like GPT weights, try --model gpt",
    );
    await assertLine(
      () => loadWeights(pt, { characters: () => characters.slice(0, 60) }),
      pt,
      'Cannot load PATH: "token_emb.weight" is [65, 32], expected 60 rows (GPT) or 61 ' +
        "(diffusion) for the 60 characters of the text; give the text that it was trained on " +
        "with --data",
    );
    await assertLine(
      () => loadWeights(pt),
      pt,
      "Cannot load PATH: it has no vocabulary; give the text that it was trained on with --data",
    );
    await saveTraining(path, smallTraining("gpt"));
    await assertRejects(
      () => loadTraining(path, { expectKind: "diffusion" }),
      UserError,
      'continue with "deno task train-gpt"',
    );
  }));

Deno.test("a training state is no export, an export no training state, a newer format neither", () =>
  inFolder(async (folder) => {
    const path = join(folder, "x.safetensors");
    await saveTraining(path, smallTraining("gpt"));
    await assertRejects(() => loadWeights(path), UserError, "it is the state of a training run");
    await saveWeights(path, smallModel("gpt"));
    await assertRejects(
      () => loadTraining(path),
      UserError,
      'its format is "tiny-diffusion/1", expected "tiny-diffusion-training/1"; only the file',
    );
    await Deno.writeFile(path, writeSafetensors({}, { format: "tiny-diffusion/2" }));
    await assertRejects(
      () => loadWeights(path),
      UserError,
      'its format is "tiny-diffusion/2", expected "tiny-diffusion/1"; use the version',
    );
  }));

Deno.test("a missing file is named with what to do", () =>
  inFolder(async (folder) => {
    const path = join(folder, "x.safetensors");
    await assertLine(
      () => loadWeights(path, { advice: 'run "deno task train-gpt"' }),
      path,
      'Cannot load PATH: no such file; run "deno task train-gpt"',
    );
  }));

/** Saves a small GPT, changes its tensors or metadata without any check, and loads it. */
function loadChanged(
  change: (tensors: HostTensors, metadata: Record<string, string>) => void,
  name = "x.safetensors",
) {
  let message = "";
  return inFolder(async (folder) => {
    const path = join(folder, name);
    await saveWeights(path, smallModel("gpt"));
    const { tensors, metadata } = readSafetensors(await Deno.readFile(path));
    change(tensors as HostTensors, metadata);
    await Deno.writeFile(path, writeSafetensors(tensors, metadata));
    message = await loadWeights(path).then(() => "", (error) => error.message);
    message = message.replace(JSON.stringify(path), "PATH");
  }).then(() => message);
}

const changes: [
  what: string,
  change: (tensors: HostTensors, metadata: Record<string, string>) => void,
  line: string,
][] = [
  [
    "a NaN among the weights",
    (t) => t["lm_head.weight"].data[3] = NaN,
    '"lm_head.weight" holds NaN at position 3, expected finite numbers; the training',
  ],
  [
    "an infinity among the weights",
    (t) => t["token_emb.weight"].data[0] = -Infinity,
    "holds -Infinity at position 0",
  ],
  [
    "a missing parameter",
    (t) => delete t["lm_head.weight"],
    '"lm_head.weight" is missing, expected [4, 8]; the file is incomplete',
  ],
  [
    "a parameter too many",
    (t) => t["blocks.1.attn.c_q.weight"] = t["blocks.0.attn.c_q.weight"],
    '"blocks.1.attn.c_q.weight" is not a parameter of a model of 1 layers',
  ],
  [
    "a transposed parameter",
    (t) => t["blocks.0.mlp.c_fc.weight"].shape.reverse(),
    '"blocks.0.mlp.c_fc.weight" is [8, 32], expected [32, 8]; the file belongs',
  ],
  [
    "integers for weights",
    (t) => Object.assign(t["lm_head.weight"], { data: new Int32Array(32) }),
    '"lm_head.weight" holds integers, expected floats',
  ],
  [
    "a config that is not JSON",
    (_, m) => m.config = "{",
    'the metadata "config" is not JSON; the file is damaged',
  ],
  ["no config", (_, m) => delete m.config, "it has no config; the file is damaged"],
  ["a nested config", (_, m) => m.config = '{"kind":{}}', 'its "kind" is not a setting; the file'],
  [
    "a setting that is infinite",
    (_, m) => m.config = m.config.replace(/"steps":\d+/, '"steps":1e999'),
    'its "steps" is not a setting; the file is damaged',
  ],
  [
    "a width of two lines",
    (_, m) => m.config = m.config.replace('"width":8', '"width":"8\\n"'),
    'its width is "8\\n", expected a number',
  ],
  [
    "a character that is a long text",
    (_, m) => m.vocabulary = m.vocabulary.replace('"a"', JSON.stringify("a\u2028".repeat(1e5))),
    'entry 0 is "a\\u{2028}a',
  ],
  [
    "an unknown kind",
    (_, m) => m.config = m.config.replace('"gpt"', '"llama"'),
    'its kind is "llama", not gpt or diffusion',
  ],
  [
    "a billion layers",
    (_, m) => m.config = m.config.replace('"layers":1', '"layers":1e9'),
    "layers is 1000000000, expected 1 to",
  ],
  [
    "heads that don't divide the width",
    (_, m) => m.config = m.config.replace('"heads":2', '"heads":3'),
    "width 8 is not a multiple of 2 * heads (3)",
  ],
  [
    "a width of the wrong type",
    (_, m) => m.config = m.config.replace('"width":8', '"width":"8"'),
    'its width is "8", expected a number',
  ],
  [
    "a learning rate that is a text",
    (_, m) => m.config = m.config.replace('"learningRate":0.0003', '"learningRate":"high"'),
    'its learningRate is "high", expected a number',
  ],
  [
    "another vocabulary size",
    (_, m) => m.vocabulary = '["a"]',
    "its vocabulary does not have 4 entries",
  ],
  ["a character twice", (_, m) => m.vocabulary = '["a","b","a","c"]', "is both token 0 and 2"],
  [
    "a vocabulary of words",
    (_, m) => m.vocabulary = '["to","be","or","not"]',
    'entry 0 is "to", expected one character',
  ],
  [
    "a vocabulary of numbers",
    (_, m) => m.vocabulary = "[1,2,3,4]",
    "its vocabulary is not a list of characters",
  ],
  ["a prompt that is not a string", (_, m) => m.prompt = "7", "its prompt is not a string"],
  ["a step that is not a whole number", (_, m) => m.step = "-1", "its step is not a whole number"],
  [
    "a score that is not a number",
    (_, m) => m.scores = '{"val_bpc":"low"}',
    "its scores are not all finite numbers",
  ],
  [
    "no metadata at all",
    (_, m) => Object.keys(m).forEach((key) => delete m[key]),
    "it has no vocabulary; give the text",
  ],
];
for (const [what, change, line] of changes) {
  Deno.test(`a file with ${what} is refused in one line`, async () => {
    const message = await loadChanged(change);
    assert(message.includes(line), message);
    assertMatch(message, /^Cannot load PATH: [^\n]+; [^\n]+$/);
  });
}

Deno.test("the mask must be the first token of a diffusion model", () =>
  inFolder(async (folder) => {
    const path = join(folder, "x.safetensors");
    const model = smallModel("diffusion");
    const vocabulary = ["a", "b", "_", "🎭", "c"];
    await assertRejects(
      () => saveWeights(path, { ...model, vocabulary }),
      UserError,
      'its first token is "a", not the mask "_"',
    );
  }));

Deno.test("heads and context that contradict a file are refused, those that agree are not", () =>
  inFolder(async (folder) => {
    const path = join(folder, "x.safetensors");
    await saveWeights(path, smallModel("gpt"));
    await loadWeights(path, { heads: 2, context: 6 });
    await assertLine(
      () => loadWeights(path, { heads: 4 }),
      path,
      "Cannot load PATH: it was trained with heads 2, but 4 was asked for; leave that out",
    );
    await assertRejects(() => loadWeights(path, { context: 7 }), UserError, "context 6, but 7");
    await assertRejects(
      () => loadWeights(`${testdata}gpt.pt`, { heads: 5, characters: () => characters }),
      UserError,
      "width 32 is not a multiple of 2 * heads (5)",
    );
  }));

Deno.test("weights that diverged or don't fit float16 are not written over good ones", () =>
  inFolder(async (folder) => {
    const path = join(folder, "x.safetensors");
    await saveWeights(path, smallModel("gpt"));
    const before = await Deno.readFile(path);
    const spoilt = (value: number) => {
      const model = smallModel("gpt");
      model.weights["lm_head.weight"].data[5] = value;
      return model;
    };
    await assertLine(
      () => saveWeights(path, spoilt(NaN)),
      path,
      'Cannot save PATH: "lm_head.weight" holds NaN at position 5, expected finite numbers; the ' +
        "training diverged (a lower --lr helps) or the file is damaged",
    );
    await assertRejects(
      () => saveWeights(path, spoilt(1e5), { dtype: "float16" }),
      UserError,
      'Cannot write "lm_head.weight" as float16: 100000 at position 5',
    );
    const state = smallTraining("gpt");
    state.moments["adam.v/lm_head.weight"].data[2] = Infinity;
    await assertRejects(() => saveTraining(path, state), UserError, "holds Infinity");
    assertEquals(await Deno.readFile(path), before);
  }));

function withoutBatch({ batch: _, ...config }: Config): Config {
  return config as Config;
}

for (
  const [what, change, line] of [
    ["a moment of another shape", {
      moments: { "m/lm_head.weight": { shape: [1], data: new Float32Array(1) } },
    }, '"m/lm_head.weight" is [1], expected [4, 8]'],
    ["a moment with the name of a parameter", {
      moments: { "lm_head.weight": { shape: [1], data: new Float32Array(1) } },
    }, "rename it"],
    [
      "a config without a batch size",
      { config: withoutBatch(smallModel("gpt").config) },
      "its config lacks batch",
    ],
    [
      "a counter that is not a number",
      { counters: { step: NaN } },
      "its counters are not all finite numbers",
    ],
    ["an infinite best score", { bestScore: Infinity }, "its best score is not a number"],
    [
      "half a random state",
      { random: { batches: [0.5] } },
      "it is not four integers of 32 bits",
    ],
    // It draws nothing but zeros, and a normal draw would never come.
    ["a random state of zeros", { random: { batches: [0, 0, 0, 0] } }, "one that is not 0"],
    ["a counter below 0", { counters: { step: -1 } }, 'its counter "step" is -1, expected a count'],
    ["half a step", { counters: { step: 0.5 } }, 'its counter "step" is 0.5, expected a count'],
    [
      "no windows in a batch",
      { config: { ...smallModel("gpt").config, batch: 0 } },
      "batch is 0, expected it to be above 0",
    ],
    [
      "an unknown optimizer",
      { config: { ...smallModel("gpt").config, optimizer: "\n" as "muon" } },
      'optimizer is "\\n", expected it to be adamw or muon',
    ],
  ] as [string, Partial<TrainingState>, string][]
) {
  Deno.test(`a training state with ${what} is not saved`, () =>
    inFolder(async (folder) => {
      const path = join(folder, "x.safetensors");
      await assertRejects(
        () => saveTraining(path, { ...smallTraining("gpt"), ...change }),
        Error,
        line,
      );
      assertEquals([...Deno.readDirSync(folder)], []);
    }));
}

for (const file of ["export", "training", "pt"] as const) {
  Deno.test(`a damaged ${file} loads as something whole or is refused in one line`, () =>
    inFolder(async (folder) => {
      const path = join(folder, file === "pt" ? "x.pt" : "x.safetensors");
      if (file === "export") await saveWeights(path, smallModel("diffusion"));
      else if (file === "training") await saveTraining(path, smallTraining("gpt"));
      else await Deno.writeFile(path, writePt(smallModel("gpt").weights));
      const load = file === "training"
        ? () => loadTraining(path)
        : () => loadWeights(path, { heads: 2, context: 6, characters: () => ["a", "b", "c", "d"] });
      await load();

      const valid = await Deno.readFile(path);
      const header = file === "pt"
        ? valid.length
        : 8 + new DataView(valid.buffer).getUint32(0, true);
      // mostly in the header, where the structure is; digits and quotes for letters make other
      // valid headers
      const byte = fc.oneof(
        fc.nat(255),
        fc.constantFrom(...`0123456789",:[]{}`).map((c) => c.charCodeAt(0)),
      );
      const damage = fc.tuple(
        fc.array(fc.tuple(fc.nat(header - 1), byte), { maxLength: 3 }),
        fc.array(fc.tuple(fc.nat(valid.length - 1), byte), { maxLength: 1 }),
        fc.oneof(fc.constant(valid.length), fc.nat(valid.length)),
      );
      let refused = 0;
      await fc.assert(
        fc.asyncProperty(damage, async ([inHeader, anywhere, length]) => {
          const bytes = valid.slice(0, length);
          for (const [at, value] of [...inHeader, ...anywhere]) if (at < length) bytes[at] = value;
          await Deno.writeFile(path, bytes);
          try {
            await load();
          } catch (error) {
            refused++;
            assert(error instanceof Error);
            assertMatch(error.message, /^Cannot (load|read) [^\n]+; [^\n]+$/);
            assert(error.message.length < 500, error.message);
          }
        }),
        { numRuns: 500 },
      );
      assert(refused > 100, `only ${refused} of 500 were refused`);
    }));
}

Deno.test("weights in pieces are refused with how to join them, by the name of the whole or of a piece", () =>
  inFolder(async (folder) => {
    const path = join(folder, "gpt.safetensors");
    const config = makeConfig("gpt", "smoke", 3);
    const weights = initialWeights(config, seededRandom(1));
    const facts = { config, vocabulary: ["a", "b", "c"], scores: {}, prompt: "a" };
    await saveWeights(path, { ...facts, weights, corpusSha256: "0".repeat(64) });
    const bytes = await Deno.readFile(path);
    const [first] = await writePieces(path, bytes, bytes.length - 1);
    await Deno.remove(path);
    const advice = `join the pieces: cat ${JSON.stringify(path)}.part-* > ${JSON.stringify(path)}`;
    for (const name of [path, first]) await assertRejects(() => loadWeights(name), Error, advice);
  }));
