/**
 * Tries cases of one target, in a separate process, since a reader that hangs or fills the memory
 * can only be stopped from outside: `checks/fuzz.ts` does, and finds the case that was being tried in the
 * file CURRENT.
 *
 *   run.ts TARGET MINUTES SEED CURRENT FINDINGS     prints one JSON object
 *   run.ts TARGET FILE                              tries that case alone
 */
import fc, { type GeneratorValue } from "fast-check";
import { cpuUsage } from "node:process";
import { Choices } from "./mutate.ts";
import { BrokenPromise, findFault, kindOf, type Target } from "./target.ts";
import { targets } from "./targets.ts";

const MAX_SECONDS = 1;
/** Bytes of memory for each byte of the file, besides what small files may take. */
const MAX_MEMORY_RATIO = 60;
const MAX_MEMORY_BASE = 64 * 2 ** 20;

/** The result of a case: what it was to the reader, or what is wrong. */
export interface Outcome {
  kind: string;
  finding?: string;
}

/** Makes a case from two real ones; small ones are tried more often, as they are faster. */
export function makeCase(target: Target, starts: Uint8Array[], draw: GeneratorValue): Uint8Array {
  const random = new Choices(draw);
  const [a, b, other] = [starts, starts, starts].map((cases) => random.pick(cases));
  const bytes = a.length < b.length || random.chance(0.1) ? a : b;
  return target.mutate(bytes, other, random);
}

/**
 * Tries a case. One that seems slow or large is tried again, since the machine may have been busy
 * and memory is counted roughly.
 */
export async function judge(target: Target, bytes: Uint8Array): Promise<Outcome> {
  const outcome = await judgeOnce(target, bytes);
  if (!outcome.finding?.startsWith("it took")) return outcome;
  const again = [await judgeOnce(target, bytes), await judgeOnce(target, bytes)];
  return again.find(({ finding }) => !finding?.startsWith("it took")) ?? outcome;
}

async function judgeOnce(target: Target, bytes: Uint8Array): Promise<Outcome> {
  const folder = await makeWorkFolder();
  const given = bytes.slice();
  const prototypes = countPrototypeKeys();
  const memory = measureMemory();
  const start = cpuSeconds();
  let kind: string;
  try {
    kind = await target.check(given, folder);
  } catch (error) {
    const { message, stack } = error as Error;
    const fault = error instanceof BrokenPromise ? `broken: ${message}` : findFault(error);
    if (fault !== undefined) return { kind: "finding", finding: `${fault}\n${stack ?? error}` };
    kind = kindOf(message);
  }
  const seconds = cpuSeconds() - start;
  const grown = measureMemory() - memory;
  const find = (finding: string): Outcome => ({ kind: "finding", finding });
  if (countPrototypeKeys() !== prototypes) return find("it changed a prototype of JavaScript");
  if (seconds > MAX_SECONDS) return find(`it took ${seconds.toFixed(1)} s of computing`);
  if (grown > MAX_MEMORY_BASE + MAX_MEMORY_RATIO * bytes.length) {
    return find(`it took ${(grown / 2 ** 20).toFixed()} MiB for ${bytes.length} bytes`);
  }
  return { kind };
}

const cpuSeconds = () => {
  const { user, system } = cpuUsage();
  return (user + system) / 1e6;
};

/** Counts the bytes on JavaScript's heap and outside, collected or not, and even if never used. */
function measureMemory(): number {
  const { heapUsed, external } = Deno.memoryUsage();
  return heapUsed + external;
}

const classes = [Object, Array, String, Number, Function, Map, Error, Promise, Uint8Array];
const countPrototypeKeys = () =>
  classes.map(({ prototype }) => Reflect.ownKeys(prototype).length).join();

let folder: string | undefined;
/** Makes the folder for readers that need a path, in memory where Linux has a place for that. */
const makeWorkFolder = async () =>
  folder ??= await Deno.makeTempDir({ prefix: "fuzz-", dir: "/dev/shm" })
    .catch(() => Deno.makeTempDir({ prefix: "fuzz-" }));

export async function removeWorkFolder(): Promise<void> {
  if (folder !== undefined) await Deno.remove(folder, { recursive: true });
  folder = undefined;
}

/**
 * Tries cases for so many minutes.
 *
 * @param current The file that holds the case that is being tried.
 * @param findings The folder for what is found.
 */
async function fuzz(
  name: string,
  minutes: number,
  seed: number,
  current: string,
  findings: string,
) {
  const target = targets[name];
  const starts = await target.starts();
  const kinds = new Map<string, number>();
  const titles = new Set<string>();
  using trying = await Deno.open(current, { write: true, create: true });
  const begin = performance.now();
  const left = () => begin + minutes * 60_000 - performance.now();
  let failing = { bytes: new Uint8Array(), finding: "" };
  const attempt = async (bytes: Uint8Array) => {
    trying.seekSync(0, Deno.SeekMode.Start);
    trying.writeSync(bytes);
    trying.truncateSync(bytes.length);
    const { kind, finding } = await judge(target, bytes);
    kinds.set(kind, (kinds.get(kind) ?? 0) + 1);
    if (finding === undefined || titles.has(titleOf(finding))) return;
    failing = { bytes: bytes.slice(), finding };
    throw new Error(titleOf(finding));
  };
  const report = async () => {
    const { bytes, finding } = failing;
    titles.add(titleOf(finding));
    const path = `${findings}/${name}-${seed}-${titles.size}`;
    await Deno.writeFile(path, bytes);
    const command = `deno task --cwd checks fuzz ${name} ${path}`;
    await Deno.writeTextFile(`${path}.txt`, `${command}\nseed ${seed}\n\n${finding}\n`);
    console.error(`${name}: ${finding.split("\n")[0]}\n  ${command}`);
  };

  for (const bytes of starts) await attempt(bytes).catch(report);
  const mutated = fc.asyncProperty(fc.gen(), (draw) => attempt(makeCase(target, starts, draw)));
  while (left() > 0) {
    const settings = { numRuns: 2 ** 30, interruptAfterTimeLimit: left() };
    // A case that fails is made smaller; the rest of the time is for other failures.
    const { failed } = await fc.check(mutated, { ...settings, seed: seed + titles.size });
    if (failed) await report();
  }
  const count = (kind: RegExp) =>
    [...kinds].reduce((sum, [name, count]) => kind.test(name) ? sum + count : sum, 0);
  return {
    cases: count(/^/),
    read: count(/^read/),
    kinds: kinds.size,
    findings: titles.size,
    seconds: (performance.now() - begin) / 1000,
  };
}

const titleOf = (finding: string) => kindOf(finding.split("\n")[0]).slice(0, 80);

async function main([name, second, seed, current, findings]: string[]): Promise<number> {
  try {
    if (seed === undefined) {
      const { kind, finding } = await judge(targets[name], await Deno.readFile(second));
      console.log(finding ?? `nothing is wrong: ${kind}`);
      return finding === undefined ? 0 : 1;
    }
    const summary = await fuzz(name, Number(second), Number(seed), current, findings);
    await Deno.remove(current);
    console.log(JSON.stringify(summary));
    return summary.findings === 0 ? 0 : 1;
  } finally {
    await removeWorkFolder();
  }
}

if (import.meta.main) Deno.exitCode = await main(Deno.args);
