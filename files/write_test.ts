import { assert, assertEquals, assertRejects } from "@std/assert";
import { join } from "@std/path";
import { encodeText, failWith, inFolderWithFile, listNames } from "./testing/file_cases.ts";
import { withPatchedDeno } from "./testing/patched_deno.ts";
import { startProgram } from "./testing/start_program.ts";
import { testOnLinux, testOnUnix } from "./testing/system.ts";
import { UserError } from "@tiny-diffusion/engines/errors";
import { lockFile } from "./lock.ts";
import { makeFolder, removeLeftovers, requireWritable, writeFileAtomically } from "./write.ts";

Deno.test("a file is replaced, a new one is made, and nothing else is left in the folder", () =>
  inFolderWithFile(async (folder, path) => {
    await writeFileAtomically(path, encodeText("new"));
    await writeFileAtomically(join(folder, "other"), [
      encodeText("a"),
      encodeText(""),
      encodeText("bc"),
    ]);
    assertEquals(await Deno.readTextFile(path), "new");
    assertEquals(await Deno.readTextFile(join(folder, "other")), "abc");
    assertEquals(listNames(folder), ["file", "other"]);
  }));

Deno.test("a system that takes three bytes at a time still gets the whole file", () =>
  inFolderWithFile(async (_, path) => {
    const { write } = Deno.FsFile.prototype;
    await withPatchedDeno({
      file: {
        write(this: Deno.FsFile, bytes) {
          return write.call(this, bytes.subarray(0, 3));
        },
      },
    }, () => writeFileAtomically(path, encodeText("to be or not to be")));
    assertEquals(await Deno.readTextFile(path), "to be or not to be");
  }));

for (const call of ["open", "tryLock", "truncate", "write", "sync", "rename"] as const) {
  Deno.test(`when ${call} fails, the old file stays, nothing is left, and the error says why`, () =>
    inFolderWithFile(async (folder, path) => {
      const part = call === "open" || call === "rename" ? "deno" : "file";
      const error = await withPatchedDeno(
        { [part]: { [call]: failWith("ENOSPC") } },
        () => assertRejects(() => writeFileAtomically(path, encodeText("new")), UserError),
      );
      assertEquals(
        error.message,
        `Cannot write ${JSON.stringify(path)}: no space left on the disk; ` +
          `free some space or choose a folder on another disk`,
      );
      assertEquals((error.cause as { code: string }).code, "ENOSPC");
      assertEquals(await Deno.readTextFile(path), "old");
      // a failure before the file is ours to remove may leave it empty, for the next writer to use
      const left = listNames(folder).filter((name) => name !== "file");
      assertEquals(left, call === "tryLock" ? [".file.tmp"] : []);
      await writeFileAtomically(path, encodeText("new"));
      assertEquals(listNames(folder), ["file"]);
    }));
}

Deno.test("content that can't be made leaves the old file", () =>
  inFolderWithFile(async (folder, path) => {
    function* broken() {
      yield encodeText("ne");
      throw new Error("no more\nlines");
    }
    await assertRejects(() => writeFileAtomically(path, broken()), Error, ": no more; check");
    assertEquals(await Deno.readTextFile(path), "old");
    assertEquals(listNames(folder), ["file"]);
  }));

Deno.test("a folder that can't be synced doesn't fail the write", () =>
  inFolderWithFile(async (folder, path) => {
    const { open } = Deno;
    const openFile: typeof open = (path, options) =>
      path === folder ? failWith("EPERM")() : open(path, options);
    await withPatchedDeno(
      { deno: { open: openFile } },
      () => writeFileAtomically(path, encodeText("new")),
    );
    assertEquals(await Deno.readTextFile(path), "new");
  }));

Deno.test("the file is on the disk before its name points to it, and the folder after", () =>
  inFolderWithFile(async (_, path) => {
    const calls: string[] = [];
    const { rename } = Deno;
    await withPatchedDeno({
      deno: { rename: (from, to) => rename(from, to).then(() => void calls.push("rename")) },
      file: { sync: () => Promise.resolve(void calls.push("sync")) },
    }, () => writeFileAtomically(path, encodeText("new")));
    assertEquals(calls, ["sync", "rename", "sync"]);
  }));

for (
  const [code, words] of [
    ["EACCES", "no permission; change the permissions"],
    ["EROFS", "the disk is read-only; choose"],
    ["EDQUOT", "the disk quota is used up; free"],
    ["EIO", "the disk reports an error; check"],
    ["ESOMETHING", "ESOMETHING (os error); check the path and the disk"],
  ]
) {
  Deno.test(`${code} is told in words with what to do`, () =>
    inFolderWithFile(async (_, path) => {
      await withPatchedDeno({ file: { write: failWith(code) } }, () =>
        assertRejects(
          () => writeFileAtomically(path, encodeText("new")),
          UserError,
          `Cannot write ${JSON.stringify(path)}: ${words}`,
        ));
    }));
}

Deno.test("a missing folder, a folder in place of the file and a file in place of the folder are named", () =>
  inFolderWithFile(async (folder, path) => {
    const write = (to: string) => () => writeFileAtomically(to, encodeText("new"));
    const missing = join(folder, "missing");
    await assertRejects(
      write(join(missing, "file")),
      Error,
      `there is no folder ${JSON.stringify(missing)}; make it or check the path`,
    );
    await assertRejects(write(folder), Error, "it is a folder; add the name of a file");
    await assertRejects(write(join(path, "x")), Error, "a part of the path is not a folder; check");
    await assertRejects(write(join(folder, "x".repeat(300))), Error, "the name is too long");
    await assertRejects(() => requireWritable(join(missing, "file")), Error, "there is no folder");
    await assertRejects(() => requireWritable(folder), Error, "it is a folder");
    await requireWritable(path);
    await requireWritable(join(folder, "new"));
    assertEquals(listNames(folder), ["file"]);
    assertEquals(await Deno.readTextFile(path), "old");
  }));

testOnUnix("devices", "a device is not replaced by a file", async () => {
  await assertRejects(
    () => writeFileAtomically("/dev/null", encodeText("x")),
    Error,
    "not a regular",
  );
  assert(Deno.statSync("/dev/null").isCharDevice);
});

testOnUnix(
  "symbolic links",
  "a symbolic link stays one, and what it points at is replaced",
  () =>
    inFolderWithFile(async (folder, path) => {
      const link = join(folder, "link");
      await Deno.symlink(path, link);
      await writeFileAtomically(link, encodeText("new"));
      assert((await Deno.lstat(link)).isSymlink);
      assertEquals(await Deno.readTextFile(path), "new");
    }),
);

testOnUnix(
  "symbolic links",
  "a link to what does not exist yet is followed by every writer",
  () =>
    inFolderWithFile(async (folder) => {
      const path = (name: string) => join(folder, name);
      await Deno.mkdir(path("disk"));
      await Deno.symlink("disk/far", path("near"));
      await Deno.symlink("near", path("link"));
      await requireWritable(path("link"));
      {
        using _lock = await lockFile(path("link"));
        assertEquals(listNames(path("disk")), [".far.lock"]);
      }
      await writeFileAtomically(path("link"), encodeText("new"));
      assertEquals(listNames(path("disk")), ["far"]);
      assert(
        (await Deno.lstat(path("link"))).isSymlink && (await Deno.lstat(path("near"))).isSymlink,
      );
      assertEquals(await Deno.readTextFile(path("link")), "new");

      await Deno.symlink("none/far", path("lost"));
      await assertRejects(
        () => writeFileAtomically(path("lost"), encodeText("new")),
        UserError,
        `it is a link into ${JSON.stringify(path("none"))}, which is not there; make that folder`,
      );
      await Deno.symlink("disk/results", path("results"));
      await makeFolder(path("results/runs"));
      await makeFolder(path("results"));
      assert(Deno.statSync(path("disk/results/runs")).isDirectory);
      await Deno.symlink("round", path("round"));
      await assertRejects(() => requireWritable(path("round")), UserError, "Cannot write");
    }),
);

Deno.test("only the state of a training run takes the name of one, through a link as well", () =>
  inFolderWithFile(async (folder) => {
    const state = join(folder, "gpt.training.safetensors");
    await writeFileAtomically(state, encodeText("state"), { isTrainingState: true });
    const names = [state];
    if (Deno.build.os !== "windows") {
      names.push(join(folder, "gpt.safetensors"));
      await Deno.symlink(state, names[1]);
    }
    for (const name of names) {
      const message = "which is for the state of a training run; choose another name";
      await assertRejects(() => requireWritable(name), UserError, message);
      await assertRejects(() => writeFileAtomically(name, encodeText("x")), UserError, message);
    }
    assertEquals(await Deno.readTextFile(state), "state");
  }));

Deno.test("many writers of one file at once leave one of their contents, whole", () =>
  inFolderWithFile(async (folder, path) => {
    const contents = Array.from({ length: 8 }, (_, i) => String(i).repeat(100_000));
    await Promise.all(contents.map((content) => writeFileAtomically(path, encodeText(content))));
    assert(contents.includes(await Deno.readTextFile(path)));
    assertEquals(listNames(folder), ["file"]);
  }));

Deno.test("a writer that never ends is not waited for forever", () =>
  inFolderWithFile(async (_, path) => {
    await withPatchedDeno({ file: { tryLock: () => Promise.resolve(false) } }, () =>
      assertRejects(
        () => writeFileAtomically(path, encodeText("new"), { patienceMs: 30 }),
        UserError,
        "another process is writing it; wait until it ends or stop it",
      ));
  }));

Deno.test("on Windows a file that another program has open is replaced as soon as it lets go", () =>
  inFolderWithFile(async (folder, path) => {
    let held = 3;
    const { rename } = Deno;
    const renameWhenReleased: typeof rename = (from, to) =>
      held-- > 0 ? Promise.reject(new Deno.errors.PermissionDenied()) : rename(from, to);
    const write = (os: "windows" | "linux", content: string, patienceMs?: number) =>
      withPatchedDeno(
        { deno: { rename: renameWhenReleased, build: { ...Deno.build, os } } },
        () => writeFileAtomically(path, encodeText(content), { patienceMs }),
      );
    await write("windows", "new");
    assertEquals([await Deno.readTextFile(path), held], ["new", -1]);

    held = 1; // elsewhere waiting does not help
    await assertRejects(() => write("linux", "newer"), UserError, "no permission");
    held = 1e9;
    await assertRejects(() => write("windows", "newer", 50), UserError, "no permission");
    assertEquals(listNames(folder), ["file"]);
  }));

testOnLinux("a folder that takes no file is not said to be missing", async () => {
  await assertRejects(() => requireWritable("/proc/x"), Error, 'the folder "/proc" takes no file');
});

Deno.test("a folder is made with those above it, unless a file is in the way", () =>
  inFolderWithFile(async (folder, path) => {
    await makeFolder(join(folder, "a/b"));
    await makeFolder(join(folder, "a/b"));
    assertEquals(listNames(join(folder, "a")), ["b"]);
    const message = `Cannot make the folder ${JSON.stringify(path)}: there is a file of that name`;
    await assertRejects(() => makeFolder(path), Error, message);
    await assertRejects(() => makeFolder(join(path, "x")), Error, "not a folder; check the path");
    assertEquals(await Deno.readTextFile(path), "old");
  }));

Deno.test("a file system without locks is written all the same", () =>
  inFolderWithFile(async (_, path) => {
    const tryLock = () => Promise.reject(new Deno.errors.NotSupported());
    await withPatchedDeno({ file: { tryLock } }, async () => {
      await writeFileAtomically(path, encodeText("new"));
      assertEquals(await Deno.readTextFile(path), "new");
      using _lock = await lockFile(path);
    });
  }));

Deno.test("a writer killed again and again leaves the old or the new file, whole, every time", () =>
  inFolderWithFile(async (folder, path) => {
    // Each content is one digit 300,000 times, so a torn or mixed file shows.
    const isWhole = (content: string) => content.length === 3e5 && new Set(content).size === 1;
    await Deno.writeTextFile(path, "0".repeat(3e5));
    const seen = new Set<string>();
    let interrupted = 0;
    for (let round = 0; round < 8; round++) {
      const child = await startProgram(
        import.meta.resolve("./write.ts"),
        `
        const encoder = new TextEncoder();
        function* pieces(digit) {
          for (let i = 0; i < 300; i++) yield encoder.encode(digit.repeat(1000));
        }
        for (let i = 0;; i++) {
          await files.writeFileAtomically(${JSON.stringify(path)}, pieces(String(1 + i % 9)));
          if (i === 0) console.log("started");
        }
      `,
      );
      const reader = child.stdout.getReader();
      await reader.read();
      await new Promise((resolve) => setTimeout(resolve, 5 + 13 * round));
      child.kill("SIGKILL");
      await child.status;
      await reader.cancel();
      const content = await Deno.readTextFile(path);
      assert(isWhole(content), `round ${round}: ${content.length} bytes, ${content.slice(0, 20)}`);
      seen.add(content[0]);
      if (listNames(folder).includes(".file.tmp")) interrupted++;
    }
    assert(!seen.has("0"), "what a process has written is gone");
    assert(interrupted > 0, "no process was killed while it was writing");
    await writeFileAtomically(path, encodeText("1".repeat(3e5)));
    assertEquals(listNames(folder), ["file"]);
  }));

/** Whether a small file system can be mounted here, which root can do in most places. */
async function mount(folder: string): Promise<boolean> {
  try {
    const args = ["-t", "tmpfs", "-o", "size=256k", "tmpfs", folder];
    const { success } = await new Deno.Command("mount", { args, stderr: "null" }).output();
    return success;
  } catch {
    return false;
  }
}

async function unmount(folder: string): Promise<void> {
  await new Deno.Command("umount", { args: [folder] }).output();
}

const trial = Deno.makeTempDirSync();
const canMount = await mount(trial);
if (canMount) await unmount(trial);
Deno.removeSync(trial);

Deno.test({
  name:
    "a disk that is really full keeps the old file and has room again (needs the right to mount)",
  ignore: !canMount,
  async fn() {
    const folder = await Deno.makeTempDir();
    assert(await mount(folder));
    try {
      const path = join(folder, "file");
      await writeFileAtomically(path, encodeText("a".repeat(100_000)));
      await assertRejects(
        () => writeFileAtomically(path, encodeText("b".repeat(200_000))),
        Error,
        "no space left on the disk; free some space",
      );
      assertEquals(await Deno.readTextFile(path), "a".repeat(100_000));
      assertEquals(listNames(folder), ["file"]);
      await writeFileAtomically(path, encodeText("c".repeat(100_000)));
      assertEquals(await Deno.readTextFile(path), "c".repeat(100_000));
    } finally {
      await unmount(folder);
      await Deno.remove(folder);
    }
  },
});

Deno.test("what killed writers have left is taken away, but not what is being written, nor anything else", () =>
  inFolderWithFile(async (folder, path) => {
    for (const name of [".left.tmp", ".written.tmp", ".file.lock", "my.tmp", ".tmp"]) {
      await Deno.writeTextFile(join(folder, name), "some");
    }
    await Deno.mkdir(join(folder, ".folder.tmp"));
    {
      using written = await Deno.open(join(folder, ".written.tmp"), { write: true });
      await written.lock(true);
      await removeLeftovers(folder);
      const stay = [".file.lock", ".folder.tmp", ".tmp", ".written.tmp", "file", "my.tmp"];
      assertEquals(listNames(folder), stay);
    }
    // Beside writers at work it is in nobody's way.
    const patienceMs = 60_000; // a disk may take its time to sync
    const writing = [1, 2, 3, 4, 5].map((i) =>
      writeFileAtomically(path, encodeText(`${i}`), { patienceMs })
    );
    await Promise.all([...writing, ...Array.from({ length: 10 }, () => removeLeftovers(folder))]);
    assertEquals(listNames(folder), [".file.lock", ".folder.tmp", ".tmp", "file", "my.tmp"]);
  }));
