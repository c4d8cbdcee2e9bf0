import { assertEquals } from "@std/assert";
import { join } from "@std/path";
import { inFolder } from "./testing/temporary_folder.ts";
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
