import { UserError } from "@tiny-diffusion/engines/errors";
import { assert, assertEquals, assertThrows } from "@std/assert";
import * as fc from "fast-check";
import { parseTemplate } from "./template.ts";

const gap = (min: number, max = min) => ({ min, max });

Deno.test("each gap character hides one, wherever it stands", () => {
  assertEquals(parseTemplate("To be, or ____ to be"), [
    { given: "To be, or " },
    gap(4),
    { given: " to be" },
  ]);
  assertEquals(parseTemplate("_a__"), [gap(1), { given: "a" }, gap(2)]);
  assertEquals(parseTemplate("___"), [gap(3)]);
  assertEquals(parseTemplate("🌙?_?", "?"), [{ given: "🌙" }, gap(1), { given: "_" }, gap(1)]);
  assertEquals(parseTemplate("a🌙b", "🌙"), [{ given: "a" }, gap(1), { given: "b" }]);
});

Deno.test("{3..12} is a gap of 3 to 12, and other braces are text", () => {
  assertEquals(parseTemplate("To be, {3..12} to {be}{0..1}_"), [
    { given: "To be, " },
    gap(3, 12),
    { given: " to {be}" },
    gap(0, 1),
    gap(1),
  ]);
  assertEquals(parseTemplate("_{3.12}{..2}{1..}"), [gap(1), { given: "{3.12}{..2}{1..}" }]);
});

Deno.test("a template that can't be filled is refused, and the error says how to write one", () => {
  const cases: [template: string, gap: string | undefined, message: string][] = [
    ["To be", undefined, 'it has no gap; write "_" for each hidden character, or {3..12}'],
    ["To be_", "?", 'it has no gap; write "?"'],
    ["", undefined, "it has no gap"],
    ["a{5..3}", undefined, "the gap {5..3} has no possible length"],
    ["a{0..0}", undefined, "the gap {0..0} has no possible length"],
    ["a{1..1001}", undefined, "MAX from 1 to 1000"],
    [
      `{1..${"9".repeat(1e5)}}`,
      undefined,
      "the gap {1..99999999999999999999999999999999999… has no",
    ],
    ["a__", "", 'Cannot use "" as the gap: expected one character'],
    ["a__", "__", 'Cannot use "__" as the gap: expected one character'],
  ];
  for (const [template, character, message] of cases) {
    const error = assertThrows(() => parseTemplate(template, character), UserError, message);
    assert(error.message.startsWith("Cannot "));
  }
});

Deno.test("the pieces of a template, written out again, are the template", () => {
  fc.assert(fc.property(
    fc.array(fc.constantFrom("a", "be ", "_", "___", "🌙", "{1..2}", "{", "}", "..")),
    (parts) => {
      const template = `${parts.join("")}_`;
      const written = parseTemplate(template).map((piece) =>
        "given" in piece
          ? piece.given
          : piece.min < piece.max
          ? `{${piece.min}..${piece.max}}`
          : "_".repeat(piece.min)
      );
      assertEquals(written.join(""), template);
    },
  ));
});
