/**
 * Makes each call by which each task changes a file go wrong, once for each way: no space, no permission, a broken disk, the
 * process killed before it, within it, after it. Then there must be one line of error that says what to do, no file may be
 * half new, and the same command must do its work when it is run again. See `faults/`.
 *
 *   deno task check-faults [WORDS IN THE NAMES OF SCENARIOS]
 *
 * All of it takes half an hour or more.
 */
import { steadyName } from "./faults/snapshot.ts";
import { faultsOf, findingsOf, recorded, stage } from "./faults/sweep.ts";
import { scenarios } from "./faults/scenarios.ts";
import { missedCalls } from "./faults/strace.ts";

const chosen = scenarios.filter(({ name }) =>
  Deno.args.length === 0 || Deno.args.some((word) => name.includes(word))
);
if (chosen.length === 0) {
  const names = scenarios.map(({ name }) => name).join(", ");
  console.error(`error: usage: deno task check-faults [WORDS], found in one of: ${names}`);
  Deno.exit(2);
}
const root = await Deno.makeTempDir();
let all = 0, wrong = 0;
try {
  for (const scenario of chosen) {
    const reason = scenario.whyNot?.();
    if (reason !== undefined) {
      console.log(`${scenario.name}: skipped, ${reason}`);
      continue;
    }
    const staged = await stage(scenario, root);
    const recording = await recorded(staged), faults = faultsOf(recording.calls);
    const missed = await missedCalls(staged, recording.calls);
    if (missed === undefined) console.log("without strace, nothing shows that no call is missed");
    for (const call of missed ?? []) console.log(`not among the calls: ${call}`);
    let findings = missed?.length ?? 0;
    const endured = new Set<string>();
    for (const fault of faults) {
      const outcome = await findingsOf(staged, fault, recording);
      const { at, call, path, how } = fault;
      if (outcome.endured) endured.add(`${call} ${steadyName(path)}`);
      if (outcome.wrong.length === 0) continue;
      findings++;
      const title = `${scenario.name}: ${how} at ${at} ${call} ${path}`;
      console.log([title, ...outcome.wrong].join("\n    "));
    }
    const kinds = Object.entries(Object.groupBy(faults, ({ how }) => how))
      .map(([how, { length }]) => `${length} ${how}`).join(", ");
    console.log(
      `${scenario.name}: ${recording.calls.length} calls, ${faults.length} faults (${kinds}), ` +
        `${findings} wrong` + (endured.size > 0 ? `; does without ${[...endured].join(", ")}` : ""),
    );
    all += faults.length, wrong += findings;
  }
} finally {
  await Deno.remove(root, { recursive: true });
}
console.log(`${all} faults, ${wrong} wrong`);
Deno.exit(wrong === 0 ? 0 : 1);
