/** For tests: a text as `fetch-data` stores it. */
import { join } from "@std/path";
import { sha256Hex } from "../../files/read.ts";

/** Writes a text with the JSON that `fetch-data` would leave, and gives the text's path. */
export async function storeText(
  folder: string,
  name: string,
  text: string,
  fetched: string,
  fetch?: number,
): Promise<string> {
  const path = join(folder, `${name}.txt`),
    sha256 = await sha256Hex(new TextEncoder().encode(text));
  const info = { source: "test", bytes: 0, characters: 0, sha256, licence: "none", fetched, fetch };
  await Deno.writeTextFile(path, text);
  await Deno.writeTextFile(join(folder, `${name}.json`), JSON.stringify(info));
  return path;
}
