import { assert, assertEquals, assertLess } from "@std/assert";
import { join } from "@std/path";
import { lockFile } from "../../files/lock.ts";
import { inFolder, inTrainedFolder, jsonOf, namesIn } from "../testing/task_process.ts";
import { onnxruntimeNames, onnxruntimeWeb } from "./bundle.ts";
import { renderShell } from "./shell.tsx";
import { readPage, writePage } from "./write.ts";

Deno.test("page writes a folder that starts with less than 20 MB, loads nothing from elsewhere, and is written again for other texts", () =>
  inFolder(async (folder) => {
    await Deno.mkdir(join(folder, "data"));
    await Deno.writeTextFile(join(folder, "data/a b.txt"), "a text of the user's");
    const { path, bytes, start_bytes } = await jsonOf(folder, "page", "--out", "site");
    assertLess(start_bytes, 20e6);
    const site = join(folder, "site");
    assertEquals(await readPage(site, folder), {
      path: join(site, "index.html"),
      bytes,
      startBytes: start_bytes,
    });
    assertEquals(path, join("site", "index.html"));
    const names = ["contents.json", "index.html", "isolation.js", "page.css", "page.js"];
    assertEquals(
      namesIn(site).filter((name) => !name.includes("/")),
      [...names, ...onnxruntimeNames, "texts", "weights", "worker.js"].sort(),
    );
    const html = await Deno.readTextFile(join(site, "index.html"));
    for (const [, address] of html.matchAll(/(?:src|href)="([^"]*)"/g)) {
      assert(/^[\w.]+$/.test(address), `${address} is not next to the page`);
    }
    const facts = JSON.parse(/id="facts">(.*?)<\/script>/.exec(html)![1]);
    assertEquals(facts.texts, [{ name: "a b.txt", file: "texts/a%20b.txt", bytes: 20 }]);
    assertEquals(await Deno.readTextFile(join(site, "texts/a b.txt")), "a text of the user's");

    assertEquals([facts.weights, facts.ngrams], [[], undefined]);

    await Deno.writeTextFile(join(folder, "data/other.txt"), "another");
    assertEquals(await readPage(site, folder), undefined);

    using _lock = await lockFile(join(site, "contents.json"));
    const problem = await writePage(site, { root: folder, patienceMs: 0 }).catch((error) => error);
    assert(`${problem}`.includes("is writing it; wait until it ends"), `${problem}`);
  }));

Deno.test("weights come with the table of n-grams of their text, and of no other", () =>
  inTrainedFolder(async (folder) => {
    const inWeights = (name: string) => join(folder, "weights", name);
    for (const kind of ["gpt", "diffusion"]) {
      await Deno.rename(inWeights(`${kind}-smoke.safetensors`), inWeights(`${kind}.safetensors`));
    }
    await Deno.writeTextFile(inWeights("ngrams-0123456789ab.gz"), "of another text");
    const site = join(folder, "site");
    const writeFacts = async () => {
      await jsonOf(folder, "page", "--out", "site");
      const html = await Deno.readTextFile(join(site, "index.html"));
      return JSON.parse(/id="facts">(.*?)<\/script>/.exec(html)![1]);
    };
    assertEquals((await writeFacts()).ngrams, undefined);
    const { path, bytes } = await jsonOf(folder, "ngrams", "--data", "text.txt");
    const { ngrams, weights } = await writeFacts();
    assertEquals([ngrams, weights.length], [{ file: path, bytes }, 2]);
    assertEquals(await Deno.readFile(join(site, path)), await Deno.readFile(join(folder, path)));
  }));

Deno.test("without npm there is no page, and one line says why", () =>
  inFolder(async (folder) => {
    const notes: string[] = [];
    const env = { DENO_DIR: join(folder, "cache"), NPM_CONFIG_REGISTRY: "http://127.0.0.1:9" };
    const page = await writePage(join(folder, "site"), { env, note: (line) => notes.push(line) });
    assertEquals([page, notes.length], [undefined, 1], notes.join("\n"));
    assert(/^No page that trains .*; check the network and try again$/.test(notes[0]), notes[0]);
  }));

Deno.test("names full of markup stay texts, and no inline script may run", () => {
  const name = `</script><img src=x onerror=alert(1)>"'&.txt`;
  const html = renderShell(
    { texts: [{ name, file: "texts/x", bytes: 1 }], weights: [] },
    { hasReport: true },
  );
  assert(!html.includes("<img"));
  const policy = /Content-Security-Policy" content="([^"]*)"/.exec(html)![1]
    .replaceAll("&#39;", "'");
  assert(policy.startsWith("default-src 'none'; script-src 'self'; style-src 'self'"), policy);
  assert(!/unsafe|http/.test(policy), policy);
});

Deno.test("the page takes the version of onnxruntime that the workspace has, under a lock of its own", async () => {
  const read = async (path: string) =>
    JSON.parse(await Deno.readTextFile(new URL(path, import.meta.url)));
  const { imports } = await read("../../deno.json");
  const workspace = await read("../../deno.lock");
  const node = imports["onnxruntime-node"].replace("npm:onnxruntime-node", "");
  assertEquals(onnxruntimeWeb, `onnxruntime-web${node}`); // the same kernels on both sides
  assertEquals(Object.keys((await read("onnxruntime.lock")).npm), [onnxruntimeWeb]);
  assert(!(onnxruntimeWeb in workspace.npm), "a default install would fetch it");
});
