/** A training run in Deno, to compare a browser's with. */
import { ofProject } from "./in_browser.ts";

/** The answer to a request for steps. */
export interface Made {
  losses: number[];
  ms: number;
}

/** Starts `checks/engines/browser/run_in_deno.ts` with its arguments. */
export function startInDeno(...args: string[]) {
  const path = ofProject("checks/engines/browser/run_in_deno.ts");
  const script = new Deno.Command(Deno.execPath(), {
    // The address of onnxruntime-web would enter the lock.
    args: ["run", "-A", "--no-lock", "--config", ofProject("deno.json"), path, ...args],
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const writer = script.stdin.getWriter();
  const reader = script.stdout.pipeThrough(new TextDecoderStream()).getReader();
  const errors = new Response(script.stderr).text();
  return {
    async readLine() {
      let line = "";
      while (!line.endsWith("\n")) {
        const { value, done } = await reader.read();
        if (done) throw new Error(await errors);
        line += value;
      }
      return JSON.parse(line);
    },
    async makeSteps(count: number): Promise<Made> {
      await writer.write(new TextEncoder().encode(`${count}\n`));
      return await this.readLine();
    },
    async [Symbol.asyncDispose]() {
      await writer.close();
      await script.status;
      await Promise.all([reader.cancel(), errors]);
    },
  };
}
