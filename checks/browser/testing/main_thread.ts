/**
 * The tasks of a page's main thread, from Chromium's trace: each with its time by the clock, and the
 * time of the processor that it took. The first also counts the time that other processes had the
 * processor, so on a busy machine only the second says what the page does.
 */
import type { Page } from "playwright-core";

/** A task, in milliseconds. */
export interface MainThreadTask {
  /** By the clock. */
  ms: number;
  /** Of the processor. */
  cpuMs: number;
}

/** An event of a trace; its times are in microseconds. */
interface TraceEvent {
  name: string;
  pid: number;
  tid: number;
  dur?: number;
  tdur?: number;
  args: { name?: string };
}

/** Begins to record; the result ends the recording, and returns its tasks, the longest first. */
export async function recordTasks(page: Page): Promise<() => Promise<MainThreadTask[]>> {
  const session = await page.context().newCDPSession(page);
  const events: TraceEvent[] = [];
  session.on("Tracing.dataCollected", ({ value }) => {
    for (const event of value as unknown as TraceEvent[]) {
      if (event.name === "RunTask" || event.name === "thread_name") events.push(event);
    }
  });
  const categories = ["devtools.timeline", "disabled-by-default-devtools.timeline"];
  await session.send("Tracing.start", {
    transferMode: "ReportEvents",
    traceConfig: { includedCategories: categories, excludedCategories: ["*"] },
  });
  return async () => {
    const complete = new Promise((resolve) => session.once("Tracing.tracingComplete", resolve));
    await session.send("Tracing.end");
    await complete;
    await session.detach();
    const threadOf = ({ pid, tid }: TraceEvent) => `${pid} ${tid}`;
    const main = new Set(
      events.filter(({ args }) => args.name === "CrRendererMain").map(threadOf),
    );
    return events.filter((event) => event.name === "RunTask" && main.has(threadOf(event)))
      .map(({ dur = 0, tdur = dur }) => ({ ms: dur / 1000, cpuMs: tdur / 1000 }))
      .toSorted((a, b) => b.cpuMs - a.cpuMs);
  };
}
