/** Lets the event loop run: engines block it while they compute, so that not even Ctrl-C gets in. */

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
