/** The text that `--help` prints. */
import {
  expectedChoices,
  type Flag,
  flagName,
  type FlagTable,
  isBoolean,
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
  // It goes without saying that a number is at least 0 or 1.
  if ("min" in flag && flag.min !== undefined && flag.min > 1) facts.push(`at least ${flag.min}`);
  if (flag.multiple) facts.push("repeatable");
  if ("default" in flag && flag.default !== undefined) {
    facts.push(`default ${[flag.default].flat().join(" ")}`);
  }
  if (flag.defaultHelp) facts.push(`default: ${flag.defaultHelp}`);
  return facts.length === 0 ? flag.help : `${flag.help} (${facts.join("; ")})`;
}

function placeholder(flag: Flag): string {
  if (flag.placeholder) return flag.placeholder;
  if ("choices" in flag) return "NAME";
  return { integer: "N", number: "X", string: "TEXT", path: "FILE", boolean: "" }[flag.type];
}
