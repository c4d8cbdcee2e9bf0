import { assert, assertAlmostEquals, assertEquals, assertMatch } from "@std/assert";
import { dirname, fromFileUrl, join } from "@std/path";
import { testOnLinux } from "../../files/testing/system.ts";
import { tensorflowStatus } from "./engine.ts";
import { type Installation, readInstallation } from "./binding.ts";

// A process loads the addon once at most, so each status here is that of a process of its own.

const status = await tensorflowStatus();
const installed = status.available ? await readInstallation() : undefined;
if (!installed) console.warn(`skipped: tests of TensorFlow's addon (${status.reason})`);

interface Answer {
  available: boolean;
  reason: string;
  engine: string;
  stderr: string;
}

/** What a process finds if `record` is all that setup has written down. */
async function answerTo(record: Partial<Installation> | string | undefined): Promise<Answer> {
  const folder = await Deno.makeTempDir();
  try {
    const text = typeof record === "string" ? record : JSON.stringify(record);
    if (text !== undefined) {
      await Deno.writeTextFile(join(folder, "installation.json"), text);
    }
    const script = `
      import { tensorflowStatus } from ${JSON.stringify(import.meta.resolve("./engine.ts"))};
      import { startEngine } from ${JSON.stringify(import.meta.resolve("../mod.ts"))};
      const status = await tensorflowStatus();
      const { engine } = await startEngine("auto");
      console.log(JSON.stringify({ ...status, engine: engine.name }));
    `;
    const { success, out, errors } = await runScript(script, { TINY_DIFFUSION_TENSORFLOW: folder });
    assert(success, errors);
    return { ...JSON.parse(out), stderr: errors };
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

async function runScript(script: string, env: Record<string, string> = {}) {
  const config = fromFileUrl(import.meta.resolve("../../deno.json"));
  const child = new Deno.Command(Deno.execPath(), {
    args: ["run", "--allow-all", "--no-check", "--quiet", `--config=${config}`, "-"],
    env: { NO_COLOR: "1", ...env },
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const writer = child.stdin.getWriter();
  await writer.write(new TextEncoder().encode(script));
  await writer.close();
  const { success, stdout, stderr } = await child.output();
  const [out, errors] = [stdout, stderr].map((bytes) => new TextDecoder().decode(bytes));
  return { success, out, errors };
}

/** A record whose every part is there. */
const record = (changes: Partial<Installation>): Installation => ({
  version: "2.21.0",
  arch: Deno.build.arch,
  addon: "/nowhere/tfjs_binding.node",
  package: "/nowhere",
  prefix: "/nowhere",
  ...installed,
  ...changes,
});

const text = join(await Deno.makeTempDir(), "text.node");
await Deno.writeTextFile(text, "no addon");
addEventListener("unload", () => Deno.removeSync(dirname(text), { recursive: true }));
const otherArch = Deno.build.arch === "x86_64" ? "aarch64" : "x86_64";

const broken: [what: string, record: Partial<Installation> | string | undefined, reason: RegExp][] =
  [
    ["is not set up", undefined, /^it is not set up; run `deno task setup-tensorflow`$/],
    ["has half a record", `{"version": "2.`, /installation\.json is damaged; run `deno task/],
    ["has a record of other things", { version: "2.21.0" }, /installation\.json is damaged; run/],
    [
      "was built for another CPU",
      record({ arch: otherArch }),
      new RegExp(`^its addon was built for another CPU \\(${otherArch}, expected`),
    ],
    [
      "has lost its addon",
      record({ addon: "/nowhere/tfjs_binding.node" }),
      /\/nowhere\/tfjs_binding\.node .*; run `deno task setup-tensorflow` again$/,
    ],
    [
      "has text for an addon",
      record({ addon: text }),
      /text\.node is damaged or was built for another CPU; run `deno task setup-tensorflow` again$/,
    ],
  ];
for (const [what, record, reason] of broken) {
  testOnLinux(`a TensorFlow that ${what} is passed by in one line`, async () => {
    const answer = await answerTo(record);
    assertEquals(answer.available, false);
    assertMatch(answer.reason, reason);
    assertEquals(answer.reason.split("\n").length, 1);
    assert(answer.engine !== "tensorflow");
    assertEquals(answer.stderr, "");
  });
}

Deno.test({
  name: "an addon that finds another TensorFlow than it was built for is passed by",
  ignore: !installed,
  async fn() {
    const { reason, engine } = await answerTo(record({ version: "2.9.1" }));
    assertMatch(reason, /^its addon was built for TensorFlow 2\.9\.1 but finds .*; run `deno task/);
    assertEquals(engine, "onnx");
  },
});

const compiler = await new Deno.Command("g++", { args: ["--version"] }).output()
  .then(({ success }) => success, () => false);
if (!compiler) console.warn("skipped: an addon that misses a symbol (no g++)");

Deno.test({
  name: "an addon that misses a symbol or a library is passed by, and named",
  ignore: !compiler,
  async fn() {
    const folder = await Deno.makeTempDir();
    const build = async (name: string, source: string, ...flags: string[]) => {
      await Deno.writeTextFile(join(folder, "source.cc"), source);
      const args = [
        "-shared",
        "-fPIC",
        "-o",
        join(folder, name),
        join(folder, "source.cc"),
        ...flags,
      ];
      const { success, stderr } = await new Deno.Command("g++", { args }).output();
      assert(success, new TextDecoder().decode(stderr));
      return join(folder, name);
    };
    try {
      const source = `extern "C" void TF_Gone(); void call() { TF_Gone(); }`;
      const symbol = await build("symbol.node", source, "-Wl,-z,now"); // as setup builds it
      assertMatch(
        (await answerTo(record({ addon: symbol }))).reason,
        /misses the symbol TF_Gone: the library has changed; run `deno task setup-tensorflow` again$/,
      );
      await build("libgone.so", "");
      const library = await build(
        "library.node",
        "",
        "-Wl,--no-as-needed",
        `-L${folder}`,
        "-lgone",
      );
      await Deno.remove(join(folder, "libgone.so"));
      assertMatch(
        (await answerTo(record({ addon: library }))).reason,
        /the library libgone\.so is gone; run `deno task setup-tensorflow` again$/,
      );
    } finally {
      await Deno.remove(folder, { recursive: true });
    }
  },
});

Deno.test({
  name: "TensorFlow says nothing on stderr, and auto takes it where it is set up",
  ignore: !installed,
  async fn() {
    const { available, engine, stderr } = await answerTo(installed!);
    assertEquals({ available, engine, stderr }, {
      available: true,
      engine: "tensorflow",
      stderr: "",
    });
  },
});

Deno.test({
  name: "TensorFlow computes right where WebGPU has opened another LLVM before it",
  ignore: !installed,
  async fn() {
    const script = `
      import * as tf from "@tensorflow/tfjs-core";
      import { startEngine } from ${JSON.stringify(import.meta.resolve("../mod.ts"))};
      import { checkKernels } from ${JSON.stringify(import.meta.resolve("../testing/kernels.ts"))};
      const webgpu = await startEngine("eager:webgpu").catch((error) => error.message);
      if (typeof webgpu === "string") console.log("skipped: " + webgpu);
      else {
        const x = { shape: [2], data: Float32Array.of(1, 2) };
        const exp = { inputs: {}, body: ({ x }) => ({ outputs: { y: tf.exp(x) } }) };
        const session = await webgpu.engine.load({ x }, { exp });
        await session.run("exp", {});
        const { engine } = await startEngine("tensorflow");
        await checkKernels(engine);
        console.log("right");
      }
    `;
    const { success, out, errors } = await runScript(script);
    assert(success, errors);
    if (out.startsWith("skipped")) console.warn(out);
    else assertEquals(out, "right\n");
  },
});

// docs/performance.md names these flags for long runs.
const fusing = "--tf_xla_auto_jit=2 --tf_xla_cpu_global_jit --tf_xla_ops_to_cluster=FUSIBLE";

Deno.test({
  name:
    "with TF_XLA_FLAGS, XLA fuses what is computed element by element, and results stay the same",
  ignore: !installed,
  async fn() {
    const script = `
      import * as tf from "@tensorflow/tfjs-core";
      import { tensorflowEngine } from ${JSON.stringify(import.meta.resolve("./engine.ts"))};
      const engine = await tensorflowEngine({ threads: 1 });
      const w = { shape: [4, 4], data: Float32Array.from({ length: 16 }, (_, i) => i / 7 - 1) };
      const session = await engine.load({ w }, {
        step: {
          inputs: { x: { shape: [4, 4], dtype: "float32" } },
          body({ w }, { x }) {
            const sum = (w) => tf.sum(tf.square(tf.relu(tf.add(tf.mul(tf.matMul(x, w), w), w))));
            return { outputs: { gradient: tf.grad(sum)(w) } };
          },
        },
      });
      const x = Float32Array.from({ length: 16 }, (_, i) => Math.cos(i));
      for (let i = 0; i < 3; i++) {
        console.log(JSON.stringify([...(await session.run("step", { x })).gradient]));
      }
    `;
    const env = { TF_CPP_MIN_LOG_LEVEL: "0" };
    const [plain, fused] = await Promise.all([
      runScript(script, env),
      runScript(script, { ...env, TF_XLA_FLAGS: fusing }),
    ]);
    assert(plain.success && fused.success, plain.errors + fused.errors);
    assert(!plain.errors.includes("Compiled cluster"), plain.errors);
    assertMatch(fused.errors, /Compiled cluster using XLA/);
    const [expected, found] = [plain, fused].map(({ out }) =>
      out.trim().split("\n").flatMap((line) => JSON.parse(line) as number[])
    );
    assertEquals(found.length, 48);
    // XLA may contract a product and a sum to one operation, which rounds once less.
    found.forEach((value, i) => assertAlmostEquals(value, expected[i], 1e-5));
  },
});
