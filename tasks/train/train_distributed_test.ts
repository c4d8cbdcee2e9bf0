import { assert, assertEquals, assertMatch } from "@std/assert";
import { fromFileUrl, join } from "@std/path";
import { loadTraining, loadWeights } from "../../core/checkpoint.ts";
import type { ModelKind } from "../../core/config.ts";
import { assertSameWeights } from "../../core/testing/ranks.ts";
import { mpiEnvironment, testedLaunchers } from "../../engines/testing/mpiruns.ts";
import { testOnLinux } from "../../files/testing/system.ts";
import {
  assertFailed,
  type Ended,
  exampleText,
  inFolder,
  namesIn,
  runTaskIn,
} from "../testing/task_process.ts";

const root = fromFileUrl(new URL("../..", import.meta.url));
const launchers = await testedLaunchers("training");

const always = "--preset smoke --data text.txt --engine onnx --threads 1 --eval-every 8 --json";
/** All that a rank could get wrong is on. */
const fresh = "--set optimizer=muon --set dropout=0.2 --set emaDecay=0.9 --set clip=0.5";

/** The same run by one process, to hold the others against. */
async function trainAlone(folder: string, kind: ModelKind, more: string): Promise<void> {
  const flags = `${always} --out one.safetensors ${more}`.split(" ");
  const { code, stderr } = await runTaskIn(folder, `train-${kind}`, ...flags);
  assertEquals(code, 0, stderr);
}

const number = "${OMPI_COMM_WORLD_RANK:-$PMI_RANK}";
/**
 * What each rank runs. One shell tells its process and becomes the task; the other outlives it and
 * tells its exit code.
 */
const shells = {
  becoming: `echo $$ > pid.${number}; exec "$@"`,
  outliving: `trap : INT TERM; "$@" & pid=$!; echo $pid > pid.${number}; ` +
    `while kill -0 $pid 2>/dev/null; do wait $pid; code=$?; done; ` + // a signal ends the wait early
    `echo $code > code.${number}; exit $code`,
};

/** Starts ranks of a task as `deno task` would. */
function start(
  folder: string,
  [mpirun, ...flags]: string[],
  size: number,
  kind: ModelKind,
  more: string,
  shell: keyof typeof shells = "becoming",
): Deno.ChildProcess {
  const { tasks } = JSON.parse(Deno.readTextFileSync(join(root, "deno.json")));
  const [, run, ...rest]: string[] = tasks[`train-${kind}`].command.split(" ");
  const script = join(root, rest.pop()!);
  const deno = [Deno.execPath(), run, "--config", join(root, "deno.json"), "--frozen", ...rest];
  const task = `-- ${always} --distributed --out ranks.safetensors ${more}`.split(" ");
  return new Deno.Command(mpirun, {
    args: [...flags, `${size}`, "sh", "-c", shells[shell], "sh", ...deno, script, ...task],
    cwd: folder,
    env: { NO_COLOR: "1", ...mpiEnvironment },
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
}

/** Waits for the end; `act` is called once stderr has said `words`. */
async function ended(process: Deno.ChildProcess, words?: string, act = () => {}): Promise<Ended> {
  const stdout = process.stdout.text();
  let stderr = "", acted = words === undefined;
  for await (const text of process.stderr.pipeThrough(new TextDecoderStream())) {
    stderr += text;
    if (acted || !stderr.includes(words!)) continue;
    acted = true;
    act();
  }
  const { code } = await process.status;
  assert(acted, `it ended without "${words}": ${stderr}`);
  return { code, stdout: await stdout, stderr };
}

const state = (folder: string, name: string) =>
  loadTraining(join(folder, `${name}.training.safetensors`));

async function assertSameRun(folder: string): Promise<void> {
  const [a, b] = [await state(folder, "one"), await state(folder, "ranks")];
  assertEquals([b.counters.step, b.random], [a.counters.step, a.random]);
  assertSameWeights(a.weights, b.weights, a.config);
  const { step } = await loadWeights(join(folder, "one.safetensors"));
  assertEquals((await loadWeights(join(folder, "ranks.safetensors"))).step, step);
  assertEquals(namesIn(folder).filter((name) => /\.(tmp|lock)$/.test(name)), []);
}

/** Trains on two ranks, kills one of them, and asserts that the job ends well. */
async function killRank(folder: string, mpirun: string[], victim: number): Promise<void> {
  const process = start(folder, mpirun, 2, "diffusion", `${fresh} --steps 1000000`);
  const { code, stdout, stderr } = await ended(process, "step 16: validation", () => {
    Deno.kill(Number(Deno.readTextFileSync(join(folder, `pid.${victim}`))), "SIGKILL");
  });
  assert(code !== 0, stderr);
  // MPICH's mpirun says so on stdout, and names another signal if the other rank, which was reading
  // the memory of the killed one, was aborted by its transport first.
  assertMatch(stderr + stdout, /signal (9|6)\b/);
  assertMatch(stderr, /^should a rank die, .* resume .* with: mpirun -n 2 deno task train-diff/m);
  const { step } = (await state(folder, "ranks")).counters;
  assert(step >= 8 && step % 8 === 0, `${step}`); // that of 16 may just have been written
  await loadWeights(join(folder, "ranks.safetensors"));
}

function test(sentence: string, ignore: boolean, body: (folder: string) => Promise<void>): void {
  Deno.test({
    name: sentence,
    ignore,
    fn: () =>
      inFolder(async (folder) => {
        await Deno.writeTextFile(join(folder, "text.txt"), exampleText(100));
        await body(folder);
      }),
  });
}

/** A process takes a second to start, so the models and signals are dealt out. */
const cases: Record<string, { kind: ModelKind; victim: number; signal: Deno.Signal }> = {
  "Open MPI": { kind: "gpt", victim: 0, signal: "SIGTERM" },
  "MPICH": { kind: "diffusion", victim: 1, signal: "SIGINT" },
};

for (const { name, mpirun = [] } of launchers) {
  const { kind, victim, signal } = cases[name], ignore = mpirun.length === 0;

  test(
    `two ranks of ${name} train a ${kind} to the weights of one process, and one of them tells`,
    ignore,
    async (folder) => {
      await trainAlone(folder, kind, `${fresh} --steps 20`);
      const process = start(folder, mpirun, 2, kind, `${fresh} --steps 20`);
      const { code, stdout, stderr } = await ended(process);
      assertEquals(code, 0, stderr);
      assertEquals(JSON.parse(stdout).ranks, 2); // one object
      assertEquals(stderr.match(/^ranks: .*$/gm), [`ranks: 2 (${name}), each with threads: 1`]);
      await assertSameRun(folder);
    },
  );

  test(
    `kill -9 of rank ${victim} of ${name} ends the job, says how to go on and leaves whole files`,
    ignore,
    (folder) => killRank(folder, mpirun, victim),
  );

  // MPICH's mpirun hands the signal on to all ranks; Open MPI's does too, but kills them a second
  // later.
  const told = name === "MPICH" ? "mpirun" : "rank 1";
  test(
    `${signal} to ${told} of ${name} stops all ranks at one step, which is saved`,
    ignore,
    async (folder) => {
      const process = start(folder, mpirun, 2, "gpt", `${fresh} --steps 1000000`, "outliving");
      const read = (name: string) => Number(Deno.readTextFileSync(join(folder, name)));
      const { stderr } = await ended(process, "step 8: validation", () => {
        Deno.kill(told === "mpirun" ? process.pid : read("pid.1"), signal);
      });
      const saved = /^Interrupted: saved step (\d+) of .*; continue with: mpirun -n 2 /m.exec(
        stderr,
      );
      assertEquals((await state(folder, "ranks")).counters.step, Number(saved?.[1]), stderr);
      const code = signal === "SIGINT" ? 130 : 143;
      assertEquals([read("code.0"), read("code.1")], [code, code]);
    },
  );
}

const { mpirun = [] } = launchers.find(({ mpirun }) => mpirun) ?? {}, ignore = mpirun.length === 0;

test(
  "from the checkpoint that kill -9 left, three ranks go on as one process does",
  ignore,
  async (folder) => {
    await killRank(folder, mpirun, 1);
    for (const suffix of [".safetensors", ".training.safetensors"]) {
      await Deno.copyFile(join(folder, `ranks${suffix}`), join(folder, `one${suffix}`));
    }
    const { step } = (await state(folder, "ranks")).counters;
    await trainAlone(folder, "diffusion", `--resume --steps ${step + 8}`);
    const process = start(folder, mpirun, 3, "diffusion", `--resume --steps ${step + 8}`);
    const { code, stderr } = await ended(process);
    assertEquals(code, 0, stderr);
    await assertSameRun(folder);
  },
);

test("more ranks than windows in a batch are refused, by one of them", ignore, async (folder) => {
  const process = start(folder, mpirun, 3, "gpt", "--batch 2");
  const { code, stdout, stderr } = await ended(process);
  assert(code !== 0 && !stdout.includes("{"), stderr);
  assertEquals(stderr.match(/^error: .*$/gm), [
    "error: Cannot share a batch of 2 among 3 ranks: each needs a window of text or more; " +
    "start fewer ranks or raise --batch",
  ]);
});

testOnLinux(
  "--distributed without mpirun says in one line what to do, and writes nothing",
  () =>
    inFolder(async (folder) => {
      const ended = await runTaskIn(folder, "train-gpt", "--distributed");
      assertFailed(
        ended,
        1,
        'mpirun did not start this process; put "mpirun -n 2" before the comm',
      );
      assertEquals(namesIn(folder), []);
    }),
);
