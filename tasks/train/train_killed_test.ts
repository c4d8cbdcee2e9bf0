import { assert, assertEquals } from "@std/assert";
import { fromFileUrl, join } from "@std/path";
import { loadTraining, loadWeights, trainingPath } from "../../core/checkpoint.ts";
import type { ModelKind } from "../../core/config.ts";
import { exists } from "../../files/read.ts";
import { seededRandom } from "../../core/random.ts";

const root = fromFileUrl(new URL("../../", import.meta.url));
const KILLS = 10;

/** Starts a real training in `folder`, which validates and saves after every step. */
function start(kind: ModelKind, folder: string, flags: string[]): Deno.ChildProcess {
  const args = ["run", "--allow-all", "--no-check", "--config", join(root, "deno.json")];
  const task = join(root, `tasks/train_${kind}.ts`);
  const always = "--preset smoke --eval-every 1 --threads 1 --engine onnx --json".split(" ");
  return new Deno.Command(Deno.execPath(), {
    args: [...args, task, ...always, "--data", "text.txt", "--out", "run.safetensors", ...flags],
    cwd: folder,
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
}

/** Reads what a process says until it has said `words`, and the rest of it without waiting. */
async function saidBy(
  stream: ReadableStream<Uint8Array<ArrayBuffer>>,
  words: string,
): Promise<void> {
  const reader = stream.pipeThrough(new TextDecoderStream()).getReader();
  for (let said = "";;) {
    const { value, done } = await reader.read();
    said += value ?? "";
    if (done) throw new Error(`it ended without "${words}": ${said}`);
    if (said.includes(words)) break;
  }
  (async () => {
    while (!(await reader.read()).done);
  })();
}

for (const kind of ["gpt", "diffusion"] as const) {
  Deno.test(`a ${kind}'s files are whole after each of ${KILLS} kill -9, and --resume goes on from them`, async () => {
    const folder = await Deno.makeTempDir(), random = seededRandom(kind.length);
    try {
      await Deno.writeTextFile(join(folder, "text.txt"), "Speak softly, or be silent. ".repeat(50));
      const path = join(folder, "run.safetensors");
      let reached = 0;
      for (let kill = 0; kill < KILLS; kill++) {
        const process = start(kind, folder, [
          "--steps",
          "100000",
          ...(reached > 0 ? ["--resume"] : []),
        ]);
        // Both files of a step take far longer to write than the step, so most moments are within a
        // write.
        await saidBy(process.stderr, "validation");
        await new Promise((resolve) => setTimeout(resolve, 300 * random.uniform()));
        process.kill("SIGKILL");
        await Promise.all([process.status, process.stdout.cancel()]);

        assert((await loadWeights(path, { expectKind: kind })).step! >= 1);
        // The best weights are written first, so the very first kill may come before there is a
        // state.
        if (reached === 0 && !await exists(trainingPath(path))) continue;
        const { counters: { step } } = await loadTraining(trainingPath(path), { expectKind: kind });
        assert(step >= reached, `step ${step} after ${reached}`);
        reached = step;
      }
      assert(reached >= KILLS, `only ${reached} steps came through`);

      const process = start(kind, folder, ["--steps", `${reached + 2}`, "--resume"]);
      const { code, stdout, stderr } = await process.output();
      assertEquals(code, 0, new TextDecoder().decode(stderr));
      assertEquals(JSON.parse(new TextDecoder().decode(stdout)).steps, reached + 2);
      assertEquals((await loadTraining(trainingPath(path))).counters.step, reached + 2);
    } finally {
      await Deno.remove(folder, { recursive: true });
    }
  });
}
