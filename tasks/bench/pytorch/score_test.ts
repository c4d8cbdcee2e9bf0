/**
 * Holds `eval` on weights in the original's `.pt` format against the same figures by PyTorch, see
 * `score.py`.
 */
import { assert, assertAlmostEquals, assertLess } from "@std/assert";
import { fromFileUrl, join } from "@std/path";
import type { ModelKind } from "../../../core/config.ts";
import { readPt, writePt } from "../../../files/pt.ts";
import { seededRandom } from "../../../core/random.ts";
import type { EvaluationRow } from "../../shared/results.ts";
import { unmaskingRows } from "../../../core/scoring/rows.ts";
import { listCharacters, makeTokenizer } from "../../../core/data/tokenizer.ts";
import { cutIntoBlocks } from "../../../core/scoring/rows.ts";
import { exampleText, inFolder, jsonOf } from "../../testing/task_process.ts";

const python = Deno.env.get("PYTHON_WITH_TORCH");
if (!python) {
  console.warn(
    "skipped: figures beside PyTorch's (set PYTHON_WITH_TORCH to a Python that has torch)",
  );
}

const here = (path: string) => fromFileUrl(new URL(path, import.meta.url));
const HEADS = 2;
const CONTEXT = 24;
const SEED = 3;
const PASSES = 8;
const text = exampleText(80);

/** Where a test finds the text and the weights, as `text.txt` and `weights.pt`. */
async function inFolderOf(kind: ModelKind, test: (folder: string) => Promise<void>) {
  await inFolder(async (folder) => {
    await Deno.writeTextFile(join(folder, "text.txt"), text);
    const name = here(`../../core/testdata/${kind}.pt`);
    const tensors = readPt(await Deno.readFile(name), { name });
    // As they were drawn, all characters are nearly as likely; six times as large they are far from
    // it.
    for (const { data } of Object.values(tensors)) {
      data.forEach((weight, i) => data[i] = 6 * Number(weight));
    }
    await Deno.writeFile(join(folder, "weights.pt"), writePt(tensors));
    await test(folder);
  });
}

/** What PyTorch makes of the weights. */
async function byPyTorch(folder: string, kind: ModelKind, masks: [number, number[]][] = []) {
  const settings = {
    weights: "weights.pt",
    text: "text.txt",
    kind,
    masks,
    heads: HEADS,
    context: CONTEXT,
    passes: 40,
  };
  const { code, stdout, stderr } = await new Deno.Command(python!, {
    args: [here("score.py"), JSON.stringify(settings)],
    cwd: folder,
  }).output();
  assert(code === 0, new TextDecoder().decode(stderr));
  return JSON.parse(new TextDecoder().decode(stdout)) as Record<string, number>;
}

/** What `eval` makes of them, by estimator. */
async function byEval(folder: string, kind: ModelKind) {
  const { rows } = await jsonOf(
    folder,
    "eval",
    "--model",
    kind,
    "--weights=weights.pt",
    "--data=text.txt",
    "--engine=onnx",
    `--heads=${HEADS}`,
    `--block-size=${CONTEXT}`,
    "--threads=1",
    `--seed=${SEED}`,
    `--passes=${PASSES}`,
    "--blocks=10000",
  );
  return (estimator: string) =>
    (rows as EvaluationRow[]).find((row) => row.model === kind && row.estimator === estimator)!;
}

// Float32 on both sides, sums in float64: figures of some 5 bits come out within about 1e-6.
const TOLERANCE = 1e-4;

Deno.test({
  name: "a GPT of the original's has PyTorch's bits per character (set PYTHON_WITH_TORCH to run)",
  ignore: !python,
  fn: () =>
    inFolderOf("gpt", async (folder) => {
      const { exact } = await byPyTorch(folder, "gpt"), ours = await byEval(folder, "gpt");
      assert(Math.abs(exact - Math.log2(65)) > 0.1, `${exact} says nothing`);
      assertAlmostEquals(ours("exact").bpc!, exact, TOLERANCE);
    }),
});

Deno.test({
  name:
    "a diffusion model of the original's has PyTorch's left-to-right, its nelbo on the same masks, and on others " +
    "within 3 errors (set PYTHON_WITH_TORCH to run)",
  ignore: !python,
  fn: () =>
    inFolderOf("diffusion", async (folder) => {
      const { encode } = makeTokenizer("diffusion", ["_", ...listCharacters(text)]);
      const validation = encode([...text].slice(Math.trunc(0.9 * [...text].length)).join(""));
      const rows = unmaskingRows(cutIntoBlocks(validation, CONTEXT), PASSES, seededRandom(SEED));
      const masks = Array.from(rows, ({ block, scored }): [number, number[]] => [block, scored]);
      const theirs = await byPyTorch(folder, "diffusion", masks);
      const ours = await byEval(folder, "diffusion");
      const decoder = ours("left-to-right").bpc!, { bpc, se_passes } = ours("nelbo");
      assert(Math.abs(decoder - bpc!) > 100 * TOLERANCE, "the estimators can't be told apart");
      assertAlmostEquals(decoder, theirs.left_to_right, TOLERANCE);
      assertAlmostEquals(bpc!, theirs.nelbo_given, TOLERANCE);
      const error = Math.hypot(se_passes!, theirs.nelbo_own_error);
      assertLess(error, 0.2); // else the next line would say little
      assertLess(Math.abs(bpc! - theirs.nelbo_own), 3 * error);
    }),
});
