/**
 * Where the setup tasks put what an engine needs besides npm packages, and the record by which the
 * engine finds it.
 */
import { dirname, join, resolve } from "@std/path";
import { firstLine, UserError } from "./errors.ts";

/** The engines that have a setup, by the name of its folder. */
export type SetUp = "tensorflow" | "onnx-cuda";

/** The advice to run a setup. */
export const setupCommand = (what: SetUp): string => `run \`deno task setup-${what}\``;

/** An engine's setup was never run: no failure to report unless that engine was asked for. */
export class NotSetUpError extends UserError {}

/**
 * The folder that holds a setup's record, and all else unless setup was given a prefix: shared by
 * all checkouts of a user. `TINY_DIFFUSION_TENSORFLOW` or `TINY_DIFFUSION_ONNX_CUDA` names another
 * one.
 */
export function installationFolder(what: SetUp): string {
  const own = Deno.env.get(`TINY_DIFFUSION_${what.toUpperCase().replace("-", "_")}`);
  if (own) return own;
  const home = Deno.env.get("HOME") || Deno.env.get("USERPROFILE") || "."; // the second on Windows
  const cache = Deno.env.get("XDG_CACHE_HOME") || join(home, ".cache");
  return join(cache, "tiny-diffusion", what);
}

export const installationFile = (what: SetUp): string =>
  join(installationFolder(what), "installation.json");

/**
 * Reads a setup's record.
 *
 * @param keys Its entries that must be text.
 * @param paths Those of them that are paths, or empty: in a bundle they are relative to the record.
 * @throws {NotSetUpError} If there is none.
 * @throws {UserError} If it can't be read or is damaged.
 */
export async function readRecord<T>(
  what: SetUp,
  keys: (keyof T)[],
  paths: (keyof T)[] = [],
): Promise<T> {
  const action = `use what \`deno task setup-${what}\` has installed`;
  const file = installationFile(what);
  let text: string;
  try {
    text = await Deno.readTextFile(file);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) {
      const isLinux = Deno.build.os === "linux";
      const found = isLinux ? "it is not set up" : "it is not set up, which needs Linux";
      throw new NotSetUpError({ action, found, advice: isLinux ? setupCommand(what) : undefined });
    }
    const found = `its record ${file} can't be read: ${firstLine(error)}`;
    throw new UserError({ action, found }, { cause: error });
  }
  try {
    const record = JSON.parse(text);
    if ([...keys, ...paths].every((key) => typeof record[key] === "string")) {
      for (const key of paths) if (record[key]) record[key] = resolve(dirname(file), record[key]);
      return record;
    }
  } catch {
    // Reported below.
  }
  throw new UserError({
    action,
    found: `its record ${file} is damaged`,
    advice: setupCommand(what),
  });
}
