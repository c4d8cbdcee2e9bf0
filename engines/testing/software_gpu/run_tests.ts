/**
 * Runs the suite of engines on `onnx:webgpu` on a Linux machine without a GPU (`software_gpu.ts`).
 *
 *   deno task --cwd checks webgpu
 */
import { fromFileUrl } from "@std/path";
import { buildSoftwareGpu } from "./software_gpu.ts";

const here = (name: string) => fromFileUrl(new URL(name, import.meta.url));

const folder = await Deno.makeTempDir();
let code = 0;
try {
  const gpu = await buildSoftwareGpu(folder);
  if ("missing" in gpu) {
    console.warn(`skipped: onnx:webgpu on the CPU (${gpu.missing} is not installed here)`);
  } else {
    ({ code } = await new Deno.Command(Deno.execPath(), {
      args: [
        "test",
        "--no-prompt",
        "--allow-all",
        here("../../suite_test.ts"),
        here("../../../checks/engines/suite_test.ts"),
      ],
      env: { ENGINES: "onnx:webgpu", ...gpu.env },
    }).spawn().status);
  }
} finally {
  await Deno.remove(folder, { recursive: true });
}
Deno.exit(code);
