/**
 * Rehearses a machine without a network: makes a bundle, unpacks it with an empty home folder in a
 * network namespace that has none, and trains, samples and evaluates there. Deno's cache and what
 * setups have installed are hidden from it.
 *
 *   deno task --cwd checks offline [ENGINE]     onnx, onnx:webgpu (on a software GPU), tensorflow
 */
import { assert, assertEquals } from "@std/assert";
import { join } from "@std/path";
import { existsSync } from "node:fs";
import { installationFolder } from "../engines/installation.ts";
import { buildSoftwareGpu } from "../engines/testing/software_gpu/software_gpu.ts";
import { exampleText } from "../tasks/testing/task_process.ts";

/** Mounts an empty folder over each argument before `--`, and becomes the command after it. */
const HIDE = 'while [ "$1" != -- ]; do mount -t tmpfs tmpfs "$1"; shift; done; shift; exec "$@"';

const [engine = "onnx"] = Deno.args;
const unshare = await findUnshare();
if (!unshare) {
  console.warn("skipped: the rehearsal without a network (unshare --net is not allowed here)");
  Deno.exit(0);
}

const folder = await Deno.makeTempDir({ prefix: "without a network " }); // the spaces are a test, too
try {
  const bundle = join(folder, "the bundle");
  await run(Deno.execPath(), ["task", "bundle", "--engine", engine, "--out", bundle], {
    // Packing well takes minutes, and is not what is tested here.
    env: { XZ_OPT: Deno.env.get("XZ_OPT") ?? "-0" },
  });
  await Deno.mkdir(join(folder, "home"));
  await Deno.writeTextFile(join(folder, "text.txt"), exampleText());

  let env: Record<string, string> = { HOME: join(folder, "home"), PATH: "/usr/bin:/bin" };
  if (engine === "onnx:webgpu") {
    const gpu = await buildSoftwareGpu(folder);
    if ("missing" in gpu) throw new Error(`${gpu.missing} is not installed here`);
    // With the loader of the bundle, as on a machine that has a driver alone.
    const loader = join(bundle, "tiny-diffusion/.offline/vulkan/libvulkan.so.1");
    env = { ...env, ...gpu.env, REAL_VULKAN: loader };
  }
  const { denoDir } = JSON.parse(await run(Deno.execPath(), ["info", "--json"], {}));
  const hidden = [denoDir, join(installationFolder("tensorflow"), "..")].filter((path) =>
    existsSync(path)
  );
  const hide = ["sh", "-c", HIDE, "sh", ...hidden, "--"];
  const there = (program: string, ...args: string[]) =>
    run(unshare[0], [...unshare.slice(1), ...hide, program, ...args], {
      clearEnv: true,
      env,
      cwd: folder,
    });
  const networks = await there("cat", "/proc/net/dev");
  assertEquals(networks.trim().split("\n").slice(2).map((line) => line.trim().split(":")[0]), [
    "lo",
  ]);

  const task = async (name: string, ...args: string[]) =>
    JSON.parse(
      await there(
        "sh",
        join(bundle, "tiny-diffusion.sh"),
        name,
        "--json",
        "--engine",
        engine,
        "--data",
        join(folder, "text.txt"),
        ...args,
      ),
    );
  const trained = await task("train-diffusion", "--preset", "smoke", "--until", "5m");
  assertEquals([trained.steps, trained.engine], [30, engine]);
  const weights = ["--weights", trained.weights];
  const { samples } = await task("sample", "--length", "40", ...weights);
  assertEquals(samples[0].text.length, 16 + 40);
  const { rows } = await task(
    "eval",
    "--model",
    "diffusion",
    "--estimator",
    "nelbo",
    "--passes",
    "2",
    ...weights,
  );
  assert(rows.some((row: { model: string }) => row.model === "diffusion"));
  console.log(`${engine} trains, samples and evaluates without a network`);
} finally {
  await Deno.remove(folder, { recursive: true });
}

/** Finds how this user may start a program without a network, and mount. */
async function findUnshare(): Promise<string[] | undefined> {
  for (const user of [[], ["--map-root-user"]]) {
    const command = ["unshare", ...user, "--net", "--mount"];
    try {
      const args = [...command.slice(1), "true"];
      if ((await new Deno.Command("unshare", { args, stderr: "null" }).output()).success) {
        return command;
      }
    } catch {
      return undefined; // there is no such program
    }
  }
  return undefined;
}

/** Runs a program that must succeed; its stderr is shown. */
async function run(program: string, args: string[], options: Deno.CommandOptions): Promise<string> {
  console.error(`$ ${[program, ...args].join(" ")}`);
  const ended = await new Deno.Command(program, { args, stderr: "inherit", ...options }).output();
  assertEquals(ended.code, 0, `${program} ended with exit code ${ended.code}`);
  return new TextDecoder().decode(ended.stdout);
}
