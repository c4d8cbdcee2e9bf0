import { assert, assertEquals, assertMatch, assertThrows } from "@std/assert";
import fc from "fast-check";
import { UsageError } from "./flags.ts";
import { parseSettings } from "./settings.ts";

Deno.test("any setting without a flag of its own can be given as NAME=VALUE", () => {
  const given = ["dropout=0.1", "optimizer=muon", "evenMaskShares=true", "width= 64"];
  assertEquals(parseSettings(given, "gpt"), {
    dropout: 0.1,
    optimizer: "muon",
    evenMaskShares: true,
    width: 64,
  });
});

Deno.test("a setting that there is not, or a value not of its kind, is refused with what is expected", () => {
  const wrong = {
    "dropot=0.1": "expected NAME=VALUE with one of",
    "steps=3": "expected NAME=VALUE with one of",
    "__proto__=3": "expected NAME=VALUE with one of",
    "dropout": "expected NAME=VALUE, such as dropout=0.1",
    "dropout=": "dropout to be a number",
    "dropout=1": "dropout to be below 1",
    "clip=-1": "clip to be a number, 0 or more",
    "layers=2.5": "layers to be a whole number",
    "epsilon=0": "epsilon to be above 0",
    "optimizer=sgd": "optimizer to be adamw or muon",
    "zeroProjections=1": "zeroProjections to be true or false",
  };
  for (const [given, message] of Object.entries(wrong)) {
    assertThrows(() => parseSettings([given], "gpt"), UsageError, message);
  }
});

Deno.test("whatever is set, the settings come back from their own text, or one clean line refuses them", () => {
  const names = fc.constantFrom("dropout", "layers", "optimizer", "zeroProjections", "slice", "x");
  const number = fc.double({ noNaN: true, min: -1, max: 9 }).map(String);
  const value = fc.oneof(number, fc.nat(9).map(String), fc.string({ unit: "binary" }));
  const word = fc.constantFrom("true", "adamw", "0..9", "1e400", "");
  const text = fc.tuple(names, fc.oneof(value, word)).map((parts) => parts.join("="));
  fc.assert(fc.property(fc.oneof(text, fc.string({ unit: "binary" })), (text) => {
    try {
      const settings = parseSettings([text], "gpt");
      const [[name, value]] = Object.entries(settings);
      assertEquals(parseSettings([`${name}=${value}`], "gpt"), settings);
    } catch (error) {
      assert(error instanceof UsageError, String(error));
      assertMatch(error.message, /^Cannot set [^\p{Cc}\p{Zl}\p{Zp}\p{Bidi_Control}]+$/u);
    }
  }));
});
