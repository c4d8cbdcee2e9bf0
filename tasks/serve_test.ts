import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { join } from "@std/path";
import { testOnUnix } from "../files/testing/system.ts";
import { fileHandler } from "./page/server.ts";
import { assertFailed, denoArguments, inFolder, runTaskIn } from "./testing/task_process.ts";

/** A folder as `report` leaves it, with files of a few bytes, and a secret beside it. */
async function writeSite(folder: string): Promise<string> {
  const root = join(folder, "reports");
  await Deno.mkdir(join(root, "page"), { recursive: true });
  const files = {
    "index.html": "<p>report",
    ".hidden.json": "{}",
    "notes.exe": "",
    "page/index.html": "<p>learn",
    "page/worker.js": "self.name",
    "page/ort.wasm.mjs": "export {}",
    "page/ort.wasm": "\0asm",
    "page/gpt.safetensors": "0123456789",
    "page/contents.json": '{"bytes":9,"startBytes":5,"texts":[]}',
    "a b é.json": "[]",
    "../secret.json": '"secret"',
  };
  for (const [name, text] of Object.entries(files)) {
    await Deno.writeTextFile(join(root, name), text);
  }
  return root;
}

const get = (path: string, init?: RequestInit) =>
  new Request(new URL(path, "http://127.0.0.1"), init);

Deno.test("every kind of file has its MIME type, its bytes, and the headers that give WebAssembly threads", () =>
  inFolder(async (folder) => {
    const handler = fileHandler(await writeSite(folder));
    const expected: [path: string, type: string, text: string][] = [
      ["/", "text/html; charset=utf-8", "<p>report"],
      ["/page/", "text/html; charset=utf-8", "<p>learn"],
      ["/page/worker.js", "text/javascript; charset=utf-8", "self.name"],
      ["/page/ort.wasm.mjs", "text/javascript; charset=utf-8", "export {}"],
      ["/page/ort.wasm", "application/wasm", "\0asm"],
      ["/page/gpt.safetensors", "application/octet-stream", "0123456789"],
      ["/a%20b%20%C3%A9.json?x=1", "application/json; charset=utf-8", "[]"],
    ];
    for (const [path, type, text] of expected) {
      const response = await handler(get(path));
      const { headers } = response;
      assertEquals([response.status, headers.get("content-type")], [200, type], path);
      assertEquals(await response.text(), text);
      assertEquals(headers.get("content-length"), String(text.length));
      assertEquals(headers.get("cross-origin-opener-policy"), "same-origin");
      assertEquals(headers.get("cross-origin-embedder-policy"), "require-corp");
      assertEquals(headers.get("x-content-type-options"), "nosniff");
      const policy = headers.get("content-security-policy");
      assertEquals(policy !== null, type.startsWith("text/javascript"));
      assert(!policy?.includes("http"), "a remote origin");

      const head = await handler(get(path, { method: "HEAD" }));
      assertEquals([head.headers.get("content-length"), await head.text()], [`${text.length}`, ""]);
      const known = { headers: { "if-none-match": headers.get("etag")! } };
      assertEquals((await handler(get(path, known))).status, 304);
    }
    await Deno.writeTextFile(join(folder, "reports/page/gpt.safetensors"), "another");
    assertEquals(await (await handler(get("/page/gpt.safetensors"))).text(), "another");
  }));

testOnUnix(
  "symbolic links",
  "no path and no link leads out of the folder, and what is hidden stays so",
  () =>
    inFolder(async (folder) => {
      const root = await writeSite(folder);
      await Deno.symlink(join(folder, "secret.json"), join(root, "link.json"));
      await Deno.symlink(folder, join(root, "up"));
      await Deno.symlink(join(root, ".hidden.json"), join(root, "shown.json"));
      await Deno.symlink(join(root, "index.html"), join(root, "same.html"));
      const handler = fileHandler(root);
      const refused = [
        "/../secret.json",
        "/%2e%2e/secret.json",
        "/..%2fsecret.json",
        "/page/..%2f..%2fsecret.json",
        "/..%5csecret.json",
        "/link.json",
        "/up/secret.json",
        "/.hidden.json",
        "/shown.json",
        "/notes.exe",
        "/none.html",
        "/index.html%00.json",
        "/%",
        "/index.html/",
        `/${encodeURIComponent(join(folder, "secret.json"))}`,
      ];
      for (const path of refused) {
        const response = await handler(get(path));
        assertEquals(
          [response.status, await response.text()],
          [404, "There is no such file\n"],
          path,
        );
      }
      assertEquals((await handler(get("/same.html"))).status, 200);
      assertEquals((await handler(get("/", { method: "POST", body: "x" }))).status, 405);
    }),
);

Deno.test("a folder is its page, and without a report the first page is the one on which models learn", () =>
  inFolder(async (folder) => {
    const root = await writeSite(folder);
    const handler = fileHandler(root, { home: "/page/" });
    const to = async (path: string) => {
      const response = await handler(get(path));
      return [response.status, response.headers.get("location")];
    };
    assertEquals(await to("/page"), [302, "/page/"]);
    assertEquals(await to("/"), [200, null]);
    await Deno.remove(join(root, "index.html"));
    assertEquals(await to("/"), [302, "/page/"]);
    await Deno.mkdir(join(root, "empty"));
    assertEquals(await to("/empty/"), [404, null]);
  }));

/** The task as it runs, until it is ended; `line` is the first on stdout. */
async function serving(folder: string, ...args: string[]) {
  const child = new Deno.Command(Deno.execPath(), {
    args: denoArguments("serve", ["--no-open", ...args]),
    cwd: folder,
    env: { NO_COLOR: "1" },
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const stderr = child.stderr.text();
  const reader = child.stdout.pipeThrough(new TextDecoderStream()).getReader();
  let line = "";
  while (!line.includes("\n")) {
    const { value, done } = await reader.read();
    if (done) throw new Error(`it ended: ${await stderr}`);
    line += value;
  }
  return {
    line: line.trimEnd(),
    async end(signal: Deno.Signal) {
      child.kill(signal);
      const rest = (await reader.read()).value ?? "";
      return { code: (await child.status).code, rest, stderr: await stderr };
    },
  };
}

testOnUnix(
  "signals",
  "it serves on 127.0.0.1 alone, tells its address as JSON, and Ctrl-C ends it with 130",
  () =>
    inFolder(async (folder) => {
      await writeSite(folder);
      const server = await serving(folder, "--port", "0", "--json");
      const { url, path, bytes, ...rest } = JSON.parse(server.line);
      assertEquals([path, rest], [join("reports", "page", "index.html"), {}]);
      assert(bytes > 0, `${bytes} bytes`);
      const { hostname, port, pathname } = new URL(url);
      assertEquals([hostname, pathname], ["127.0.0.1", "/page/"]);
      assertEquals(await (await fetch(url)).text(), "<p>learn");

      // As no URL is: fetch would tidy such a path up before it is sent.
      const ask = async (path: string, host: string) => {
        const connection = await Deno.connect({ hostname, port: Number(port) });
        const request = `GET ${path} HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`;
        await connection.write(new TextEncoder().encode(request));
        return await new Response(connection.readable).text();
      };
      const answer = await ask("/../secret.json", `127.0.0.1:${port}`);
      assertStringIncludes(answer, "HTTP/1.1 404");
      assert(!answer.includes("secret"));
      for (const host of ["127.0.0.1", "localhost", "LocalHost", "[::1]"]) {
        assertStringIncludes(await ask("/", `${host}:${port}`), "HTTP/1.1 200", host);
      }
      // As a name that another site has pointed at this machine.
      const others = ["x", `x:${port}`, "localhost", "localhost:1", `localhost.x:${port}`, "", "/"];
      for (const host of others) {
        for (const path of ["/", `http://localhost:${port}/`]) {
          const answer = await ask(path, host);
          assertStringIncludes(answer, "HTTP/1.1 421", host);
          assert(!answer.includes("report"), host);
        }
      }
      for (const { address, family } of Deno.networkInterfaces()) {
        if (family !== "IPv4" || address.startsWith("127.")) continue;
        const reached = await Deno.connect({ hostname: address, port: Number(port) })
          .then((open) => (open.close(), true), () => false);
        assert(!reached, `reached at ${address}`);
      }

      const taken = await runTaskIn(folder, "serve", "--no-open", "--port", port);
      assertFailed(
        taken,
        1,
        `Cannot listen on port ${port} of 127.0.0.1: another program uses it; stop that one, or give another with --port`,
      );
      const ended = await server.end("SIGINT");
      assertEquals([ended.code, ended.rest], [130, ""], ended.stderr);
      assertEquals(ended.stderr.includes("error"), false, ended.stderr);
    }),
);

testOnUnix(
  "signals",
  "it writes the page on which models learn if there is none, and serves it",
  () =>
    inFolder(async (folder) => {
      const server = await serving(folder, "--port=0", "--reports=mine");
      const url = server.line.split(" ")[0];
      for (const name of ["page.js", "worker.js", "isolation.js", "page.css"]) {
        const { size } = await Deno.stat(join(folder, "mine/page", name));
        assertEquals((await (await fetch(new URL(name, url))).bytes()).length, size);
      }
      const { code } = await server.end("SIGTERM");
      assertEquals(code, 143);
    }),
);
