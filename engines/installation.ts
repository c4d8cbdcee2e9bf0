/**
 * Where the setup tasks leave what an engine needs besides npm packages, and the record that tells
 * the engine of it.
 */
import { join } from "@std/path";

/** The engines that have a setup, by the name of its folder. */
export type SetUp = "tensorflow" | "onnx-cuda";

/** What to type to set one up. */
export const setupCommand = (what: SetUp): string => `run \`deno task setup-${what}\``;

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
 * @throws {Error} If it is not set up, or the record is damaged; the message is the reason only.
 */
export async function readRecord<T>(what: SetUp, keys: (keyof T)[]): Promise<T> {
  let text: string;
  try {
    text = await Deno.readTextFile(installationFile(what));
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) {
      const how = Deno.build.os === "linux" ? `; ${setupCommand(what)}` : ", which needs Linux";
      throw new Error(`it is not set up${how}`);
    }
    const reason = (error as Error).message.split("\n")[0];
    throw new Error(`its record ${installationFile(what)} can't be read: ${reason}`);
  }
  try {
    const record = JSON.parse(text) as T;
    if (keys.every((key) => typeof record[key] === "string")) return record;
  } catch {
    // Said below.
  }
  throw new Error(
    `its record ${installationFile(what)} is damaged; ${setupCommand(what)}`,
  );
}
