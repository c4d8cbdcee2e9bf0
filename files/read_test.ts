import { assertEquals, assertRejects } from "@std/assert";
import { join } from "@std/path";
import { UserError } from "@tiny-diffusion/engines/errors";
import { encodeText, inFolderWithFile } from "./testing/file_cases.ts";
import { testOnUnix } from "./testing/system.ts";
import { readBytes, sha256Hex } from "./read.ts";

Deno.test("a file that is missing, a folder or too large can't be read, in one line", () =>
  inFolderWithFile(async (folder, path) => {
    assertEquals(await readBytes(path), encodeText("old"));
    const missing = join(folder, "missing");
    const error = await assertRejects(
      () => readBytes(missing, { action: "load", advice: "train one first" }),
      Error,
    );
    assertEquals(
      error.message,
      `Cannot load ${JSON.stringify(missing)}: no such file; train one first`,
    );
    const relative = await assertRejects(() => readBytes("no/such"), Error);
    const place = `; check the path (looked for in ${JSON.stringify(Deno.cwd())})`;
    assertEquals(relative.message, `Cannot read "no/such": no such file${place}`);
    await assertRejects(() => readBytes(folder), Error, "it is a folder; give the path of a file");
    await assertRejects(() => readBytes(join(path, "x")), Error, "a part of the path is not a");
    await assertRejects(
      () => readBytes(path, { maxBytes: 2 }),
      UserError,
      "3 bytes, expected at most 2; check that it is the right file",
    );
  }));

testOnUnix("devices", "a device that never ends is not read", async () => {
  await assertRejects(() => readBytes("/dev/zero"), Error, "it is not a regular file");
});

Deno.test("sha256Hex gives the digests of FIPS 180-2's examples", async () => {
  assertEquals(
    await sha256Hex(encodeText("abc")),
    "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
  );
  assertEquals(
    await sha256Hex(encodeText("")),
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
  );
});
