import { assert, assertEquals, assertMatch, assertRejects } from "@std/assert";
import { engineStatuses, startEngine } from "./start.ts";
import { UserError } from "./errors.ts";
import { type EngineName, engineNames } from "./names.ts";
import { testedEngines } from "./testing/tested_engines.ts";

const statuses = await engineStatuses(testedEngines);

Deno.test("each engine has a status: what it is good for, or in one line why it can't run here", () => {
  assertEquals(statuses.map(({ name }) => name), testedEngines);
  for (const { name, available, reason } of statuses) {
    assert(reason.length > 10 && !reason.includes("\n"));
    assert(available || reason.includes(`"${name}"`), reason);
  }
  assert(statuses.find(({ name }) => name === "eager:cpu")!.available);
});

Deno.test("auto takes the first of tensorflow, onnx and eager:wasm that runs here, and says why", async () => {
  const first = ["tensorflow", "onnx", "eager:wasm"]
    .find((name) => statuses.some((status) => status.name === name && status.available));
  const { engine, reason } = await startEngine("auto");
  assertEquals(engine.name, first);
  assert(reason!.length > 10);
});

Deno.test("in int8 auto takes onnx before tensorflow", async () => {
  const onnx = statuses.find(({ name }) => name === "onnx");
  if (!onnx?.available) return;
  const { engine } = await startEngine("auto", { precision: "int8" });
  assertEquals([engine.name, engine.precision], ["onnx", "int8"]);
});

/** The engine that `auto` finds in a process that lacks a permission. */
async function autoWith(flags: string[], options = "{}"): Promise<string> {
  const module = new URL("start.ts", import.meta.url).href;
  const script = `import { startEngine } from "${module}";
    try {
      const { engine, reason } = await startEngine("auto", ${options});
      console.log(engine.name + ": " + reason);
    } catch (error) {
      console.log("refused: " + error.message);
    }`;
  const process = new Deno.Command(Deno.execPath(), {
    args: ["run", "--no-prompt", "--no-check", "--allow-all", ...flags, "-"],
    cwd: new URL("..", import.meta.url),
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const writer = process.stdin.getWriter();
  await writer.write(new TextEncoder().encode(script));
  await writer.close();
  const { stdout, stderr } = await process.output();
  const lines = new TextDecoder().decode(stdout).trim();
  assert(lines !== "", new TextDecoder().decode(stderr));
  return lines;
}

Deno.test("without native libraries auto falls back to WebAssembly, and says that onnxruntime does not start", async () => {
  assertMatch(
    await autoWith(["--deny-ffi"]),
    /^eager:wasm: onnxruntime does not start here; .*Cannot start the engine "onnx": /,
  );
});

Deno.test("a precision is refused by every engine that lacks it", async () => {
  for (const [precision, only] of [["bf16", "tensorflow"], ["int8", "onnx"]] as const) {
    for (const name of engineNames.filter((name) => name !== only)) {
      const error = await assertRejects(() => startEngine(name, { precision }), UserError);
      assertEquals(
        error.message,
        `Cannot compute in ${precision} on the engine "${name}": only ${only} has that; leave out --precision`,
      );
    }
  }
});

Deno.test("auto computes in float32, and says so, where only engines without the precision run", async () => {
  assertMatch(
    await autoWith(["--deny-ffi"], `{ precision: "bf16" }`),
    /^eager:wasm: .*; in float32, since only tensorflow has bf16/,
  );
  assertMatch(
    await autoWith(["--deny-ffi"], `{ precision: "int8" }`),
    /^eager:wasm: .*; in float32, since only onnx has int8/,
  );
});

Deno.test("an engine of an unknown name is refused with the names there are", async () => {
  const error = await assertRejects(() => startEngine("cuda" as EngineName));
  assertMatch(
    (error as Error).message,
    /^Cannot start the engine "cuda": .*onnx, onnx:cuda, onnx:webgpu, tensorflow/,
  );
});
