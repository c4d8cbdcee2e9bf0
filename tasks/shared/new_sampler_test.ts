/**
 * A sampler is one file and its place in the list: a copy of the project gets one more, with an
 * option of its own, and nothing else.
 */
import { assert, assertEquals, assertMatch } from "@std/assert";
import { dirname, fromFileUrl, join } from "@std/path";
import { inTrainedFolder } from "../testing/task_process.ts";

const root = fromFileUrl(new URL("../..", import.meta.url));

const FILE = `
/** From the middle of a block outwards. Source: a test. */
import { defineSampler, drawEach, revealPerPass } from "./sampler.ts";

export const outwards = defineSampler({
  name: "outwards",
  source: "a test",
  options: {
    atOnce: {
      type: "integer",
      min: 1,
      max: 8,
      default: 2,
      help: "characters to fix at once",
      short: "# at once",
    },
  },
  maxPasses: (count, { atOnce }) => Math.ceil(count / atOnce),
  fill: ({ atOnce }) =>
    revealPerPass(({ logits, masked }, truncation, random) => {
      const middle = logits.length / 2;
      const distance = (position: number) => Math.abs(position - middle);
      const nearest = masked.toSorted((a, b) => distance(a) - distance(b)).slice(0, atOnce);
      return drawEach(nearest, logits, truncation, random);
    }),
});
`;

/** Uses the page and the report's labels of the copy, and prints what they say as JSON. */
const SCRIPT = `
import { renderToString } from "preact-render-to-string";
import { h } from "preact";
import { WriteSettingFields } from "./tasks/page/client/write_settings.tsx";
import { describeSampler } from "./tasks/report/words.ts";
const settings = { sampler: "outwards", temperature: 0.8, topK: 2 };
const page = renderToString(h(WriteSettingFields, { settings, mode: "gaps", setSettings() {} }));
const label = describeSampler("outwards", JSON.parse(Deno.args[0]));
console.log(JSON.stringify({ page, label }));
`;

/** Copies what runs: no tests and nothing that is generated. */
async function copyProject(to: string): Promise<void> {
  const copy = async (path: string) => {
    const target = join(to, path);
    await Deno.mkdir(dirname(target), { recursive: true });
    await Deno.copyFile(join(root, path), target);
  };
  const copyFolder = async (folder: string) => {
    for await (const { name, isDirectory } of Deno.readDir(join(root, folder))) {
      const path = join(folder, name);
      if (isDirectory) await copyFolder(path);
      else if (!/_test\.tsx?$/.test(name)) await copy(path);
    }
  };
  for (const folder of ["engines", "files", "core", "tasks", "vendor"]) await copyFolder(folder);
  for (const file of ["deno.json", "deno.lock", "checks/deno.json"]) await copy(file);
}

Deno.test("a sampler in one file and its place in the list has its flag, its help, its field and its label", () =>
  inTrainedFolder(async (folder) => {
    const project = join(folder, "project");
    await copyProject(project);
    const samplers = join(project, "core/sampling/samplers");
    await Deno.writeTextFile(join(samplers, "outwards.ts"), FILE);
    const list = await Deno.readTextFile(join(samplers, "mod.ts"));
    const longer = list
      .replace(/^import/m, 'import { outwards } from "./outwards.ts";\nimport')
      .replace(/(export const samplerList = \[.*?),?\s*\]/s, "$1, outwards]");
    await Deno.writeTextFile(join(samplers, "mod.ts"), longer);

    const run = async (args: string[], cwd = folder) => {
      const config = ["--config", join(project, "deno.json"), "--frozen"];
      const [command, ...rest] = args;
      const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
        args: [command, ...config, ...rest],
        cwd,
        env: { NO_COLOR: "1" },
      }).output();
      const [out, errors] = [stdout, stderr].map((bytes) => new TextDecoder().decode(bytes));
      return { code, out, errors };
    };
    const sample = (...args: string[]) =>
      run(["run", "--no-prompt", "--allow-all", join(project, "tasks/sample.ts"), ...args]);

    const check = await run(["check", "--quiet", join(samplers, "mod.ts")]);
    assertEquals(check.code, 0, check.errors);

    const help = await sample("--help");
    assertMatch(help.out, /--sampler NAME .*\boutwards\b/s);
    assertMatch(
      help.out,
      /^ {2}--at-once N +sampler outwards: characters to fix at once \(from 1 to 8; default: 2\)$/m,
    );

    const flags = ["--engine", "onnx", "--threads", "1", "--data", "text.txt", "--length", "40"];
    const useless = await sample(...flags, "--at-once", "3");
    assertEquals(useless.code, 2);
    assertMatch(
      useless.errors,
      /Cannot use --at-once with the sampler copula: it applies only to outwards/,
    );

    const own = ["--sampler", "outwards", "--at-once", "3"];
    const written = await sample(...flags, ...own, "--json");
    assertEquals(written.code, 0, written.errors);
    const { sampler, samples: [{ forwards, text }], forwards_at_most } = JSON.parse(written.out);
    assertEquals([sampler, text.length], ["outwards", 16 + 40]);
    assertEquals([forwards, forwards_at_most], [15, 15]); // blocks of 16, 16 and 8 characters

    const [result] = [...Deno.readDirSync(join(folder, "reports/results"))];
    const { settings } = JSON.parse(
      await Deno.readTextFile(join(folder, "reports/results", result.name)),
    );
    assertEquals(settings["at-once"], 3);

    await Deno.writeTextFile(join(project, "script.ts"), SCRIPT);
    const shown = await run(["run", "--allow-all", "script.ts", JSON.stringify(settings)], project);
    assertEquals(shown.code, 0, shown.errors);
    const { page, label } = JSON.parse(shown.out);
    assertEquals(label, "outwards, 3 at once");
    assert(page.includes('value="outwards"'), page);
    const field = /<span>Characters to fix at once<\/span><input [^>]*>/.exec(page)?.[0] ?? "";
    for (const attribute of ['type="number"', 'min="1"', 'max="8"', 'value="2"', 'step="1"']) {
      assert(field.includes(attribute), `${field} has no ${attribute}`);
    }
  }));
