/**
 * The command line that all tasks share: a table of flags drives parsing, checks, help and
 * suggestions; errors become one line and an exit code. The only file that ends the process, and
 * the only one that turns Ctrl-C into something else than an end.
 */
import { parseArgs } from "@std/cli/parse-args";
import { bold, red } from "@std/fmt/colors";
import { closestString } from "@std/text/closest-string";
import { levenshteinDistance } from "@std/text/levenshtein-distance";
import { engineNames } from "../../engines/names.ts";
import { quoted } from "../../engines/errors.ts";

interface FlagBasics {
  /** What it is, without the default and the allowed values: help adds them. */
  help: string;
  /** What help shows for the value, such as `FILE`. */
  placeholder?: string;
  /** May be given more than once; the value is then an array. */
  multiple?: boolean;
}

/** A number; `above` and `below` exclude the limit itself, `min` and `max` include it. */
interface NumberFlag extends FlagBasics {
  type: "integer" | "number";
  min?: number;
  max?: number;
  above?: number;
  below?: number;
  default?: number | readonly number[];
}

/** Text, or a path, which can't be empty. */
interface TextFlag extends FlagBasics {
  type: "string" | "path";
  default?: string | readonly string[];
}

/** Off unless given. */
interface BooleanFlag extends FlagBasics {
  type: "boolean";
  multiple?: false;
}

interface ChoiceFlag extends FlagBasics {
  choices: readonly string[];
  default?: string | readonly string[];
}

export type Flag = NumberFlag | TextFlag | BooleanFlag | ChoiceFlag;

/**
 * Flags in order of use. The key `topK` is the flag `--top-k` and the property `topK` of the
 * values.
 */
export type FlagTable = Readonly<Record<string, Flag>>;

type Single<F> = F extends { choices: readonly (infer Choice)[] } ? Choice
  : F extends { type: "boolean" } ? boolean
  : F extends { type: "integer" | "number" } ? number
  : string;

/** What `parseFlags` gives for each flag: `undefined` only for one that has no default. */
export type Values<T extends FlagTable> = {
  -readonly [Name in keyof T]: T[Name] extends { multiple: true } ? Single<T[Name]>[]
    : T[Name] extends { type: "boolean" } | { default: unknown } ? Single<T[Name]>
    : Single<T[Name]> | undefined;
};

export interface TaskDescription {
  /** As typed after `deno task`. */
  name: string;
  /** One sentence on what it does and where the result goes. */
  summary: string;
  /** What follows the name in the first line of the help; made from `positionals` if left out. */
  usage?: string;
  /** Whole command lines, shown last. */
  examples: readonly string[];
  /** Names of the arguments without a flag, such as `["IN", "OUT"]`; all of them are required. */
  positionals?: readonly string[];
}

/**
 * A command line that can't be used (exit code 2). One mistake a line; the last line says where to
 * find help.
 */
export class UsageError extends Error {
  override name = "UsageError";
}

/** Thrown for `--help`: the message is the help (stdout, exit code 0). */
export class HelpRequest extends Error {
  override name = "HelpRequest";
}

/**
 * Ctrl-C or SIGTERM (exit code 130 or 143). The message is what the user should know: what was
 * saved, how to go on.
 */
export class Interrupted extends Error {
  override name = "Interrupted";
  constructor(readonly signal: "SIGINT" | "SIGTERM", message = "Interrupted") {
    super(message);
  }
  get exitCode(): number {
    return this.signal === "SIGINT" ? 130 : 143;
  }
}

/** The names that `--engine` takes. */
const engineChoices = ["auto", ...engineNames] as const;

/** The flag that every task has. */
export const outputFlags = {
  json: { type: "boolean", help: "print one JSON object on stdout" },
} as const;

/** The flags of every task that runs a model; spread them after the task's own. */
export const commonFlags = {
  engine: { choices: engineChoices, default: "auto", help: "what computes" },
  precision: { choices: ["f32", "bf16"], default: "f32", help: "of matrix products" },
  seed: { type: "integer", min: 0, max: 2 ** 32 - 1, default: 1337, help: "of every random draw" },
  data: { type: "path", help: "the text; without it, the one fetched last" },
  threads: {
    type: "integer",
    min: 1,
    max: 1024,
    help: "of the engine; without it, its own choice",
  },
  ...outputFlags,
} as const;

/**
 * Reads a command line by a table of flags. `--flag value` and `--flag=value` mean the same; a `--`
 * in first place is dropped (`deno task` hands it on), and after a later one everything is
 * positional.
 *
 * @throws {UsageError} With every mistake of the line.
 * @throws {HelpRequest} If it has `--help` or `-h`, whatever else it has.
 */
export function parseFlags<const T extends FlagTable>(
  task: TaskDescription,
  table: T,
  args: string[],
): Values<T> & { positionals: string[] } {
  const byName = new Map(Object.entries(table).map(([key, flag]) => [flagName(key), flag]));
  const { joined, mistakes, hasUnknown, wantsHelp } = joinValues(
    args[0] === "--" ? args.slice(1) : args,
    byName,
  );
  if (wantsHelp) throw new HelpRequest(helpText(task, table));

  const names = [...byName.keys()].map((name) => PREFIX + name);
  const parsed = parseArgs(joined, {
    string: [...names, "_"], // "_" keeps positionals that look like numbers as they were typed
    collect: names,
  });
  const values: Record<string, unknown> = {};
  for (const [key, flag] of Object.entries(table)) {
    const texts = parsed[PREFIX + flagName(key)] as string[] | undefined ?? [];
    values[key] = readFlag(flagName(key), flag, texts, mistakes);
  }
  const positionals = parsed._.map(String);
  // What follows an unknown flag may be its value, so nothing can be said about positionals then.
  if (!hasUnknown) mistakes.push(...wrongPositionals(positionals, task.positionals ?? []));
  if (mistakes.length > 0) {
    const last = mistakes.pop()!;
    const advice = `un "deno task ${task.name} --help" to see all flags`;
    mistakes.push(last + (last.endsWith("?") ? ` R${advice}` : `; r${advice}`));
    throw new UsageError(mistakes.join("\n"));
  }
  return { ...values, positionals } as Values<T> & { positionals: string[] };
}

/** The help of a task: usage, flags with allowed values and defaults, examples. */
export function helpText(task: TaskDescription, table: FlagTable): string {
  const usage = task.usage ?? [...(task.positionals ?? []), "[flags]"].join(" ");
  const flags: FlagTable = { ...table, help: { type: "boolean", help: "show this" } };
  const rows = Object.entries(flags).map(([key, flag]) => [
    [`--${flagName(key)}`, ...(isBoolean(flag) ? [] : [placeholder(flag)])].join(" "),
    describeFlag(flag),
  ]);
  const column = Math.max(...rows.map(([left]) => left.length));
  return [
    wrap(`deno task ${task.name} ${usage}       `, task.summary),
    "",
    ...rows.map(([left, right]) => wrap(`  ${left.padEnd(column)}  `, right)),
    "",
    ...task.examples.map((example) => `  ${example}`),
  ].join("\n");
}

/**
 * The command to type again, such as `deno task sample --prompt 'O Romeo'`: quoted for a POSIX
 * shell, on Windows for PowerShell.
 */
export function commandLine(name: string, args: string[]): string {
  const shown = args[0] === "--" ? args.slice(1) : args;
  return ["deno", "task", name, ...shown].map((word) => quoteForShell(word)).join(" ");
}

/** Writes a result to stdout, with a line end if it has none. */
export function print(text: string): void {
  try {
    writeAll(Deno.stdout, text.endsWith("\n") ? text : text + "\n");
  } catch (error) {
    if (error instanceof Deno.errors.BrokenPipe) throw error; // `runTask` ends quietly
    const { message } = error as Error;
    throw new Error(`Cannot write to stdout: ${message}; check where it is sent`, { cause: error });
  }
}

/**
 * Writes text that a model wrote to stdout: as it is to a file or another program; for a terminal,
 * which would obey control characters, with "�" for each. Weights from elsewhere may have any
 * character in their vocabulary.
 */
export function printText(text: string): void {
  print(Deno.stdout.isTerminal() ? withoutControls(text) : text);
}

/** `text` with "�" for control characters other than line ends and tabs. */
export function withoutControls(text: string): string {
  return text.replace(/[^\P{Cc}\n\r\t]/gu, "\ufffd");
}

/** Writes the one object of `--json` to stdout. */
export function printJson(value: object): void {
  print(JSON.stringify(value));
}

/** Writes a line that is no result to stderr. */
export function note(line: string): void {
  writeAll(Deno.stderr, line + "\n");
}

/**
 * The signal that Ctrl-C and SIGTERM abort, with an `Interrupted` as its reason. A task that asks
 * for it promises to look at it between steps, to save, and to throw an `Interrupted`; a second
 * Ctrl-C ends the process at once. Without it, the first one does. One Ctrl-C may arrive twice,
 * from the terminal and from the task that started this one: what follows at once is not a second.
 *
 * Signals arrive as tasks of the event loop: a loop of engine steps has to let one pass now and
 * then (`setTimeout`).
 */
export function interruption(): AbortSignal {
  if (interrupt) return interrupt.signal;
  const controller = interrupt = new AbortController();
  let abortedAt = -Infinity;
  const listen = (signal: "SIGINT" | "SIGTERM") =>
    Deno.addSignalListener(signal, () => {
      const reason = new Interrupted(signal), now = performance.now();
      if (!controller.signal.aborted) {
        abortedAt = now;
        controller.abort(reason);
      } else if (now - abortedAt > 300) Deno.exit(reason.exitCode);
    });
  listen("SIGINT");
  listen("SIGTERM"); // on Windows, the end of the session
  return controller.signal;
}
let interrupt: AbortController | undefined;

/**
 * Runs the main function of a task and ends the process: 0 done, 1 failed, 2 wrong usage, 130 or
 * 143 interrupted. An error that was made for the user is one line on stderr; any other is a bug of
 * ours and keeps its stack trace.
 */
export async function runTask(
  main: (args: string[]) => Promise<void>,
  args: string[],
): Promise<never> {
  globalThis.addEventListener("unhandledrejection", (event) => {
    event.preventDefault();
    Deno.exit(reportError(event.reason));
  });
  try {
    await main(args);
  } catch (error) {
    Deno.exit(reportError(error));
  }
  const reason = interrupt?.signal.reason;
  Deno.exit(reason instanceof Interrupted ? reason.exitCode : 0);
}

/** Tells the user about an error; the exit code is the result. */
function reportError(error: unknown): number {
  // The reader of our output has gone (`| head`): nobody is left to be told.
  if (error instanceof Deno.errors.BrokenPipe) return 0;
  if (error instanceof HelpRequest) {
    try {
      print(error.message);
      return 0;
    } catch (failure) {
      return reportError(failure);
    }
  }
  try {
    note(describeError(error));
  } catch {
    // stderr is gone as well: the exit code has to do
  }
  if (error instanceof Interrupted) return error.exitCode;
  return error instanceof UsageError ? 2 : 1;
}

/** What the user reads about an error: a line a mistake, or our bug with its stack trace. */
export function describeError(error: unknown): string {
  const label = Deno.stderr.isTerminal() ? bold(red("error:")) : "error:"; // std honours NO_COLOR
  if (error instanceof Interrupted) return error.message;
  if (error instanceof UsageError) {
    return error.message.split("\n").map((mistake) => `${label} ${mistake}`).join("\n");
  }
  if (error instanceof Error && isDeliberate(error)) {
    return `${label} ${error.message.trim().replace(/\s*\n\s*/g, " ")}`;
  }
  const detail = error instanceof Error ? error.stack ?? String(error) : String(error);
  return `${label} This is a bug in tiny-diffusion; please report it with the lines below\n${detail}`;
}

/**
 * Whether an error was written for the user. Ours read "Cannot <action>: <found>"; JavaScript's own
 * ("Cannot read properties of undefined") have no colon. What the system refuses (no such file, no
 * permission) is no bug of ours either.
 */
function isDeliberate(error: Error): boolean {
  return /^Cannot [^\n]+?: ./.test(error.message) || /\(os error \d+\)/.test(error.message) ||
    Object.values(Deno.errors).some((errorClass) => error instanceof errorClass);
}

/**
 * Stands before every name that `parseArgs` is given: it would take `--no-model` for the flag
 * `model`, set to false.
 */
const PREFIX = "flag-";

/**
 * Writes each `--flag value` as `--flag=value` and a bare boolean as `--flag=true`, so that values
 * may be negative or empty, which `parseArgs` would take for flags or for nothing. Leaves out, as
 * mistakes, flags that the table lacks.
 */
function joinValues(args: string[], byName: Map<string, Flag>) {
  const joined: string[] = [], mistakes: string[] = [];
  let wantsHelp = false, hasUnknown = false;
  for (let i = 0; i < args.length; i++) {
    const arg = args[i];
    if (arg === "--") {
      joined.push(...args.slice(i));
      break;
    }
    if (arg === "--help" || arg === "-h") {
      wantsHelp = true;
      continue;
    }
    if (!arg.startsWith("-") || arg === "-") {
      joined.push(arg);
      continue;
    }
    const [given] = arg.split("=");
    const flag = given.startsWith("--") ? byName.get(given.slice(2)) : undefined;
    if (!flag) {
      mistakes.push(unknownFlag(given, [...byName.keys()]));
      hasUnknown = true;
      continue;
    }
    const name = `--${PREFIX}${given.slice(2)}`;
    if (arg.includes("=")) joined.push(name + arg.slice(given.length));
    else if (isBoolean(flag)) joined.push(`${name}=true`);
    else if (isValue(flag, args[i + 1])) joined.push(`${name}=${args[++i]}`);
    else mistakes.push(missingValue(given, flag, args[i + 1]));
  }
  return { joined, mistakes, hasUnknown, wantsHelp };
}

/** Whether the argument after a flag is its value and not the next flag. */
function isValue(flag: Flag, next: string | undefined): next is string {
  if (next === undefined || next === "--") return false;
  if (isNumeric(flag) && /^-(\d|\.|inf|nan)/i.test(next)) return true;
  return !/^--?[a-z]/i.test(next);
}

function missingValue(given: string, flag: Flag, next: string | undefined): string {
  const mistake = `Missing value of ${given}: expected ${expectation(flag)}`;
  if (next === undefined || next === "--" || isNumeric(flag)) return mistake;
  const shown = /^[^\p{C}\p{Zl}\p{Zp}]{1,80}$/u.test(next) ? quoteForShell(next) : "VALUE";
  return `${mistake}; a value that starts with a dash is written ${given}=${shown}`;
}

/** Nothing that is longer is near a name of ours, and comparing takes time. */
const longestName = 100;

function unknownFlag(given: string, names: string[]): string {
  const name = given.replace(/^-+/, "").slice(0, longestName);
  const mistake = `Unknown flag ${quoted(given)}`;
  if (given === `-${name}` && names.includes(name)) {
    return `${mistake}; flags have two dashes: "--${name}"`;
  }
  if (names.length === 0) return mistake;
  const longer = names.filter((candidate) => name !== "" && candidate.startsWith(name));
  const nearest = closestString(name, longer.length > 0 ? longer : names);
  const isNear = longer.length > 0 ||
    levenshteinDistance(name, nearest) <= Math.max(2, name.length / 3);
  return `${mistake}; ${isNear ? `did you mean "--${nearest}"?` : `the nearest is "--${nearest}"`}`;
}

function wrongPositionals(given: string[], wanted: readonly string[]): string[] {
  const extra = given.slice(wanted.length).map((text) =>
    `Unexpected argument ${quoted(text)}: expected ${
      wanted.length === 0 ? "flags only" : `only ${listed(wanted, "and")}`
    }`
  );
  const missing = wanted.slice(given.length);
  const empty = given.slice(0, wanted.length).flatMap((text, i) => text === "" ? [wanted[i]] : []);
  if (missing.length > 0) extra.push(`Missing ${listed(missing, "and")}`);
  return [
    ...empty.map((name) => `Cannot use ${name} "": expected something that is not empty`),
    ...extra,
  ];
}

/** The value of one flag, or a mistake. */
function readFlag(name: string, flag: Flag, texts: string[], mistakes: string[]): unknown {
  if (texts.length > 1 && !flag.multiple) {
    mistakes.push(`Cannot use --${name} ${texts.length} times: it takes one value`);
    return;
  }
  if (texts.length === 0) {
    if (isBoolean(flag)) return false;
    return Array.isArray(flag.default)
      ? [...flag.default]
      : flag.default ?? (flag.multiple ? [] : undefined);
  }
  const values = texts.map((text) => readValue(name, flag, text, mistakes));
  return flag.multiple ? values : values[0];
}

function readValue(name: string, flag: Flag, text: string, mistakes: string[]): unknown {
  const refuse = (hint = "") => {
    const found = quoted(text);
    mistakes.push(`Cannot use --${name} ${found}: expected ${expectation(flag)}${hint}`);
  };
  if ("choices" in flag) {
    if (flag.choices.includes(text)) return text;
    const start = text.slice(0, longestName), nearest = closestString(start, flag.choices);
    return refuse(levenshteinDistance(start, nearest) <= 2 ? `; did you mean "${nearest}"?` : "");
  }
  switch (flag.type) {
    case "boolean":
      return text === "true" || text === "false" ? text === "true" : refuse();
    case "string":
      return text;
    case "path":
      return text !== "" ? text : refuse();
    default: {
      // Number() alone would take "", " 1" and "0x10". 1e3 is fine, for an integer too.
      const isDecimal = /^[+-]?(\d+(\.\d*)?|\.\d+)(e[+-]?\d+)?$/i.test(text);
      const value = isDecimal ? Number(text) : NaN;
      const { min = -Infinity, max = Infinity, above = -Infinity, below = Infinity } = flag;
      const isKind = flag.type === "integer" ? Number.isSafeInteger(value) : Number.isFinite(value);
      return isKind && value >= min && value <= max && value > above && value < below
        ? value
        : refuse();
    }
  }
}

/** What a value has to be, in words. */
function expectation(flag: Flag): string {
  if ("choices" in flag) return listed(flag.choices, "or");
  switch (flag.type) {
    case "boolean":
      return "true, false or no value";
    case "string":
      return "a text";
    case "path":
      return "a path";
    default: {
      const limits = [
        ...(flag.min !== undefined ? [`at least ${flag.min}`] : []),
        ...(flag.above !== undefined ? [`above ${flag.above}`] : []),
        ...(flag.max !== undefined ? [`at most ${flag.max}`] : []),
        ...(flag.below !== undefined ? [`below ${flag.below}`] : []),
      ];
      const kind = flag.type === "integer" ? "a whole number" : "a number";
      return limits.length === 0 ? kind : `${kind}, ${limits.join(" and ")}`;
    }
  }
}

function describeFlag(flag: Flag): string {
  const facts = [
    ...("choices" in flag ? [listed(flag.choices, "or")] : []),
    ...(isNumeric(flag) && leastOf(flag) > 1 ? [`at least ${leastOf(flag)}`] : []),
    ...(flag.multiple ? ["repeatable"] : []),
    ...("default" in flag && flag.default !== undefined
      ? [`default ${[flag.default].flat().join(" ")}`]
      : []),
  ];
  return facts.length === 0 ? flag.help : `${flag.help} (${facts.join("; ")})`;
}

function placeholder(flag: Flag): string {
  if (flag.placeholder) return flag.placeholder;
  if ("choices" in flag) return "NAME";
  return { integer: "N", number: "X", string: "TEXT", path: "FILE", boolean: "" }[flag.type];
}

const isBoolean = (flag: Flag) => "type" in flag && flag.type === "boolean";
const isNumeric = (flag: Flag) =>
  "type" in flag && (flag.type === "integer" || flag.type === "number");
/** That a number is at least 0 or 1 goes without saying. */
const leastOf = (flag: Flag) => "min" in flag ? flag.min ?? 0 : 0;
const flagName = (key: string) => key.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);

function listed(words: readonly string[], conjunction: "and" | "or"): string {
  if (words.length < 2) return words.join("");
  return `${words.slice(0, -1).join(", ")} ${conjunction} ${words.at(-1)}`;
}

/** Breaks a text into lines of at most 100 characters that hang under their first one. */
function wrap(first: string, text: string): string {
  const lines = [first];
  for (const word of text.split(" ")) {
    if (lines.at(-1)!.length + word.length > 100) lines.push(" ".repeat(first.length));
    lines[lines.length - 1] += `${word} `;
  }
  return lines.map((line) => line.trimEnd()).join("\n");
}

/**
 * A word as a shell takes it for itself. PowerShell doubles a quote within quotes, and makes lists
 * of commas.
 */
export function quoteForShell(word: string, os: string = Deno.build.os): string {
  if (os === "windows") {
    return /^[\w+=:./\\-]+$/.test(word) ? word : `'${word.replaceAll("'", "''")}'`;
  }
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`;
}

function writeAll(stream: { writeSync(bytes: Uint8Array): number }, text: string): void {
  let bytes = new TextEncoder().encode(text);
  while (bytes.length > 0) bytes = bytes.subarray(stream.writeSync(bytes));
}
