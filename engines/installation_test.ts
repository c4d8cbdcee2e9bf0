import { assertEquals } from "@std/assert";
import { join } from "@std/path";
import { readRecord } from "./installation.ts";

Deno.test("paths in a setup's record are relative to it, and empty ones stay empty", async () => {
  const folder = await Deno.makeTempDir();
  const before = Deno.env.get("TINY_DIFFUSION_TENSORFLOW");
  try {
    Deno.env.set("TINY_DIFFUSION_TENSORFLOW", folder);
    const record = { version: "2.21", addon: "a/b.node", package: "/somewhere/else", prefix: "" };
    await Deno.writeTextFile(join(folder, "installation.json"), JSON.stringify(record));
    assertEquals(
      await readRecord<typeof record>("tensorflow", ["version"], ["addon", "package", "prefix"]),
      { ...record, addon: join(folder, "a", "b.node") },
    );
  } finally {
    if (before === undefined) Deno.env.delete("TINY_DIFFUSION_TENSORFLOW");
    else Deno.env.set("TINY_DIFFUSION_TENSORFLOW", before);
    await Deno.remove(folder, { recursive: true });
  }
});
