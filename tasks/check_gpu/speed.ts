/**
 * The part `speed`: a training step of every engine and precision, and of PyTorch, in turns. Each
 * is also compared with its own peak: the speed of the product of two large matrices.
 */
import { type Config, makeConfig } from "../../core/config.ts";
import { median } from "../../core/scoring/statistics.ts";
import { firstLine } from "../../engines/errors.ts";
import { Contestant, inTurns, ratio } from "../bench/contestant.ts";
import type { Finding } from "../shared/results.ts";
import { percent } from "../shared/text.ts";
import type { PartRequest } from "./request.ts";

const ROUNDS = 5;
/** The shares of the part's time after which starting ends, and everything. */
const until = { started: 0.45, over: 0.9 };

/** One that takes part, whether it comes to anything or not. */
interface Entry {
  subject: string;
  precision: string;
  /** Starts a process that trains, or multiplies matrices of that size. */
  start(size?: number): Promise<Contestant>;
  /** The process that trains; the one that multiplies comes after it. */
  training?: Contestant;
  stepsPerRound: number;
  peakGflops?: number;
  failure?: Pick<Finding, "outcome" | "summary">;
}

export async function* measureSpeed(request: PartRequest): AsyncGenerator<Finding> {
  const begun = performance.now();
  const secondsLeft = (share: number) =>
    share * request.limitSeconds - (performance.now() - begun) / 1000;
  const config = makeConfig("diffusion", request.preset, 66, { batch: request.batch });
  const entries = listEntries(request, config);

  /** Does something for an entry unless it has failed; what fails or hangs costs only itself. */
  async function attempt(entry: Entry, action: () => Promise<void>, share = until.over) {
    if (entry.failure) return;
    try {
      await inTime(secondsLeft(share), action());
    } catch (error) {
      const outcome = error instanceof Late ? "too long" : "failed";
      entry.failure = { outcome, summary: firstLine(error) };
      entry.training?.[Symbol.dispose]();
    }
  }

  // All at once, since compiling takes some of them long; nothing is timed yet.
  await Promise.all(entries.map((entry) =>
    attempt(entry, async () => {
      entry.training = await entry.start();
      await entry.training.run(2);
    }, until.started)
  ));
  for (const entry of entries) {
    await attempt(entry, async () => {
      const { ms: [ms] } = await entry.training!.run(1);
      entry.stepsPerRound = Math.max(1, Math.min(20, Math.floor(1000 / ms)));
    });
  }
  for (let round = 0; round < ROUNDS && (round === 0 || secondsLeft(until.over) > 0); round++) {
    for (const entry of inTurns(entries, round)) {
      await attempt(entry, async () => {
        entry.training!.rounds.push(await entry.training!.run(entry.stepsPerRound));
      });
    }
  }
  for (const { training } of entries) training?.[Symbol.dispose]();

  // Every engine computes the same products in a step.
  const flops = entries.find(({ training }) => training?.flops)?.training?.flops;
  for (const entry of entries.filter(({ failure }) => !failure)) {
    if (flops === undefined) break;
    const size = sizeForPeak(flops / medianMs(entry) / 1e6);
    entry.peakGflops = await inTime(secondsLeft(until.over), measurePeak(entry, size))
      .catch(() => undefined); // the step's time is worth reporting without it
  }
  for (const entry of entries) yield describe(entry, entries, flops, config.batch);
}

function listEntries(
  { combinations, threads, pytorch }: PartRequest,
  config: Config,
): Entry[] {
  const ours = combinations.map(({ engine, precision }): Entry => ({
    subject: engine,
    precision,
    start: (size) => Contestant.startEngine({ engine, precision, threads, work: size ?? config }),
    stepsPerRound: 1,
  }));
  if (pytorch === undefined) return ours;
  const theirs = [false, true].map((compile): Entry => ({
    subject: compile ? COMPILED : EAGER,
    precision: "f32",
    start: (size) =>
      Contestant.startPytorch(pytorch, {
        work: size ?? config,
        threads,
        compile: compile && size === undefined,
      }),
    stepsPerRound: 1,
  }));
  return [...ours, ...theirs];
}

const EAGER = "pytorch";
const COMPILED = "pytorch compiled";

const medianMs = ({ training }: Entry) => median(training!.rounds.flatMap(({ ms }) => ms));

/**
 * The size of matrices whose product would take 20 ms at three times the speed of a training step:
 * a GPU reaches its peak with large ones only, which would take a CPU too long.
 */
function sizeForPeak(gflops: number): number {
  const size = Math.cbrt(3 * gflops * 1e9 * 0.02 / 2);
  return Math.max(512, Math.min(8192, 2 ** Math.round(Math.log2(size))));
}

/** Returns the best speed of a few products, in GFLOPS. */
async function measurePeak(entry: Entry, size: number): Promise<number> {
  using product = await entry.start(size);
  await product.run(2);
  const { ms } = await product.run(10);
  return 2 * size ** 3 / Math.min(...ms) / 1e6;
}

function describe(entry: Entry, entries: Entry[], flops = NaN, batch: number): Finding {
  const { subject, precision, training, peakGflops, failure } = entry;
  const about = { subject, precision };
  if (failure || !training) {
    return { ...about, outcome: "failed", summary: "", ...failure, figures: {} };
  }
  const times = training.rounds.flatMap(({ ms }) => ms);
  const ms = median(times);
  const gflops = flops / ms / 1e6;
  const idleMs = training.rounds.reduce((sum, { idleMs = NaN }) => sum + idleMs, 0);
  const idleShare = idleMs / times.reduce((sum, ms) => sum + ms, 0);
  const rss = Math.max(...training.rounds.map(({ rssBytes }) => rssBytes / 1e6));
  const [eager, compiled] = [EAGER, COMPILED].map((name) => {
    const other = entries.find(({ subject, failure }) => subject === name && !failure);
    return other && other !== entry ? ratio(training, other.training!) : undefined;
  });
  const facts = [
    `${ms.toFixed(1)} ms a step of ${batch}`,
    eager && `${eager.toFixed(2)} of PyTorch's`,
    compiled && `${compiled.toFixed(2)} of compiled PyTorch's`,
    peakGflops && `${percent(gflops / peakGflops)} of its peak of ${describeSpeed(peakGflops)}`,
    idleShare && `idle ${percent(idleShare)}`,
    `${rss.toFixed(0)} MB`,
  ];
  return {
    ...about,
    outcome: "ok",
    summary: facts.filter(Boolean).join(", "),
    figures: {
      ms_per_step: ms,
      ms_per_step_min: Math.min(...times),
      steps: times.length,
      peak_rss_mb: rss,
      ...idleShare && { idle_share: idleShare },
      ...peakGflops && { gflops, peak_gflops: peakGflops, peak_share: gflops / peakGflops },
      ...eager && { pytorch_ratio: eager },
      ...compiled && { pytorch_compiled_ratio: compiled },
    },
  };
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
