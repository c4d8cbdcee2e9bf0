/**
 * What several characters a pass cost: the exact bits per character of decoders that fix runs of
 * neighbours, on held-out text.
 *
 * A decoder draws each character of a run from a law; its price is -log2 of the probability that
 * this law gives to the true character, after the true ones before it. With one character a pass
 * that is the chain rule (`left-to-right` in `estimators.ts`). Characters of a run that are drawn
 * independently know nothing of each other, and cost more; the sampler `copula` saves most of that.
 */
import type { Network } from "../language_model.ts";
import type { NgramTable } from "../ngrams/kneser_ney.ts";
import { type Random, seededRandom } from "../random.ts";
import {
  computeLaw,
  computeMarginal,
  copula,
  entropyOf,
  type PassView,
} from "../sampling/samplers/copula.ts";
import { drawFrom, hide, range, type ScoreOptions } from "./rows.ts";
import { bootstrapStandardError, mean, pairedBootstrap, sum } from "./statistics.ts";

/** A way to write several characters a pass. */
export interface Decoder {
  /** The order of the runs: from left to right, or drawn, all orders equally likely. */
  order: "left-to-right" | "drawn";
  /** How the characters of a run are drawn. */
  draws: "independent" | "copula";
  /** Characters of a run; with a budget, at most. */
  run: number;
  /**
   * Where a run ends before: the character with which the entropies after the first one exceed this
   * many nats. null = never.
   */
  entropyBudget: number | null;
}

/** A decoder and its price. */
export interface DecoderPrice extends Decoder {
  /** Characters of a pass, on average. */
  charactersPerPass: number;
  /** Bits per character. */
  bpc: number;
  /** Standard error over blocks by bootstrap, in bits per character. */
  seBlocks: number;
  /** Bits per character above those of one character a pass in the same order. */
  aboveOne: number;
  /** Standard error of the latter by bootstrap over blocks, which both have in common. */
  seAboveOne: number;
  /** Characters of a block. */
  context: number;
  /** Number of blocks. */
  blocks: number;
  /** Bits per character of each block. */
  perBlock: number[];
}

/** Which decoders to price, and how. */
export interface PriceOptions extends ScoreOptions {
  /** Lengths of runs; 1 is always among them. @default {[1, 2, 4, 8, 16]} */
  runs?: number[];
  /** Entropy budgets of `copula`, with its longest run. @default {that of the sampler} */
  entropyBudgets?: number[];
  /** The weight of the network in `copula`. @default {that of the sampler} */
  networkWeight?: number;
  /** Passes over each block for each length of runs in a drawn order. @default {8} */
  drawnPasses?: number;
  /** Draws the orders, then the blocks of the bootstrap. @default {seededRandom(0)} */
  random?: Random;
  /** What the decoders cost on a block that was priced before, by its index. */
  known?: (block: number) => DecoderCost[] | undefined;
  /** Called with each block that is priced now. */
  onBlock?: (block: number, costs: DecoderCost[]) => void;
}

/** What a decoder costs on one block. */
export interface DecoderCost {
  /** Which decoder. */
  decoder: Decoder;
  /** Nats of all characters of the block but the first. */
  nats: number;
  /** Forward passes that write the block. */
  passes: number;
}

/**
 * Prices decoders on blocks whose first character is given. From left to right a figure is exact on
 * its blocks; in a drawn order it is a mean over some orders, each seen at one moment.
 *
 * @param network A diffusion model's, with the context of the blocks.
 * @param ngrams The table of `copula`.
 * @param blocks Tokens, each [context].
 * @throws {UserError} If there are fewer than two blocks.
 */
export async function priceDecoders(
  network: Network,
  ngrams: NgramTable,
  blocks: Int32Array[],
  { onProgress, signal, random = seededRandom(0), known, onBlock, ...options }: PriceOptions = {},
): Promise<DecoderPrice[]> {
  const context = blocks[0].length;
  const choice = {
    entropyBudgets: [copula.settings.entropyBudget],
    networkWeight: copula.settings.networkWeight,
    drawnPasses: 8,
    ...options,
    runs: [...new Set([1, ...options.runs ?? [2, 4, 8, 16]])],
  };
  const passesOfBlock = context - 1 + choice.runs.length * choice.drawnPasses;
  const total = blocks.length * passesOfBlock;
  let passes = 0;
  const look = async (block: Int32Array, hidden: number[]): Promise<PassView> => {
    signal?.throwIfAborted();
    const seen = hide(block, hidden);
    const logits = await network.logits(seen);
    onProgress?.(++passes, total);
    return { logits, seen, now: seen, before: new Int32Array(), ngrams };
  };
  const costs: DecoderCost[][] = []; // [blocks, decoders]
  for (const [index, block] of blocks.entries()) {
    // Drawn for each block, so that its orders are the same if blocks before it are known.
    const orders = seededRandom(random.integer(2 ** 31));
    const before = known?.(index);
    if (before !== undefined) {
      costs.push(before);
      passes += passesOfBlock;
      continue;
    }
    const own = [
      ...await costLeftToRight(block, look, choice),
      ...await costDrawn(block, look, choice, orders),
    ];
    costs.push(own);
    onBlock?.(index, own);
  }
  const bits = costs[0].map((_, i) =>
    costs.map((block) => block[i].nats / (context - 1) / Math.LN2)
  );
  return costs[0].map(({ decoder }, i) => {
    const one = costs[0].findIndex(({ decoder: { order, run } }) =>
      order === decoder.order && run === 1
    );
    const above = pairedBootstrap(bits[i], bits[one], { random, resamples: 2000 });
    return {
      ...decoder,
      charactersPerPass: (context - 1) / mean(costs.map((block) => block[i].passes)),
      bpc: mean(bits[i]),
      seBlocks: bootstrapStandardError(bits[i], { random }),
      aboveOne: above.difference,
      seAboveOne: above.standardError,
      context,
      blocks: blocks.length,
      perBlock: bits[i],
    };
  });
}

/** Lets the network read a block with some positions hidden. */
type Look = (block: Int32Array, hidden: number[]) => Promise<PassView>;

type Choice = Required<
  Pick<PriceOptions, "runs" | "entropyBudgets" | "networkWeight" | "drawnPasses">
>;

const DRAWS = ["independent", "copula"] as const;

/**
 * Costs the decoders from left to right. The law of a character does not depend on how long its run
 * will be, so one pass for each beginning of the block is enough for all of them.
 */
async function costLeftToRight(
  block: Int32Array,
  look: Look,
  { runs, entropyBudgets, networkWeight }: Choice,
): Promise<DecoderCost[]> {
  const { longestRun } = copula.settings;
  const make = (draws: Decoder["draws"], run: number, entropyBudget: number | null): Decoder => ({
    ...{ order: "left-to-right", draws, run, entropyBudget },
  });
  const decoders = [
    ...DRAWS.flatMap((draws) => runs.map((run) => make(draws, run, null))),
    ...entropyBudgets.map((budget) => make("copula", longestRun, budget)),
  ];
  const costs = decoders.map((decoder) => ({ decoder, nats: 0, passes: 0, next: 1 }));
  const longest = Math.max(...decoders.map(({ run }) => run));
  for (let start = 1; start < block.length; start++) {
    const view = await look(block, range(start, block.length));
    const positions = range(start, Math.min(block.length, start + longest));
    const characters = scoreRun(view, block, positions, networkWeight);
    for (const cost of costs) {
      if (cost.next !== start) continue;
      const run = cutRun(characters, cost.decoder);
      cost.nats += sum(run.map((character) => character[cost.decoder.draws]));
      cost.passes++;
      cost.next += run.length;
    }
  }
  return costs.map(({ decoder, nats, passes }) => ({ decoder, nats, passes }));
}

/**
 * Costs the decoders of a drawn order, by passes at evenly spread moments. Any hidden run is as
 * likely to be the next one as any other, so each pass takes the mean over all their characters.
 */
async function costDrawn(
  block: Int32Array,
  look: Look,
  { runs, networkWeight, drawnPasses }: Choice,
  random: Random,
): Promise<DecoderCost[]> {
  const costs: DecoderCost[] = [];
  for (const run of runs) {
    const pieces: number[][] = [];
    for (let start = 1; start < block.length; start += run) {
      pieces.push(range(start, Math.min(block.length, start + run)));
    }
    const nats = { independent: 0, copula: 0 };
    for (let pass = 0; pass < drawnPasses; pass++) {
      const shown = Math.floor((pass + random.uniform()) / drawnPasses * pieces.length);
      const hidden = drawFrom([...pieces], Math.max(1, pieces.length - shown), random);
      const view = await look(block, hidden.flat());
      const share = (block.length - 1) / hidden.flat().length / drawnPasses;
      for (const piece of hidden) {
        for (const character of scoreRun(view, block, piece, networkWeight)) {
          for (const draws of DRAWS) nats[draws] += share * character[draws];
        }
      }
    }
    for (const draws of DRAWS) {
      const decoder = { order: "drawn", draws, run, entropyBudget: null } as const;
      costs.push({ decoder, nats: nats[draws], passes: pieces.length });
    }
  }
  return costs;
}

/** A character of a run: the nats that it costs each way, and the entropy of its law of `copula`. */
interface ScoredCharacter {
  independent: number;
  copula: number;
  entropy: number;
}

/** Scores the true characters of a run, each after the true ones before it. */
function scoreRun(
  view: PassView,
  block: Int32Array,
  positions: number[],
  networkWeight: number,
): ScoredCharacter[] {
  const now = view.seen.slice();
  return positions.map((position) => {
    const law = computeLaw({ ...view, now }, position, networkWeight);
    const token = now[position] = block[position];
    return {
      independent: -Math.log(computeMarginal(view.logits[position])[token - 1]),
      copula: -Math.log(law[token - 1]),
      entropy: entropyOf(law),
    };
  });
}

/** Cuts what the decoder writes in one pass from the characters that may follow. */
function cutRun(characters: ScoredCharacter[], { run, entropyBudget }: Decoder): ScoredCharacter[] {
  let spent = 0;
  const end = characters.findIndex(({ entropy }, i) =>
    i > 0 && (i === run || (spent += entropy) > (entropyBudget ?? Infinity))
  );
  return characters.slice(0, end === -1 ? undefined : end);
}
