/**
 * Every engine by the name that `--engine` takes: whether this machine can run it, why not, and how
 * to get it.
 */
import { cudaDevices } from "./devices.ts";
import { backends, eagerEngine } from "./eager.ts";
import type { Engine, Precision } from "./engine.ts";
import { firstLine, UserError } from "./errors.ts";
import { NotSetUpError } from "./installation.ts";
import {
  type EngineName,
  engineNames,
  enginePurposes,
  hasPrecision,
  onlyEngineWith,
} from "./names.ts";

/** Options of an engine. */
export interface EngineOptions {
  /** Precision of matrix products: `bf16` on `tensorflow`, `int8` on `onnx` only. @default {"f32"} */
  precision?: Precision;
  /** Threads of one operation, for engines that let one choose. Default: one per core. */
  threads?: number;
}

/** Modules of engines are imported only when asked for: a native library may not load here. */
const factories: Record<EngineName, (options: EngineOptions) => Engine | Promise<Engine>> = {
  "tensorflow": async ({ precision, threads }) =>
    (await import("./tensorflow/engine.ts")).tensorflowEngine({
      precision: precision === "bf16" ? "bf16" : "f32",
      threads,
    }),
  "onnx": async ({ precision, threads }) =>
    (await import("./onnx/engine.ts")).onnxEngine({
      precision: precision === "int8" ? "int8" : "f32",
      threads,
    }),
  "onnx:cuda": async ({ threads }) =>
    (await import("./onnx/engine.ts")).onnxEngine({ threads, device: "cuda" }),
  "onnx:webgpu": async ({ threads }) =>
    (await import("./onnx/engine.ts")).onnxEngine({ threads, device: "webgpu" }),
  "eager:wasm": () => eagerEngine("wasm", backends.wasm),
  "eager:cpu": () => eagerEngine("cpu", backends.cpu),
  "eager:webgpu": () => eagerEngine("webgpu", backends.webgpu),
  "eager:tensorflow": async () =>
    eagerEngine("tensorflow", (await import("./tensorflow/backend.ts")).registerTensorflow),
};

/** Whether an engine runs on this machine. */
export interface EngineStatus {
  /** The name that `--engine` takes. */
  name: EngineName;
  /** Whether it started and computed a small product right. */
  available: boolean;
  /** Its purpose, or why it can't run here. */
  reason: string;
}

/**
 * Starts an engine.
 *
 * @param name One of `engineNames`, or `auto`.
 * @returns The engine, and for `auto` why it was chosen.
 * @throws {UserError} If the engine can't run here, or lacks the precision; `auto` takes float32
 * then.
 */
export async function startEngine(
  name: EngineName | "auto",
  options: EngineOptions = {},
): Promise<{ engine: Engine; reason?: string }> {
  if (name !== "auto") return { engine: await start(name, options) };
  const failures = new Set<string>();
  for (const { name, reason } of await preferred(options)) {
    try {
      const slow = await whyFloat32(name, options);
      const engine = await start(name, slow ? { ...options, precision: "f32" } : options);
      return { engine, reason: [reason, ...slow ? [slow] : [], ...failures].join("; ") };
    } catch (error) {
      // An engine that was never set up is expected to fail; one that was is not.
      const expected = error instanceof UserError && error.cause instanceof NotSetUpError;
      if (!expected) failures.add(firstLine(error));
    }
  }
  throw new UserError({ action: "start any engine", found: [...failures].join("; ") });
}

/** Lists what `auto` tries, best first, each with the reason to prefer it. */
async function preferred(options: EngineOptions): Promise<{ name: EngineName; reason: string }[]> {
  const tensorflow = {
    name: "tensorflow",
    reason: "the fastest for large networks on the CPU, and it is set up",
  } as const;
  const wasm = { name: "eager:wasm", reason: "onnxruntime does not start here" } as const;
  const onCpu = options.precision === "int8"
    ? [{ name: "onnx", reason: "the fastest in int8" } as const, tensorflow, wasm]
    : [tensorflow, { name: "onnx", reason: "the fastest that needs no setup" } as const, wasm];
  const gpu = firstNvidiaGpu();
  if (gpu === undefined) return onCpu;
  const onGpu: { name: EngineName; reason: string }[] = [];
  const reason = `it is set up and uses the ${gpu}`;
  if (await tensorflowUsesGpu(options)) onGpu.push({ name: "tensorflow", reason });
  if (options.precision !== "bf16") onGpu.push({ name: "onnx:cuda", reason });
  const advice = `; "deno task setup-tensorflow --cuda" or "deno task setup-onnx-cuda" would use ` +
    `the ${gpu}`;
  return [...onGpu, ...onCpu.map(({ name, reason }) => ({ name, reason: reason + advice }))];
}

function firstNvidiaGpu(): string | undefined {
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
    return false; // `start` says what is wrong
  }
}

/**
 * Says why `auto` computes in float32 on an engine though another precision was asked for: the
 * engine lacks it, or bf16 would be slower here.
 */
async function whyFloat32(
  name: EngineName,
  { precision, threads }: EngineOptions,
): Promise<string | undefined> {
  if (precision === undefined || precision === "f32") return undefined;
  if (!hasPrecision(name, precision)) {
    const setup = precision === "bf16" ? ` ("deno task setup-tensorflow")` : "";
    return `in float32, since only ${onlyEngineWith[precision]} has ${precision}${setup}`;
  }
  if (precision === "int8") return undefined;
  const { loadBinding, slowBfloat16 } = await import("./tensorflow/binding.ts");
  const loaded = await loadBinding({ threads }).catch(() => undefined); // `start` says why
  const reason = loaded && await slowBfloat16(loaded.binding);
  return reason && `in float32, since ${reason}`;
}

async function start(name: EngineName, options: EngineOptions): Promise<Engine> {
  const action = `start the engine "${name}"`;
  if (!Object.hasOwn(factories, name)) {
    const names = engineNames.join(", ");
    throw new UserError({
      action,
      found: `this version has none of that name, expected one of ${names}`,
      advice: '"deno task engines" says which run here',
    });
  }
  const { precision = "f32" } = options;
  if (!hasPrecision(name, precision)) {
    throw new UserError({
      action: `compute in ${precision} on the engine "${name}"`,
      found: `only ${onlyEngineWith[precision as keyof typeof onlyEngineWith]} has that`,
      advice: "leave out --precision",
    });
  }
  try {
    return await factories[name](options);
  } catch (error) {
    const problem = error instanceof UserError ? error : { found: firstLine(error) };
    throw new UserError({ ...problem, action }, { cause: error });
  }
}

/**
 * Starts an engine and computes one small product with it.
 *
 * @throws {Error} If it does not start, or the product is wrong.
 */
export async function tryEngine(name: EngineName): Promise<void> {
  const engine = await start(name, {});
  const state = { w: { shape: [2, 2], data: Float32Array.of(1, 2, 3, 4) } };
  const { matMul } = await import("@tensorflow/tfjs-core");
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

/** Tries engines; each that doesn't run here says why. */
export async function engineStatuses(
  names: readonly EngineName[] = engineNames,
): Promise<EngineStatus[]> {
  const statuses: EngineStatus[] = [];
  for (const name of names) {
    try {
      await tryEngine(name);
      statuses.push({ name, available: true, reason: enginePurposes[name] });
    } catch (error) {
      statuses.push({ name, available: false, reason: firstLine(error) });
    }
  }
  return statuses;
}
