import { assert, assertEquals, assertMatch } from "@std/assert";
import { fromFileUrl, join } from "@std/path";
import { loadWeights, saveWeights } from "../core/checkpoint.ts";
import { readPt } from "../files/pt.ts";
import { readSafetensors } from "../files/safetensors.ts";

const testdata = fromFileUrl(new URL("../core/testing/data/", import.meta.url));

/** A text with the 65 characters of the models in `core/testing/data/`, those of Tiny Shakespeare. */
const text = "First Citizen:\nBefore we proceed any further, hear me speak.\n" +
  "!$&'-.3;?ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz\n";

async function convert(...args: string[]) {
  const config = fromFileUrl(new URL("../deno.json", import.meta.url));
  const script = fromFileUrl(new URL("convert.ts", import.meta.url));
  const command = new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--no-check", "--config", config, script, ...args],
    env: { NO_COLOR: "1" },
  });
  const { code, stdout, stderr } = await command.output();
  const decode = (bytes: Uint8Array) => new TextDecoder().decode(bytes).trim();
  return { code, stdout: decode(stdout), stderr: decode(stderr) };
}

async function inFolder(body: (path: (name: string) => string) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir();
  try {
    const path = (name: string) => join(folder, name);
    await Deno.writeTextFile(path("corpus.txt"), text);
    await body(path);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

for (const kind of ["gpt", "diffusion"] as const) {
  Deno.test(`the original's ${kind}.pt goes to .safetensors and back without losing a bit`, () =>
    inFolder(async (path) => {
      const [pt, there, back] = [`${testdata}${kind}.pt`, path("x.safetensors"), path("y.pt")];
      const flags = ["--heads=2", "--block-size=24", `--data=${path("corpus.txt")}`];
      const first = await convert("--", pt, there, ...flags, "--json");
      assertEquals(first.stderr, "");
      const rows = kind === "gpt" ? 65 : 66; // embedding and head, then 12 * 32^2 for each of 2 blocks
      const parameters = 2 * rows * 32 + 2 * 12 * 32 ** 2;
      assertEquals(JSON.parse(first.stdout), { in: pt, out: there, tensors: 14, parameters });

      const model = await loadWeights(there, { expectKind: kind });
      assertEquals(model.prompt, "First Citizen:\nB");
      assertEquals([model.config.heads, model.config.context], [2, 24]);
      assertEquals(model.vocabulary.length, rows);

      const second = await convert(there, back);
      assertEquals(
        [second.code, second.stdout],
        [
          0,
          `${back}: ${kind}, 2 layers, 2 heads, 32 wide, context 24; ` +
          `14 tensors, ${parameters.toLocaleString("en-US")} parameters`,
        ],
      );
      assertEquals(
        second.stderr,
        "note: heads and context are not in a .pt file: read it with --heads 2 --block-size 24",
      );
      assertEquals(readPt(await Deno.readFile(back)), readPt(await Deno.readFile(pt)));
      const { metadata } = readSafetensors(await Deno.readFile(there));
      assertEquals(Object.keys(metadata).sort(), [
        "config",
        "format",
        "prompt",
        "scores",
        "vocabulary",
      ]);
    }));
}

Deno.test("what can't be converted is one line, the right exit code, and no file", () =>
  inFolder(async (path) => {
    const out = path("x.safetensors");
    const data = ["--data", path("corpus.txt")];
    const cases: [args: string[], code: number, message: string][] = [
      [
        [path("missing.pt"), out],
        1,
        `Cannot load "${path("missing.pt")}": no such file; check the path of IN`,
      ],
      [[`${testdata}gpt.pt`, path("x.gguf")], 2, "expected a name that ends in"],
      [[`${testdata}gpt.pt`], 2, "Missing OUT"],
      [[`${testdata}gpt.pt`, path("x.training.safetensors")], 1, "for the state of a training run"],
      [[`${testdata}gpt.pt`, out, "--heads", "3", ...data], 1, "width 32 is not a multiple"],
      [[`${testdata}gpt.pt`, path("no/x.pt")], 1, "there is no folder"],
      [[path("corpus.txt"), out], 1, "as safetensors: a header of"],
      [[`${testdata}gpt.pt`, out, "--data", path("none.txt")], 1, "Cannot read the text"],
    ];
    const results = await Promise.all(cases.map(([args]) => convert(...args)));
    results.forEach(({ code, stdout, stderr }, i) => {
      assertEquals([code, stdout, stderr.split("\n").length], [cases[i][1], "", 1], stderr);
      assert(stderr.startsWith("error: ") && stderr.includes(cases[i][2]), stderr);
    });
    assertEquals([...Deno.readDirSync(path("."))].map(({ name }) => name), ["corpus.txt"]);
  }));

/** Checks a model as strictly as ONNX can, and runs it on the tokens in stdin. */
const checkAndRun = `
import sys, json, numpy, onnx, onnxruntime
for name in sys.argv[1:]:
    onnx.checker.check_model(name, full_check=True)
    assert {(o.domain, o.version) for o in onnx.load(name).opset_import} == {("", 18)}
tokens = numpy.array(json.load(sys.stdin), numpy.int32)
sessions = [onnxruntime.InferenceSession(name, providers=["CPUExecutionProvider"])
            for name in sys.argv[1:]]
print(json.dumps([s.run(None, {"in/tokens": tokens[None]})[0].flatten().tolist() for s in sessions]))
`;
const python = Deno.env.get("PYTHON_WITH_ONNX");
if (!python) {
  console.warn(
    "skipped: exported models in ONNX's checker (set PYTHON_WITH_ONNX to a Python with onnx and onnxruntime)",
  );
}

Deno.test({
  name: "exported models pass ONNX's full check, and a plain onnxruntime gives the same logits",
  ignore: !python,
  fn: () =>
    inFolder(async (path) => {
      for (const kind of ["gpt", "diffusion"] as const) {
        const flags = ["--heads=2", "--block-size=24", `--data=${path("corpus.txt")}`];
        const pt = `${testdata}${kind}.pt`;
        for (const name of ["x.onnx", "x.safetensors"]) await convert(pt, path(name), ...flags);
        const models = [path("x.onnx")];
        const { tensors } = readSafetensors(await Deno.readFile(`${testdata}${kind}.safetensors`));
        const child = new Deno.Command(python!, {
          args: ["-c", checkAndRun, ...models],
          env: { ORT_DISABLE_TELEMETRY: "1" },
          stdin: "piped",
          stdout: "piped",
          stderr: "piped",
        }).spawn();
        const tokens = [...(tensors["batch0.x"].data as Int32Array).slice(0, 24)];
        await new Blob([JSON.stringify(tokens)]).stream().pipeTo(child.stdin);
        const { success, stdout, stderr } = await child.output();
        assert(success, new TextDecoder().decode(stderr));
        const theirs = tensors.logits.data as Float32Array;
        const found: number[][] = JSON.parse(new TextDecoder().decode(stdout));
        found.forEach((logits, i) => {
          const worst = logits.reduce((most, x, j) => Math.max(most, Math.abs(x - theirs[j])), 0);
          assert(worst <= 1e-5, `${models[i]} differs by ${worst}`);
        });
      }
    }),
});

Deno.test("float16 stays float16, and where a format can't keep the precision, stderr says so", () =>
  inFolder(async (path) => {
    const flags = ["--heads=2", "--block-size=24", `--data=${path("corpus.txt")}`];
    await convert(`${testdata}gpt.pt`, path("x.safetensors"), ...flags);
    const { sha256: _, ...model } = await loadWeights(path("x.safetensors"));
    await saveWeights(path("half.safetensors"), model, { dtype: "float16" });
    const same = await convert(path("half.safetensors"), path("again.safetensors"));
    assertEquals([same.code, same.stderr], [0, ""]);
    const [half, again] = await Promise.all(
      ["half", "again"].map((name) => Deno.readFile(path(`${name}.safetensors`))),
    );
    assertEquals(again, half);
    const pt = await convert(path("half.safetensors"), path("half.pt"));
    assertMatch(pt.stderr, /half\.safetensors are F16; .*half\.pt has float32, which holds each/);

    const { tensors } = readSafetensors(half);
    const header: Record<string, unknown> = {};
    let end = 0;
    for (const [name, { shape, data }] of Object.entries(tensors)) {
      header[name] = { dtype: "F64", shape, data_offsets: [end, end += 8 * data.length] };
    }
    const json = new TextEncoder().encode(JSON.stringify(header));
    const size = new Uint8Array(BigUint64Array.of(BigInt(json.length)).buffer);
    const values = Object.values(tensors).map(({ data }) =>
      new Uint8Array(Float64Array.from(data).buffer)
    );
    await Deno.writeFile(path("double.safetensors"), new Blob([size, json, ...values]).stream());
    const double = await convert(path("double.safetensors"), path("y.safetensors"), ...flags);
    assertEquals(double.code, 0, double.stderr);
    assertMatch(
      double.stderr,
      /double\.safetensors are F64; .*y\.safetensors has float32, which rounds/,
    );
    const { weights } = await loadWeights(path("y.safetensors"));
    for (const [name, { data }] of Object.entries(tensors)) assertEquals(weights[name].data, data);
  }));

for (const kind of ["gpt", "diffusion"] as const) {
  Deno.test(`the ${kind} as .onnx gives the original's logits in ONNX Runtime`, () =>
    inFolder(async (path) => {
      const { InferenceSession, Tensor } = await import("onnxruntime-node");
      const flags = ["--heads=2", "--block-size=24", `--data=${path("corpus.txt")}`];
      const { code, stderr } = await convert(`${testdata}${kind}.pt`, path("x.onnx"), ...flags);
      assertEquals([code, stderr], [0, ""]);
      const { tensors } = readSafetensors(await Deno.readFile(`${testdata}${kind}.safetensors`));
      const session = await InferenceSession.create(path("x.onnx"));
      for (const row of [0, 1, 2]) {
        const tokens = (tensors["batch0.x"].data as Int32Array).slice(24 * row, 24 * (row + 1));
        const fed = { "in/tokens": new Tensor("int32", tokens, [1, 24]) };
        const logits = (await session.run(fed))["out/logits"].data as Float32Array;
        const theirs = tensors.logits.data as Float32Array;
        // Float32 sums in another order: about 1e-6; the parity tests allow 1e-5 as well.
        const worst = logits.reduce(
          (most, value, i) => Math.max(most, Math.abs(value - theirs[row * logits.length + i])),
          0,
        );
        assert(worst <= 1e-5, `row ${row} differs by ${worst}`);
      }
      await session.release();
    }));
}
