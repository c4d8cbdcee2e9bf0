/**
 * Tries cases of one target, in a process of its own, since a reader that hangs or fills the memory
 * can only be stopped from outside: `fuzz.ts` does, and finds the case that was being tried in the
 * file CURRENT.
 *
 *   run.ts TARGET MINUTES SEED CURRENT FINDINGS     prints one JSON object
 *   run.ts TARGET FILE                              tries that case alone
 */
import { cpuUsage } from "node:process";
import { type Random, seededRandom } from "../../core/random.ts";
import { pick } from "./mutate.ts";
import { BrokenPromise, faultOf, kindOf, type Target } from "./target.ts";
import { targets } from "./targets.ts";

const maxSeconds = 1;
/** Bytes for each of the file, besides what small files may take. */
const maxMemoryRatio = 60, maxMemoryBase = 64 * 2 ** 20;
const maxKept = 500, maxKeptBytes = 2 ** 17;

/** What came of a case: what it was to the reader, or what is wrong. */
export interface Outcome {
  kind: string;
  finding?: string;
}

/**
 * Tries a case; one that seems slow or large again, as the machine may have been busy and memory is
 * counted roughly.
 */
export async function judge(target: Target, bytes: Uint8Array): Promise<Outcome> {
  const outcome = await judgeOnce(target, bytes);
  if (!outcome.finding?.startsWith("it took")) return outcome;
  const again = [await judgeOnce(target, bytes), await judgeOnce(target, bytes)];
  return again.find(({ finding }) => !finding?.startsWith("it took")) ?? outcome;
}

async function judgeOnce(target: Target, bytes: Uint8Array): Promise<Outcome> {
  const folder = await workFolder(), given = bytes.slice();
  const prototypes = sizesOfPrototypes(), memory = held(), start = cpuSeconds();
  let outcome: Outcome;
  try {
    outcome = { kind: await target.check(given, folder) };
  } catch (error) {
    const { message } = error as Error;
    const fault = error instanceof BrokenPromise ? `broken: ${message}` : faultOf(error);
    outcome = fault === undefined
      ? { kind: kindOf(message) }
      : { kind: "finding", finding: `${fault}\n${(error as Error)?.stack ?? error}` };
  }
  const seconds = cpuSeconds() - start, grown = held() - memory;
  if (outcome.finding) return outcome;
  if (sizesOfPrototypes() !== prototypes) return found("it changed a prototype of JavaScript");
  if (seconds > maxSeconds) return found(`it took ${seconds.toFixed(1)} s of computing`);
  if (grown > maxMemoryBase + maxMemoryRatio * bytes.length) {
    return found(`it took ${(grown / 2 ** 20).toFixed()} MiB for ${bytes.length} bytes`);
  }
  return outcome;
}

const found = (finding: string): Outcome => ({ kind: "finding", finding });

const cpuSeconds = () => {
  const { user, system } = cpuUsage();
  return (user + system) / 1e6;
};

/**
 * Bytes on JavaScript's heap and beside it, collected or not: reserved ones count, even if they
 * were never touched.
 */
function held(): number {
  const { heapUsed, external } = Deno.memoryUsage();
  return heapUsed + external;
}

const prototypesOfAll = [Object, Array, String, Number, Function, Map, Error, Promise, Uint8Array];
const sizesOfPrototypes = () =>
  prototypesOfAll.map(({ prototype }) => Reflect.ownKeys(prototype).length).join();

let folder: string | undefined;
/**
 * The folder for readers that want a path; they overwrite what is in it. In memory where Linux has
 * a place for that.
 */
const workFolder = async () =>
  folder ??= await Deno.makeTempDir({ prefix: "fuzz-", dir: "/dev/shm" })
    .catch(() => Deno.makeTempDir({ prefix: "fuzz-" }));

export async function removeWorkFolder(): Promise<void> {
  if (folder !== undefined) await Deno.remove(folder, { recursive: true });
  folder = undefined;
}

/** Leaves out what a finding does not need, a piece at a time. */
async function shortened(target: Target, bytes: Uint8Array, finding: string): Promise<Uint8Array> {
  const name = titleOf(finding), deadline = performance.now() + 10_000;
  let shortest = bytes;
  for (let size = bytes.length >> 1; size > 0; size >>= 1) {
    for (let at = 0; at < shortest.length;) {
      if (performance.now() > deadline) return shortest;
      const without = Uint8Array.from([
        ...shortest.subarray(0, at),
        ...shortest.subarray(at + size),
      ]);
      const { finding } = await judge(target, without);
      if (finding !== undefined && titleOf(finding) === name) shortest = without;
      else at += size;
    }
  }
  return shortest;
}

const titleOf = (finding: string) => kindOf(finding.split("\n")[0]).slice(0, 80);

async function fuzz(
  name: string,
  { minutes, seed, current, findings }: {
    minutes: number;
    seed: number;
    current: string;
    findings: string;
  },
) {
  const target = targets[name], starts = await target.starts(), random = seededRandom(seed);
  const kept: Uint8Array[] = [], seen = new Map<string, number>(), titles = new Set<string>();
  using trying = await Deno.open(current, { write: true, create: true });
  const begin = performance.now(), end = begin + minutes * 60_000;
  let cases = 0, read = 0, slowest = 0;
  for (; performance.now() < end; cases++) {
    const bytes = cases < starts.length
      ? starts[cases]
      : target.mutate(chosen(starts, kept, random), chosen(starts, kept, random), random);
    trying.seekSync(0, Deno.SeekMode.Start);
    trying.writeSync(bytes);
    trying.truncateSync(bytes.length);
    const before = performance.now(), { kind, finding } = await judge(target, bytes);
    slowest = Math.max(slowest, performance.now() - before);
    if (finding !== undefined) {
      if (!titles.has(titleOf(finding))) {
        titles.add(titleOf(finding));
        const least = await shortened(target, bytes, finding);
        const path = `${findings}/${name}-${seed}-${cases}`;
        await Deno.writeFile(path, least);
        const command = `deno task --cwd checks fuzz ${name} ${path}`;
        const notes = `${command}\nseed ${seed}, case ${cases}\n\n${finding}\n`;
        await Deno.writeTextFile(`${path}.txt`, notes);
        console.error(`${name}: ${finding.split("\n")[0]}\n  ${command}`);
      }
      continue;
    }
    if (/^read/.test(kind)) read++;
    const times = seen.get(kind) ?? 0;
    seen.set(kind, times + 1);
    const isNew = times < 3 && cases >= starts.length && bytes.length <= maxKeptBytes;
    if (isNew) kept[kept.length < maxKept ? kept.length : random.integer(maxKept)] = bytes;
  }
  const seconds = (performance.now() - begin) / 1000;
  return {
    cases,
    read,
    kinds: seen.size,
    kept: kept.length,
    findings: titles.size,
    slowest,
    seconds,
  };
}

/**
 * A case to go on from: one of the starts, or one that did something new. Of two drawn the smaller
 * one, as it is faster.
 */
function chosen(starts: Uint8Array[], kept: Uint8Array[], random: Random): Uint8Array {
  const from = kept.length > 0 && random.uniform() < 0.6 ? kept : starts;
  const [a, b] = [pick(from, random), pick(from, random)];
  return a.length < b.length || random.uniform() < 0.1 ? a : b;
}

async function main([name, second, seed, current, findings]: string[]): Promise<number> {
  try {
    if (seed === undefined) {
      const { kind, finding } = await judge(targets[name], await Deno.readFile(second));
      console.log(finding ?? `nothing is wrong: ${kind}`);
      return finding === undefined ? 0 : 1;
    }
    const summary = await fuzz(name, {
      ...{ minutes: Number(second), seed: Number(seed), current, findings },
    });
    console.log(JSON.stringify(summary));
    return summary.findings === 0 ? 0 : 1;
  } finally {
    await removeWorkFolder();
  }
}

if (import.meta.main) Deno.exitCode = await main(Deno.args);
