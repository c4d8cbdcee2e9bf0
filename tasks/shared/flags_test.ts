import { assert, assertEquals, assertMatch, assertStringIncludes, assertThrows } from "@std/assert";
import fc from "fast-check";
import { commonFlags, HelpRequest, nextSeed, parseFlags, UsageError } from "./flags.ts";
import { helpText } from "./help.ts";

const task = {
  name: "sample",
  summary: "Generate text.",
  examples: [`deno task sample --prompt "ROMEO:"`],
};

const flags = {
  model: { choices: ["gpt", "diffusion"], default: "diffusion", help: "which of the two" },
  length: { type: "integer", min: 1, max: 100_000, default: 2000, help: "characters to generate" },
  temperature: { type: "number", min: 0, default: 0.8, help: "0 = always the likeliest" },
  topP: { type: "number", above: 0, max: 1, help: "share of probability kept" },
  offset: { type: "integer", help: "any whole number" },
  until: { type: "duration", help: "when to end" },
  split: { type: "size", help: "size of a piece" },
  prompt: { type: "string", help: "how the text starts" },
  weights: { type: "path", help: "trained weights" },
  engine: { choices: ["onnx", "eager:cpu"], multiple: true, help: "what computes" },
  json: { type: "boolean", help: "print JSON" },
} as const;

const parse = (...args: string[]) => parseFlags(task, flags, args);

/** The mistakes of a command line, one a line, without the advice at the end. */
function mistakes(...args: string[]): string {
  const { message } = assertThrows(() => parse(...args), UsageError);
  assertMatch(message, /[;?] [Rr]un "deno task sample --help" to see all flags$/);
  return message.replace(/[;?] [Rr]un "deno task sample --help" to see all flags$/, "");
}

Deno.test("a flag that is not given has its default, or is undefined", () => {
  const values = parse();
  // the types, too: a flag with a default is never undefined
  const length: number = values.length, model: "gpt" | "diffusion" = values.model;
  const engine: ("onnx" | "eager:cpu")[] = values.engine,
    prompt: string | undefined = values.prompt;
  assertEquals([length, model, engine, prompt], [2000, "diffusion", [], undefined]);
  assertEquals([values.json, values.topP, values.positionals], [false, undefined, []]);
});

Deno.test("a value follows its flag after a space or an equals sign", () => {
  for (const args of [["--length", "5", "--model", "gpt"], ["--length=5", "--model=gpt"]]) {
    const { length, model } = parse(...args);
    assertEquals([length, model], [5, "gpt"]);
  }
});

Deno.test("a first -- is dropped, since deno task hands it on", () => {
  assertEquals(parse("--", "--length", "5").length, 5);
});

Deno.test("a camel-case key is a flag with dashes", () => {
  assertEquals(parse("--top-p", "0.5").topP, 0.5);
  assertEquals(mistakes("--topP", "0.5"), `Unknown flag "--topP"; did you mean "--top-p"`);
});

Deno.test("text is taken as it is: empty, with spaces, line ends, equals signs or dashes", () => {
  for (
    const text of ["", " ", "ROMEO:\n", "a=b", "5", "true", "- a", "--", "--json", "-x", "é😀"]
  ) {
    assertEquals(parse(`--prompt=${text}`).prompt, text);
  }
  for (const text of ["", " ", "ROMEO:\n", "a=b", "5", "- a", "-", "-5", "--- a"]) {
    assertEquals(parse("--prompt", text, "--json").prompt, text);
  }
});

Deno.test("numbers may be written as people write them, and nothing else counts as one", () => {
  for (
    const [text, value] of [["5", 5], ["+5", 5], ["1e3", 1000], ["05", 5], ["2.0", 2]] as const
  ) {
    assertEquals(parse("--length", text).length, value);
  }
  const wrong = [
    "abc",
    "NaN",
    "Infinity",
    "1.5",
    "0x10",
    "1_000",
    "1,000",
    " 5",
    "5 ",
    "",
    "1e400",
  ];
  for (const text of [...wrong, "٣", "9007199254740993"]) {
    assertEquals(
      mistakes("--length", text),
      `Cannot use --length ${JSON.stringify(text)}: ` +
        `expected a whole number, at least 1 and at most 100000`,
    );
  }
  for (const text of ["nan", "-inf", "1e400", "0.5.5", "."]) {
    assertStringIncludes(mistakes("--temperature", text), "expected a number, at least 0");
  }
});

Deno.test("a time is read as seconds and a size as bytes, and a number without a unit is neither", () => {
  const times = [["90s", 90], ["8m", 480], ["1.5h", 5400], ["0.02m", 1]] as const;
  for (const [text, seconds] of times) assertEquals(parse("--until", text).until, seconds);
  const sizes = [["500K", 500_000], ["15M", 15_000_000], ["0.5G", 500_000_000]] as const;
  for (const [text, bytes] of sizes) assertEquals(parse("--split", text).split, bytes);
  for (const text of ["8", "m", "0s", "-8m", "8 m", "8M", "8min", "1h30m", "1e9h", ""]) {
    assertEquals(
      mistakes(`--until=${text}`),
      `Cannot use --until ${JSON.stringify(text)}: expected a time such as 90s, 8m or 1.5h`,
    );
  }
  assertStringIncludes(mistakes("--split", "15m"), "expected a size such as 500K, 15M or 2G");
});

Deno.test("a number of 50,000 digits that is none is refused at once", () => {
  const start = performance.now();
  const mistake = mistakes("--length", "1".repeat(50_000) + "x");
  // An expression that goes back over the digits takes a second and more, with the square of their
  // number.
  assert(performance.now() - start < 500);
  assert(mistake.length < 300, mistake);
});

Deno.test("what a terminal obeys is escaped where an argument is shown", () => {
  for (const text of ["a\x9b2Jb", "\u202eabc", "\x7f", "\u2028"]) {
    for (const shown of [mistakes(text), mistakes("--" + text), mistakes("--length", text)]) {
      assert(!/[\p{Cc}\p{Cf}\p{Zl}]/u.test(shown.replaceAll("\n", "")), JSON.stringify(shown));
    }
  }
});

Deno.test("a negative number is a value, and is checked as one", () => {
  assertEquals(parse("--offset", "-3").offset, -3);
  assertEquals(
    mistakes("--temperature", "-.5"),
    `Cannot use --temperature "-.5": expected a number, at least 0`,
  );
  assertStringIncludes(
    mistakes("--length", "-5"),
    `--length "-5": expected a whole number, at least 1`,
  );
});

Deno.test("limits: min and max belong to the range, above does not", () => {
  assertEquals([parse("--length", "1").length, parse("--length", "100000").length], [1, 100_000]);
  assertEquals([parse("--top-p", "1").topP, parse("--temperature", "0").temperature], [1, 0]);
  for (const args of [["--length", "0"], ["--length", "100001"], ["--top-p", "0"]]) {
    assertStringIncludes(mistakes(...args), ": expected a");
  }
});

Deno.test("the seed after another one is a seed that the flag takes, also after the largest", () => {
  assertEquals([nextSeed(7, 2), nextSeed(commonFlags.seed.max, 1)], [9, commonFlags.seed.min]);
});

Deno.test("an unknown flag is refused and the nearest one named", () => {
  assertEquals(
    assertThrows(() => parse("--temprature", "0.5"), UsageError).message,
    `Unknown flag "--temprature"; did you mean "--temperature"? ` +
      `Run "deno task sample --help" to see all flags`,
  );
  assertEquals(mistakes("--temp=1"), `Unknown flag "--temp"; did you mean "--temperature"`);
  assertEquals(mistakes("--no-json"), `Unknown flag "--no-json"; the nearest is "--json"`);
  for (const name of ["constructor", "__proto__", "_", "a.b", "=", "-"]) {
    assertStringIncludes(mistakes(`--${name}=1`), "Unknown flag");
  }
});

Deno.test("one dash instead of two gets a note of its own", () => {
  assertEquals(
    mistakes("-model", "gpt"),
    `Unknown flag "-model"; flags have two dashes: "--model"`,
  );
  assertEquals(mistakes("-model=gpt"), `Unknown flag "-model"; flags have two dashes: "--model"`);
});

Deno.test("an unknown choice is refused with the list, and the nearest if it is near", () => {
  assertEquals(
    mistakes("--model", "gtp"),
    `Cannot use --model "gtp": expected gpt or diffusion; did you mean "gpt"`,
  );
  assertEquals(
    mistakes("--model", "llama"),
    `Cannot use --model "llama": expected gpt or diffusion`,
  );
});

Deno.test("a repeated flag is refused, unless it is one that makes a list", () => {
  assertEquals(
    mistakes("--length", "5", "--length=6"),
    "Cannot use --length 2 times: it takes one value",
  );
  assertStringIncludes(mistakes("--json", "--json"), "--json 2 times");
  assertEquals(parse("--engine", "onnx", "--engine=eager:cpu").engine, ["onnx", "eager:cpu"]);
});

Deno.test("a missing value is refused, and a dash at its start explained", () => {
  const wanted = "Missing value of --prompt: expected a text";
  for (const rest of [[], ["--"]]) assertEquals(mistakes("--prompt", ...rest), wanted);
  assertEquals(
    mistakes("--prompt", "--json"),
    `${wanted}; a value that starts with a dash is written --prompt=--json`,
  );
  assertEquals(mistakes("--weights", ""), `Cannot use --weights "": expected a path`);
});

Deno.test("a boolean takes true, false or nothing, and leaves what follows alone", () => {
  assertEquals([parse("--json").json, parse("--json=true").json], [true, true]);
  assertEquals(parse("--json=false").json, false);
  assertStringIncludes(mistakes("--json=maybe"), "expected true, false or no value");
  assertEquals(mistakes("--json", "true"), `Unexpected argument "true": expected flags only`);
});

Deno.test("positional arguments are refused, or required where a task names them", () => {
  assertEquals(mistakes("gpt"), `Unexpected argument "gpt": expected flags only`);
  const convert = { ...task, positionals: ["IN", "OUT"] };
  const { positionals, json } = parseFlags(convert, flags, ["a.pt", "--json", "--", "-b"]);
  assertEquals([positionals, json], [["a.pt", "-b"], true]);
  assertEquals(parseFlags(convert, flags, ["007", "1.0"]).positionals, ["007", "1.0"]);
  const fails = (message: string, ...args: string[]) =>
    assertThrows(() => parseFlags(convert, flags, args), UsageError, message);
  fails("Missing IN and OUT");
  fails("Missing OUT", "a.pt");
  fails(`Unexpected argument "c": expected only IN and OUT`, "a", "b", "c");
  fails(`Cannot use OUT ""`, "a", "");
});

Deno.test("all mistakes of a command line are told at once", () => {
  assertEquals(mistakes("--temperature", "x", "--model=y", "z", "--length").split("\n").length, 4);
  // "5" may belong to the misspelt flag, so it is not called unexpected
  assertEquals(mistakes("--lenth", "5"), `Unknown flag "--lenth"; did you mean "--length"`);
});

Deno.test("--help wins over mistakes, and shows each flag with its choices and default", () => {
  const asked = assertThrows(() => parse("--nonsense", "--help"), HelpRequest);
  const message = helpText(asked.task, asked.table);
  assertEquals(message, helpText(task, flags));
  assertMatch(message, /^deno task sample \[flags\] {7}Generate text\.\n/);
  assertMatch(message, /--model NAME +which of the two \(gpt or diffusion; default: diffusion\)\n/);
  assertMatch(message, /--length N +characters to generate \(from 1 to 100000; default: 2000\)\n/);
  assertMatch(message, /--top-p X +share of probability kept \(above 0, at most 1\)\n/);
  assertMatch(message, /--json +print JSON\n/);
  assert(message.endsWith(`  deno task sample --prompt "ROMEO:"`));
  const least = { count: { type: "integer", min: 3, default: 5, help: "texts" } } as const;
  assertMatch(helpText(task, least), /--count N +texts \(at least 3; default: 5\)\n/);
  const between = {
    share: { type: "number", above: 0, max: 1, default: 0.5, help: "a share" },
    port: { type: "integer", min: 0, max: 9, help: "a port" },
    rate: { type: "number", below: 1, help: "a rate" },
  } as const;
  const ranges = helpText(task, between);
  assertMatch(ranges, /--share X +a share \(above 0, at most 1; default: 0.5\)\n/);
  assertMatch(ranges, /--port N +a port \(from 0 to 9\)\n/);
  assertMatch(ranges, /--rate X +a rate \(below 1\)\n/);
  const long = helpText({ ...task, summary: "word ".repeat(60).trim() }, commonFlags);
  for (const line of long.split("\n")) assert(line.length <= 100, line);
});

/** Values as a program would hold them, and the same as they would be typed. */
const commandLines = fc.record({
  model: fc.constantFrom("gpt" as const, "diffusion" as const),
  length: fc.integer({ min: 1, max: 100_000 }),
  temperature: fc.double({ min: 0, noNaN: true, noDefaultInfinity: true }),
  topP: fc.double({ min: 0, minExcluded: true, max: 1, noNaN: true }),
  offset: fc.maxSafeInteger(),
  prompt: fc.string({ unit: "binary" }),
  weights: fc.string({ minLength: 1 }),
  engine: fc.array(fc.constantFrom("onnx" as const, "eager:cpu" as const), { minLength: 1 }),
  json: fc.boolean(),
}, { requiredKeys: [] });

Deno.test("any values that fit the table come back from the command line that states them", () => {
  fc.assert(fc.property(commandLines, fc.boolean(), (values, dashes) => {
    const args = Object.entries(values).flatMap(([key, value]) =>
      [value].flat().map((one) => `--${key === "topP" ? "top-p" : key}=${one}`)
    );
    const parsed = parse(...(dashes ? ["--"] : []), ...args);
    // -0 and 0 are typed alike
    const wanted = JSON.parse(JSON.stringify({ ...parse(), ...values }));
    assertEquals(JSON.parse(JSON.stringify(parsed)), wanted);
  }));
});

Deno.test("no command line whatever throws anything but help or usage errors, a clean line for each mistake", () => {
  const word = fc.oneof(
    fc.string({ unit: "binary" }),
    fc.constantFrom(
      ...Object.keys(flags).map((key) => `--${key}`),
      "--",
      "-",
      "--=",
      "--_",
      "-5",
      "--no-",
    ),
    fc.tuple(fc.constantFrom("--", "-"), fc.string()).map((parts) => parts.join("")),
    fc.tuple(fc.constantFrom(...Object.keys(flags)), fc.string()).map(([k, v]) => `--${k}=${v}`),
  );
  fc.assert(
    fc.property(fc.array(word), (args) => {
      try {
        parse(...args);
      } catch (error) {
        if (error instanceof HelpRequest) return;
        assert(error instanceof UsageError, String(error));
        for (const line of error.message.split("\n")) {
          assertMatch(line, /^(Unknown flag|Cannot use|Missing|Unexpected argument) /);
          assert(line.isWellFormed() && !/[\p{Cc}\p{Zl}\p{Zp}\p{Bidi_Control}]/u.test(line), line);
        }
      }
    }),
    { numRuns: 500 },
  );
});

Deno.test("a flag may be called --no-something without being the opposite of --something", () => {
  const table = {
    noModel: { type: "boolean", help: "" },
    model: { type: "string", help: "" },
  } as const;
  const of = (...args: string[]) => parseFlags(task, table, args);
  assertEquals(of("--no-model"), { noModel: true, model: undefined, positionals: [] });
  assertEquals(of("--model", "x"), { noModel: false, model: "x", positionals: [] });
  assertEquals(of("--no-model=false", "--model=--no-model").model, "--no-model");
});
