/**
 * Runs the parts of `check-gpu`, each in its own process with its own limit, so that a part that
 * fails, crashes or hangs costs only itself.
 */
import { firstLine } from "../../engines/errors.ts";
import { readLines } from "../bench/step.ts";
import {
  type Finding,
  type GpuCheckPart,
  type GpuCheckRow,
  parseFinding,
} from "../shared/results.ts";
import { lastWords } from "./tasks.ts";

export interface Job extends Pick<Finding, "subject" | "precision"> {
  part: GpuCheckPart;
  /** The process: it writes a `Finding` as JSON on each line of stdout, and at last `DONE`. */
  command: string[];
  /** Variables added to its environment. */
  env?: Record<string, string>;
  limitSeconds: number;
}

/** The last line of a job. What happens to its process after it does not matter. */
export const DONE = "done";

/**
 * Runs a job, and gives its findings as they come. Where its process ends without the last line, a
 * finding more says how it ended. All processes that it has started are gone afterwards.
 *
 * @param signal Ends it early, without a finding on that.
 */
export async function* runJob(job: Job, signal?: AbortSignal): AsyncGenerator<GpuCheckRow> {
  const start = performance.now();
  const row = (finding: Finding): GpuCheckRow => ({
    part: job.part,
    ...finding,
    seconds: (performance.now() - start) / 1000,
  });
  const { part, subject, precision } = job;
  const failure = (outcome: "failed" | "too long", summary: string) =>
    row({ subject, precision, outcome, summary, figures: {} });
  if (job.limitSeconds <= 0) {
    yield failure("too long", "not begun: no time is left");
    return;
  }

  const [program, ...args] = job.command;
  const process = new Deno.Command(program, {
    args,
    env: { NO_COLOR: "1", ...job.env },
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
    detached: hasGroups, // it leads a group, with all that it starts
  }).spawn();
  const end = () => endGroup(process);
  let isLate = false;
  const timers = [
    setTimeout(() => {
      isLate = true;
      end();
    }, 1000 * job.limitSeconds),
  ];
  // A process that waits for a driver can't be killed, and is not waited for.
  const patience = new Promise<undefined>((resolve) => {
    timers.push(setTimeout(() => resolve(undefined), 1000 * (job.limitSeconds + GRACE_SECONDS)));
  });
  signal?.addEventListener("abort", end);
  const ended = process.status.then((status) => {
    end(); // what it has started would keep its streams open
    return status;
  });
  const complaints = process.stderr.text().then(lastWords);
  const lines = readLines(process.stdout)[Symbol.asyncIterator]();
  try {
    for (;;) {
      const next = await Promise.race([lines.next(), patience]);
      if (next === undefined || next.done) break;
      if (next.value === DONE) return;
      // Native libraries write what they like.
      if (next.value.startsWith("{")) yield row(parseFinding(next.value));
    }
    const status = await Promise.race([ended, patience]);
    const words = await Promise.race([complaints, patience]);
    if (signal?.aborted) return;
    if (isLate) {
      const limit = `cut off after ${Math.round(job.limitSeconds)} s`;
      yield failure("too long", words ? `${limit}; its last words: ${words}` : limit);
    } else {
      const way = status?.signal ? `by ${status.signal}` : `with exit code ${status?.code}`;
      yield failure("failed", words || `its process ended ${way} without a message`);
    }
  } catch (error) {
    yield failure("failed", `${part} does not report as expected: ${firstLine(error)}`);
  } finally {
    end();
    lines.return?.();
    await Promise.race([Promise.all([ended, complaints]), patience]);
    timers.forEach(clearTimeout);
    signal?.removeEventListener("abort", end);
  }
}

/** The time that a process gets to end after it was killed. */
const GRACE_SECONDS = 2;

/** Windows has no groups of processes to end; what a part has started there ends with its pipe. */
const hasGroups = Deno.build.os !== "windows";

function endGroup(process: Deno.ChildProcess): void {
  try {
    if (hasGroups) Deno.kill(-process.pid, "SIGKILL");
    else process.kill("SIGKILL");
  } catch {
    // all of it has ended
  }
}
