/**
 * Every engine by the name that `--engine` takes: whether this machine can run it, why not, and how
 * to get it.
 */
import { cudaDevices } from "./cuda.ts";
import { backends, eagerEngine } from "./eager.ts";
import type { Engine, Precision } from "./engine.ts";
import { type EngineName, engineNames, enginePurposes } from "./names.ts";

/** How an engine is to compute. */
export interface EngineOptions {
  /** Of matrix products; `bf16` on `tensorflow` only. @default {"f32"} */
  precision?: Precision;
  /** Threads of one operation, for engines that can be told. Default: one per core. */
  threads?: number;
}

const factories: Record<EngineName, (options: EngineOptions) => Engine | Promise<Engine>> = {
  "tensorflow": async (options) =>
    (await import("./tensorflow/engine.ts")).tensorflowEngine(options),
  // Imported only when asked for: its native library may not load on this machine.
  "onnx": async (options) => (await import("./onnx/engine.ts")).onnxEngine(options),
  "onnx:cuda": async (options) =>
    (await import("./onnx/engine.ts")).onnxEngine({ ...options, device: "cuda" }),
  "onnx:webgpu": async (options) =>
    (await import("./onnx/engine.ts")).onnxEngine({ ...options, device: "webgpu" }),
  "eager:wasm": () => eagerEngine("wasm", backends.wasm),
  "eager:cpu": () => eagerEngine("cpu", backends.cpu),
  "eager:webgpu": () => eagerEngine("webgpu", backends.webgpu),
  "eager:tensorflow": async () =>
    eagerEngine("tensorflow", (await import("./tensorflow/backend.ts")).registerTensorflow),
};

/** Whether an engine runs on this machine. */
export interface EngineStatus {
  /** Which engine. */
  name: EngineName;
  /** Whether it started and computed a small product right. */
  available: boolean;
  /** What it is good for, or why it can't run here. */
  reason: string;
}

/**
 * Starts an engine.
 *
 * @param name One of `engineNames`, or `auto`.
 * @returns The engine, and for `auto` why it was chosen.
 * @throws {Error} If the engine can't run here, in one line that names it.
 * @throws {RangeError} If it has float32 only and `bf16` is asked for; `auto` takes float32 then.
 */
export async function startEngine(
  name: EngineName | "auto",
  options: EngineOptions = {},
): Promise<{ engine: Engine; reason?: string }> {
  if (name !== "auto") return { engine: await start(name, options) };
  const failures = new Set<string>();
  for (const { name, reason } of await preferred(options)) {
    try {
      const slow = await slowPrecision(name, options);
      const engine = await start(name, slow ? { ...options, precision: "f32" } : options);
      return { engine, reason: [reason, ...slow ? [slow] : [], ...failures].join("; ") };
    } catch (error) {
      const failure = messageOf(error);
      // That an engine was never set up is no news; that it no longer works is.
      if (!failure.includes("not set up")) failures.add(failure);
    }
  }
  throw new Error(`Cannot start any engine: ${[...failures].join("; ")}`);
}

/** What `auto` tries, best first, each with the reason to prefer it. */
async function preferred(options: EngineOptions): Promise<{ name: EngineName; reason: string }[]> {
  const onCpu = [
    { name: "tensorflow", reason: "the fastest for large networks on the CPU, and it is set up" },
    { name: "onnx", reason: "the fastest that needs no setup" },
    { name: "eager:wasm", reason: "onnxruntime does not start here" },
  ] as const;
  const gpu = nvidiaGpu();
  if (gpu === undefined) return [...onCpu];
  const onGpu: { name: EngineName; reason: string }[] = [];
  const reason = `it is set up and uses the ${gpu}`;
  if (await tensorflowUsesGpu(options)) onGpu.push({ name: "tensorflow", reason });
  if (options.precision !== "bf16") onGpu.push({ name: "onnx:cuda", reason });
  const advice = `; "deno task setup-tensorflow --cuda" or "deno task setup-onnx-cuda" would use ` +
    `the ${gpu}`;
  return [...onGpu, ...onCpu.map(({ name, reason }) => ({ name, reason: reason + advice }))];
}

/** The first of NVIDIA's GPUs here, if there is one. */
function nvidiaGpu(): string | undefined {
  try {
    return cudaDevices().names[0];
  } catch {
    return undefined;
  }
}

async function tensorflowUsesGpu({ threads }: EngineOptions): Promise<boolean> {
  try {
    const { loadBinding } = await import("./tensorflow/binding.ts");
    return (await loadBinding({ threads })).binding.isUsingGpuDevice();
  } catch {
    return false; // what is wrong is told when it is tried
  }
}

/**
 * Why `auto` computes in float32 on an engine though bf16 was asked for: it has none, or would be
 * slower here.
 */
async function slowPrecision(
  name: EngineName,
  { precision, threads }: EngineOptions,
): Promise<string | undefined> {
  if (precision !== "bf16") return undefined;
  if (name !== "tensorflow") {
    return `in float32, since only tensorflow has bf16 ("deno task setup-tensorflow")`;
  }
  const { loadBinding, slowBfloat16 } = await import("./tensorflow/binding.ts");
  const loaded = await loadBinding({ threads }).catch(() => undefined); // `start` says why
  const reason = loaded && await slowBfloat16(loaded.binding);
  return reason && `in float32, since ${reason}`;
}

async function start(name: EngineName, options: EngineOptions): Promise<Engine> {
  if (!Object.hasOwn(factories, name)) {
    throw new Error(
      `Cannot start the engine "${name}": this version has none of that name, expected one of ` +
        `${engineNames.join(", ")}; "deno task engines" says which run here`,
    );
  }
  if (options.precision === "bf16" && name !== "tensorflow") {
    throw new RangeError(
      `Cannot compute in bf16 on the engine "${name}": it has float32 only; leave out --precision`,
    );
  }
  try {
    return await factories[name](options);
  } catch (error) {
    throw new Error(`Cannot start the engine "${name}": ${messageOf(error)}`, { cause: error });
  }
}

/** Tries engines on one small product; of those that don't run here, each says why. */
export async function engineStatuses(
  names: readonly EngineName[] = engineNames,
): Promise<EngineStatus[]> {
  const statuses: EngineStatus[] = [];
  for (const name of names) {
    try {
      await check(await start(name, {}));
      statuses.push({ name, available: true, reason: enginePurposes[name] });
    } catch (error) {
      statuses.push({ name, available: false, reason: messageOf(error) });
    }
  }
  return statuses;
}

async function check(engine: Engine): Promise<void> {
  const state = { w: { shape: [2, 2], data: Float32Array.of(1, 2, 3, 4) } };
  const { matMul } = await import("@tensorflow/tfjs");
  const session = await engine.load(state, {
    product: {
      inputs: { x: { shape: [2, 2], dtype: "float32" } },
      body: ({ w }, { x }) => ({ outputs: { y: matMul(w, x) } }),
    },
  });
  const { y } = await session.run("product", { x: Float32Array.of(0, 1, 1, 0) });
  session.dispose();
  if (`${y}` !== "2,1,4,3") throw new Error(`it computes a wrong product: ${y}`);
}

function messageOf(error: unknown): string {
  return (error instanceof Error ? error.message : String(error)).split("\n")[0];
}
