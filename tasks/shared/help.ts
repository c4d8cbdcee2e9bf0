/** The text that `--help` prints. */
import {
  describeLimits,
  expectedChoices,
  type Flag,
  flagName,
  type FlagTable,
  isBoolean,
  isNumeric,
  type TaskDescription,
} from "./flags.ts";
import { wrap } from "./text.ts";

/** The help of a task: usage, flags with allowed values and defaults, examples. */
export function helpText(task: TaskDescription, table: FlagTable): string {
  const usage = task.usage ?? [...(task.positionals ?? []), "[flags]"].join(" ");
  const flags: FlagTable = { ...table, help: { type: "boolean", help: "show this" } };
  const rows = Object.entries(flags).map(([key, flag]) => {
    const name = `--${flagName(key)}`;
    return [isBoolean(flag) ? name : `${name} ${placeholder(flag)}`, describeFlag(flag)];
  });
  const column = Math.max(...rows.map(([left]) => left.length));
  return [
    wrap(task.summary, `deno task ${task.name} ${usage}       `),
    "",
    ...rows.map(([left, right]) => wrap(right, `  ${left.padEnd(column)}  `)),
    "",
    ...task.examples.map((example) => `  ${example}`),
  ].join("\n");
}

function describeFlag(flag: Flag): string {
  const facts: string[] = [];
  if ("choices" in flag) facts.push(expectedChoices(flag));
  const range = describeRange(flag);
  if (range) facts.push(range);
  if (flag.multiple) facts.push("repeatable");
  const standard = flag.defaultHelp ?? ("default" in flag ? flag.default : undefined);
  if (standard !== undefined) facts.push(`default: ${[standard].flat().join(" ")}`);
  return facts.length === 0 ? flag.help : `${flag.help} (${facts.join("; ")})`;
}

/** The range of a number, unless all that it says is that the number is at least 0 or 1. */
function describeRange(flag: Flag): string {
  if (!isNumeric(flag)) return "";
  const { min, max } = flag;
  if (min !== undefined && max !== undefined) return `from ${min} to ${max}`;
  return min !== undefined && min <= 1 ? "" : describeLimits(flag).join(", ");
}

function placeholder(flag: Flag): string {
  if (flag.placeholder) return flag.placeholder;
  if ("choices" in flag) return "NAME";
  return {
    integer: "N",
    number: "X",
    duration: "TIME",
    size: "SIZE",
    string: "TEXT",
    path: "FILE",
    boolean: "",
  }[flag.type];
}
