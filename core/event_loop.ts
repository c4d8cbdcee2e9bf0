/**
 * Engines block the event loop while they compute: nothing else happens, not even Ctrl-C, unless
 * they let it.
 */

/**
 * A function to await between two steps: lets what waits have its turn, at most once in `everyMs`,
 * as a turn costs more than a millisecond and a small step less.
 */
export function breather(everyMs = 50): () => Promise<void> {
  let last = performance.now();
  return async () => {
    if (performance.now() - last < everyMs) return;
    await new Promise((resolve) => setTimeout(resolve, 0));
    last = performance.now();
  };
}
