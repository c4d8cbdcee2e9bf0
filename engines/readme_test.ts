import { assertEquals } from "@std/assert";
import { gradients } from "./gradients.ts";
import { engineNames } from "./names.ts";
import { rules } from "./record/recorder.ts";

const readme = await Deno.readTextFile(new URL("README.md", import.meta.url));

/** The names in backquotes in the rows of a table, by the row's first cell. */
function namesInTable(header: string): Map<string, string[]> {
  const [, rows] = readme.slice(readme.indexOf(header)).match(/^.*\n.*\n((?:\|.*\n)+)/)!;
  return new Map(
    rows.trim().split("\n").map((row) => {
      const [, first, ...rest] = row.split("|");
      return [first.trim(), Array.from(rest.join().matchAll(/`(\w+)`/g), ([, name]) => name)];
    }),
  );
}

Deno.test("the README's table of operations is that of the recorder and of the gradients", () => {
  const table = namesInTable("| kind ");
  const all = [...table.values()].flat();
  assertEquals(all.toSorted(), Object.keys(rules).sort());
  const without = table.get("without a gradient")!;
  assertEquals(all.filter((name) => !without.includes(name)).sort(), Object.keys(gradients).sort());
});

Deno.test("the README says what each engine needs", () => {
  const listed = [...namesInTable("| engine ").keys()].map((name) => name.replaceAll("`", ""));
  assertEquals(listed, [...engineNames]);
});
