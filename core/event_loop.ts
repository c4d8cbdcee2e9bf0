/** Engines block the event loop while they compute: nothing else runs, not even Ctrl-C. */

let last = performance.now();

/**
 * Lets pending events run, such as a signal; to be awaited between two steps.
 *
 * @param everyMs Least time between two such pauses, since one costs more than a millisecond and a
 * small step less. Default 50.
 */
export async function yieldToEventLoop(everyMs = 50): Promise<void> {
  if (performance.now() - last < everyMs) return;
  await new Promise((resolve) => setTimeout(resolve, 0));
  last = performance.now();
}
