/**
 * A sampler of one's own: each pass fixes the characters whose two likeliest candidates are
 * farthest apart. Shows the text after every pass, "░" where it is still hidden:
 *
 *   deno run --allow-all examples/own_sampler.ts [WEIGHTS]
 *
 * To make it a `--sampler` with the flag `--at-once`, and a choice on the page to try the model,
 * export it from a file of core/sampling/samplers/ and add it to the list in
 * core/sampling/samplers/mod.ts. Imports are relative there: core/sampling/samplers/sampler.ts,
 * core/sampling/draw.ts and core/data/tokenizer.ts.
 */
import {
  candidates,
  defineSampler,
  diffusion,
  drawEach,
  loadNetwork,
  loadWeights,
  makeTokenizer,
  MASK_TOKEN,
  revealPerPass,
  startEngine,
  write,
} from "@tiny-diffusion/core";

const margin = defineSampler({
  name: "margin",
  source: "top probability margin (Kim et al., arXiv:2502.06768)",
  options: { atOnce: { type: "integer", min: 1, default: 1, help: "characters to fix in a pass" } },
  maxPasses: (count, { atOnce }) => Math.ceil(count / atOnce),
  fill: ({ atOnce }) =>
    revealPerPass(({ logits, masked }, truncation, random) => {
      const surest = masked.map((position) => {
        const { probabilities } = candidates(logits[position], { temperature: 1 }, MASK_TOKEN);
        return { position, margin: probabilities[0] - probabilities[1] };
      }).sort((a, b) => b.margin - a.margin).slice(0, atOnce);
      return drawEach(surest.map(({ position }) => position), logits, truncation, random);
    }),
});

const [path = "weights/diffusion.safetensors"] = Deno.args;
const { config, vocabulary, weights } = await loadWeights(path);
const { engine } = await startEngine("onnx");
using network = await loadNetwork(engine, diffusion, config, weights);
const tokenizer = makeTokenizer("diffusion", vocabulary);
const request = { prompt: "To be, or not to be, ", length: 40 };
const writing = await write(network, tokenizer, request, { sampler: margin.with({ atOnce: 4 }) });
for await (const { forwards } of writing) {
  const shown = writing.characters.map((character) => character === "" ? "░" : character).join("");
  console.log(`pass ${forwards}: ${JSON.stringify(shown)}`);
}
