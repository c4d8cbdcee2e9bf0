/** Runs every task of the pipeline once, at preset smoke on real text, and checks the results. */
import { assert, assertEquals } from "@std/assert";
import { fromFileUrl } from "@std/path";

/** Runs a task with --json and returns the object that it prints. */
// deno-lint-ignore no-explicit-any -- each task's fields are checked where they are used
async function task(name: string, ...args: string[]): Promise<any> {
  console.log(`$ deno task ${[name, ...args].join(" ")}`);
  const { code, stdout } = await new Deno.Command(Deno.execPath(), {
    args: ["task", "--quiet", name, ...args, "--json"],
    stderr: "inherit",
  }).output();
  assertEquals(code, 0, `${name} ended with exit code ${code}`);
  return JSON.parse(new TextDecoder().decode(stdout));
}

const given = fromFileUrl(new URL("../../shared/data/tinyshakespeare.txt", import.meta.url));
const here = await Deno.stat(given).then(() => true, () => false);
const data = await task("fetch-data", ...here ? ["--file", given] : []);
const text = await Deno.readTextFile(data.path);
assertEquals(new TextEncoder().encode(text).length, data.bytes);

for (const model of ["gpt", "diffusion"]) {
  const weights = `weights/${model}-smoke.safetensors`;
  const trained = await task(`train-${model}`, "--preset", "smoke");
  assertEquals(trained.steps, 30);
  assertEquals(trained.weights, weights);
  assert(trained.val_bpc > 3 && trained.val_bpc < 7, `val_bpc is ${trained.val_bpc}`);

  const sampled = await task("sample", "--model", model, "--weights", weights, "--length", "100");
  assertEquals([...sampled.samples[0].text].length, 16 + 100);
  assert(text.startsWith(sampled.prompt));

  const { rows } = await task("eval", "--model", model, "--weights", weights, "--blocks", "64");
  assert(rows.some((row: { model: string }) => row.model === "kneser-ney-6"));
  for (const { model: scored, estimator, bpc, nats } of rows) {
    if (scored !== model) continue;
    assert(nats > 2 && nats < 5, `${estimator} is ${nats} nats`);
    assertEquals(bpc === null, estimator === "masked-mean");
  }
}
const converted = await task("convert", "weights/gpt-smoke.safetensors", "weights/gpt-smoke.pt");
assertEquals(converted.tensors, 14);

const speed = ["--length", "100", "--temperature", "0.8", "--temperature", "1"];
const { rows: written } = await task(
  "quality",
  "--model",
  "diffusion",
  "--weights",
  "weights/diffusion-smoke.safetensors",
  ...speed,
);
assert(written.length > 0);

const checked = await task("check-gpu", "--engine", "onnx", "--preset", "smoke");
assertEquals(checked.rows.filter((row: { part: string }) => row.part === "sampling").length, 2);

const film = await task(
  "visualize",
  "--blocks",
  "1",
  "--weights",
  "weights/diffusion-smoke.safetensors",
  "--svg",
  "reports/film.svg",
);
assert((await Deno.readTextFile(film.svg)).includes("</svg>"));

const { engines } = await task("engines");
assert(engines.some((engine: { available: boolean }) => engine.available));

const { rows: [timed] } = await task("bench", "--preset", "smoke", "--steps", "5");
assert(timed.ms_per_step_median > 0);

const page = await task("report");
const html = await Deno.readTextFile(page.path);
assertEquals(new TextEncoder().encode(html).length, page.bytes);
for (const word of ["nelbo", "exact", "First Citizen"]) {
  assert(!here || html.includes(word), `the page lacks "${word}"`);
}
console.log("the pipeline works");
