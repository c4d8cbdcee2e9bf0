import { assert, assertEquals, assertMatch, assertNotEquals, assertRejects } from "@std/assert";
import { join } from "@std/path";
import { loadTraining, loadWeights, trainingPath } from "../../core/checkpoint.ts";
import { sha256Hex } from "../../files/read.ts";
import { testOnUnix } from "../../files/testing/system.ts";
import { exampleRun } from "../testing/example_results.ts";
import { parseRun } from "../report/read_results.ts";
import { openRunLog, runLogPath } from "./run_log.ts";
import {
  assertFailed,
  exampleText,
  inFolder,
  jsonOf,
  namesIn,
  runTaskIn,
  signalled,
} from "../testing/task_process.ts";
import { describeRecipe } from "./train.ts";

/** One thread of the engine that is everywhere, so that the same bytes come out. */
const smoke = ["--preset", "smoke", "--engine", "onnx", "--threads", "1"];

const inTextFolder = (test: (folder: string) => Promise<void>) =>
  inFolder(async (folder) => {
    await Deno.writeTextFile(join(folder, "text.txt"), exampleText());
    await test(folder);
  });

const read = (folder: string, name: string) => Deno.readFile(join(folder, name));

Deno.test("training refuses a wrong command line with exit code 2 before it makes anything", () =>
  inTextFolder(async (folder) => {
    const cases: [args: string[], says: string][] = [
      [["--stepz", "3"], 'Unknown flag "--stepz"; did you mean "--steps"?'],
      [["--steps", "abc"], 'Cannot use --steps "abc": expected a whole number, at least 1'],
      [["--steps", "-5"], 'Cannot use --steps "-5": expected a whole number, at least 1'],
      [["--steps", "NaN"], 'Cannot use --steps "NaN": expected a whole number, at least 1'],
      [["--lr", "0"], 'Cannot use --lr "0": expected a number, above 0'],
      [["--out", "x.pt"], 'Cannot use --out "x.pt": expected a name that ends in .safetensors'],
      [["--out", "x.training.safetensors"], "not in .training.safetensors"],
      [["--out", "x.previous.safetensors"], "or .previous.safetensors"],
    ];
    const ended = await Promise.all(
      cases.map(([args]) => runTaskIn(folder, "train-gpt", "--data", "text.txt", ...args)),
    );
    ended.forEach((end, i) => assertFailed(end, 2, cases[i][1]));
    assertEquals(namesIn(folder), ["text.txt"]);
  }));

Deno.test("training refuses what is no text to learn from in one line, and leaves no file", () =>
  inTextFolder(async (folder) => {
    const texts: [name: string, content: string | Uint8Array, says: string][] = [
      ["empty.txt", "", "it is empty"],
      ["one.txt", "a", 'it is "a" from start to end'],
      ["same.txt", "a".repeat(5000), 'it is "a" from start to end'],
      ["nul.txt", "text\0text", "NUL byte at offset 4"],
      ["binary.txt", Uint8Array.of(0x7f, 0x45, 0x4c, 0x46, 0xd0), "byte 0xd0 at offset 4"],
      ["short.txt", "To be, or not to be.", "with a context of 32: the last 10 % of its 20"],
      ["changed.txt", exampleText(), "so it changed since it was fetched"],
    ];
    for (const [name, content] of texts) {
      const bytes = typeof content === "string" ? new TextEncoder().encode(content) : content;
      await Deno.writeFile(join(folder, name), bytes);
    }
    const info = { sha256: "0".repeat(64), fetched: "2026-01-01T00:00:00Z" };
    await Deno.writeTextFile(join(folder, "changed.json"), JSON.stringify(info));
    const before = namesIn(folder);

    const cases = [...texts.map(([name, , says]) => [name, says]), ["none.txt", "no such file"]];
    const ended = await Promise.all(
      cases.map(([name]) =>
        runTaskIn(folder, "train-gpt", ...smoke, "--data", name, "--out", `${name}.safetensors`)
      ),
    );
    ended.forEach((end, i) => assertFailed(end, 1, cases[i][1]));
    assertFailed(
      await runTaskIn(folder, "train-diffusion", ...smoke, "--out", "x.safetensors"),
      1,
      'none was fetched yet; run "deno task fetch-data"',
    );
    assertEquals(namesIn(folder), before);
  }));

/** What the system says of a path through a file; Windows says only that there is no such path. */
const NOT_A_FOLDER = Deno.build.os === "windows" ? undefined : "a part of the path is not a folder";

Deno.test("training finds out that it can't write before it starts to compute", () =>
  inTextFolder(async (folder) => {
    await Deno.mkdir(join(folder, "folder.safetensors"));
    await Deno.mkdir(join(folder, "state.training.safetensors"));
    const cases: [out: string, says: string][] = [
      ["folder.safetensors", "it is a folder"],
      ["state.safetensors", 'Cannot write "state.training.safetensors": it is a folder'],
      ["text.txt/x.safetensors", NOT_A_FOLDER ?? 'there is no folder "text.txt"'],
      ["none/x.safetensors", 'there is no folder "none"'],
    ];
    if (Deno.build.os === "linux") cases.push(["/proc/x.safetensors", 'Cannot write "/proc/x']);
    const before = namesIn(folder);
    const train = (folder: string, ...args: string[]) =>
      runTaskIn(folder, "train-gpt", ...smoke, "--data", "text.txt", ...args);
    const ended = await Promise.all(cases.map(([out]) => train(folder, "--out", out)));
    ended.forEach((end, i) => {
      assertFailed(end, 1, cases[i][1]);
      assert(!end.stderr.includes("engine:"), "it had started an engine");
    });
    assertEquals(namesIn(folder), before);

    await Deno.writeTextFile(join(folder, "weights"), "");
    const says = 'Cannot make the folder "weights": there is a file of that name';
    assertFailed(await train(folder), 1, says);
    assertEquals(await Deno.readTextFile(join(folder, "weights")), "");
    await Deno.remove(join(folder, "weights"));

    // It trains without a log where none can be written.
    await Deno.writeTextFile(join(folder, "reports"), "");
    const logless = await train(folder);
    assertEquals(logless.code, 0, logless.stderr);
    assertMatch(
      logless.stderr,
      /\nwarning: the run is not logged: Cannot make the folder [^\n]+--reports/,
    );
    assertEquals((await loadWeights(join(folder, "weights/gpt-smoke.safetensors"))).step, 30);
    assertEquals((await train(folder, "--reports", "here", "--out", "b.safetensors")).code, 0);
    assert(namesIn(join(folder, "here/runs")).includes("b.jsonl"));
  }));

Deno.test("the command in the weights says nothing of where they went", () => {
  const typed = [
    "--",
    "--preset",
    "smoke",
    "--out",
    "a.safetensors",
    "--json",
    "--seed=2",
    "--until",
    "8m",
    "--split=15M",
    "--resume",
  ];
  assertEquals(
    describeRecipe(undefined, "train-gpt", typed),
    "deno task train-gpt --preset smoke --seed=2",
  );
  assertEquals(
    describeRecipe(undefined, "train-gpt", ["--out=b", "--lr", "1"]),
    "deno task train-gpt --lr 1",
  );
});

Deno.test("the same seed gives the same losses and the same files, another seed others", () =>
  inTextFolder(async (folder) => {
    for (const kind of ["gpt", "diffusion"]) {
      const run = async (name: string, ...args: string[]) => {
        const out = `${name}.safetensors`;
        const all = ["--", ...smoke, "--data", "text.txt", "--out", out, ...args];
        const result = await jsonOf(folder, `train-${kind}`, ...all);
        const log = await Deno.readTextFile(join(folder, runLogPath(out)));
        const losses = parseRun(name, log).train.map(({ lossNats }) => lossNats);
        return { result, losses, sha256: await sha256Hex(await read(folder, out)) };
      };
      const [first, again, other] = await Promise.all([
        run("first"),
        run("again"),
        run("other", "--seed", "2"),
      ]);
      assertEquals(Object.keys(first.result).slice(0, 5), [
        "steps",
        "seconds",
        "chars_per_second",
        "loss",
        "val_bpc",
      ]);
      const { steps, engine, precision, weights } = first.result;
      assertEquals([steps, engine, precision, weights], [30, "onnx", "f32", "first.safetensors"]);
      assertEquals(first.losses.length, 30);
      assertEquals(again.losses, first.losses);
      assertEquals(again.sha256, first.sha256);
      assertNotEquals(other.losses, first.losses);
      assertNotEquals(other.sha256, first.sha256);
    }
  }));

testOnUnix(
  "signals and a POSIX shell",
  "Ctrl-C and SIGTERM save, and the command that they print goes on to the same losses",
  () =>
    inTextFolder(async (folder) => {
      const text = "a text's name.txt"; // to be quoted for the shell
      await Deno.rename(join(folder, "text.txt"), join(folder, text));
      const losses = async (out: string) => {
        const log = parseRun(out, await Deno.readTextFile(join(folder, runLogPath(out))));
        return log.train.map(({ step, lossNats }) => [step, lossNats]);
      };
      const cases = [["gpt", "SIGINT", 130], ["diffusion", "SIGTERM", 143]] as const;
      await Promise.all(cases.map(async ([kind, signal, code]) => {
        const task = `train-${kind}`, out = `my ${kind}.safetensors`, path = join(folder, out);
        const flags = [...smoke, "--data", text, "--seed", "3"];
        // Far more steps than are done before the signal, and few enough that the log has every
        // step.
        const started = ["--resume=false", ...flags, "--out", out, "--steps", "700"];
        const stopped = await signalled(signal, "step 15: validation", folder, task, ...started);
        assertEquals([stopped.code, stopped.stdout], [code, ""], stopped.stderr);
        const last = stopped.stderr.trimEnd().split("\n").at(-1)!;
        const [, step, command] = /^Interrupted: saved step (\d+) of .*; continue with: (.*)$/.exec(
          last,
        )!;
        assertEquals((await loadTraining(trainingPath(path))).counters.step, Number(step));
        await loadWeights(path, { expectKind: kind });

        const [, , name, ...args] = await shellWords(command);
        assertEquals(name, task);
        const steps = `${Number(step) + 10}`;
        args[args.indexOf("--steps") + 1] = steps; // the whole run would take too long here
        assertEquals((await jsonOf(folder, task, ...args)).steps, Number(steps));
        const straight = `straight ${kind}.safetensors`;
        await jsonOf(folder, task, ...flags, "--out", straight, "--steps", steps);
        assertEquals(await losses(out), await losses(straight));
      }));
      const left = namesIn(folder).filter((name) => /\.(tmp|lock)$/.test(name));
      assertEquals(left, []);
    }),
);

/** The words of a command line, as a POSIX shell reads them. */
async function shellWords(command: string): Promise<string[]> {
  const print = `for word in ${command}; do printf '%s\\n' "$word"; done`;
  const { stdout } = await new Deno.Command("sh", { args: ["-c", print] }).output();
  return new TextDecoder().decode(stdout).trimEnd().split("\n");
}

testOnUnix(
  "signals and symbolic links",
  "a second training of the same file is refused, by whatever name, and the first continues",
  () =>
    inTextFolder(async (folder) => {
      const flags = [...smoke, "--data", "text.txt"];
      await jsonOf(folder, "train-gpt", ...flags, "--steps", "1", "--out", "run.safetensors");
      await Deno.symlink("run.safetensors", join(folder, "link.safetensors"));
      const first = signalled(
        ...[
          "SIGINT",
          "step 600: validation",
          folder,
          "train-gpt",
          ...flags,
          "--steps",
          "900",
        ] as const,
        ...["--out", "run.safetensors"],
      );
      const locked = () => namesIn(folder).includes(".run.safetensors.lock");
      while (!locked()) await new Promise((resolve) => setTimeout(resolve, 20));
      for (const out of ["run.safetensors", join(folder, "run.safetensors"), "link.safetensors"]) {
        const second = await runTaskIn(folder, "train-gpt", ...flags, "--out", out);
        assertFailed(second, 1, "is writing it; wait until it ends, stop it, or write to another");
      }
      const { code, stderr } = await first;
      assertEquals(code, 130, stderr);
      await loadWeights(join(folder, "run.safetensors"));
    }),
);

Deno.test("--resume refuses another text, model, preset, batch, rate, seed or setting, and keeps the files", () =>
  inTextFolder(async (folder) => {
    const flags = [...smoke, "--out", "run.safetensors"], text = ["--data", "text.txt"];
    await jsonOf(folder, "train-gpt", ...flags, ...text, "--steps", "2");
    await Deno.writeTextFile(join(folder, "other.txt"), exampleText(60));
    const before = await read(folder, "run.training.safetensors");
    const cases: [task: string, args: string[], code: number, says: string][] = [
      ["train-gpt", ["--data", "other.txt"], 1, "give that text with --data"],
      ["train-gpt", [...text, "--batch", "9"], 2, "Cannot resume with --batch 9: the run has 8"],
      ["train-gpt", [...text, "--lr", "1"], 2, "Cannot resume with --lr 1: the run has 0.0003"],
      ["train-gpt", [...text, "--seed", "1"], 2, "Cannot resume with --seed 1: the run has 1337"],
      ["train-gpt", [...text, "--set", "clip=1"], 2, "Cannot resume with --set clip 1: the run ha"],
      ["train-gpt", ["--preset", "full"], 2, "Cannot resume with --preset full: the run has smok"],
      ["train-diffusion", text, 1, 'continue with "deno task train-gpt"'],
      ["train-gpt", [...text, "--out", "new.safetensors"], 1, "leave out --resume to start"],
    ];
    const resume = cases.map(([task, args]) => {
      const out = args.includes("--out") ? [] : ["--out", "run.safetensors"];
      const rest = args.includes("--preset") ? text : ["--preset", "smoke"];
      return () => runTaskIn(folder, task, ...rest, ...out, ...args, "--resume");
    });
    // One after the other: two at once would be refused for that.
    for (const [i, run] of resume.entries()) assertFailed(await run(), cases[i][2], cases[i][3]);
    assertEquals(await read(folder, "run.training.safetensors"), before);

    const done = await runTaskIn(folder, "train-gpt", ...flags, ...text, "--resume");
    assertEquals(done.code, 0, done.stderr);
    assertMatch(
      done.stderr,
      /all 2 steps are done; use --resume with a larger --steps to continue/,
    );
    assert(!/NaN|undefined/.test(done.stdout + done.stderr), done.stdout + done.stderr);
  }));

Deno.test("--resume takes the run's settings, and of what is typed how long it lasts and what computes", () =>
  inTextFolder(async (folder) => {
    const out = ["--data", "text.txt", "--out", "run.safetensors"];
    const begun = ["--preset=smoke", "--batch=4", "--lr=0.01", "--seed=9", "--steps=2"];
    await jsonOf(folder, "train-gpt", ...out, ...begun, "--engine=onnx");
    const before = await loadTraining(join(folder, "run.training.safetensors"));
    const bare = ["--resume", "--steps=3", "--eval-every=3", "--patience=5", "--threads=1"];
    const { code, stderr } = await runTaskIn(
      ...[folder, "train-gpt", ...out, ...bare, "--engine=eager:wasm"] as const,
    );
    assertEquals(code, 0, stderr);
    assertMatch(
      stderr,
      /^note: the run was computed by onnx, f32 so far, and now by eager:wasm, f32/m,
    );
    const { config, counters } = await loadTraining(join(folder, "run.training.safetensors"));
    assertEquals(config, { ...before.config, steps: 3, evalEvery: 3 });
    assertEquals([config.preset, config.batch, config.seed, counters.step], ["smoke", 4, 9, 3]);

    // The same said again is no contradiction, and the same engine no news.
    const again = [...begun.slice(0, 4), "--resume", "--steps=4", "--engine=eager:wasm"];
    const same = await runTaskIn(folder, "train-gpt", ...out, ...again);
    assertEquals(same.code, 0, same.stderr);
    assert(!same.stderr.includes("note:"), same.stderr);
  }));

Deno.test("a run whose best weights are gone saves others when it is resumed, also if nothing was left to do", () =>
  inTextFolder(async (folder) => {
    const flags = [...smoke, "--data", "text.txt", "--out", "run.safetensors"];
    const path = join(folder, "run.safetensors");
    // So fast that it only becomes worse.
    const { best_step } = await jsonOf(folder, "train-gpt", ...flags, "--lr=3", "--eval-every=1");
    assertEquals(best_step, 1);
    await Deno.remove(path);
    const resumed = await runTaskIn(folder, "train-gpt", ...flags, "--resume", "--json");
    assertEquals(resumed.code, 0, resumed.stderr);
    const says =
      /^note: run.safetensors is gone, which held the best weights so far \(of step 1\); /m;
    assertMatch(resumed.stderr, says);
    const { best_step: step, val_bpc } = JSON.parse(resumed.stdout);
    const weights = await loadWeights(path);
    const { counters, bestScore } = await loadTraining(trainingPath(path));
    assert(step > 1);
    assertEquals([weights.step, weights.scores.val_bpc], [step, val_bpc]);
    assertEquals([counters.bestStep, bestScore], [step, val_bpc]);
  }));

Deno.test("a new run under an old name says so, and the old one can be used and gone on with", () =>
  inTextFolder(async (folder) => {
    const flags = [...smoke, "--data", "text.txt", "--eval-every", "2"];
    const run = (...args: string[]) => runTaskIn(folder, "train-gpt", ...flags, ...args);
    const [weights, state] = ["", ".training"].map((part) => (name: string) =>
      read(folder, `weights/${name}${part}.safetensors`)
    );
    const first = await run("--steps", "4");
    assertEquals(first.code, 0, first.stderr);
    const last = first.stderr.match(/validation (\d\.\d{3})/g)!.at(-1)!.slice("validation ".length);
    assertMatch(first.stderr, new RegExp(`\nstep 4/4 .*val bpc ${last} .*in [^\n]*\n$`));
    assert(!first.stderr.includes("note:"), first.stderr);
    const old = [await weights("gpt-smoke"), await state("gpt-smoke")];

    const second = await run("--steps", "2", "--seed", "2");
    assertEquals(second.code, 0, second.stderr);
    assertMatch(
      second.stderr,
      /^note: this run replaces .*gpt-smoke.safetensors and .*gpt-smoke.training.safetensors \(--resume would continue it\); the previous run is kept as weights\/gpt-smoke.previous.safetensors and weights\/gpt-smoke.previous.training.safetensors$/m,
    );
    assertEquals([await weights("gpt-smoke.previous"), await state("gpt-smoke.previous")], old);
    assertNotEquals(await weights("gpt-smoke"), old[0]);

    const previous = [
      "--out",
      "weights/gpt-smoke.previous.safetensors",
      "--resume",
      "--steps",
      "6",
    ];
    const resumed = await run(...previous);
    assertEquals(resumed.code, 0, resumed.stderr);
    assertMatch(resumed.stderr, /resuming from step 4 of /);

    // One of the two files alone: what is left of the older run must not pass for its other half.
    await Deno.remove(join(folder, "weights/gpt-smoke.training.safetensors"));
    const third = await run("--steps", "2");
    assertEquals(third.code, 0, third.stderr);
    assertMatch(
      third.stderr,
      /^note: this run replaces \S+gpt-smoke.safetensors \(.*kept as \S+previous.safetensors$/m,
    );
    assertEquals(
      namesIn(join(folder, "weights")),
      ["gpt-smoke.previous.safetensors", "gpt-smoke.safetensors", "gpt-smoke.training.safetensors"],
    );
  }));

Deno.test("what is left of an older run and can't be removed ends the training before it begins, and is named", () =>
  inTextFolder(async (folder) => {
    const inTheWay = "weights/gpt-smoke.previous.safetensors";
    await Deno.mkdir(join(folder, inTheWay, "full"), { recursive: true });
    const ended = await runTaskIn(folder, "train-gpt", ...smoke, "--data", "text.txt");
    assertFailed(ended, 1, `Cannot remove ${JSON.stringify(inTheWay)}: `);
    assertEquals(namesIn(join(folder, "weights")).filter((name) => !/previous/.test(name)), []);
  }));

Deno.test("a disk that is full at a checkpoint ends the training in one line, and loses nothing (needs the right to mount)", () =>
  inTextFolder(async (folder) => {
    const disk = join(folder, "disk");
    await Deno.mkdir(disk);
    // The two files of a run take 0.4 MB; the state is written beside the old one, which takes 0.35
    // MB more.
    if (!await mount(disk, "size=500k")) return;
    try {
      const flags = [...smoke, "--data", "text.txt", "--out", "disk/run.safetensors"];
      const full = await runTaskIn(folder, "train-gpt", ...flags);
      assertFailed(full, 1, "no space left on the disk; free some space");
      assertMatch(full.stderr, /Cannot write "disk\/run.training.safetensors"/);
      const path = join(disk, "run.safetensors");
      assertEquals((await loadTraining(trainingPath(path))).counters.step, 15);
      await loadWeights(path);
      assertEquals(namesIn(disk), ["run.safetensors", "run.training.safetensors"]);

      assert(await mount(disk, "remount,size=2m"));
      assertEquals((await jsonOf(folder, "train-gpt", ...flags, "--resume")).steps, 30);
      assert(await mount(disk, "remount,ro"));
      const closed = await runTaskIn(folder, "train-gpt", ...flags);
      assertFailed(closed, 1, "the disk is read-only; choose a folder on another disk");
      await loadWeights(path);
    } finally {
      await new Deno.Command("umount", { args: [disk] }).output();
    }
  }));

/** Mounts a disk in memory, if this user may. */
async function mount(folder: string, options: string): Promise<boolean> {
  const args = ["-t", "tmpfs", "-o", options, "tmpfs", folder];
  try {
    return (await new Deno.Command("mount", { args, stderr: "null" }).output()).success;
  } catch {
    return false; // there is no such program
  }
}

Deno.test("a resumed log keeps the lines up to its step, and drops later and torn ones", () =>
  inWorkingFolder(async () => {
    const path = runLogPath("weights/x.safetensors");
    const [header, ...lines] = exampleRun("gpt").trimEnd().split("\n");
    const step = JSON.parse(lines[3]).step;
    {
      using log = await openRunLog(path, JSON.parse(header), 0);
      for (const line of lines) log.append(JSON.parse(line));
    }
    await Deno.writeTextFile(path, '{"kind":"tra', { append: true }); // as kill -9 leaves it
    {
      using log = await openRunLog(path, JSON.parse(header), step);
      log.append({ ...JSON.parse(lines[0]), step: step + 1 });
    }
    const steps = lines.map((line) => JSON.parse(line).step).filter((at) => at <= step);
    const kept = (await Deno.readTextFile(path)).trimEnd().split("\n").slice(1);
    assertEquals(kept.map((line) => JSON.parse(line).step), [...steps, step + 1]);
  }));

Deno.test("two runs can't write one log, and runs of one name in two folders have two logs", () =>
  inWorkingFolder(async () => {
    const header = JSON.parse(exampleRun("gpt").split("\n")[0]);
    const path = runLogPath("weights/x.safetensors");
    assertEquals(path, join("reports/runs/x.jsonl"));
    assertNotEquals(runLogPath("other/x.safetensors"), path);
    using _log = await openRunLog(path, header, 0);
    await assertRejects(() => openRunLog(path, header, 0), Error, "is writing it");
    using _other = await openRunLog(runLogPath("other/x.safetensors"), header, 0);
  }));

Deno.test("a log that can't be opened is told of in one line, and free for the next run", () =>
  inWorkingFolder(async () => {
    const header = JSON.parse(exampleRun("gpt").split("\n")[0]);
    const path = runLogPath("weights/x.safetensors"), { open } = Deno;
    Deno.open = (path, options) =>
      options?.append
        ? Promise.reject(new Deno.errors.PermissionDenied("Permission denied (os error 13)"))
        : open(path, options);
    try {
      await assertRejects(
        () => openRunLog(path, header, 0),
        Error,
        `Cannot write ${JSON.stringify(path)}: no permission; change the permissions`,
      );
    } finally {
      Deno.open = open;
    }
    using _log = await openRunLog(path, header, 0);
  }));

/** With the working directory in a new folder, since a log's place is relative to it. */
const inWorkingFolder = (test: () => Promise<void>) =>
  inFolder(async (folder) => {
    const before = Deno.cwd();
    Deno.chdir(folder);
    try {
      await test();
    } finally {
      Deno.chdir(before);
    }
  });

Deno.test("a resumed run keeps its settings and its command, and refuses fewer steps than are done", () =>
  inTextFolder(async (folder) => {
    const run = (...args: string[]) =>
      runTaskIn(
        folder,
        "train-gpt",
        ...smoke,
        "--data",
        "text.txt",
        "--out",
        "a.safetensors",
        ...args,
      );
    const set = ["--set", "dropout=0.1", "--seed", "3"];
    assertEquals((await run(...set, "--steps", "20", "--eval-every", "50")).code, 0);
    assertFailed(
      await run("--resume", "--set", "dropout=0.2"),
      2,
      "Cannot resume with --set dropout 0.2: the run has 0.1",
    );
    const { code, stderr } = await run("--resume", ...set, "--steps", "40", "--eval-every", "50");
    assertEquals(code, 0, stderr);
    const { command } = await loadWeights(join(folder, "a.safetensors"));
    assertMatch(command!, / --set dropout=0.1 --seed 3 --steps 20 .*, then --resume --steps 40$/);
    const nothing = await run("--resume");
    assertEquals([nothing.code, nothing.stdout], [0, ""]);
    assertEquals(
      nothing.stderr,
      "all 40 steps are done; use --resume with a larger --steps to continue\n",
    );
    const fewer = "Cannot resume with --steps 30: 40 steps are done";
    assertFailed(await run("--resume", "--steps", "30"), 2, fewer);
  }));

Deno.test("--until ends in time with weights, their pieces and the command that resumes; several ranks refuse it", () =>
  inTextFolder(async (folder) => {
    const flags = ["--data", "text.txt", ...smoke, "--until", "5s", "--split", "50K"];
    const long = [...flags, "--steps", "1000000", "--eval-every", "1000000"];
    const set = ["--set", "schedule=wsd"];
    const start = performance.now();
    const ended = await runTaskIn(folder, "train-gpt", ...long, ...set);
    assert(performance.now() - start < 5000, "it ended late");
    assertEquals(ended.code, 0, ended.stderr);
    assertMatch(
      ended.stderr,
      /^the time is up: saved step \d+ of 1000000; continue with: .*--resu/m,
    );
    assertMatch(
      ended.stderr,
      /^note: schedule=wsd decays towards step 1000000, whatever the time/m,
    );
    const path = join(folder, "weights/gpt-smoke.safetensors");
    const whole = await Deno.readFile(path);
    const pieces = namesIn(join(folder, "weights")).filter((name) => name.includes(".part-"));
    assertEquals(pieces.length, Math.ceil(whole.length / 50_000));
    const joined = pieces.flatMap((name) => [...Deno.readFileSync(join(folder, "weights", name))]);
    assertEquals(joined, [...whole]);
    assertEquals(
      (await loadWeights(path)).step,
      (await loadTraining(trainingPath(path))).counters.step,
    );

    const together = await runTaskIn(folder, "train-gpt", ...flags, "--distributed");
    assertFailed(together, 2, "Cannot use --until and --distributed together");
  }));

Deno.test("--from starts a diffusion model from the weights of a GPT; another size is refused", () =>
  inTextFolder(async (folder) => {
    const common = ["--data", "text.txt", ...smoke, "--reports", "logs"];
    await jsonOf(folder, "train-gpt", ...common, "--steps", "30", "--out", "gpt.safetensors");

    const brief = [...common, "--steps", "1", "--lr", "1e-9"];
    const from = ["--from", "gpt.safetensors"];
    const warm = await jsonOf(folder, "train-diffusion", ...brief, ...from);
    const cold = await jsonOf(folder, "train-diffusion", ...brief, "--out", "cold.safetensors");
    // The letters' frequencies at least carry over.
    assert(
      warm.val_bpc < cold.val_bpc,
      `${warm.val_bpc} bits from the GPT, ${cold.val_bpc} from nothing`,
    );
    const { command } = await loadWeights(join(folder, "weights/diffusion-smoke.safetensors"));
    assertMatch(command!, /--from gpt\.safetensors/);

    const other = await runTaskIn(folder, "train-gpt", ...common, ...from, "--set", "heads=4");
    assertFailed(other, 1, "they have heads 2, the run has 4");
  }));
