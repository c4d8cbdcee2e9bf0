/**
 * Writes the folder that `checks/browser/engine.ts` serves: the worker, onnxruntime-web, the
 * original's figures, and the results of native onnx for the suite's runs of training. It runs with
 * the project's config, which that test lacks.
 *
 *     deno run -A checks/engines/browser/write_site.ts FOLDER
 */
import { fromFileUrl, join } from "@std/path";
import { onnxEngine } from "../../../engines/onnx/engine.ts";
import { fetchOnnxruntime, onnxruntimeNames } from "../../../tasks/page/bundle.ts";
import { runDeno } from "../../../tasks/shared/process.ts";
import { trainFor } from "../testing/training.ts";
import { toJson } from "./references.ts";

const [folder] = Deno.args;
const root = fromFileUrl(new URL("../../../", import.meta.url));

const worker = join(root, "checks/engines/browser/worker.ts");
const config = ["--config", join(root, "deno.json"), "--frozen"];
const script = await runDeno(["bundle", "--quiet", "--platform=browser", ...config, worker], {});
await Deno.writeFile(join(folder, "worker.js"), script);
await Deno.writeTextFile(join(folder, "index.html"), "<!doctype html><title>Engine</title>");
for (const name of onnxruntimeNames) {
  await Deno.writeFile(join(folder, name), await fetchOnnxruntime(name));
}

const data = "core/testing/data";
await Deno.mkdir(join(folder, data), { recursive: true });
for (const name of ["gpt.safetensors", "diffusion.safetensors"]) {
  await Deno.copyFile(join(root, data, name), join(folder, data, name));
}

const engine = await onnxEngine();
const references: Record<string, ReturnType<typeof toJson>> = {};
for (const kind of ["gpt", "diffusion"] as const) {
  for (const optimizer of ["adamw", "muon"] as const) {
    for (const steps of [2, 50]) {
      const name = `${kind} ${optimizer} ${steps}`;
      references[name] = toJson(await trainFor(engine, kind, optimizer, steps));
    }
  }
}
await Deno.writeTextFile(join(folder, "references.json"), JSON.stringify(references));
