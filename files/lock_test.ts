import { assertEquals, assertMatch, assertRejects } from "@std/assert";
import { join } from "@std/path";
import { failWith, inFolderWithFile, listNames } from "./testing/file_cases.ts";
import { withPatchedDeno } from "./testing/patched_deno.ts";
import { startProgram } from "./testing/start_program.ts";
import { testOnUnix } from "./testing/system.ts";
import { lockFile } from "./lock.ts";

testOnUnix(
  "symbolic links",
  "a lock by the name of a symbolic link is that of the file",
  () =>
    inFolderWithFile(async (folder, path) => {
      const link = join(folder, "link");
      await Deno.symlink("file", link);
      using _lock = await lockFile(path);
      await assertRejects(() => lockFile(link), Error, "is writing it");
    }),
);

/**
 * Who an error says has a lock. On Windows a locked file can't be read, and so not what it says.
 */
const holder = (expected: string) => Deno.build.os === "windows" ? "another process" : expected;

Deno.test("a second lock is refused until the first is released", () =>
  inFolderWithFile(async (folder, path) => {
    {
      using _lock = await lockFile(path);
      const error = await assertRejects(() => lockFile(path), Error);
      assertMatch(
        error.message,
        new RegExp(
          `^Cannot lock ".*file": ${
            holder(`process ${Deno.pid} \\(since 2\\d{3}-.*Z\\)`)
          } is writing it; ` +
            `wait until it ends, stop it, or write to another name$`,
        ),
      );
      await lockFile(join(folder, "other")).then((lock) => lock.release());
    }
    assertEquals(listNames(folder), ["file"]);
    const lock = await lockFile(path);
    lock.release();
    lock.release(); // a second release must not remove the lock of the next holder
    using _next = await lockFile(path);
    lock.release();
    assertEquals(listNames(folder), [".file.lock", "file"]);
  }));

Deno.test("a full disk refuses the lock and keeps nothing open", () =>
  inFolderWithFile(async (_, path) => {
    await withPatchedDeno(
      { file: { write: failWith("ENOSPC") } },
      () => assertRejects(() => lockFile(path), Error, "Cannot lock"),
    );
    using _lock = await lockFile(path);
  }));

Deno.test("the lock of a running process holds; after kill -9 it counts for nothing", () =>
  inFolderWithFile(async (_, path) => {
    const child = await startProgram(
      import.meta.resolve("./lock.ts"),
      `
      const lock = await files.lockFile(${JSON.stringify(path)});
      console.log("locked");
      setTimeout(() => lock.release(), 60_000);
    `,
    );
    const reader = child.stdout.getReader();
    await reader.read();
    await assertRejects(() => lockFile(path), Error, holder(`process ${child.pid} (since`));
    child.kill("SIGKILL");
    await child.status;
    await reader.cancel();
    using _lock = await lockFile(path);
  }));

for (const call of ["truncate", "write"] as const) {
  Deno.test(`a lock that can't be taken because ${call} fails leaves nothing behind`, () =>
    inFolderWithFile(async (folder, path) => {
      await withPatchedDeno(
        { file: { [call]: failWith("EIO") } },
        () => assertRejects(() => lockFile(path), Error, "the disk reports an error"),
      );
      assertEquals(listNames(folder), ["file"]);
    }));
}

Deno.test("with patience, a lock is waited for until it is released, and no longer than that", () =>
  inFolderWithFile(async (_, path) => {
    const first = await lockFile(path);
    const rejected = assertRejects(() => lockFile(path, { patienceMs: 40 }), Error, "is writing");
    const second = lockFile(path, { patienceMs: 60_000 });
    await rejected;
    first.release();
    (await second).release();
    using _third = await lockFile(path);
  }));
