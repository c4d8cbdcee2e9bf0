import { assertEquals } from "@std/assert";
import { makeConfig } from "../../core/config.ts";
import type { Engine } from "../../engines/engine.ts";
import { provenance } from "./provenance.ts";

/** The commit that git says is checked out; undefined outside of a checkout, or in a work tree. */
async function checkedOutCommit(): Promise<string | undefined> {
  try {
    const cwd = new URL("../..", import.meta.url);
    if (!Deno.statSync(new URL(".git", cwd)).isDirectory) return undefined;
    const git = new Deno.Command("git", { args: ["rev-parse", "HEAD"], cwd, stderr: "null" });
    return new TextDecoder().decode((await git.output()).stdout).trim() || undefined;
  } catch {
    return undefined;
  }
}

const commit = await checkedOutCommit();

Deno.test({
  name: "a result names the commit that is checked out (needs a checkout by git)",
  ignore: commit === undefined,
  async fn() {
    const origin = await provenance({
      command: "deno task eval",
      engine: { name: "onnx", precision: "f32" } as Engine,
      seed: 1,
      weights: { path: "gpt.safetensors", sha256: "0", config: makeConfig("gpt", "smoke", 65) },
    });
    assertEquals(origin.commit, commit);
  },
});
