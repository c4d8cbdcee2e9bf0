import {
  assert,
  assertEquals,
  assertRejects,
  assertStringIncludes,
  assertThrows,
} from "@std/assert";
import { mapValues } from "@std/collections/map-values";
import { join } from "@std/path";
import { loadWeights } from "../../core/checkpoint.ts";
import { makeConfig } from "../../core/config.ts";
import * as diffusion from "../../core/diffusion.ts";
import { lockFile } from "../../core/files/lock.ts";
import { initialWeights } from "../../core/model.ts";
import { windowLogits } from "../../core/programs.ts";
import { seededRandom } from "../../core/random.ts";
import { UserError } from "../../engines/errors.ts";
import { startEngine } from "../../engines/mod.ts";
import type { HostTensors } from "../../engines/tensors.ts";
import { rendered } from "../testing/rendered.ts";
import { inFolder, jsonOf, namesIn, writeWeights } from "../testing/task_process.ts";
import { makeReference, requests, runInDeno } from "../testing/tryit_reference.ts";
import { tryItSection } from "./sections/try_it.tsx";
import { readTryIt, writeTryIt } from "./tryit.ts";
import { onnxruntimeNames, onnxruntimeWeb } from "./tryit/bundle.ts";
import { exportModel } from "./tryit/export_model.ts";
import { tryItPage } from "./tryit/page.tsx";

/** Preset smoke with 11 characters; weights large enough that rounding them shows. */
function example() {
  const config = makeConfig("diffusion", "smoke", 12);
  const random = seededRandom(5);
  const weights = initialWeights(config, random);
  for (const { data } of Object.values(weights)) data.forEach((x, i) => data[i] = 10 * x);
  const window = Int32Array.from({ length: config.context }, () => random.integer(12));
  return { config, weights, window };
}

/** The float32 weights that the file represents. */
const roundedWeights = (weights: HostTensors): HostTensors =>
  mapValues(
    weights,
    ({ shape, data }) => ({ shape, data: Float32Array.from(new Float16Array(data)) }),
  );

Deno.test("the file with float16 weights computes the network with the weights that it stands for", () =>
  inFolder(async (folder) => {
    const { config, weights, window } = example();
    const path = join(folder, "model.onnx");
    await Deno.writeFile(path, exportModel({ config, weights }));
    const found = await (await runInDeno(path, config.context))(window);

    const { engine } = await startEngine("onnx", { threads: 1 });
    const programs = { logits: windowLogits(diffusion, config, 1) };
    const logitsOf = async (values: typeof weights) => {
      const session = await engine.load(values, programs);
      const { logits } = await session.run("logits", { tokens: window });
      session.dispose();
      return logits;
    };
    const apart = (a: Float32Array, b: Float32Array) =>
      a.reduce((most, x, i) => Math.max(most, Math.abs(x - b[i])), 0);
    const expected = await logitsOf(roundedWeights(weights));
    const rounding = apart(found, await logitsOf(weights));
    // Other operators, other order of sums of up to 128 terms: some 2^-24 of logits up to 2 each,
    // over two layers.
    const difference = apart(found, expected);
    assert(difference < 1e-4, `${difference}`);
    assert(rounding > 4 * difference, `rounding weights changes the logits by ${rounding} only`);
  }));

Deno.test("a weight beyond float16 is refused, with its name and place", () => {
  const { config, weights } = example();
  weights["blocks.0.mlp.c_fc.weight"].data[3] = 70_000;
  assertThrows(
    () => exportModel({ config, weights }),
    UserError,
    'Cannot store "blocks.0.mlp.c_fc.weight" as float16: 70000 at position 3, expected at most 65504',
  );
});

Deno.test("what the page writes is what deno task sample writes, for every sampler, prompt and template", () =>
  inFolder(async (folder) => {
    await writeWeights(folder, {
      change(weights) {
        for (const { data } of Object.values(weights)) {
          data.forEach((x, i) => data[i] = Math.fround(new Float16Array([10 * x])[0]));
        }
      },
    });
    const weights = "weights/diffusion-smoke.safetensors";
    const model = await loadWeights(join(folder, weights));
    const path = join(folder, "model.onnx");
    await Deno.writeFile(path, exportModel(model));
    const run = await runInDeno(path, model.config.context);
    const dashed = (key: string) => key.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
    const chosen = [0, 4, 7].map((i) => requests[i]);
    await Promise.all(chosen.map(async (request) => {
      const { settings = {}, ...rest } = request;
      const flags = Object.entries({ ...rest, ...settings, weights, data: "text.txt", threads: 1 })
        .map(([key, value]) => `--${dashed(key)}=${value}`);
      const { samples: [{ text }] } = await jsonOf(folder, "sample", "--engine=onnx", ...flags);
      assertEquals((await makeReference(run, model, request)).texts.at(-1), text);
    }));
  }));

Deno.test("the folder is written once for the same weights, and its model again for others", () =>
  inFolder(async (folder) => {
    await writeWeights(folder);
    const weights = join(folder, "weights/diffusion-smoke.safetensors");
    const site = join(folder, "reports, mine/try-it");
    const notes: string[] = [];
    const write = () => writeTryIt(site, { weights, note: (line) => notes.push(line) });
    const modified = async () =>
      (await Promise.all(
        [...onnxruntimeNames, "model.onnx"].map((name) => Deno.stat(join(site, name))),
      )).map(({ mtime }) => mtime!.getTime());

    assertEquals(await readTryIt(site), undefined);
    const first = await write();
    assert(first !== undefined, notes.join());
    assertEquals(await readTryIt(site), first);
    const { bytes, modelBytes } = first;
    const names = ["contents.json", "index.html", "model.onnx", ...onnxruntimeNames, "worker.js"];
    assertEquals(namesIn(site), names.sort());
    const sizes = await Promise.all(
      names.map(async (name) => (await Deno.stat(join(site, name))).size),
    );
    const all = sizes.reduce((a, b) => a + b) - (await Deno.stat(join(site, "contents.json"))).size;
    assertEquals([bytes, modelBytes], [all, (await Deno.stat(join(site, "model.onnx"))).size]);

    const before = await modified();
    assertEquals(await write(), first);
    assertEquals(await modified(), before);

    await writeWeights(folder, { change: (all) => all["lm_head.weight"].data[0] = 1 });
    const second = await write();
    assert(second!.weightsSha256 !== first.weightsSha256);
    assertEquals((await modified()).map((time, i) => time === before[i]), [
      ...onnxruntimeNames.map(() => true),
      false,
    ]);
  }));

Deno.test("while another process writes the folder nothing is written into it, and one line says so", () =>
  inFolder(async (folder) => {
    await writeWeights(folder);
    const weights = join(folder, "weights/diffusion-smoke.safetensors"),
      site = join(folder, "site");
    await Deno.mkdir(site);
    using _lock = await lockFile(join(site, "contents.json"));
    await assertRejects(
      () => writeTryIt(site, { weights, patienceMs: 0 }),
      Error,
      "is writing it; wait until it ends",
    );
    assertEquals(namesIn(site), [".contents.json.lock"]);
  }));

Deno.test("without weights, or without npm, there is no page and one line says why", () =>
  inFolder(async (folder) => {
    const site = join(folder, "site");
    const notes: string[] = [];
    const note = (line: string) => notes.push(line);
    const unreachable = {
      DENO_DIR: join(folder, "cache"),
      NPM_CONFIG_REGISTRY: "http://127.0.0.1:9",
    };
    await writeWeights(folder);
    const weights = join(folder, "weights/diffusion-smoke.safetensors");
    assertEquals(await writeTryIt(site, { weights, note, env: unreachable }), undefined);
    assertEquals(notes.length, 1, notes.join("\n"));
    assert(
      /^No page to try the model: .*; check the network and try again$/.test(notes[0]),
      notes[0],
    );
    assertEquals(await readTryIt(site), undefined);

    for (const name of ["none.safetensors", "weights/gpt-smoke.safetensors", "text.txt"]) {
      notes.length = 0;
      assertEquals(await writeTryIt(site, { weights: join(folder, name), note }), undefined);
      assertEquals(notes.length, 1, notes.join("\n"));
      assert(notes[0].startsWith("No page to try the model: Cannot "), notes[0]);
    }
    assertEquals(namesIn(folder).filter((name) => name.startsWith("site")), []);
  }));

const HOSTILE =
  "\n</textarea></script><script>alert(1)</script><img src=x onerror=alert(2)>\"'&amp;<!--";

Deno.test("a prompt and a vocabulary full of markup stay texts, and the policy has no other origin", async () => {
  const vocabulary = ["_", ...new Set(HOSTILE + "\u2028")];
  const facts = {
    vocabulary,
    context: 32,
    prompt: HOSTILE,
    template: HOSTILE,
    modelBytes: 5,
    weights: "<b>.safetensors",
  };
  const sources = { style: "p { color: red }", script: "document.title" };
  const html = await tryItPage({ ...facts, description: "<em>" }, sources);
  const { parseHTML } = await import("linkedom");
  const page = parseHTML(html).document;
  assertEquals(page.querySelectorAll("script").length, 2);
  assertEquals(page.querySelectorAll("img, b, em").length, 0);
  const { vocabulary: kept, prompt } = JSON.parse(page.querySelector("#facts")!.textContent!);
  assertEquals([kept, prompt], [vocabulary, HOSTILE]);
  const policy = page.querySelector("[http-equiv=Content-Security-Policy]")!.getAttribute(
    "content",
  )!;
  const sha256 = async (text: string) =>
    new Uint8Array(await crypto.subtle.digest("SHA-256", new TextEncoder().encode(text)))
      .toBase64();
  assertEquals(
    policy,
    `default-src 'none'; script-src 'sha256-${await sha256(sources.script)}'; ` +
      `style-src 'sha256-${await sha256(
        sources.style,
      )}'; worker-src 'self'; base-uri 'none'; form-action 'none'`,
  );
});

Deno.test("the report's section leads to the page, or says how to get it", () => {
  const tryIt = {
    path: "reports/try-it/index.html",
    weights: "weights/diffusion.safetensors",
    weightsSha256: "0",
    precision: "float16" as const,
    modelBytes: 21_492_433,
    bytes: 62_739_974,
  };
  const section = rendered(tryItSection(tryIt, "reports/index.html"));
  assertEquals(section.querySelector("a")!.getAttribute("href"), "try-it/index.html");
  assertStringIncludes(section.textContent!, "deno task serve");
  assertStringIncludes(section.textContent!, "21.5 MB");
  const without = rendered(tryItSection(undefined));
  assertEquals([without.id, without.querySelector("a")], ["try-it", null]);
  assertStringIncludes(without.textContent!, "deno task serve");
});

Deno.test("the page's bundle takes the versions that the workspace and its own lock name", async () => {
  const read = async (path: string) =>
    JSON.parse(await Deno.readTextFile(new URL(path, import.meta.url)));
  const { imports } = await read("../../deno.json");
  const own = await read("tryit/imports.json");
  const lock = await read("tryit/bundle.lock");
  const workspace = await read("../../deno.lock");
  const pureRand = imports["pure-rand"].replace("npm:", "");
  assertEquals(own.imports["pure-rand/"], `npm:/${pureRand}/`);
  assertEquals(Object.keys(lock.npm).sort(), [onnxruntimeWeb, pureRand].sort());
  assertEquals(lock.npm[pureRand], workspace.npm[pureRand]);
  const node = imports["onnxruntime-node"].replace("npm:onnxruntime-node", "");
  assertEquals(onnxruntimeWeb, `onnxruntime-web${node}`); // the same kernels on both sides
  assert(!(`${onnxruntimeWeb}` in workspace.npm), "a default install would fetch it");
});
