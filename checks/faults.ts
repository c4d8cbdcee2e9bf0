/**
 * Makes each call by which each task changes a file go wrong, once for each way: no space, no
 * permission, a broken disk, the process killed before it, within it, after it. Then there must be
 * one line of error that says what to do, no file may be half new, and the same command must do its
 * work when it is run again. What a command can do without (messages, logs, results) must not end
 * it. See `faults/`.
 *
 *   deno task --cwd checks faults [WORDS IN THE NAMES OF SCENARIOS]
 *
 * All of it takes some 45 minutes on a busy core.
 */
import { startProgress } from "../tasks/shared/progress.ts";
import { scenarios } from "./faults/scenarios.ts";
import { steadyName } from "./faults/snapshot.ts";
import { missedCalls } from "./faults/strace.ts";
import { listFaults, record, type Scenario, stage, tryFault, tryStream } from "./faults/sweep.ts";

const chosen = scenarios.filter(({ name }) =>
  Deno.args.length === 0 || Deno.args.some((word) => name.includes(word))
);
if (chosen.length === 0) {
  const names = scenarios.map(({ name }) => name).join(", ");
  console.error(`error: usage: deno task --cwd checks faults [WORDS], found in one of: ${names}`);
  Deno.exit(2);
}

/** Tries all faults in a scenario, prints what went wrong, and returns the counts. */
async function sweep(scenario: Scenario, root: string) {
  const { name } = scenario;
  const staged = await stage(scenario, root);
  const recording = await record(staged);
  const faults = listFaults(recording.calls);
  const missed = await missedCalls(staged, recording.calls);
  if (missed === undefined) {
    console.log(`${name}: without strace, nothing shows that no call is missed`);
  }
  for (const call of missed ?? []) console.log(`${name}: not among the calls: ${call}`);
  let wrong = missed?.length ?? 0;
  const endured = new Set<string>();
  using progress = startProgress({ total: faults.length, unit: "fault" });
  for (const [i, fault] of faults.entries()) {
    const outcome = await tryFault(staged, fault, recording);
    const { at, call, path, how } = fault;
    if (outcome.endured) endured.add(`${call} ${steadyName(path)}`);
    progress.update({ done: i + 1 });
    if (outcome.wrong.length === 0) continue;
    wrong++;
    progress.clear();
    console.log([`${name}: ${how} at ${at} ${call} ${path}`, ...outcome.wrong].join("\n    "));
  }
  progress.clear();
  for (const stream of ["stderr", "stdout"] as const) {
    for (const how of ["ENOSPC", "EIO"] as const) {
      const lines = await tryStream(staged, stream, how, recording);
      if (lines.length === 0) continue;
      wrong++;
      console.log([`${name}: ${how} on ${stream}`, ...lines].join("\n    "));
    }
  }
  const kinds = Object.entries(Object.groupBy(faults, ({ how }) => how))
    .map(([how, { length }]) => `${length} ${how}`).join(", ");
  const without = endured.size === 0 ? "" : `; does without ${[...endured].join(", ")}`;
  console.log(
    `${name}: ${recording.calls.length} calls, ${faults.length} faults (${kinds}), 4 of streams, ` +
      `${wrong} wrong${without}`,
  );
  return { faults: faults.length + 4, wrong };
}

let faults = 0;
let wrong = 0;
for (const scenario of chosen) {
  const reason = scenario.whyNot?.();
  if (reason !== undefined) {
    console.log(`${scenario.name}: skipped, ${reason}`);
    continue;
  }
  const root = await Deno.makeTempDir();
  try {
    const figures = await sweep(scenario, root);
    faults += figures.faults;
    wrong += figures.wrong;
  } finally {
    await Deno.remove(root, { recursive: true });
  }
}
console.log(`${faults} faults, ${wrong} wrong`);
Deno.exit(wrong === 0 ? 0 : 1);
