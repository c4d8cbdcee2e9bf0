import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { fromFileUrl, join } from "@std/path";
import { inFolder } from "../files/testing/temporary_folder.ts";
import { writeReport } from "./report.ts";
import { writeExample } from "./testing/example_results.ts";

const ROOT = fromFileUrl(new URL("..", import.meta.url));

/** Runs the task in `folder`, with leave to read it and the project, and to write it. */
async function report(folder: string, ...args: string[]) {
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: [
      ...["run", "--no-prompt", "--config", join(ROOT, "deno.json")],
      ...[`--allow-read=${ROOT},${folder}`, `--allow-write=${folder}`],
      ...[join(ROOT, "tasks/report.ts"), ...args],
    ],
    cwd: folder,
    env: { NO_COLOR: "1" },
  }).output();
  const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
  return { code, stdout: text(stdout), stderr: text(stderr) };
}

Deno.test("report --json prints the path and the size of the page, and nothing else", async () => {
  await inFolder(async (folder) => {
    await writeExample(folder);
    const { code, stdout, stderr } = await report(folder, "--", "--json", "--no-model");
    assertEquals([code, stderr], [0, ""]);
    const { size } = await Deno.stat(join(folder, "reports/index.html"));
    assertEquals(JSON.parse(stdout), { path: "reports/index.html", bytes: size });
    await Deno.rename(join(folder, "reports"), join(folder, "mine"));
    const mine = await report(folder, "--json", "--no-model", "--reports", "mine");
    assertEquals([mine.code, JSON.parse(mine.stdout).path], [0, "mine/index.html"]);
  });
});

Deno.test("report without any results still writes a page, and says what to run", async () => {
  await inFolder(async (folder) => {
    const { code, stderr } = await report(folder, "--no-model");
    assertEquals(code, 0);
    assertStringIncludes(stderr, "deno task quickstart");
    assertStringIncludes(
      await Deno.readTextFile(join(folder, "reports/index.html")),
      "deno task quickstart",
    );
  });
});

Deno.test("report notes a broken result in one line on stderr and on the page", async () => {
  await inFolder(async (folder) => {
    await writeExample(folder);
    await Deno.writeTextFile(join(folder, "reports/results/torn.json"), '{"kind":"sam');
    const { code, stderr } = await report(folder, "--no-model", "--out", "pages/new/mine.html");
    assertEquals(code, 0);
    assertMatch(stderr, /^Cannot use "reports\/results\/torn.json": .*\n$/);
    assertStringIncludes(
      await Deno.readTextFile(join(folder, "pages/new/mine.html")),
      "torn.json",
    );
  });
});

Deno.test("report refuses a page that it can't write in one line, and leaves no trace", async () => {
  await inFolder(async (folder) => {
    await writeExample(folder);
    await Deno.writeTextFile(join(folder, "file"), "");
    for (const out of ["reports", "file/page.html"]) {
      const { code, stdout, stderr } = await report(folder, "--no-model", "--out", out);
      assertEquals([code, stdout], [1, ""], out);
      assertMatch(stderr, /^error: Cannot [^\n]+\n$/, out);
    }
    assertEquals((await report(folder, "--oot", "x")).code, 2);
    assertEquals([...Deno.readDirSync(join(folder, "reports"))].map(({ name }) => name).sort(), [
      "results",
      "runs",
    ]);
  });
});

Deno.test("writeReport marks results stale once the weights on disk are others", async () => {
  await inFolder(async (folder) => {
    await writeExample(folder);
    const out = join(folder, "page.html");
    assertEquals((await writeReport(out, { root: folder })).data.race.gpt!.stale, []);
    assertEquals((await Deno.readTextFile(out)).includes("has changed since"), false);

    const weights = join(folder, "weights/gpt-small.safetensors");
    await Deno.writeTextFile(weights, "others");
    await writeReport(out, { root: folder });
    assertStringIncludes(await Deno.readTextFile(out), "has changed since");

    await Deno.remove(weights);
    const { data } = await writeReport(out, { root: folder });
    assertEquals(data.race.gpt!.stale, [
      '"weights/gpt-small.safetensors" is no longer there',
    ]);
  });
});
