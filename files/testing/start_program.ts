/** For tests: a separate process, to be killed. */
import { fromFileUrl } from "@std/path";

/**
 * Starts a process that runs `program`.
 *
 * @param module The address of a module that the program uses under the name `files`.
 */
export async function startProgram(module: string, program: string): Promise<Deno.ChildProcess> {
  const config = fromFileUrl(new URL("../../deno.json", import.meta.url));
  const child = new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--no-check", "--config", config, "-"],
    stdin: "piped",
    stdout: "piped",
  }).spawn();
  const source = `import * as files from ${JSON.stringify(module)};\n${program}`;
  const writer = child.stdin.getWriter();
  await writer.write(new TextEncoder().encode(source));
  await writer.close();
  return child;
}
