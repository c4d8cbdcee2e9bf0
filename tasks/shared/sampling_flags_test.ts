import { assert, assertEquals, assertThrows } from "@std/assert";
import { makeConfig, type ModelKind } from "../../core/config.ts";
import { defaultOptions } from "../../core/sampling/defaults.ts";
import { kneserNey } from "../../core/ngrams/kneser_ney.ts";
import { samplers } from "../../core/sampling/samplers/mod.ts";
import { parseFlags, UsageError } from "./flags.ts";
import { chooseSampling, originalFlag, samplerFlags, truncationFlags } from "./sampling_flags.ts";

const task = { name: "sample", summary: "", examples: [] };

function sampling(kind: ModelKind, ...args: string[]) {
  const config = makeConfig(kind, "smoke", kind === "diffusion" ? 66 : 65);
  const table = { ...truncationFlags, ...samplerFlags, ...originalFlag };
  return chooseSampling(config, parseFlags(task, table, args));
}

Deno.test("without flags, sampling is as core's defaults say, and they are recorded", () => {
  const { options, name, window, settings } = sampling("diffusion");
  assertEquals([name, window], ["entropy", 32]);
  assertEquals({ ...options, sampler: name }, {
    ...{ ...defaultOptions("diffusion", 32), sampler: "entropy", topP: undefined },
  });
  assertEquals(settings, {
    ...{ temperature: 0.65, "top-k": "all", "top-p": 1, "entropy-bound": 0.3 },
    ...{ overlap: 16, window: 32 },
  });
  const gpt = sampling("gpt");
  assertEquals([gpt.name, gpt.options.topK], ["autoregressive", undefined]);
  assertEquals(gpt.settings, { temperature: 0.8, "top-k": "all", "top-p": 1, drafts: 0 });
  assertEquals(sampling("gpt", "--temperature", "0").name, "greedy");
});

Deno.test("with a table of n-grams the sampler is copula, but for gaps, and a GPT has drafts", () => {
  const ngrams = kneserNey(Int32Array.of(0, 1, 0), 65, 2);
  const config = makeConfig("diffusion", "smoke", 66);
  const { name, options, settings } = chooseSampling(config, { entropyBudget: 3 } as object, {
    ngrams,
  });
  assertEquals([name, options.ngrams, settings["entropy-budget"]], ["copula", ngrams, 3]);
  assertThrows(
    () => chooseSampling(config, { threshold: 1 } as object, { ngrams }),
    UsageError,
    "Cannot use --threshold with the sampler copula",
  );
  assertEquals(chooseSampling(config, { template: "a_" }, { ngrams }).name, "entropy");
  const gpt = makeConfig("gpt", "smoke", 65);
  assertEquals([
    chooseSampling(gpt, { drafts: 3 }, { ngrams }).drafts,
    chooseSampling(gpt, { drafts: 3 }).drafts,
  ], [3, 0]);
});

Deno.test("--as-original writes as in the original's last lines, and no flag contradicts it", () => {
  const config = makeConfig("diffusion", "full", 66);
  const { options, name, window } = chooseSampling(config, { asOriginal: true });
  const { temperature, topK, topP, overlap, sampler } = options;
  assertEquals([name, window, overlap], ["threshold", 256, 16]);
  assertEquals([temperature, topK, topP], [0.8, 2, undefined]);
  assertEquals(sampler.settings, { threshold: 0.95 });
  assertEquals(sampling("gpt", "--as-original").settings, sampling("gpt").settings);

  for (
    const flag of [
      "--temperature=0.8",
      "--top-p=1",
      "--sampler=threshold",
      "--window=9",
      "--grid=cosine",
    ]
  ) {
    const [given] = flag.split("=");
    assertThrows(
      () => sampling("diffusion", "--as-original", flag),
      UsageError,
      `Cannot use ${given} with --as-original`,
    );
  }
  const swept = { asOriginal: true, temperature: 0.5 };
  const { settings } = chooseSampling(config, swept, { varied: ["temperature"] });
  assertEquals([settings.temperature, settings["top-k"]], [0.5, 2]);
});

Deno.test("each sampler is given its own flags, and they are recorded", () => {
  const cases: [flags: string[], settings: Record<string, number | string>][] = [
    [["--sampler", "threshold", "--threshold", "0.7"], { threshold: 0.7 }],
    [["--sampler", "confidence", "--denoising-steps", "9"], { "denoising-steps": 9 }],
    [["--sampler", "entropy", "--entropy-bound", "2"], { "entropy-bound": 2 }],
    [["--sampler", "copula", "--longest-run", "3"], {
      ...{ "entropy-budget": 10, "longest-run": 3, "network-weight": 1 },
    }],
    [["--sampler", "ancestral", "--grid", "uniform"], { "denoising-steps": 64, grid: "uniform" }],
    [["--sampler", "remask", "--remask-cap", "0.1"], {
      ...{ "denoising-steps": 64, grid: "cosine", "remask-cap": 0.1 },
    }],
  ];
  const names = cases.map(([flags]) => sampling("diffusion", ...flags).name);
  assertEquals(names, Object.keys(samplers)); // one case for each
  for (const [flags, own] of cases) {
    const { name, options, settings } = sampling("diffusion", ...flags);
    assertEquals(options.sampler.name, name);
    assert(Object.hasOwn(samplers, name));
    const { temperature, topK } = defaultOptions("diffusion", 32, options);
    const shared = { temperature, "top-k": topK ?? "all", "top-p": 1, overlap: 16, window: 32 };
    assertEquals(settings, { ...shared, ...own });
  }
});

Deno.test("a flag that the model or the sampler has no use for is refused, and so is one out of the model's range", () => {
  const cases: [kind: ModelKind, flags: string[], says: string][] = [
    [
      "diffusion",
      ["--denoising-steps", "9"],
      "--denoising-steps with the sampler entropy: it applies only to confidence, ancestral, remask",
    ],
    [
      "diffusion",
      ["--sampler", "entropy", "--threshold", "0.9"],
      "--threshold with the sampler entropy: it applies only to threshold",
    ],
    [
      "diffusion",
      ["--sampler", "ancestral", "--remask-cap", "0.1"],
      "--remask-cap with the sampler ancestral",
    ],
    [
      "diffusion",
      ["--sampler", "confidence", "--grid", "cosine"],
      "--grid with the sampler confidence",
    ],
    ["diffusion", ["--threshold", "1"], "--threshold with the sampler entropy"],
    [
      "gpt",
      ["--sampler", "entropy"],
      "--sampler with --model gpt: a GPT writes one character at a time",
    ],
    ["gpt", ["--threshold", "0.9"], "--threshold with --model gpt"],
    ["gpt", ["--overlap", "4"], "--overlap with --model gpt"],
    ["gpt", ["--window", "4"], "--window with --model gpt"],
    ["gpt", ["--top-k", "66"], "--top-k 66: expected at most 65, the characters of the model"],
    [
      "diffusion",
      ["--top-k", "66"],
      "--top-k 66: expected at most 65, the characters of the model",
    ],
    ["diffusion", ["--window", "33"], "--window 33: expected at most the context, 32"],
    ["diffusion", ["--overlap", "32"], "--overlap 32: expected less than the window, 32"],
    [
      "diffusion",
      ["--overlap", "8", "--window", "8"],
      "--overlap 8: expected less than the window, 8",
    ],
  ];
  for (const [kind, flags, says] of cases) {
    const error = assertThrows(() => sampling(kind, ...flags), UsageError, `Cannot use ${says}`);
    assert(!error.message.includes("\n"));
  }
});

Deno.test("values that mean nothing are refused as they are read", () => {
  for (
    const flags of [
      ["--temperature", "-1"],
      ["--top-k", "0"],
      ["--top-p", "0"],
      ["--threshold", "0"],
      ["--threshold", "1.01"],
      ["--denoising-steps", "0"],
      ["--entropy-bound", "-0.1"],
      ["--remask-cap", "1.1"],
      ["--grid", "linear"],
      ["--sampler", "nucleus"],
      ["--window", "1"],
    ]
  ) {
    assertThrows(() => sampling("diffusion", ...flags), UsageError, `Cannot use ${flags[0]}`);
  }
});

Deno.test("a short window has a shorter overlap by default", () => {
  const overlap = (window: string) => sampling("diffusion", "--window", window).options.overlap;
  assertEquals([overlap("10"), overlap("32")], [5, 16]);
});
