import { assertEquals } from "@std/assert";
import { npmOnnxruntime, whyNoBuild } from "./runtime.ts";

Deno.test("npm's onnxruntime has a build for Linux, Windows and Apple's own processors, and says where it has none", async () => {
  for (const platform of ["linux", "win32"]) {
    for (const arch of ["x64", "arm64"]) {
      assertEquals(await whyNoBuild({ platform, arch }), undefined);
    }
  }
  assertEquals(await whyNoBuild({ platform: "darwin", arch: "arm64" }), undefined);
  assertEquals(
    (await whyNoBuild({ platform: "darwin", arch: "x64" }))?.reason,
    `onnxruntime ${npmOnnxruntime().version} has no build for darwin on x64; use another engine`,
  );
});
