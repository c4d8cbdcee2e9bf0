import { assert, assertEquals, assertMatch, assertRejects } from "@std/assert";
import { fromFileUrl, join } from "@std/path";
import { tensorflowStatus } from "../engines/tensorflow/engine.ts";
import { readInstallation } from "../engines/tensorflow/binding.ts";
import { testOnLinux } from "../files/testing/system.ts";
import {
  assertUninstalls,
  end,
  endedInPip,
  fakePython,
  place as anyPlace,
  untilPipWorks,
} from "./testing/fake_tools.ts";
import { fetchSources } from "./setup/tensorflow_addon.ts";

// Python, pip and the compiler are shell scripts here, first in the PATH: they put the library and
// addon of this machine's own installation where the real ones would put theirs. What setup then
// tries and writes down is real.

const status = await tensorflowStatus();
const installed = status.available ? await readInstallation() : undefined;
if (!installed) console.warn(`skipped: setups that come to their end (${status.reason})`);
/** The Python package's folder of this machine's own installation: the run path of its addon. */
const library = installed ? await runPath(installed.addon) : undefined;

async function runPath(addon: string): Promise<string> {
  const text = new TextDecoder("latin1").decode(await Deno.readFile(addon));
  return /\/[^\0]*site-packages\/tensorflow(?=\0)/.exec(text)![0];
}

const place = () =>
  anyPlace("setup_tensorflow.ts", "TINY_DIFFUSION_TENSORFLOW", {
    python3: fakePython({
      requirement: "tensorflow-cpu==2.21.*",
      install: ":",
      found: `'{"version": "${installed?.version}", "folder": "${library}"}'`,
    }),
    "g++": `case "$*" in
  --version) echo "g++ 99";;
  *)
    test -z "$FAKE_GXX" || { echo "x.cc:1: error: no such header" >&2; exit 1; }
    while [ "$1" != "-o" ]; do shift; done; cp "${installed?.addon}" "$2";;
esac`,
  });

const missing: [what: string, env: Record<string, string>, line: RegExp][] = [
  [
    "a Python that is too old",
    { FAKE_PYTHON: "3.8" },
    /: Python 3\.8.* is in the PATH, expected 3\.1/,
  ],
  [
    "venv",
    { FAKE_NO_VENV: "1" },
    /: python3 has no venv with pip in it .*apt install python3-venv\)$/,
  ],
  [
    "the network",
    { FAKE_PIP: "network" },
    /: pip does not reach PyPI \(NewConnectionError\); check/,
  ],
  ["disk space", { FAKE_PIP: "disk" }, /: the disk is full; make room, choose another one with/],
  ["a wheel", { FAKE_PIP: "nothing" }, /: PyPI has no TensorFlow 2\.21 for this Python on .*; try/],
];
for (const [what, env, line] of missing) {
  testOnLinux(`setup without ${what} ends in one line and leaves nothing`, async () => {
    await using here = await place();
    // Other Pythons of this machine would do as well.
    const path: Record<string, string> = what.startsWith("a Python")
      ? { PATH: await withoutPython(here.bin) }
      : {};
    const { code, out, lastLine } = await end(here.setUp([], { ...env, ...path }));
    assertEquals([code, out], [1, ""]);
    assertMatch(lastLine, /^error: Cannot set up TensorFlow: /);
    assertMatch(lastLine, line);
    assertEquals(here.content(), []);
  });
}

/** A PATH with the scripts, a shell, and little else. */
async function withoutPython(bin: string): Promise<string> {
  for (const name of ["sh", "mkdir", "cp", "dirname", "sleep"]) {
    const { stdout } = await new Deno.Command("sh", { args: ["-c", `command -v ${name}`] })
      .output();
    await Deno.symlink(new TextDecoder().decode(stdout).trim(), join(bin, name));
  }
  return bin;
}

testOnLinux("setup without any Python says so", async () => {
  await using here = await place();
  const path = await withoutPython(here.bin);
  await Deno.remove(join(here.bin, "python3"));
  const { code, lastLine } = await end(here.setUp([], { PATH: path }));
  assertEquals(code, 1);
  assertMatch(
    lastLine,
    /: no Python is in the PATH, expected 3\..*apt install python3 python3-venv\)$/,
  );
});

Deno.test("setup without npm says so", async () => {
  const before = ["DENO_DIR", "NPM_CONFIG_REGISTRY"].map((name) => [name, Deno.env.get(name)]);
  const folder = await Deno.makeTempDir();
  Deno.env.set("DENO_DIR", folder);
  Deno.env.set("NPM_CONFIG_REGISTRY", "http://127.0.0.1:9"); // the port that answers nobody
  try {
    const error = await assertRejects(
      () => fetchSources(new AbortController().signal),
      Error,
      "npm does not give @tensorflow/tfjs-node-gpu@4.22.0 (",
    );
    assertMatch(error.message, /\); check the network$/);
    assertEquals(error.message.split("\n").length, 1);
  } finally {
    for (const [name, value] of before) {
      if (value === undefined) Deno.env.delete(name!);
      else Deno.env.set(name!, value);
    }
    await Deno.remove(folder, { recursive: true });
  }
});

testOnLinux("setup refuses a folder that can't be made", async () => {
  await using here = await place();
  const { code, lastLine } = await end(here.setUp(["--prefix", join(here.bin, "g++", "x")]));
  assertEquals(code, 1);
  assertMatch(lastLine, /Cannot set up TensorFlow: the folder .* can't be made: .*; try another/);
});

testOnLinux("--uninstall with --cuda is a wrong command line", async () => {
  await using here = await place();
  const { code, errors } = await end(here.setUp(["--uninstall", "--cuda"]));
  assertEquals(code, 2);
  assertMatch(errors, /^error: Cannot use --uninstall and --cuda together/);
});

function testWithTensorflow(name: string, fn: () => Promise<void>): void {
  Deno.test({ name, ignore: !installed, fn });
}

const whole = ["addon", "installation.json", "tensorflow-2.21-cpu"];

testWithTensorflow("setup can be repeated, and does nothing twice", async () => {
  await using here = await place();
  const first = await end(here.setUp(["--json"]));
  assertEquals(first.code, 0, first.errors);
  const { version, path } = JSON.parse(first.out);
  assertEquals(version, installed!.version);
  assert((await Deno.stat(path)).isFile);
  assertEquals(here.content(), whole);
  const calls = await here.calls();
  assert(
    calls.some((call) => /-m pip install .*--no-deps tensorflow(-cpu)?==2\.21\.\*$/.test(call)),
  );

  const second = await end(here.setUp());
  assertEquals(second.out, `TensorFlow ${version} is ready: ${path}\n`);
  assertEquals((await here.calls()).slice(calls.length), ["g++ --version"]);
  assertEquals(here.content(), whole);
});

testWithTensorflow(
  "a setup that is killed in pip changes nothing, and the next one works",
  async () => {
    await using here = await place();
    await endedInPip(here, "SIGKILL");
    assert(!here.content().includes("installation.json"));
    assert(here.content().includes("tensorflow-2.21-cpu")); // its pip still sleeps there

    const { code, errors } = await end(here.setUp());
    assertEquals(code, 0, errors);
    assertEquals(here.content().filter((name) => !name.startsWith(".")), whole);
  },
);

testWithTensorflow("SIGTERM ends setup and the pip it runs, with code 143", async () => {
  await using here = await place();
  const started = performance.now();
  assertEquals(await endedInPip(here, "SIGTERM"), 143);
  assert(performance.now() - started < 30_000); // pip would have slept for 60 seconds
  assertEquals(here.content(), []);
});

testWithTensorflow("a failed setup leaves the one that is in use as it is", async () => {
  await using here = await place();
  assertEquals((await end(here.setUp())).code, 0);
  const record = await Deno.readTextFile(join(here.folder, "installation.json"));
  const { code } = await end(here.setUp(["--cuda"], { FAKE_PIP: "network" }));
  assertEquals(code, 1);
  assertEquals(await Deno.readTextFile(join(here.folder, "installation.json")), record);
  assertEquals(here.content(), whole);
});

testWithTensorflow("without a compiler that works the wheel stays for the next time", async () => {
  await using here = await place();
  const { code, lastLine } = await end(here.setUp([], { FAKE_GXX: "fails" }));
  assertEquals(code, 1);
  assertMatch(
    lastLine,
    /: g\+\+ does not build the addon: x\.cc:1: error: no such header; the lines/,
  );
  assertEquals(here.content(), ["tensorflow-2.21-cpu"]);
  const again = await end(here.setUp());
  assertEquals(again.code, 0, again.errors);
  assertEquals((await here.calls()).filter((call) => call.includes("-m pip")).length, 1);
});

testWithTensorflow("--cuda asks for the build with CUDA and its libraries", async () => {
  await using here = await place();
  const { code, errors } = await end(here.setUp(["--cuda"]));
  assertEquals(code, 0, errors);
  const pip = (await here.calls()).find((call) => call.includes("-m pip"))!;
  assertMatch(pip, / tensorflow\[and-cuda\]==2\.21\.\*$/);
  assert(!pip.includes("--no-deps"));
  assertEquals(here.content(), ["addon", "installation.json", "tensorflow-2.21-cuda"]);
});

testWithTensorflow("--uninstall removes what setup has made, and nothing else", async () => {
  await using here = await place();
  await assertUninstalls(here);
});

testWithTensorflow("what the package's own installer has built is used as it is", async () => {
  await using here = await place();
  const project = join(here.folder, "..", "project");
  const own = join(project, "node_modules", "@tensorflow", "tfjs-node-gpu");
  await Deno.mkdir(join(own, "lib", "napi-v8"), { recursive: true });
  await Deno.mkdir(join(own, "deps", "lib"), { recursive: true });
  await Deno.writeTextFile(join(own, "deps", "lib", "libtensorflow.so.2"), "");
  const addon = join(own, "lib", "napi-v8", "tfjs_binding.node");
  await Deno.symlink(installed!.addon, addon);
  const task = fromFileUrl(import.meta.resolve("./setup_tensorflow.ts"));
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "--allow-all", "--no-check", "--quiet", task, "--json"],
    env: { TINY_DIFFUSION_TENSORFLOW: here.folder, PATH: here.bin, NO_COLOR: "1" },
    cwd: project,
  }).output();
  assertEquals(code, 0, new TextDecoder().decode(stderr));
  assertEquals(JSON.parse(new TextDecoder().decode(stdout)).path, addon);
  assertEquals(await here.calls(), [""]); // neither Python nor a compiler
});

testWithTensorflow(
  "two setups at a time: the second one waits for nobody and says why",
  async () => {
    await using here = await place();
    const first = here.setUp([], { FAKE_PIP: "hangs" });
    await untilPipWorks(first);
    const { code, lastLine } = await end(here.setUp());
    assertEquals(code, 1);
    assertMatch(lastLine, /^error: Cannot lock ".*setup": .* is writing it; wait until it ends/);
    first.kill("SIGTERM");
    await first.status;
    await first.stdout.cancel();
  },
);
