import { assert, assertEquals, assertMatch, assertRejects } from "@std/assert";
import { fromFileUrl, join } from "@std/path";
import {
  type Filesystem,
  lockFile,
  makeFolder,
  type OpenFile,
  readBytes,
  removeLeftovers,
  requireWritable,
  sha256Hex,
  writeFileAtomically,
} from "./files.ts";
import { testOnLinux, testOnUnix } from "../testing/system.ts";

const text = (value: string) => new TextEncoder().encode(value);

/** Runs `body` with a folder of its own, which holds "file" with "old". */
async function inFolder(body: (folder: string, path: string) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir();
  try {
    const path = join(folder, "file");
    await Deno.writeTextFile(path, "old");
    await body(folder, path);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

const names = (folder: string) => [...Deno.readDirSync(folder)].map(({ name }) => name).sort();

/**
 * The system, except that one call (of the folder, or of a file opened in it) fails or is done
 * differently.
 */
function changed(changes: Partial<Filesystem & OpenFile>): Filesystem {
  const { open = Deno.open, stat = Deno.stat, realPath = Deno.realPath } = changes;
  const { rename = Deno.rename, remove = Deno.remove, removeSync = Deno.removeSync } = changes;
  const files = { open, stat, realPath, rename, remove, removeSync } as Filesystem;
  return {
    ...files,
    async open(path, options) {
      const file = await files.open(path, options);
      const call = <Name extends "write" | "truncate" | "sync" | "tryLock">(name: Name) =>
        (changes[name] ?? file[name].bind(file)) as OpenFile[Name];
      return {
        write: call("write"),
        truncate: call("truncate"),
        sync: call("sync"),
        tryLock: call("tryLock"),
        stat: () => file.stat(),
        close: () => file.close(),
      };
    },
  };
}

const systemError = (code: string) => Object.assign(new Error(`${code} (os error)`), { code });
const fail = (code: string) => () => Promise.reject(systemError(code));

Deno.test("a file is replaced, a new one is made, and nothing else is left in the folder", () =>
  inFolder(async (folder, path) => {
    await writeFileAtomically(path, text("new"));
    await writeFileAtomically(join(folder, "other"), [text("a"), text(""), text("bc")]);
    assertEquals(await Deno.readTextFile(path), "new");
    assertEquals(await Deno.readTextFile(join(folder, "other")), "abc");
    assertEquals(names(folder), ["file", "other"]);
  }));

Deno.test("a system that takes three bytes at a time still gets the whole file", () =>
  inFolder(async (_, path) => {
    const files = changed({});
    const slow: Filesystem = {
      ...files,
      async open(...args) {
        const file = await files.open(...args);
        return { ...file, write: (bytes) => file.write(bytes.subarray(0, 3)) };
      },
    };
    await writeFileAtomically(path, text("to be or not to be"), { files: slow });
    assertEquals(await Deno.readTextFile(path), "to be or not to be");
  }));

for (const call of ["open", "tryLock", "truncate", "write", "sync", "rename"] as const) {
  Deno.test(`when ${call} fails, the old file stays, nothing is left, and the error says why`, () =>
    inFolder(async (folder, path) => {
      const files = changed({ [call]: fail("ENOSPC") });
      const error = await assertRejects(
        () => writeFileAtomically(path, text("new"), { files }),
        Error,
      );
      assertEquals(
        error.message,
        `Cannot write ${JSON.stringify(path)}: no space left on the disk; ` +
          `free some space or choose a folder on another disk`,
      );
      assertEquals((error.cause as { code: string }).code, "ENOSPC");
      assertEquals(await Deno.readTextFile(path), "old");
      // a failure before the file is ours to remove may leave it empty, for the next writer to use
      const left = names(folder).filter((name) => name !== "file");
      assertEquals(left, call === "tryLock" ? [".file.tmp"] : []);
      await writeFileAtomically(path, text("new"));
      assertEquals(names(folder), ["file"]);
    }));
}

Deno.test("content that can't be made leaves the old file", () =>
  inFolder(async (folder, path) => {
    function* broken() {
      yield text("ne");
      throw new Error("no more\nlines");
    }
    await assertRejects(() => writeFileAtomically(path, broken()), Error, ": no more; check");
    assertEquals(await Deno.readTextFile(path), "old");
    assertEquals(names(folder), ["file"]);
  }));

Deno.test("a folder that can't be synced doesn't fail the write", () =>
  inFolder(async (folder, path) => {
    const files = changed({
      open: (path, options) =>
        path === folder ? Promise.reject(systemError("EPERM")) : Deno.open(path, options),
    });
    await writeFileAtomically(path, text("new"), { files });
    assertEquals(await Deno.readTextFile(path), "new");
  }));

Deno.test("the file is on the disk before its name points to it, and the folder after", () =>
  inFolder(async (_, path) => {
    const calls: string[] = [];
    const files = changed({
      sync: () => Promise.resolve(void calls.push("sync")),
      rename: (from, to) => Deno.rename(from, to).then(() => void calls.push("rename")),
    });
    await writeFileAtomically(path, text("new"), { files });
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
    inFolder(async (_, path) => {
      const files = changed({ write: fail(code) });
      await assertRejects(
        () => writeFileAtomically(path, text("new"), { files }),
        Error,
        `Cannot write ${JSON.stringify(path)}: ${words}`,
      );
    }));
}

Deno.test("a missing folder, a folder in place of the file and a file in place of the folder are named", () =>
  inFolder(async (folder, path) => {
    const write = (to: string) => () => writeFileAtomically(to, text("new"));
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
    assertEquals(names(folder), ["file"]);
    assertEquals(await Deno.readTextFile(path), "old");
  }));

testOnUnix("devices", "a device is not replaced by a file", async () => {
  await assertRejects(() => writeFileAtomically("/dev/null", text("x")), Error, "not a regular");
  assert(Deno.statSync("/dev/null").isCharDevice);
});

testOnUnix(
  "symbolic links",
  "a symbolic link stays one, and what it points at is replaced",
  () =>
    inFolder(async (folder, path) => {
      const link = join(folder, "link");
      await Deno.symlink(path, link);
      await writeFileAtomically(link, text("new"));
      assert((await Deno.lstat(link)).isSymlink);
      assertEquals(await Deno.readTextFile(path), "new");
    }),
);

Deno.test("many writers of one file at once leave one of their contents, whole", () =>
  inFolder(async (folder, path) => {
    const contents = Array.from({ length: 8 }, (_, i) => String(i).repeat(100_000));
    await Promise.all(contents.map((content) => writeFileAtomically(path, text(content))));
    assert(contents.includes(await Deno.readTextFile(path)));
    assertEquals(names(folder), ["file"]);
  }));

Deno.test("a writer that never ends is not waited for forever", () =>
  inFolder(async (_, path) => {
    const files = changed({ tryLock: () => Promise.resolve(false) });
    await assertRejects(
      () => writeFileAtomically(path, text("new"), { files, patienceMs: 30 }),
      Error,
      "another process is writing it; wait until it ends or stop it",
    );
  }));

Deno.test("on Windows a file that another program has open is replaced as soon as it lets go", () =>
  inFolder(async (folder, path) => {
    let held = 3;
    const rename = (from: string, to: string) =>
      held-- > 0 ? Promise.reject(new Deno.errors.PermissionDenied()) : Deno.rename(from, to);
    const files = changed({ rename });
    const windows = { ...files, build: { os: "windows" } }, linux = { ...files, build: Deno.build };
    await writeFileAtomically(path, text("new"), { files: windows });
    assertEquals([await Deno.readTextFile(path), held], ["new", -1]);

    held = 1; // elsewhere that is no matter of waiting
    const refused = writeFileAtomically(path, text("newer"), { files: linux });
    if (Deno.build.os !== "windows") await assertRejects(() => refused, Error, "no permission");
    else await refused;
    held = 1e9;
    await assertRejects(
      () => writeFileAtomically(path, text("newer"), { files: windows, patienceMs: 50 }),
      Error,
      "no permission",
    );
    assertEquals(names(folder), ["file"]);
  }));

testOnLinux("a folder that takes no file is not said to be missing", async () => {
  await assertRejects(() => requireWritable("/proc/x"), Error, 'the folder "/proc" takes no file');
});

Deno.test("a folder is made with those above it, unless a file is in the way", () =>
  inFolder(async (folder, path) => {
    await makeFolder(join(folder, "a/b"));
    await makeFolder(join(folder, "a/b"));
    assertEquals(names(join(folder, "a")), ["b"]);
    const message = `Cannot make the folder ${JSON.stringify(path)}: there is a file of that name`;
    await assertRejects(() => makeFolder(path), Error, message);
    await assertRejects(() => makeFolder(join(path, "x")), Error, "not a folder; check the path");
    assertEquals(await Deno.readTextFile(path), "old");
  }));

testOnUnix(
  "symbolic links",
  "a lock by the name of a symbolic link is that of the file",
  () =>
    inFolder(async (folder, path) => {
      const link = join(folder, "link");
      await Deno.symlink("file", link);
      using _lock = await lockFile(path);
      await assertRejects(() => lockFile(link), Error, "is writing it");
    }),
);

Deno.test("a file system without locks is written all the same", () =>
  inFolder(async (_, path) => {
    const files = changed({ tryLock: () => Promise.reject(new Deno.errors.NotSupported()) });
    await writeFileAtomically(path, text("new"), { files });
    assertEquals(await Deno.readTextFile(path), "new");
    using _lock = await lockFile(path, { files });
  }));

/**
 * Who an error says has a lock. On Windows a locked file can't be read, and so not what it says.
 */
const holder = (expected: string) => Deno.build.os === "windows" ? "another process" : expected;

Deno.test("a second lock is refused until the first is released", () =>
  inFolder(async (folder, path) => {
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
    assertEquals(names(folder), ["file"]);
    const lock = await lockFile(path);
    lock.release();
    lock.release(); // a second release must not remove the lock of the next holder
    using _next = await lockFile(path);
    lock.release();
    assertEquals(names(folder), [".file.lock", "file"]);
  }));

Deno.test("a full disk refuses the lock and keeps nothing open", () =>
  inFolder(async (_, path) => {
    const files = changed({ write: fail("ENOSPC") });
    await assertRejects(() => lockFile(path, { files }), Error, "Cannot lock");
    using _lock = await lockFile(path);
  }));

/** A process that runs `program` with `files` imported. */
async function startProgram(program: string): Promise<Deno.ChildProcess> {
  const config = fromFileUrl(new URL("../../deno.json", import.meta.url));
  const child = new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--no-check", "--config", config, "-"],
    stdin: "piped",
    stdout: "piped",
  }).spawn();
  const source = JSON.stringify(import.meta.resolve("./files.ts"));
  const writer = child.stdin.getWriter();
  await writer.write(text(`import * as files from ${source};\n${program}`));
  await writer.close();
  return child;
}

Deno.test("the lock of a running process holds; after kill -9 it counts for nothing", () =>
  inFolder(async (_, path) => {
    const child = await startProgram(`
      const lock = await files.lockFile(${JSON.stringify(path)});
      console.log("locked");
      setTimeout(() => lock.release(), 60_000);
    `);
    const reader = child.stdout.getReader();
    await reader.read();
    await assertRejects(() => lockFile(path), Error, holder(`process ${child.pid} (since`));
    child.kill("SIGKILL");
    await child.status;
    await reader.cancel();
    using _lock = await lockFile(path);
  }));

Deno.test("a writer killed again and again leaves the old or the new file, whole, every time", () =>
  inFolder(async (folder, path) => {
    // Each content is one digit 300,000 times, so a torn or mixed file shows.
    const isWhole = (content: string) => content.length === 3e5 && new Set(content).size === 1;
    await Deno.writeTextFile(path, "0".repeat(3e5));
    const seen = new Set<string>();
    let interrupted = 0;
    for (let round = 0; round < 8; round++) {
      const child = await startProgram(`
        const encoder = new TextEncoder();
        function* pieces(digit) {
          for (let i = 0; i < 300; i++) yield encoder.encode(digit.repeat(1000));
        }
        for (let i = 0;; i++) {
          await files.writeFileAtomically(${JSON.stringify(path)}, pieces(String(1 + i % 9)));
          if (i === 0) console.log("started");
        }
      `);
      const reader = child.stdout.getReader();
      await reader.read();
      await new Promise((resolve) => setTimeout(resolve, 5 + 13 * round));
      child.kill("SIGKILL");
      await child.status;
      await reader.cancel();
      const content = await Deno.readTextFile(path);
      assert(isWhole(content), `round ${round}: ${content.length} bytes, ${content.slice(0, 20)}`);
      seen.add(content[0]);
      if (names(folder).includes(".file.tmp")) interrupted++;
    }
    assert(!seen.has("0"), "what a process has written is gone");
    assert(interrupted > 0, "no process was killed while it was writing");
    await writeFileAtomically(path, text("1".repeat(3e5)));
    assertEquals(names(folder), ["file"]);
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
      await writeFileAtomically(path, text("a".repeat(100_000)));
      await assertRejects(
        () => writeFileAtomically(path, text("b".repeat(200_000))),
        Error,
        "no space left on the disk; free some space",
      );
      assertEquals(await Deno.readTextFile(path), "a".repeat(100_000));
      assertEquals(names(folder), ["file"]);
      await writeFileAtomically(path, text("c".repeat(100_000)));
      assertEquals(await Deno.readTextFile(path), "c".repeat(100_000));
    } finally {
      await unmount(folder);
      await Deno.remove(folder);
    }
  },
});

Deno.test("a file that is missing, a folder or too large can't be read, in one line", () =>
  inFolder(async (folder, path) => {
    assertEquals(await readBytes(path), text("old"));
    const missing = join(folder, "missing");
    const error = await assertRejects(
      () => readBytes(missing, { action: "load", advice: "train one first" }),
      Error,
    );
    assertEquals(
      error.message,
      `Cannot load ${JSON.stringify(missing)}: no such file; train one first`,
    );
    await assertRejects(() => readBytes(folder), Error, "it is a folder; give the path of a file");
    await assertRejects(() => readBytes(join(path, "x")), Error, "a part of the path is not a");
    await assertRejects(
      () => readBytes(path, { maxBytes: 2 }),
      RangeError,
      "3 bytes, expected at most 2; check that it is the right file",
    );
  }));

testOnUnix("devices", "a device that never ends is not read", async () => {
  await assertRejects(() => readBytes("/dev/zero"), Error, "it is not a regular file");
});

Deno.test("sha256Hex gives the digests of FIPS 180-2's examples", async () => {
  assertEquals(
    await sha256Hex(text("abc")),
    "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
  );
  assertEquals(
    await sha256Hex(text("")),
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
  );
});

for (const call of ["truncate", "write"] as const) {
  Deno.test(`a lock that can't be taken because ${call} fails leaves nothing behind`, () =>
    inFolder(async (folder, path) => {
      const files = changed({ [call]: fail("EIO") });
      await assertRejects(() => lockFile(path, { files }), Error, "the disk reports an error");
      assertEquals(names(folder), ["file"]);
    }));
}

Deno.test("with patience, a lock is waited for until it is released, and no longer than that", () =>
  inFolder(async (_, path) => {
    const first = await lockFile(path);
    const rejected = assertRejects(() => lockFile(path, { patienceMs: 40 }), Error, "is writing");
    const second = lockFile(path, { patienceMs: 60_000 });
    await rejected;
    first.release();
    (await second).release();
    using _third = await lockFile(path);
  }));

Deno.test("what killed writers have left is taken away, but not what is being written, nor anything else", () =>
  inFolder(async (folder, path) => {
    for (const name of [".left.tmp", ".written.tmp", ".file.lock", "my.tmp", ".tmp"]) {
      await Deno.writeTextFile(join(folder, name), "some");
    }
    await Deno.mkdir(join(folder, ".folder.tmp"));
    {
      using written = await Deno.open(join(folder, ".written.tmp"), { write: true });
      await written.lock(true);
      await removeLeftovers(folder);
      const stay = [".file.lock", ".folder.tmp", ".tmp", ".written.tmp", "file", "my.tmp"];
      assertEquals(names(folder), stay);
    }
    // Beside writers at work it is in nobody's way.
    const patienceMs = 60_000; // a disk may take its time to sync
    const writing = [1, 2, 3, 4, 5].map((i) =>
      writeFileAtomically(path, text(`${i}`), { patienceMs })
    );
    await Promise.all([...writing, ...Array.from({ length: 10 }, () => removeLeftovers(folder))]);
    assertEquals(names(folder), [".file.lock", ".folder.tmp", ".tmp", "file", "my.tmp"]);
  }));
