/** The target `corpus`: a text to train on and the JSON file next to it. */
import { loadCorpus, readForModel, readLikePython, takeOpening } from "../../core/data/corpus.ts";
import { findLatestCorpus } from "../../tasks/shared/fetched_texts.ts";
import { sha256Hex } from "../../files/read.ts";
import { listCharacters, makeTokenizer } from "../../core/data/tokenizer.ts";
import { concatenate, mutateBytes, mutateJson, textBytes } from "./mutate.ts";
import { isSameData, promise, type Target } from "./target.ts";

const separator = textBytes("\n<text>\n");

/** Splits a case: the JSON file, a line, the text. */
function split(bytes: Uint8Array) {
  const at = new TextDecoder("latin1").decode(bytes).indexOf("\n<text>\n");
  return at < 0
    ? { info: new Uint8Array(), text: bytes.slice() }
    : { info: bytes.slice(0, at), text: bytes.slice(at + separator.length) };
}

const join = (info: string, text: Uint8Array) => concatenate(textBytes(info), separator, text);

export const corpus: Target = {
  readers: ["core/data/corpus.ts", "core/data/tokenizer.ts", "tasks/shared/fetched_texts.ts"],

  starts: () =>
    Promise.all(
      [
        "ab",
        "To be, or not to be: that is the question.\n".repeat(20),
        "Où est «l'été»?\r\n",
        "\ufeff東京は夜の七時。🌙🌊 _snake_case_\n",
        "\ufffd\u2028\u0301e\u200d👩‍👩‍👧 aa",
        String.fromCodePoint(...Array.from({ length: 1100 }, (_, i) => 0x4e00 + i)),
      ].map(textBytes).map(async (text) => {
        const common = { source: "a test", bytes: text.length, characters: 1, licence: "none" };
        const sha256 = await sha256Hex(text);
        return join(JSON.stringify({ ...common, sha256, fetched: "2026-01-01" }), text);
      }),
    ),

  mutate(bytes, other, random) {
    const { info, text } = split(bytes);
    // The JSON does not fit another text.
    if (random.chance(0.7)) return join("", mutateBytes(text, split(other).text, random));
    const json = new TextDecoder().decode(info);
    return join(mutateJson(json, json, random), text);
  },

  async check(bytes, folder) {
    const { info, text: file } = split(bytes);
    const path = `${folder}/case.txt`;
    await Deno.writeFile(path, file);
    await Deno.writeFile(`${folder}/case.json`, info);
    await findLatestCorpus(folder).catch((error: Error) => {
      promise(/none was fetched yet/.test(error.message), `texts can be listed: ${error.stack}`);
    });
    const corpus = await loadCorpus(path);
    const { text, train, validation, characters } = corpus;
    const body = file[0] === 0xef && file[1] === 0xbb && file[2] === 0xbf ? file.slice(3) : file;
    promise(isSameData(textBytes(text), body), "the text is that of the file");
    promise(train + validation === text, "its two parts make the text");
    promise([...text].length === characters, "its characters are code points");
    promise([...train].length === Math.trunc(0.9 * characters), "90 % are for training");
    promise([...takeOpening(text)].length === Math.min(16, characters), "16 characters open it");
    const vocabulary = listCharacters(text);
    const python = readLikePython(corpus);
    const decoded = new TextDecoder("utf-8", { ignoreBOM: true }).decode(file);
    const expected = decoded.replaceAll("\r\n", "\n").replaceAll("\r", "\n");
    promise(python.text === expected, "Python reads it so");
    promise(python.train + python.validation === expected, "and so its two parts");
    promise(readForModel(corpus, "gpt", vocabulary) === corpus, "its own weights saw it as it is");
    const { encode, decode } = makeTokenizer("gpt", vocabulary);
    promise(decode(encode(text)) === text, "its tokens are the text");
    return `read ${vocabulary.length > 100 ? "many" : "few"} characters, info ${!!corpus.info}`;
  },
};
