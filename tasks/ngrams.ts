/** Stores the table of n-grams of a text, for models that write where the text is not at hand. */
import { join } from "@std/path";
import { encodeCorpus } from "../core/data/corpus.ts";
import { listCharacters, makeTokenizer } from "../core/data/tokenizer.ts";
import { requireWritable, writeFileAtomically } from "../files/write.ts";
import { MAX_NGRAM_BYTES, ngramFileName, packNgrams } from "../core/ngrams/file.ts";
import { countNgrams } from "../core/ngrams/kneser_ney.ts";
import { UserError } from "../engines/errors.ts";
import { outputFlags, parseFlags } from "./shared/flags.ts";
import { showCounting } from "./shared/progress.ts";
import { print, printJson, runTask } from "./shared/run.ts";
import { loadChosenText } from "./shared/weights.ts";

const task = {
  name: "ngrams",
  summary:
    "Store the table of 6-grams of a text next to the weights that were trained on it. Where it " +
    "is missing, models count the n-grams of the text itself each time they write.",
  examples: ["deno task ngrams", "deno task ngrams --data my-book.txt --folder my-weights"],
} as const;

const flags = {
  data: { type: "path", help: "text file", defaultHelp: "the one fetched last" },
  folder: { type: "path", default: "weights", help: "the folder of the weights" },
  ...outputFlags,
} as const;

export async function main(args: string[]): Promise<void> {
  const { data, folder, json } = parseFlags(task, flags, args);
  const corpus = await loadChosenText(data);
  const { sha256, text, path: from } = corpus;
  const path = join(folder, ngramFileName(sha256));
  await requireWritable(path);
  const vocabulary = listCharacters(text);
  const { train } = encodeCorpus(corpus, makeTokenizer("gpt", vocabulary));
  using progress = showCounting(corpus);
  const counts = countNgrams(train, vocabulary.length, 6, progress.onProgress);
  const bytes = await packNgrams(counts, { corpusSha256: sha256, vocabulary });
  if (bytes.length > MAX_NGRAM_BYTES) {
    throw new UserError({
      action: `store the n-grams of "${from}"`,
      found: `they take ${bytes.length} bytes, expected at most ${MAX_NGRAM_BYTES}`,
      advice: "there is no need to: models count them in the text when they write",
    });
  }
  await writeFileAtomically(path, bytes);
  const ngrams = counts.levels.reduce((sum, { characters }) => sum + characters.length, 0);
  if (json) printJson({ path, bytes: bytes.length, ngrams, corpus: from, corpus_sha256: sha256 });
  else {
    print(
      `${path}: ${ngrams.toLocaleString("en-US")} n-grams, ${Math.ceil(bytes.length / 1000)} kB`,
    );
  }
}

if (import.meta.main) await runTask(main, Deno.args);
