/** Prices decoders that write several characters a pass, for `eval`, and prints them. */
import { models } from "../../core/models.ts";
import type { NgramTable } from "../../core/ngrams/kneser_ney.ts";
import { seededRandom } from "../../core/random.ts";
import { loadNetwork } from "../../core/sampling/network.ts";
import { copula } from "../../core/sampling/samplers/copula.ts";
import type { BlockFigures } from "../../core/scoring/comparison.ts";
import { type DecoderCost, type DecoderPrice, priceDecoders } from "../../core/scoring/decoders.ts";
import { spaceEvenly } from "../../core/scoring/rows.ts";
import type { Engine } from "../../engines/engine.ts";
import { openPieces, sayWhatIsKept } from "../shared/journal.ts";
import { startProgress } from "../shared/progress.ts";
import type { DecoderPrices, DecoderRow } from "../shared/results.ts";
import { interruption } from "../shared/run.ts";
import { alignedTable, wrap } from "../shared/text.ts";
import type { ChosenWeights } from "../shared/weights.ts";

/** Which blocks to price decoders on, and what the prices of a block depend on. */
interface PriceSettings {
  /** Number of blocks. */
  count: number;
  seed: number;
  /** SHA-256 of the text. */
  corpus: string;
  threads?: number | null;
  /** The folder of reports. */
  reports: string;
}

/**
 * Prices the decoders of a diffusion model on `count` evenly spaced blocks. Each block is kept in a
 * journal.
 *
 * @param others Other models, for their bits per character on the same blocks.
 */
export async function priceDecodersOf(
  engine: Engine,
  { config, weights, path, sha256 }: ChosenWeights,
  ngrams: NgramTable,
  blocks: Int32Array[],
  others: BlockFigures[],
  { count, seed, corpus, ...settings }: PriceSettings,
): Promise<DecoderPrices> {
  const indices = spaceEvenly(blocks.length, count);
  const chosen = indices.map((index) => blocks[index]);
  const { context, heads } = config;
  // The table of n-grams is that of the weights' text, or else of this one.
  const subject = { weights: sha256, corpus, context, heads, count, seed, ...copula.settings };
  using journal = await openPieces("decoders", "block", engine, settings, subject, areCosts);
  using network = await loadNetwork(engine, models.diffusion, config, weights);
  let progress: ReturnType<typeof startProgress> | undefined;
  try {
    const prices = await priceDecoders(network, ngrams, chosen, {
      random: seededRandom(seed),
      signal: interruption(),
      known: (block) => journal?.get(`${indices[block]}`),
      onBlock: (block, costs) => journal?.add(`${indices[block]}`, costs),
      onProgress(done, total) {
        progress ??= startProgress({ total, unit: "diffusion decoders, pass", done: done - 1 });
        progress.update({ done });
      },
    });
    return {
      weights: path,
      context,
      blocks: chosen.length,
      network_weight: copula.settings.networkWeight,
      rows: prices.map(toRow),
      references: others.flatMap((other) => {
        const bpc = other.context === context ? averageOn(other, indices) : undefined;
        return bpc === undefined ? [] : [{ model: other.model, bpc }];
      }),
    };
  } catch (error) {
    throw sayWhatIsKept(error, "the prices of decoders", "the blocks priced so far", journal);
  } finally {
    progress?.finish();
  }
}

function areCosts(value: unknown): value is DecoderCost[] {
  return Array.isArray(value) &&
    value.every((cost) =>
      typeof cost?.decoder === "object" && Number.isFinite(cost.nats) &&
      Number.isFinite(cost.passes)
    );
}

function toRow(price: DecoderPrice): DecoderRow {
  return {
    order: price.order,
    draws: price.draws,
    run: price.run,
    entropy_budget: price.entropyBudget,
    characters_per_pass: price.charactersPerPass,
    bpc: price.bpc,
    se_blocks: price.seBlocks,
    above_one: price.aboveOne,
    se_above_one: price.seAboveOne,
  };
}

/** Computes the bits per character on these blocks, if all of them were scored. */
function averageOn({ indices, perBlock }: BlockFigures, blocks: number[]): number | undefined {
  const places = blocks.map((block) => indices.indexOf(block));
  if (places.includes(-1)) return undefined;
  return places.reduce((sum, place) => sum + perBlock[place], 0) / places.length / Math.LN2;
}

/** Formats a line for each decoder; "" if there is none. */
export function decoderTable(all: DecoderPrices[]): string {
  return all.map(({ weights, rows, references, context, blocks }) => {
    const head = ["order", "draws", "run", "chars/pass", "bits/char", "± blocks", "above 1", "±"];
    const lines = rows.map((row) => [
      row.order,
      row.draws,
      row.entropy_budget === null ? `${row.run}` : `budget ${row.entropy_budget}`,
      row.characters_per_pass.toFixed(2),
      row.bpc.toFixed(4),
      row.se_blocks.toFixed(4),
      (row.above_one < 0 ? "" : "+") + row.above_one.toFixed(4),
      row.se_above_one.toFixed(4),
    ]);
    const shown = references.map(({ model, bpc }) => `${model} ${bpc.toFixed(4)}`);
    const meaning = `Bits per character of decoders that write several characters a pass with ` +
      `${weights}, on ${blocks} blocks of ${context}. On the same blocks: ${shown.join(", ")}. ` +
      "above 1: more than one character a pass, from the network alone, in the same order.";
    return `${wrap(meaning)}\n\n${alignedTable(head, lines)}`;
  }).join("\n\n");
}
