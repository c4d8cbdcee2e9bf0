import { assertEquals } from "@std/assert";
import { kneserNey } from "../ngrams/kneser_ney.ts";
import { defaultOptions, defaultSampler, defaultWindow, originalOptions } from "./defaults.ts";

Deno.test("a sampler that was never measured has the temperature and top-k of the default one", () => {
  const own = { ...defaultSampler, name: "own" };
  const { sampler, ...rest } = defaultOptions("diffusion", 64, { sampler: own });
  assertEquals(sampler, own);
  const { sampler: _, ...usual } = defaultOptions("diffusion", 64);
  assertEquals(rest, usual);
});

Deno.test("a short context is the window itself, of which an overlap leaves at least half free", () => {
  assertEquals([2, 63, 64, 256].map(defaultWindow), [2, 63, 64, 64]);
  for (const context of [2, 3, 16, 64, 256]) {
    for (const options of [defaultOptions, originalOptions]) {
      assertEquals(options("diffusion", context).overlap <= context / 2, true);
    }
  }
});

Deno.test("a GPT draws among all characters, as does the original's; the original's diffusion model among two", () => {
  const options = [defaultOptions("gpt", 256), originalOptions("gpt", 256)];
  assertEquals(options.map(({ temperature, topK }) => [temperature, topK]), [
    [0.8, undefined],
    [0.8, undefined],
  ]);
  assertEquals(originalOptions("diffusion", 256).topK, 2);
});

Deno.test("where there is a table of n-grams the sampler is the one that uses it, unless another is chosen", () => {
  const ngrams = kneserNey(Int32Array.of(0, 1, 0), 2, 2);
  const options = defaultOptions("diffusion", 64, { ngrams });
  assertEquals([options.sampler.name, options.ngrams], ["copula", ngrams]);
  const chosen = defaultOptions("diffusion", 64, { ngrams, sampler: defaultSampler });
  assertEquals(chosen.sampler, defaultSampler);
});
