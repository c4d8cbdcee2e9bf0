/** The target `ngrams`: the stored table of n-grams. */
import { gunzipSync, gzipSync } from "node:zlib";
import { packNgrams, unpackNgrams } from "../../core/ngrams/file.ts";
import { countNgrams, smooth } from "../../core/ngrams/kneser_ney.ts";
import { mutateBytes } from "./mutate.ts";
import { promise, roundTrip, type Target } from "./target.ts";

const corpusSha256 = "0123456789abcdef".repeat(4);

function unzip(bytes: Uint8Array): Uint8Array {
  try {
    return gunzipSync(bytes);
  } catch {
    return bytes;
  }
}

export const ngrams: Target = {
  readers: ["core/ngrams/file.ts"],

  starts: () =>
    Promise.all(
      ["aab", "to be or not to be, ".repeat(9), "où est 東京 🌙🌊 ".repeat(20)].map((text) => {
        const vocabulary = [...new Set(text)].sort();
        const tokens = Int32Array.from([...text], (character) => vocabulary.indexOf(character));
        const counts = countNgrams(tokens, vocabulary.length, Math.min(tokens.length - 1, 6));
        return packNgrams(counts, { corpusSha256, vocabulary });
      }),
    ),

  // What is inside, or else the checksum would refuse nearly everything.
  mutate: (bytes, other, random) =>
    random.chance(0.8)
      ? new Uint8Array(gzipSync(mutateBytes(unzip(bytes), unzip(other), random)))
      : mutateBytes(bytes, other, random),

  async check(bytes) {
    const { counts, ...facts } = await unpackNgrams(new Uint8Array(bytes), "x.gz");
    const { row } = smooth(counts);
    const history = [0, 1, 2, 1, 0].map((token) => Math.min(token, counts.vocab - 1));
    for (let length = 0; length <= history.length; length++) {
      const total = row(history.slice(0, length)).reduce((sum, p) => sum + p, 0);
      promise(Math.abs(total - 1) < 1e-9, "the probabilities sum to 1");
    }
    const back = await roundTrip("it", async () => unpackNgrams(await packNgrams(counts, facts)));
    promise(
      JSON.stringify(back) === JSON.stringify({ ...facts, counts }),
      "it comes back as it was",
    );
    return `read ${counts.levels.length} lengths`;
  },
};
