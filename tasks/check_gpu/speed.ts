/**
 * The part `speed`: a training step of every engine and precision, and of PyTorch, in turns. Each
 * is also compared with its own peak: the speed of the product of two large matrices.
 */
import { makeConfig } from "../../core/config.ts";
import { median } from "../../core/scoring/statistics.ts";
import { firstLine } from "../../engines/errors.ts";
import { Contestant, inTurns, ratio } from "../bench/contestant.ts";
import type { Finding } from "../shared/results.ts";
import { percent } from "../shared/text.ts";
import type { PartRequest } from "./request.ts";

const ROUNDS = 5;
/** About the time of a contestant in a round. */
const ROUND_MS = 1000;
/** Sizes of the matrices: a GPU reaches its peak with the large ones, which take a CPU too long. */
const PEAK_SIZES = [1024, 2048, 4096, 8192];
/** A product that takes this long is large enough. */
const LONG_MS = 100;
/** The shares of the part's time after which starting ends, and everything. */
const until = { started: 0.4, over: 0.9 };

/** Someone who takes part, whether it comes to anything or not. */
interface Entry {
  subject: string;
  precision: string;
  /** Starts the training, or products of that size. */
  start(size?: number): Promise<Contestant>;
  contestant?: Contestant;
  perRound: number;
  peakGflops: number;
  failure?: Pick<Finding, "outcome" | "summary">;
}

export async function* measureSpeed(request: PartRequest): AsyncGenerator<Finding> {
  const begun = performance.now();
  const secondsLeft = (share = until.over) =>
    share * request.limitSeconds - (performance.now() - begun) / 1000;
  const config = makeConfig("diffusion", request.preset, 66, { batch: request.batch });
  const { threads, pytorch } = request;
  const fresh = { perRound: 1, peakGflops: 0 };
  const entries: Entry[] = request.combinations.map(({ engine, precision }) => ({
    subject: engine,
    precision,
    start: (size) => Contestant.startEngine({ engine, precision, threads, work: size ?? config }),
    ...fresh,
  }));
  for (const compile of pytorch === undefined ? [] : [false, true]) {
    entries.push({
      subject: compile ? "pytorch compiled" : "pytorch",
      precision: "f32",
      start: (size) =>
        Contestant.startPytorch(pytorch!, {
          work: size ?? config,
          threads,
          compile: compile && size === undefined,
        }),
      ...fresh,
    });
  }
  /** Does something for a contestant, which costs only that contestant if it fails or hangs. */
  const attempt = async (entry: Entry, action: () => Promise<void>, share = until.over) => {
    if (entry.failure !== undefined) return;
    try {
      await inTime(secondsLeft(share), action());
    } catch (error) {
      const outcome = error instanceof Late ? "too long" : "failed";
      entry.failure = { outcome, summary: firstLine(error) };
      entry.contestant?.[Symbol.dispose]();
    }
  };

  // At the same time, since compiling takes some of them long; nothing is timed yet.
  await Promise.all(entries.map((entry) =>
    attempt(entry, async () => {
      entry.contestant = await entry.start();
      await entry.contestant.run(2);
    }, until.started)
  ));
  for (const entry of entries) {
    await attempt(entry, async () => {
      const { ms: [ms] } = await entry.contestant!.run(1);
      entry.perRound = Math.max(1, Math.min(20, Math.floor(ROUND_MS / ms)));
    });
  }
  for (let round = 0; round < ROUNDS && (round === 0 || secondsLeft() > 0); round++) {
    const running = entries.flatMap(({ failure, contestant = [] }) => failure ? [] : contestant);
    for (const contestant of inTurns(running, round)) {
      const entry = entries.find((each) => each.contestant === contestant)!;
      await attempt(entry, async () => {
        contestant.rounds.push(await contestant.run(entry.perRound));
      });
    }
  }
  for (const entry of entries) entry.contestant?.[Symbol.dispose]();
  for (const entry of entries) {
    if (entry.failure === undefined) await measurePeak(entry, secondsLeft);
  }

  const flops = entries.find(({ contestant }) => contestant?.flops)?.contestant?.flops;
  const [eager, compiled] = ["pytorch", "pytorch compiled"].map((name) =>
    entries.find(({ subject, failure }) => subject === name && failure === undefined)?.contestant
  );
  for (const { subject, precision, contestant, failure, peakGflops } of entries) {
    const about = { subject, precision };
    if (failure || !contestant) {
      yield { ...about, outcome: "failed", summary: "", ...failure, figures: {} };
      continue;
    }
    const times = contestant.rounds.flatMap(({ ms }) => ms);
    const ms = median(times);
    const gflops = flops === undefined ? undefined : flops / ms / 1e6;
    const rss = Math.max(...contestant.rounds.map(({ rssBytes }) => rssBytes / 1e6));
    const isOurs = contestant !== eager && contestant !== compiled;
    const figures = {
      ms_per_step: ms,
      ms_per_step_min: Math.min(...times),
      steps: times.length,
      peak_rss_mb: rss,
      ...gflops && { gflops },
      ...peakGflops > 0 && { peak_gflops: peakGflops },
      ...gflops && peakGflops > 0 && { peak_share: gflops / peakGflops },
      ...isOurs && eager && { pytorch_ratio: ratio(contestant, eager) },
      ...isOurs && compiled && { pytorch_compiled_ratio: ratio(contestant, compiled) },
    };
    const facts = [
      `${ms.toFixed(1)} ms a step of ${config.batch}`,
      figures.pytorch_ratio && `${figures.pytorch_ratio.toFixed(2)} of PyTorch's`,
      figures.pytorch_compiled_ratio &&
      `${figures.pytorch_compiled_ratio.toFixed(2)} of compiled PyTorch's`,
      figures.peak_share &&
      `${percent(figures.peak_share)} of its peak of ${describeSpeed(peakGflops)}`,
      `${rss.toFixed(0)} MB`,
    ];
    yield { ...about, outcome: "ok", summary: facts.filter(Boolean).join(", "), figures };
  }
}

/** Multiplies matrices, larger ones as long as they are quick; a peak is not worth a failure. */
async function measurePeak(entry: Entry, secondsLeft: () => number): Promise<void> {
  for (const size of PEAK_SIZES) {
    let product: Contestant | undefined;
    const multiply = async () => {
      product = await entry.start(size);
      await product.run(2);
      const ms = Math.min(...(await product.run(5)).ms);
      entry.peakGflops = Math.max(entry.peakGflops, 2 * size ** 3 / ms / 1e6);
      return ms > LONG_MS;
    };
    const isEnough = await inTime(secondsLeft(), multiply()).catch(() => true);
    product?.[Symbol.dispose]();
    if (isEnough) return;
  }
}

const describeSpeed = (gflops: number) =>
  gflops < 1000 ? `${gflops.toPrecision(3)} GFLOPS` : `${(gflops / 1000).toPrecision(3)} TFLOPS`;

class Late extends Error {}

/**
 * Waits so long and no longer.
 *
 * @throws {Late} If that was too short.
 */
async function inTime<T>(seconds: number, promise: Promise<T>): Promise<T> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_, reject) => {
    const whole = Math.max(0, Math.round(seconds));
    timer = setTimeout(() => reject(new Late(`no answer within ${whole} s`)), 1000 * whole);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}
