import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import { testOnUnix } from "../../files/testing/system.ts";
import { commandLine, quoteForShell, withoutControls } from "./text.ts";

Deno.test("on a terminal a text keeps its lines and tabs, and no character that a terminal obeys", () => {
  assertEquals(
    withoutControls("To be,\r\n\tor\x1b[2J not\x9b\x07\x7f 🌊é\n"),
    "To be,\r\n\tor�[2J not��� 🌊é\n",
  );
});

testOnUnix(
  "a POSIX shell",
  "commandLine can be typed into a shell and gives the same arguments",
  async () => {
    assertEquals(
      commandLine("sample", ["--", "--model", "gpt", "--prompt", "O Romeo!"]),
      "deno task sample --model gpt --prompt 'O Romeo!'",
    );
    const texts = fc.sample(fc.string({ unit: "binary" }), { numRuns: 300, seed: 1 });
    const odd = texts.filter((text) => !text.includes("\0") && text.isWellFormed());
    const args = [
      ...odd,
      "a b",
      "it's",
      "",
      '$HOME `x` "y" \\ *',
      "line\nend",
      "~",
      "é",
      "#",
      "-x=1",
    ];
    const script = commandLine("x", args).replace("deno task x", "printf '%s\\0'");
    const { stdout } = await new Deno.Command("sh", { args: ["-c", script] }).output();
    assertEquals(new TextDecoder().decode(stdout).split("\0").slice(0, -1), args);
  },
);

Deno.test("on Windows commands are quoted for PowerShell", () => {
  const cases = [
    ["weights\\my gpt.safetensors", "'weights\\my gpt.safetensors'"],
    ["it's", "'it''s'"],
    ["C:\\texts\\mine.txt", "C:\\texts\\mine.txt"],
    ["$HOME", "'$HOME'"],
    ["1,2", "'1,2'"], // bare, it would be a list
    ["@x", "'@x'"],
    ["", "''"],
  ];
  for (const [word, quoted] of cases) assertEquals(quoteForShell(word, "windows"), quoted);
  const read = (quoted: string) =>
    /^'[^]*'$/.test(quoted) ? quoted.slice(1, -1).replaceAll("''", "'") : quoted;
  fc.assert(fc.property(fc.string(), (word) => {
    const quoted = quoteForShell(word, "windows");
    assertEquals(read(quoted), word);
    assert(quoted.startsWith("'") || !/[\s'"`$(){}[\]<>|&;,@#~*?!^%]/.test(quoted), quoted);
  }));
});
