import { assert, assertEquals, assertRejects } from "@std/assert";
import { join, toFileUrl } from "@std/path";
import { UserError } from "../errors.ts";
import { sessionCases } from "../testing/sessions.ts";
import { createBrowserEngine, defaultThreads } from "./browser.ts";

// `deno task --cwd checks browser-engine` has a real browser. Here onnxruntime-node is in the place of
// onnxruntime-web, whose interface it shares.
const folder = await Deno.makeTempDir();
Deno.test.afterAll(() => Deno.remove(folder, { recursive: true }));
const address = toFileUrl(join(folder, "/"));
await Deno.writeTextFile(
  join(folder, "ort.wasm.mjs"),
  `export * from ${JSON.stringify(import.meta.resolve("onnxruntime-node"))};
export const env = { wasm: {} };`,
);

Deno.test("in a page that is not isolated from other sites, the engine has one thread", async () => {
  const { name, threads } = await createBrowserEngine({
    device: "wasm",
    threads: 4,
    folder: address,
  });
  assertEquals({ name, threads }, { name: "onnx:wasm", threads: 1 });
  assert(defaultThreads() >= 1 && defaultThreads() <= navigator.hardwareConcurrency);
});

for (const one of sessionCases) {
  Deno.test(`an onnxruntime that gives results in memory of its own: ${one.name}`, async () => {
    await one.run(await createBrowserEngine({ device: "wasm", folder: address }));
  });
}

Deno.test("a folder without onnxruntime-web is refused in one line", async () => {
  const { message } = await assertRejects(
    () => createBrowserEngine({ device: "webgpu", folder: address }),
    UserError,
    "Cannot start onnx:webgpu",
  );
  assertEquals(message.split("\n").length, 1);
});
