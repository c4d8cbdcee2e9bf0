import { assert, assertEquals, assertMatch } from "@std/assert";
import { dirname, join } from "@std/path";
import { npmOnnxruntime } from "../engines/onnx/runtime.ts";
import {
  assertUninstalls,
  end,
  endedInPip,
  fakeOnnxruntimePython,
  place as anyPlace,
} from "./testing/fake_tools.ts";

// Python and pip are shell scripts here, first in the PATH.

const npm = npmOnnxruntime();
const ignore = Deno.build.os !== "linux" || Deno.build.arch !== "x86_64";
const library = join(dirname(npm.addon), "libonnxruntime.so.1");

const place = () =>
  anyPlace("setup_onnx_cuda.ts", "TINY_DIFFUSION_ONNX_CUDA", { python3: fakeOnnxruntimePython() });

function test(name: string, fn: () => Promise<void>): void {
  Deno.test({ name, ignore, fn });
}

const whole = ["installation.json", "library", `onnxruntime-${npm.version}-bare`];

test("setup gets the wheel of the npm package's version, puts it together with the addon, and can be repeated", async () => {
  await using here = await place();
  const first = await end(here.setUp(["--json"]));
  assertEquals(first.code, 0, first.errors);
  const { version, path, available, reason, missing } = JSON.parse(first.out);
  assertEquals(version, npm.version);
  assertEquals(
    await Deno.readFile(join(path, "libonnxruntime.so.1")),
    await Deno.readFile(library),
  );
  // What is here is no CUDA half, so this must fail, and say of what.
  assertEquals(available, false);
  assertMatch(reason, /^\S[^\n]+$/);
  assert(Array.isArray(missing));
  assertEquals(here.content(), whole);
  const calls = await here.calls();
  const pip = calls.find((call) => call.includes("-m pip"))!;
  assert(pip.endsWith(` --no-deps onnxruntime-gpu==${npm.version}`), pip);

  const second = await end(here.setUp());
  assertEquals(second.code, 0, second.errors);
  const [line] = second.out.split("\n");
  assertEquals(line, `onnxruntime ${version} with CUDA is in ${path}`);
  assertMatch(second.out, /\nonnx:cuda does not run on this machine yet: \S/);
  assertEquals((await here.calls()).length, calls.length); // neither Python nor pip
  assertEquals(here.content(), whole);
});

test("--libraries gets NVIDIA's libraries too, and the engine looks for them there", async () => {
  await using here = await place();
  assertEquals((await end(here.setUp(["--libraries"]))).code, 0);
  const pip = (await here.calls()).find((call) => call.includes("-m pip"))!;
  assert(pip.endsWith(` onnxruntime-gpu[cuda,cudnn]==${npm.version}`), pip);
  assert(!pip.includes("--no-deps"));
  const record = JSON.parse(await Deno.readTextFile(join(here.folder, "installation.json")));
  assertMatch(record.packages, /-full-[0-9a-f]+\/site$/);
  assert((await Deno.stat(join(record.packages, "onnxruntime"))).isDirectory);
});

test("a setup that is killed in pip changes nothing, and the next one works", async () => {
  await using here = await place();
  await endedInPip(here, "SIGKILL");
  assert(!here.content().includes("installation.json"));
  const { code, errors } = await end(here.setUp());
  assertEquals(code, 0, errors);
  assertEquals(here.content().filter((name) => !name.startsWith(".")), whole);
});

test("SIGTERM ends setup and the pip it runs, with code 143", async () => {
  await using here = await place();
  assertEquals(await endedInPip(here, "SIGTERM"), 143);
  assertEquals(here.content(), []);
});

for (
  const [what, env, line] of [
    ["Python", { FAKE_NO_VENV: "1" }, /: python3 has no venv with pip in it /],
    [
      "the network",
      { FAKE_PIP: "network" },
      /: pip does not reach PyPI \(NewConnectionError\); check/,
    ],
    [
      "a wheel",
      { FAKE_PIP: "nothing" },
      /: PyPI has no onnxruntime-gpu [\d.]+ for this Python on .*; try/,
    ],
  ] as [string, Record<string, string>, RegExp][]
) {
  test(`setup without ${what} ends in one line and leaves nothing`, async () => {
    await using here = await place();
    const { code, out, lastLine } = await end(here.setUp([], env));
    assertEquals([code, out], [1, ""]);
    assertMatch(lastLine, /^error: Cannot set up onnxruntime for CUDA: /);
    assertMatch(lastLine, line);
    assertEquals(here.content(), []);
  });
}

test("what does not even compute on the CPU is never put to use", async () => {
  await using here = await place();
  const { code, lastLine } = await end(here.setUp([], { FAKE_PIP: "broken" }));
  assertEquals(code, 1);
  assertMatch(lastLine, /^error: Cannot set up onnxruntime for CUDA: the check of it failed: /);
  assert(!here.content().includes("installation.json"));
});

test("--uninstall removes what setup has made, and nothing else", async () => {
  await using here = await place();
  await assertUninstalls(here);
});

Deno.test("--uninstall with --libraries is a wrong command line", async () => {
  await using here = await place();
  const { code, errors } = await end(here.setUp(["--uninstall", "--libraries"]));
  assertEquals(code, 2);
  assertMatch(errors, /^error: Cannot use --uninstall and --libraries together/);
});
