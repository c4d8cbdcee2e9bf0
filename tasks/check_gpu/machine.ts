/** The part `machine`: its memory, and what the drivers say of its GPUs. */
import { totalmem } from "node:os";
import { chosenDevices, cudaDevices, vulkanDevices } from "../../engines/devices.ts";
import { firstLine } from "../../engines/errors.ts";
import { runProgram } from "../shared/process.ts";
import type { Finding } from "../shared/results.ts";
import { listed } from "../shared/text.ts";

/** Gives a finding for each driver. Each may end the process, so what is safe comes first. */
export async function* describeMachine(): AsyncGenerator<Finding> {
  const memory = totalmem() / 1e9;
  yield found("memory", `${memory.toFixed(0)} GB`, { memory_gb: memory });
  yield await tryTo("NVIDIA driver", describeDriver);
  yield await tryTo("nvidia-smi", describeBySmi);
  yield await tryTo("CUDA", describeCuda);
  if (Deno.build.os === "linux") yield await tryTo("Vulkan", describeVulkan);
  yield await tryTo("WebGPU", describeWebgpu);
}

type Described = [summary: string, figures: Finding["figures"]];

const found = (subject: string, ...[summary, figures]: Described): Finding => ({
  subject,
  outcome: "ok",
  summary,
  figures,
});

async function tryTo(
  subject: string,
  describe: () => Described | Promise<Described>,
): Promise<Finding> {
  try {
    return found(subject, ...await describe());
  } catch (error) {
    return { subject, outcome: "absent", summary: firstLine(error), figures: {} };
  }
}

/** Reads what the driver itself writes; no program of NVIDIA's is needed for that. */
async function describeDriver(): Promise<Described> {
  const text = await Deno.readTextFile("/proc/driver/nvidia/version").catch((error) => {
    throw error instanceof Deno.errors.NotFound ? new Error("none is loaded here") : error;
  });
  const version = text.split("\n")[0].replace(/^NVRM version: */, "").replaceAll(/ +/g, " ");
  return [version, { version }];
}

async function describeBySmi(): Promise<Described> {
  const query = "name,driver_version,memory.total,power.limit,clocks.max.sm";
  const args = [`--query-gpu=${query}`, "--format=csv,noheader"];
  const { code, stdout, stderr } = await runProgram("nvidia-smi", args).catch((error) => {
    throw error instanceof Deno.errors.NotFound ? new Error("it is not installed here") : error;
  });
  if (code !== 0) throw new Error(stderr.trim() || stdout.trim());
  const gpus = stdout.trim().split("\n").join("; ");
  return [gpus, { gpus }];
}

function describeCuda(): Described {
  const { names, cuda } = cudaDevices();
  const version = `${cuda.major}.${cuda.minor}`;
  const chosen = chosenDevices();
  const choice = chosen === undefined ? "" : `, CUDA_VISIBLE_DEVICES=${chosen}`;
  return [
    `${listed(names)}, driver for CUDA up to ${version}${choice}`,
    { names: names.join(", "), cuda: version },
  ];
}

function describeVulkan(): Described {
  const devices = vulkanDevices();
  const names = devices.map(({ name, software }) => name + (software ? " (software)" : ""));
  if (names.length === 0) throw new Error("Vulkan finds no device");
  return [listed(names), { names: names.join(", ") }];
}

/** The adapter as Deno's own WebGPU describes it; onnxruntime has its own. */
async function describeWebgpu(): Promise<Described> {
  const adapter = await navigator.gpu?.requestAdapter({ powerPreference: "high-performance" });
  if (!adapter) throw new Error("Deno finds no adapter");
  const { vendor, architecture, device, description } = adapter.info;
  const features = [...adapter.features].filter((name) => /f16|subgroups|timestamp/.test(name));
  const name = description || [vendor, architecture, device].filter(Boolean).join(" ");
  const buffer = adapter.limits.maxStorageBufferBindingSize / 1e9;
  return [
    `${name}, buffers up to ${buffer.toFixed(1)} GB` +
    (features.length === 0 ? "" : `, ${features.join(", ")}`),
    { vendor, architecture, device, description, buffer_gb: buffer, features: features.join(", ") },
  ];
}
