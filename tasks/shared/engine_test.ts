import { assertEquals } from "@std/assert";
import { startEngineFromFlags } from "./engine.ts";

Deno.test("more threads than cores are warned of, and as many are not", async () => {
  const cores = navigator.hardwareConcurrency;
  const linesOf = async (threads: number) => {
    const lines: string[] = [];
    const flags = { engine: "onnx", precision: "f32", threads } as const;
    await startEngineFromFlags(flags, (line) => lines.push(line));
    return lines;
  };
  const started = "engine: onnx, f32";
  assertEquals(await linesOf(cores), [started]);
  assertEquals(await linesOf(cores + 1), [
    `warning: --threads ${cores + 1} is more than there are cores here (${cores}), and slower`,
    started,
  ]);
});
