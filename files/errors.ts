/** Turns the system's errors about files into one line for the user, with what to do about them. */
import { dirname } from "@std/path";
import { type Problem, UserError } from "@tiny-diffusion/engines/errors";

/**
 * Describes what the system says about a file.
 *
 * @param verb What could not be done to it, such as "write".
 * @param error What a call of Deno has thrown; becomes the `cause`.
 */
export function describeIoError(verb: string, path: string, error: unknown): UserError {
  const { found, advice } = explain(path, error);
  return new UserError({ action: `${verb} ${JSON.stringify(path)}`, found, advice }, {
    cause: error,
  });
}

type Explanation = Pick<Problem, "found" | "advice">;

const explanations: Record<string, Explanation> = {
  ENOSPC: {
    found: "no space left on the disk",
    advice: "free some space or choose a folder on another disk",
  },
  EDQUOT: {
    found: "the disk quota is used up",
    advice: "free some space or choose a folder on another disk",
  },
  EFBIG: {
    found: "the file would be larger than the system allows",
    advice: "raise the limit (ulimit -f)",
  },
  EROFS: { found: "the disk is read-only", advice: "choose a folder on another disk" },
  EACCES: { found: "no permission", advice: "change the permissions or choose another folder" },
  EPERM: {
    found: "the system does not permit it",
    advice: "change the permissions or choose another folder",
  },
  ENOTDIR: { found: "a part of the path is not a folder", advice: "check the path" },
  ENAMETOOLONG: { found: "the name is too long", advice: "choose a shorter one" },
  EIO: { found: "the disk reports an error", advice: "check the disk or choose another one" },
};

function explain(path: string, error: unknown): Explanation {
  if (error instanceof UserError) return error;
  if (error instanceof Deno.errors.NotFound) {
    const folder = JSON.stringify(dirname(path));
    // Virtual folders such as /proc exist and still take no file.
    return isFolder(dirname(path))
      ? { found: `the folder ${folder} takes no file`, advice: "choose another one" }
      : { found: `there is no folder ${folder}`, advice: "make it or check the path" };
  }
  if (error instanceof Deno.errors.NotCapable) {
    return {
      found: "Deno was not allowed to",
      advice: "allow it (--allow-read, --allow-write) for this folder",
    };
  }
  const code = (error as { code?: string } | null)?.code ?? "";
  if (Object.hasOwn(explanations, code)) return explanations[code];
  if (error instanceof Deno.errors.PermissionDenied) return explanations.EACCES;
  const text = error instanceof Error ? error.message : String(error);
  return { found: text.split("\n")[0], advice: "check the path and the disk" };
}

function isFolder(path: string): boolean {
  try {
    return Deno.statSync(path).isDirectory;
  } catch {
    return false;
  }
}
