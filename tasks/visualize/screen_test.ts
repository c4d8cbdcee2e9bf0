/**
 * The film on a real terminal: tmux is one, which can be asked what it shows. Without it these
 * tests are skipped, and say so. NO_COLOR is not set, so that they see what people see.
 */
import { assert, assertEquals, assertMatch } from "@std/assert";
import { DELIMITER, fromFileUrl, join } from "@std/path";
import { denoArguments, exampleText, inFolder, writeWeights } from "../testing/task_process.ts";

const tmuxPath = await findTmux();
if (!tmuxPath) {
  console.error("There is no tmux here: the tests of visualize on a terminal are skipped");
}

async function findTmux(): Promise<string | undefined> {
  for (const folder of (Deno.env.get("PATH") ?? "").split(DELIMITER)) {
    const path = join(folder, "tmux");
    if ((await Deno.stat(path).catch(() => undefined))?.isFile) return path;
  }
}

const pause = (milliseconds: number) => new Promise((resolve) => setTimeout(resolve, milliseconds));
const quoted = (words: string[]) =>
  words.map((word) => `'${word.replaceAll("'", `'\\''`)}'`).join(" ");

/** A shell on a terminal of its own. */
class Terminal {
  private constructor(readonly socket: string) {}

  /**
   * Opens one of 100 by 24, in a folder; everything that is written on it goes to the file `bytes`,
   * too.
   */
  static async open(folder: string): Promise<Terminal> {
    const terminal = new Terminal(join(folder, "tmux"));
    const size = ["-x", "100", "-y", "24"];
    await terminal.tmux("new-session", "-d", ...size, "-c", folder, "unset NO_COLOR; PS1= exec sh");
    await terminal.tmux("pipe-pane", `cat > ${quoted([join(folder, "bytes")])}`);
    return terminal;
  }

  async tmux(...args: string[]): Promise<string> {
    const { success, stdout, stderr } = await new Deno.Command(tmuxPath!, {
      args: ["-f", "/dev/null", "-S", this.socket, ...args],
      env: { LC_ALL: "C.UTF-8", TERM: "xterm-256color" },
    }).output();
    if (!success) throw new Error(new TextDecoder().decode(stderr));
    return new TextDecoder().decode(stdout);
  }

  /**
   * Runs a command; when it has ended, its exit code is in the file `code`, and the terminal's
   * settings before and after in two others.
   */
  async run(command: string[]): Promise<void> {
    const line = `stty -g > before; ${
      quoted(command)
    }; echo $? > code.tmp; stty -g > after; mv code.tmp code`;
    await this.tmux("send-keys", "-l", `clear; ${line}\n`);
  }

  /** The lines of the screen without what is blank at their ends. */
  async screen(): Promise<string[]> {
    return (await this.tmux("capture-pane", "-p")).split("\n").map((line) => line.trimEnd());
  }

  /** Waits until the screen is as asked for, and gives it. */
  async until(isThere: (screen: string) => boolean): Promise<string[]> {
    let lines: string[] = [];
    for (const end = performance.now() + 30_000; performance.now() < end; await pause(50)) {
      lines = await this.screen();
      if (isThere(lines.join("\n"))) return lines;
    }
    throw new Error(`It did not come to that:\n${lines.join("\n")}`);
  }

  /** Whether the cursor is shown, and whether the alternate screen is. */
  async modes(): Promise<string> {
    return (await this.tmux("display", "-p", "cursor #{cursor_flag} alternate #{alternate_on}"))
      .trim();
  }
}

/** A test with a terminal, and with untrained weights of both models in its folder. */
function testOnTerminal(
  name: string,
  test: (terminal: Terminal, folder: string) => Promise<void>,
  text = exampleText(),
): void {
  Deno.test({
    name,
    ignore: !tmuxPath,
    fn: () =>
      inFolder(async (folder) => {
        await writeWeights(folder, { text });
        const terminal = await Terminal.open(folder);
        try {
          await test(terminal, folder);
        } finally {
          await terminal.tmux("kill-server").catch(() => {});
        }
      }),
  });
}

/**
 * Waits for the end of what `run` started, checks that the terminal is as before, and gives the
 * exit code.
 */
async function ended(terminal: Terminal, folder: string): Promise<number> {
  const read = (name: string) => Deno.readTextFile(join(folder, name));
  for (const end = performance.now() + 30_000; performance.now() < end; await pause(50)) {
    const code = await read("code").catch(() => undefined);
    if (code === undefined) continue;
    assertEquals(await read("after"), await read("before"));
    assertEquals(await terminal.modes(), "cursor 1 alternate 0");
    return Number(code);
  }
  throw new Error(`It did not end:\n${(await terminal.screen()).join("\n")}`);
}

const visualize = (...args: string[]) => [
  Deno.execPath(),
  ...denoArguments("visualize", [
    "--engine",
    "onnx",
    "--threads",
    "1",
    "--sampler",
    "entropy",
    "--entropy-bound",
    "0",
    ...args,
  ]),
];

const forwardsOf = (lines: string[]) => Number(/(\d+) forwards/.exec(lines.join("\n"))?.[1]);

testOnTerminal(
  "a film plays, pauses, goes one step, fits a resized terminal, and Ctrl-C ends it, also while it pauses",
  async (terminal, folder) => {
    await terminal.run(visualize("--compare", "--blocks", "40", "--speed", "30"));
    const beside = await terminal.until((screen) => /[1-9] forwards/.test(screen));
    assertEquals(await terminal.modes(), "cursor 0 alternate 1");
    assertMatch(beside[0], /^Diffusion, sampler entropy, block 1 of 40 {4,}│ GPT$/);
    assertMatch(beside[1], /^First Citizen: +│ First Citizen:/);
    assertMatch(beside.join("\n"), /▒▒▒[^]*│░░░/);
    assertMatch(beside[23], /^space pause .* clock: a step of each in turn/);

    await terminal.tmux("send-keys", "Space");
    const paused = await terminal.until((screen) => screen.includes("paused: space resume"));
    await pause(200);
    assertEquals(await terminal.screen(), paused);
    await terminal.tmux("send-keys", "Right");
    const next = await terminal.until((screen) =>
      !screen.includes(` ${forwardsOf(paused)} forwards`)
    );
    assertEquals(forwardsOf(next), forwardsOf(paused) + 1);

    await terminal.tmux("resize-window", "-x", "60", "-y", "16");
    const stacked = await terminal.until((screen) => /^GPT$/m.test(screen));
    assertEquals([stacked[0], stacked.length], ["Diffusion, sampler entropy, block 1 of 40", 17]);
    assertEquals(stacked[16], ""); // tmux ends with a line end
    assertMatch(stacked[15], /^paused: /);
    assertEquals(stacked.filter((line) => /forwards/.test(line)).length, 2);

    await terminal.tmux("send-keys", "Space");
    await terminal.until((screen) => !screen.includes("paused"));
    await terminal.tmux("send-keys", "C-z");
    await terminal.until((screen) => screen.includes("paused"));
    await terminal.tmux("send-keys", "C-c");
    assertEquals(await ended(terminal, folder), 130);
    const left = (await terminal.screen()).join("\n");
    assertMatch(left, /GPT: step \d+ [^]*Interrupted/);
  },
);

testOnTerminal(
  "after a film its text stays on the terminal, and q ends it early",
  async (terminal, folder) => {
    await terminal.run(visualize("--blocks", "2", "--speed", "0"));
    assertEquals(await ended(terminal, folder), 0);
    const lines = await terminal.screen();
    assert(lines.includes("First Citizen:"), lines.join("\n"));
    assertMatch(
      lines.join("\n"),
      /step 32 {2}0\/32 hidden {2}32 forwards {2}1\.00 characters each/,
    );

    await Deno.remove(join(folder, "code"));
    await terminal.run(visualize("--blocks", "40", "--speed", "5"));
    await terminal.until((screen) => /step [1-9]/.test(screen));
    await terminal.tmux("send-keys", "q");
    assertEquals(await ended(terminal, folder), 0);
  },
);

testOnTerminal(
  "no escape sequence of a corpus reaches the terminal",
  async (terminal, folder) => {
    const likely = ["--temperature", "1", "--top-k", "9"];
    await terminal.run(visualize("--blocks", "2", "--speed", "0", ...likely));
    assertEquals(await ended(terminal, folder), 0);
    const bytes = await Deno.readTextFile(join(folder, "bytes"));
    const film = bytes.slice(bytes.indexOf("\x1b[?1049h"), bytes.lastIndexOf("\x1b[?1049l"));
    assert(film.includes("␛"), "the model never wrote one");
    // deno-lint-ignore no-control-regex -- all that we write ourselves
    const rest = film.replaceAll(/\x1b\[(\d+;\d+H|[\d;]*m|K|2J|\?1049h|\?25[hl])/g, "");
    assert(!/\p{C}/u.test(rest), JSON.stringify(rest.slice(0, 500)));
  },
  "\x1b[2J\x1b]0;title\x07\x9b31m\r\x7f\b".repeat(40),
);

for (
  const [what, end, code] of [
    ["an error", "throw new Error('Cannot go on: it is a test')", 1],
    ["Deno.exit, as after a second Ctrl-C", "Deno.exit(7)", 7],
    [
      "SIGTERM",
      "await new Deno.Command('kill', { args: [`${Deno.pid}`] }).output(); for (;;) await screen.due()",
      143,
    ],
  ] as const
) {
  testOnTerminal(
    `${what} in the middle of a film gives the terminal back`,
    async (terminal, folder) => {
      const at = (path: string) => JSON.stringify(new URL(path, import.meta.url).href);
      await Deno.writeTextFile(
        join(folder, "film.ts"),
        `import { interruption, runTask } from ${at("../shared/run.ts")};
       import { openScreen } from ${at("screen.ts")};
       await runTask(async () => {
         const line = [{ text: "playing", width: 7, style: "fresh" }];
         const options = { framesPerSecond: 20, colour: true, signal: interruption() };
         using screen = openScreen(() => [line], options);
         screen.draw();
         await screen.due();
         ${end};
       }, []);`,
      );
      const config = fromFileUrl(new URL("../../deno.json", import.meta.url));
      await terminal.run([
        ...[
          Deno.execPath(),
          "run",
          "-A",
          "--no-check",
          "--config",
          config,
          join(folder, "film.ts"),
        ],
      ]);
      assertEquals(await ended(terminal, folder), code);
      const bytes = await Deno.readTextFile(join(folder, "bytes"));
      assert(bytes.includes("\x1b[?1049h") && bytes.includes("playing"), "there was no film");
    },
  );
}
