import { assertEquals, assertRejects } from "@std/assert";
import { join } from "@std/path";
import { loadWeights, saveWeights } from "../checkpoint.ts";
import { makeConfig } from "../config.ts";
import { initialWeights } from "../model.ts";
import { seededRandom } from "../random.ts";
import { inFolder } from "../testing/temporary_folder.ts";
import { findPieces, writePieces } from "./pieces.ts";

Deno.test("pieces joined in the order of their names are the file, and those of an older version go", () =>
  inFolder(async (folder) => {
    const path = join(folder, "x.safetensors");
    const bytes = Uint8Array.from({ length: 105 }, (_, i) => i);
    await Deno.writeTextFile(join(folder, "x.safetensors.part-3"), "not a piece of ours");
    await writePieces(path, bytes, 50);
    const pieces = await writePieces(path, bytes, 10);
    assertEquals(pieces.length, 11);
    assertEquals(pieces[0], `${path}.part-01-of-11`);
    const joined = pieces.flatMap((piece) => [...Deno.readFileSync(piece)]);
    assertEquals(joined, [...bytes]);
    assertEquals(await findPieces(path), pieces);
  }));

Deno.test("weights in pieces are refused with how to join them, by the name of the whole or of a piece", () =>
  inFolder(async (folder) => {
    const path = join(folder, "gpt.safetensors");
    const config = makeConfig("gpt", "smoke", 3);
    const weights = initialWeights(config, seededRandom(1));
    const facts = { config, vocabulary: ["a", "b", "c"], scores: {}, prompt: "a" };
    await saveWeights(path, { ...facts, weights, corpusSha256: "0".repeat(64) });
    const bytes = await Deno.readFile(path);
    const [first] = await writePieces(path, bytes, bytes.length - 1);
    await Deno.remove(path);
    const advice = `join the pieces: cat ${JSON.stringify(path)}.part-* > ${JSON.stringify(path)}`;
    for (const name of [path, first]) await assertRejects(() => loadWeights(name), Error, advice);
  }));
