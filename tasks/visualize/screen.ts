/**
 * The terminal, borrowed for a film: the alternate screen, so that what was there comes back, and
 * the keys. Whatever ends the film, also an error or a signal, the terminal is given back as it
 * was.
 */
import { takesEscapeCodes, writeAll } from "../shared/run.ts";
import { paintScreen } from "./paint.ts";
import type { Line, Size } from "./view.ts";

const ENTER = "\x1b[?1049h\x1b[?25l\x1b[2J"; // alternate screen, no cursor, all blank
const LEAVE = "\x1b[0m\x1b[?25h\x1b[?1049l";

export interface Screen extends Disposable {
  draw(): void;
  /**
   * Waits until it is time for the next frame.
   *
   * @returns false if the viewer wants no more.
   * @throws The reason of `signal`, once it is aborted.
   */
  due(): Promise<boolean>;
}

export interface ScreenOptions {
  /** At most; 0 = no limit. */
  framesPerSecond: number;
  colour: boolean;
  /** Ends the film. */
  signal: AbortSignal;
}

export const KEYS = {
  playing: "space pause  → one step  q quit",
  paused: "paused: space resume  → one step  q quit",
};

/** Whether stdout is a terminal that can be drawn on. */
export function canDraw(): boolean {
  return takesEscapeCodes(Deno.stdout);
}

/**
 * Whether the film can be steered. Not on Windows: Deno can't read single keys there and leave
 * Ctrl-C a signal.
 */
export function hasKeys(): boolean {
  return Deno.stdin.isTerminal() && Deno.build.os !== "windows";
}

/**
 * Takes the terminal over.
 *
 * @param view The frame of the moment, for a screen of a size; which is passed whether the film is paused.
 */
export function openScreen(
  view: (size: Size, paused: boolean) => Line[],
  { framesPerSecond, colour, signal }: ScreenOptions,
): Screen {
  const keys = hasKeys();
  let isOpen = false, drawnAt = -Infinity;
  let paused = false, steps = 0, quit = false;
  let wake = () => {};

  const enter = () => {
    if (isOpen) return;
    isOpen = true;
    // Ctrl-C stays a signal: it works even while the engine has the thread.
    if (keys) Deno.stdin.setRaw(true, { cbreak: true });
    write(ENTER);
  };
  const leave = () => {
    if (!isOpen) return;
    isOpen = false;
    try {
      if (keys) Deno.stdin.setRaw(false);
      write(LEAVE);
    } catch {
      // the terminal is gone, and with it all that could be given back
    }
  };
  const show = (before = "") => {
    if (!isOpen) return;
    const { columns, rows } = sizeOf();
    write(before + paintScreen(view({ columns, rows }, paused), { columns, colour }));
  };
  const onKeys = (keys: string) => {
    // deno-lint-ignore no-control-regex -- the right arrow is an escape sequence
    for (const [key] of keys.matchAll(/\x1b\[C|\x1bOC|[ qQ]/g)) {
      if (key === " ") paused = !paused;
      else if (/q/i.test(key)) quit = true;
      else {
        paused = true;
        steps++;
      }
    }
    show();
    wake();
  };
  const onResize = () => show("\x1b[2J");
  const listeners: [Deno.Signal, () => void][] = [["SIGWINCH", onResize]];
  if (Deno.build.os !== "windows") {
    listeners.push(
      // Ctrl-Z. `deno task` does not notice that what it runs has stopped, and would leave a dead
      // terminal.
      ["SIGTSTP", () => {
        paused = true;
        show();
      }],
      // Stopped from elsewhere and resumed: the shell had the terminal meanwhile.
      ["SIGCONT", () => {
        leave();
        enter();
        show();
      }],
    );
  }
  for (const [name, listener] of listeners) Deno.addSignalListener(name, listener);
  addEventListener("unload", leave); // a second Ctrl-C, and errors that nobody catches, end the process at once
  const onAbort = () => wake();
  signal.addEventListener("abort", onAbort);
  enter();
  if (keys) readKeys(onKeys);

  return {
    draw() {
      drawnAt = performance.now();
      show();
    },
    async due() {
      const at = framesPerSecond === 0 ? drawnAt : drawnAt + 1000 / framesPerSecond;
      await new Promise((resolve) => setTimeout(resolve, 0)); // keys and signals arrive between two turns of the event loop
      for (;;) {
        signal.throwIfAborted();
        if (quit) return false;
        if (steps > 0) {
          steps--;
          return true;
        }
        const left = at - performance.now();
        if (!paused && left <= 0) return true;
        await new Promise<void>((resolve) => {
          wake = resolve;
          if (!paused) setTimeout(resolve, left);
        });
      }
    },
    [Symbol.dispose]() {
      leave();
      removeEventListener("unload", leave);
      signal.removeEventListener("abort", onAbort);
      for (const [name, listener] of listeners) Deno.removeSignalListener(name, listener);
    },
  };
}

async function readKeys(onKeys: (keys: string) => void): Promise<void> {
  const buffer = new Uint8Array(64), decoder = new TextDecoder();
  try {
    for (let count; (count = await Deno.stdin.read(buffer)) !== null;) {
      onKeys(decoder.decode(buffer.subarray(0, count)));
    }
  } catch {
    // without keys the film continues
  }
}

/** A terminal that does not know its size says 0. */
function sizeOf(): Size {
  const { columns, rows } = Deno.consoleSize();
  return { columns: columns || 80, rows: rows || 24 };
}

const write = (text: string) => writeAll(Deno.stdout, text);
