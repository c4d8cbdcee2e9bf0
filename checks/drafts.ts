/**
 * Measures the drafts of a GPT: how often a table of n-grams agrees with it, by the order of the
 * table and the temperature, and how long it writes with how many drafts, in turn on one thread.
 * The time is the processor's, which other programs on the machine change little (Linux only).
 *
 *   deno task --cwd checks drafts [CHARACTERS [f32 | int8]]
 *
 * A draft of a table q is kept with probability sum(min(p, q)), p being the GPT's probabilities:
 * this is averaged over texts that the GPT wrote at that temperature.
 */
import { loadWeights } from "../core/checkpoint.ts";
import { loadCorpus } from "../core/data/corpus.ts";
import { makeTokenizer } from "../core/data/tokenizer.ts";
import type { TrainedNetwork } from "../core/language_model.ts";
import { models } from "../core/models.ts";
import { kneserNey, type NgramTable } from "../core/ngrams/kneser_ney.ts";
import { distribute } from "../core/sampling/draw.ts";
import { loadNetwork } from "../core/sampling/network.ts";
import { write } from "../core/sampling/write.ts";
import { startEngine } from "../engines/mod.ts";

const ORDERS = [3, 4, 5, 6, 7, 8];
const TEMPERATURES = [0.5, 0.8, 1];
const DRAFTS = [0, 4, 6, 8, 11, 12, 16];

const characters = Number(Deno.args[0] ?? 1000);
const precision = Deno.args[1] === "f32" ? "f32" : "int8";
const { config, weights, vocabulary } = await loadWeights("weights/gpt.safetensors");
const tokenizer = makeTokenizer("gpt", vocabulary);
const { train } = await loadCorpus("data/tinyshakespeare.txt");
const tokens = tokenizer.encode(train);
const tables = ORDERS.map((order) => kneserNey(tokens, vocabulary.length, order));
const ngrams = tables[ORDERS.indexOf(6)];
const request = { prompt: "First Citizen:\n", length: characters };
const { engine } = await startEngine("onnx", { precision, threads: 1 });
const load = (drafts: number) => loadNetwork(engine, models.gpt, config, weights, { drafts });

{
  using network = await load(8);
  for (const temperature of TEMPERATURES) {
    const writing = await write(network, tokenizer, request, { temperature, ngrams });
    const text = tokenizer.encode(await writing.finish());
    const shares = await measureAgreement(network, text, temperature);
    console.log(
      `temperature ${temperature}: a draft is kept with probability ` +
        ORDERS.map((order, i) => `${shares[i].toFixed(3)} (order ${order})`).join(", "),
    );
  }
}
for (const temperature of TEMPERATURES) await compareDrafts(temperature);

/** The mean of sum(min(p, q)) over the characters of a text, for each table. */
async function measureAgreement(
  network: TrainedNetwork,
  text: Int32Array,
  temperature: number,
): Promise<number[]> {
  const sums = tables.map(() => 0);
  let count = 0;
  for (let end = 24; end < text.length; end += 9) {
    const rows = await network.logits(text.subarray(0, end), 9);
    for (const [i, logits] of rows.entries()) {
      const p = distribute(logits, { temperature }).probabilities;
      for (const [j, table] of tables.entries()) {
        const q = draftRow(table, text.subarray(0, end - 8 + i), temperature);
        sums[j] += p.reduce((sum, probability, token) => sum + Math.min(probability, q[token]), 0);
      }
      count++;
    }
  }
  return sums.map((sum) => sum / count);
}

function draftRow({ row }: NgramTable, history: Int32Array, temperature: number) {
  return distribute(new Float32Array(row(history)).map(Math.log), { temperature }).probabilities;
}

/** Writes a text with each number of drafts, twice in turn. */
async function compareDrafts(temperature: number): Promise<void> {
  const networks = await Promise.all(DRAFTS.map(load));
  const totals = DRAFTS.map(() => ({ ms: 0, passes: 0 }));
  for (const seed of [1, 2]) {
    for (const [i, network] of networks.entries()) {
      const before = processorTime();
      const writing = await write(network, tokenizer, request, { temperature, seed, ngrams });
      await writing.finish();
      totals[i].ms += processorTime() - before;
      totals[i].passes += writing.forwards;
    }
  }
  for (const [i, { ms, passes }] of totals.entries()) {
    console.log(
      `temperature ${temperature}, ${DRAFTS[i]} drafts: ` +
        `${(2 * characters / passes).toFixed(2)} characters a pass of ` +
        `${(ms / passes).toFixed(2)} ms, ${(totals[0].ms / ms).toFixed(2)} times as fast`,
    );
    networks[i][Symbol.dispose]();
  }
}

/** Milliseconds that this process has computed. */
function processorTime(): number {
  const fields = Deno.readTextFileSync("/proc/self/stat").split(") ")[1].split(" ");
  return 10 * (Number(fields[11]) + Number(fields[12])); // in ticks of 10 ms
}
