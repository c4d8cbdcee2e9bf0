/**
 * The progress of a long task on stderr: one line that is redrawn on a terminal, otherwise a plain
 * line every few seconds.
 */
import { takesEscapeCodes, tell } from "./run.ts";
import { duration } from "./text.ts";

export interface ProgressStream {
  /** Whether it is a terminal on which a line can be redrawn. */
  redraws(): boolean;
  /** Width of the terminal; `undefined` if it is unknown. */
  columns(): number | undefined;
  write(text: string): void;
}

export interface ProgressOptions {
  /** The number of units in all. @default {unknown} */
  total?: number;
  /** The unit that is counted, such as "step". */
  unit: string;
  /** Units done before, as in a resumed run; the rate leaves them out. @default {0} */
  done?: number;
  /** Write nothing if false. @default {true} */
  enabled?: boolean;
  /** @default {stderr} */
  stream?: ProgressStream;
  /** A clock in milliseconds. @default {performance.now} */
  now?: () => number;
}

export interface Progress extends Disposable {
  /**
   * Sets the number of units done, and figures to show with it:
   * `{ loss: "2.31", "chars/s": "31,000" }`.
   */
  update(state: { done: number; fields?: Record<string, string> }): void;
  /** Writes a line that stays, above the one that is redrawn. */
  note(line: string): void;
  /** Removes the line that is redrawn, so that others can write on the same terminal. */
  clear(): void;
  /** Writes a last line with the total time, once. Disposing does the same. */
  finish(): void;
}

const REDRAW_MS = 100;
const LINE_EVERY_MS = 5_000;
const RATE_OVER_MS = 30_000;
const BAR_CELLS = 24;
const CLEAR_LINE = "\r\x1b[2K";

/**
 * Starts to show progress. Dispose it, so that an error, too, finds the cursor at the start of a
 * separate line:
 *
 * ```ts
 * using progress = startProgress({ total: 5000, unit: "step" });
 * ```
 */
export function startProgress(options: ProgressOptions): Progress {
  const { total, unit, done: before = 0, enabled = true, now = () => performance.now() } = options;
  const stream = enabled ? options.stream ?? standardError : nowhere;
  const redraws = stream.redraws();
  const start = now();
  const rate = runningRate(start, before);
  let done = before;
  let fields: Record<string, string> = {};
  let shownAt = -Infinity;
  let shownDone = -1;
  let finished = false;

  const draw = (time: number) => {
    const remaining = total === undefined ? undefined : timeLeft(total - done, rate.perMs());
    const left = remaining === undefined ? "" : `${duration(remaining)} left`;
    const facts = [
      formatCount(done, total, unit),
      ...Object.entries(fields).map(formatField),
      left,
    ];
    if (redraws) {
      const columns = Math.max(stream.columns() || 80, 2) - 1; // the last would wrap; 0 is unknown
      const line = facts.filter(Boolean).join("  ");
      const cells = total ? Math.min(columns - [...line].length - 1, BAR_CELLS) : 0;
      const withBar = cells >= 5 ? `${drawBar(done / total!, cells)} ${line}` : line;
      stream.write(CLEAR_LINE + [...withBar].slice(0, columns).join(""));
    } else {
      stream.write(facts.filter(Boolean).join("  ") + "\n");
    }
    shownAt = time;
    shownDone = done;
  };

  const progress: Progress = {
    update(state) {
      if (finished) return;
      ({ done, fields = fields } = state);
      const time = now();
      rate.add(time, done);
      if (time - shownAt >= (redraws ? REDRAW_MS : LINE_EVERY_MS)) draw(time);
    },
    note(line) {
      if (!redraws || finished) return stream.write(`${line}\n`);
      stream.write(`${CLEAR_LINE}${line}\n`);
      if (shownDone >= 0) draw(now());
    },
    clear() {
      if (redraws && !finished && shownDone >= 0) stream.write(CLEAR_LINE);
    },
    finish() {
      if (finished) return;
      finished = true;
      if (done === before && shownDone < 0) return; // nothing was done and nothing shown
      const facts = [formatCount(done, total, unit), ...Object.entries(fields).map(formatField)];
      const line = `${facts.join("  ")}  in ${duration(now() - start)}`;
      stream.write(`${redraws ? CLEAR_LINE : ""}${line}\n`);
    },
    [Symbol.dispose]: () => progress.finish(),
  };
  return progress;
}

/** Shows how n-grams are counted, where the text is so long that this takes seconds. */
export function showCounting(
  { characters }: { characters: number },
  around: Pick<ProgressOptions, "stream" | "now"> = {},
) {
  const enabled = characters > 2e6;
  const progress = startProgress({ total: 6, unit: "n-grams up to length", enabled, ...around });
  return {
    onProgress: (done: number) => progress.update({ done }),
    [Symbol.dispose]: () => progress.finish(),
  };
}

/**
 * Units per millisecond over the last half minute, so that a slow start (a graph being compiled) is
 * soon forgotten.
 */
function runningRate(start: number, before: number) {
  const points = [{ time: start, done: before }];
  return {
    add(time: number, done: number) {
      const beforeLast = points.at(-2);
      // A point a second is enough; the last one moves along until it is a second away from the one
      // before it.
      if (beforeLast && time - beforeLast.time < 1000) points.pop();
      points.push({ time, done });
      while (points.length > 2 && time - points[1].time >= RATE_OVER_MS) points.shift();
    },
    perMs() {
      const first = points[0], last = points.at(-1)!;
      return (last.done - first.done) / (last.time - first.time);
    },
  };
}

function timeLeft(units: number, perMs: number): number | undefined {
  return perMs > 0 && Number.isFinite(perMs) ? Math.max(units, 0) / perMs : undefined;
}

function formatCount(done: number, total: number | undefined, unit: string): string {
  const number = (value: number) => value.toLocaleString("en-US");
  return `${unit} ${number(done)}${total === undefined ? "" : `/${number(total)}`}`;
}

/** Formats a figure: after its name, or before a name that is a unit. */
function formatField([name, value]: [name: string, value: string]): string {
  return name.includes("/") ? `${value} ${name}` : `${name} ${value}`;
}

function drawBar(share: number, cells: number): string {
  const full = Math.round(Math.min(Math.max(share, 0), 1) * cells);
  return "█".repeat(full) + "░".repeat(cells - full);
}

const nowhere: ProgressStream = {
  redraws: () => false,
  columns: () => undefined,
  write() {},
};

const standardError: ProgressStream = {
  redraws: () => takesEscapeCodes(Deno.stderr),
  columns() {
    try {
      return Deno.consoleSize().columns;
    } catch {
      return undefined; // stdin, stdout and stderr are not one terminal
    }
  },
  write: tell,
};
