/** The part `sampling`: the time that both trained models take to write. */
import { fromFileUrl } from "@std/path";
import type { PresetName } from "../../core/config.ts";
import { runProgram } from "../shared/process.ts";
import type { Finding } from "../shared/results.ts";
import type { PartRequest } from "./request.ts";
import { lastWords, taskCommand } from "./tasks.ts";

const root = fromFileUrl(new URL("../..", import.meta.url));

/** Characters to write: enough for a time in the preset `full`, few where it is only tried out. */
const lengthOf = (preset: PresetName) => preset === "full" ? 512 : 8;

/** Samples from the trained weights that are included, whatever the preset. */
export async function* sampleBoth(request: PartRequest): AsyncGenerator<Finding> {
  const [{ engine: subject, precision }] = request.combinations;
  const length = lengthOf(request.preset);
  for (const model of ["gpt", "diffusion"]) {
    const flags = ["--model", model, "--weights", `weights/${model}.safetensors`];
    const command = taskCommand("sample", request, [...flags, "--length", `${length}`]);
    const { code, stdout, stderr } = await runProgram(Deno.execPath(), command, { cwd: root });
    const about = { subject, precision };
    if (code !== 0) {
      const isMissing = stderr.includes("no such file");
      const outcome = isMissing ? "absent" : "failed";
      yield { ...about, outcome, summary: `${model}: ${lastWords(stderr)}`, figures: { model } };
      continue;
    }
    const { samples: [{ text, seconds, forwards }] } = JSON.parse(stdout);
    const each = (1000 * seconds / forwards).toFixed(1);
    const shown = JSON.stringify([...text].slice(-24).join(""));
    yield {
      ...about,
      outcome: "ok",
      summary: `${model}: ${length} characters in ${seconds.toFixed(2)} s, ` +
        `${forwards} passes of ${each} ms; ends with ${shown}`,
      figures: { model, characters: length, seconds, forwards, text },
    };
  }
}
