/** Libraries of the system, opened by their name. */

/**
 * Whether the dynamic linker finds and opens a library, by its name or path; it then stays open.
 */
export function opens(library: string): boolean {
  try {
    Deno.dlopen(library, {});
    return true;
  } catch {
    return false;
  }
}

/** Why `library` could not be opened, as a reason only. */
export function notOpened(what: string, library: string, error: unknown): Error {
  const message = (error as Error).message.split("\n")[0];
  // As Linux, macOS and (in English) Windows say it.
  const reason = /No such file|not found|could not be found/i.test(message)
    ? `${what} is not installed here (${library} is not found)`
    : `${what} does not load: ${message}`;
  return new Error(reason, { cause: error });
}
