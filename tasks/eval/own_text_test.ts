import { assertEquals } from "@std/assert";
import { type CharacterBits, listBits, paintBits } from "./own_text.ts";

const gpt: CharacterBits = {
  model: "gpt",
  weights: "g",
  sees: "the left",
  mean_bits: 3,
  bits: [null, 6, 0.25],
};

Deno.test("listBits writes each character's bits below it, and none for the first of a GPT", () => {
  assertEquals(
    listBits("a \n", [gpt, { ...gpt, model: "diffusion", bits: [1, 2, 3.456] }]).split("\n\n").at(
      -1,
    ),
    [
      "               a space    \\n",
      "gpt            -  6.00  0.25",
      "diffusion   1.00  2.00  3.46",
    ].join("\n"),
  );
});

Deno.test("paintBits colours by level and shows no control character of the text", () => {
  const painted = paintBits("a\x1b\n", [gpt]).split("\n\n").at(-1);
  assertEquals(painted, "a\x1b[30;48;5;203m\ufffd\x1b[0m\x1b[30;48;5;255m⏎\x1b[0m");
});
