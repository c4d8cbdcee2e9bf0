/** Records where a result comes from, and stores results for `report`. */
import { join } from "@std/path";
import { cpus, release, type as system } from "node:os";
import type { Config } from "../../core/config.ts";
import type { Engine } from "../../engines/engine.ts";
import { LockedError } from "../../files/lock.ts";
import {
  makeFolder,
  removeLeftovers,
  requireWritable,
  writeFileAtomically,
} from "../../files/write.ts";
import { UserError } from "../../engines/errors.ts";
import type { GpuCheckResult, Provenance, Result } from "./results.ts";
import { isFromSystem, note } from "./run.ts";

// Folders below that of --reports.
export const RESULTS = "results";
export const RUNS = "runs";
/** Results of `check-gpu`. */
export const GPU = "gpu";
/** Pieces of long computations, from which a later run resumes. */
export const PARTIAL = "partial";

/** The facts about a result that only its task knows. */
export interface Origin {
  command: string;
  engine: Engine;
  threads?: number;
  seed: number;
  weights: { path: string; sha256: string; config: Config };
  /** The text, if there was one. */
  corpus?: { path: string; sha256: string };
}

/** Completes the facts by those of the machine and the project at this moment. */
export async function provenance(
  { command, engine, threads, seed, weights, corpus }: Origin,
): Promise<Provenance> {
  return {
    ...await describeSurroundings(),
    command,
    engine: engine.name,
    precision: engine.precision,
    threads: threads ?? navigator.hardwareConcurrency,
    seed,
    weights: weights.path,
    weightsSha256: weights.sha256,
    corpus: corpus?.path ?? "",
    corpusSha256: corpus?.sha256 ?? "",
    config: weights.config,
  };
}

/** Describes this moment: the date, the machine, the versions and the commit. */
export async function describeSurroundings() {
  const cores = cpus();
  return {
    date: new Date().toISOString(),
    machine: `${cores[0]?.model.trim() || "unknown processor"}, ${cores.length} cores, ` +
      `${system()} ${release()}`,
    versions: { deno: Deno.version.deno, ...await libraryVersions() },
    commit: await gitCommit(),
  };
}

/** Versions of the libraries that compute, as the workspace's import map pins them. */
async function libraryVersions(): Promise<Record<string, string>> {
  const config = JSON.parse(await Deno.readTextFile(new URL("../../deno.json", import.meta.url)));
  const pinned = (name: string) => String(config.imports[name]).replace(/^.*@/, "");
  return { tfjs: pinned("@tensorflow/tfjs-core"), "onnxruntime-node": pinned("onnxruntime-node") };
}

/** The commit that is checked out, read from `.git` itself; undefined outside of a checkout. */
async function gitCommit(): Promise<string | undefined> {
  const git = new URL("../../.git/", import.meta.url);
  try {
    const head = (await Deno.readTextFile(new URL("HEAD", git))).trim();
    const reference = /^ref: (.+)$/.exec(head)?.[1];
    return reference ? (await Deno.readTextFile(new URL(reference, git))).trim() : head;
  } catch {
    return undefined;
  }
}

/**
 * Keeps a result in a file of `reports/results/`, or of the folder that was opened.
 *
 * @param path The file that an earlier call returned, to replace it.
 * @returns The path of the file; undefined if it could not be written.
 */
export type KeepResult = (result: Kept, path?: string) => Promise<string | undefined>;

type Kept = Result | GpuCheckResult;

/**
 * Checks that results can be kept, before the work that leads to them. Where they can't, as in a
 * checkout that is only read, a note says so and they are skipped.
 */
export async function openResults(reports: string, name = RESULTS): Promise<KeepResult> {
  const folder = join(reports, name);
  const works = await tryTo("results are not kept", reports, async () => {
    await makeFolder(folder);
    await removeLeftovers(folder); // every result has a unique name, so no later one replaces them
    await requireWritable(join(folder, "result.json"));
    return true;
  });
  return async (result, path = choosePath(folder, result)) => {
    if (!works) return undefined;
    return await tryTo("this result is not kept", reports, async () => {
      await makeFolder(folder);
      await writeFileAtomically(path, new TextEncoder().encode(JSON.stringify(result) + "\n"));
      return path;
    });
  };
}

/**
 * Does what the work at hand can do without; where the system refuses, a note says so.
 *
 * @throws {LockedError} If another process does the same work.
 */
export async function tryTo<T>(
  otherwise: string,
  reports: string,
  work: () => Promise<T>,
): Promise<T | undefined> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof LockedError) {
      const advice = "wait until it ends, stop it, or give another folder with --reports";
      throw new LockedError({ ...error, advice }, { cause: error });
    }
    if (!(error instanceof UserError) && !isFromSystem(error)) throw error;
    const advice = `--reports DIR is another place than ${JSON.stringify(reports)}`;
    note(`warning: ${otherwise}: ${(error as Error).message}; ${advice}`);
  }
}

function choosePath(folder: string, result: Kept): string {
  const { kind } = result;
  const { date } = "date" in result ? result : result.provenance;
  const moment = date.replace(/[:.]/g, "-");
  return join(folder, `${moment}-${kind}-${crypto.randomUUID().slice(0, 8)}.json`);
}
