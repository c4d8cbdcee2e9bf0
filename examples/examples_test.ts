import { assert, assertEquals, assertMatch } from "@std/assert";
import { fromFileUrl } from "@std/path";

/** Runs an example as a reader would, and returns what it prints. */
async function runExample(name: string, ...args: string[]): Promise<string> {
  const path = fromFileUrl(new URL(name, import.meta.url));
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "--quiet", "--allow-all", path, ...args],
    env: { NO_COLOR: "1" },
  }).output();
  const decoder = new TextDecoder();
  assertEquals(code, 0, decoder.decode(stderr));
  return decoder.decode(stdout);
}

Deno.test("own_engine.ts counts the products of each pass", async () => {
  // 32 positions of width 32, 2 layers: 12 width² for the weights of a layer, 2 positions width for
  // its attention; 66 width for each of embedding and head; two operations each.
  const position = 2 * (12 * 32 ** 2 + 2 * 32 * 32) + 2 * 66 * 32;
  const pass = 2 * 32 * position / 1e6;
  const lines = [1, 2, 3].map((i) => `pass ${i}: ${(i * pass).toFixed(1)} MFLOP so far\n`);
  assertEquals(await runExample("own_engine.ts"), lines.join(""));
});

Deno.test("own_sampler.ts fixes four characters a pass, and shows each pass", async () => {
  const lines = (await runExample("own_sampler.ts")).trimEnd().split("\n");
  assertEquals(lines.length, 10);
  const texts = lines.map((line) => JSON.parse(line.replace(/^pass \d+: /, "")) as string);
  texts.forEach((text, i) => {
    assertMatch(text, /^To be, or not to be, /);
    assertEquals(text.split("░").length - 1, 40 - 4 * (i + 1));
  });
});

Deno.test("train_plain.ts trains, and writes what it has learned", async () => {
  const lines = (await runExample("train_plain.ts")).trimEnd().split("\n");
  const losses = lines.slice(0, 6).map((line) => Number(/loss ([\d.]+) nats/.exec(line)?.[1]));
  assert(losses[5] < 1, `${losses}`); // an untrained model is at log 9 = 2.2
  const text = lines.slice(6).join("\n");
  assertMatch(text, /^to be[ benort,:]{90,120}$/);
  assert(text.includes("or not to be"), text);
});

Deno.test("two_characters.ts prints what docs/sampling.md shows", async () => {
  const document = await Deno.readTextFile(new URL("../docs/sampling.md", import.meta.url));
  const shown = document.split("$ deno run examples/two_characters.ts\n")[1].split("```")[0];
  assertEquals(await runExample("two_characters.ts"), shown);
});
