/** Records where a result comes from, and keeps results for `report`. */
import { join } from "@std/path";
import { cpus, release, type as system } from "node:os";
import type { Config } from "../../core/config.ts";
import type { Engine } from "../../engines/engine.ts";
import {
  makeFolder,
  removeLeftovers,
  requireWritable,
  writeFileAtomically,
} from "../../core/files/write.ts";
import type { Provenance, Result } from "./results.ts";

export const RESULTS = "reports/results";
export const RUNS = "reports/runs";
/** Pieces of long computations, from which a later run resumes. */
export const PARTIAL = "reports/partial";

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
  const cores = cpus();
  return {
    date: new Date().toISOString(),
    machine: `${cores[0]?.model.trim() || "unknown processor"}, ${cores.length} cores, ` +
      `${system()} ${release()}`,
    versions: { deno: Deno.version.deno, ...await libraryVersions() },
    commit: await gitCommit(),
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
 * Checks that results can be kept, before the work that leads to them.
 *
 * @throws {UserError} If `reports/results/` can't be made or written.
 */
export async function requireResultsFolder(): Promise<void> {
  await makeFolder(RESULTS);
  await removeLeftovers(RESULTS); // every result has a unique name, so no later one replaces them
  await requireWritable(join(RESULTS, "result.json"));
}

/**
 * Keeps a result in a file under `reports/results/`.
 *
 * @param path The file that an earlier call returned, to replace it.
 * @returns The path of the file.
 */
export async function keepResult(result: Result, path = choosePath(result)): Promise<string> {
  await makeFolder(RESULTS);
  await writeFileAtomically(path, new TextEncoder().encode(JSON.stringify(result) + "\n"));
  return path;
}

function choosePath({ kind, provenance: { date } }: Result): string {
  const moment = date.replace(/[:.]/g, "-");
  return join(RESULTS, `${moment}-${kind}-${crypto.randomUUID().slice(0, 8)}.json`);
}
