/** Judges a run with a fault, and the same command run once more. */
import { basename, dirname } from "@std/path";
import type { Fault, How, Stream } from "./inject.ts";
import { isTemporary, type Snapshot, steadyName, TORN } from "./snapshot.ts";

/** The result of a run. */
export interface Ended {
  code: number;
  stderr: string;
  /** The content of the folder, or a line for each file that is not whole. */
  left: Snapshot | string;
}

/** The folder before the run, and after an undisturbed one. */
export interface Expected {
  old: Snapshot;
  undisturbed: Snapshot;
  /**
   * Names of files that have other contents on the way from old to new: those need only be whole.
   */
  between?: RegExp;
  /** As in `Scenario`. */
  secondary?: RegExp;
}

const KILLED = 137;

/** Lists what is wrong after a fault. */
export function judgeFault(fault: Fault, { code, stderr, left }: Ended, expected: Expected) {
  const isKill = ["before", "after", "half"].includes(fault.how);
  const wrong: string[] = [];
  if (isKill) {
    if (code !== KILLED) wrong.push(`it ended with ${code} though it was killed`);
  } else if (code === 1) wrong.push(...judgeMessage(stderr, fault));
  else if (code !== 0) wrong.push(`exit code ${code}, expected 1`);
  if (/^\s+at /m.test(stderr)) wrong.push("a stack trace");

  if (typeof left === "string") return [...wrong, ...left.split("\n")];
  const { old, undisturbed, between, secondary } = expected;
  // What can't be removed stays; and what could not be locked was not ours.
  const mayStay = isKill || fault.call === "remove";
  for (const [name, contents] of left) {
    if (isTemporary(name)) {
      if (!mayStay) wrong.push(`${name} is left over`);
      continue;
    }
    for (const content of contents) {
      if (old.get(name)?.has(content) || undisturbed.get(name)?.has(content)) continue;
      if (!between?.test(name)) wrong.push(`${name} is neither what it was nor what it should be`);
      else if (content.endsWith(TORN) && !isKill && fault.how !== "ENOSPC") {
        wrong.push(`${name} ends in a torn line`);
      }
    }
  }
  for (const name of old.keys()) {
    if (!left.has(name) && !isTemporary(name)) wrong.push(`${name} is gone`);
  }
  if (!isKill && secondary?.test(fault.path)) {
    // On a full disk, what comes later may be something that the command needs.
    if (code !== 0 && fault.how !== "ENOSPC") wrong.push(`it ended for want of ${fault.path}`);
    const differs = compareFolders(left, undisturbed, { mayStay }).length > 0;
    if (code === 0 && differs && !/^(warning|note): /m.test(stderr)) wrong.push("nothing is said");
    if (code === 0) {
      const primary = (all: Snapshot) =>
        new Map([...all].filter(([name]) => !secondary.test(name)));
      wrong.push(...compareFolders(primary(left), primary(undisturbed), { mayStay }));
    }
  } else if (code === 0) wrong.push(...compareFolders(left, undisturbed, { mayStay }));
  return wrong;
}

/**
 * Lists what is wrong after a stream could not be written. Messages are dispensable: without stderr
 * the command does its work. Without stdout it does it, too, and says that the result is lost.
 */
export function judgeStream(
  stream: Stream,
  how: How,
  { code, stderr, left }: Ended,
  { undisturbed }: Expected,
): string[] {
  if (typeof left === "string") return left.split("\n");
  const wrong = compareFolders(left, undisturbed);
  const expected = stream === "stdout" ? 1 : 0;
  if (code !== expected) wrong.push(`exit code ${code}, expected ${expected}`);
  else if (code === 1) {
    wrong.push(...judgeMessage(stderr, { at: 0, call: "write", path: stream, how }));
  }
  return wrong;
}

/** Expects one line, which names the file or its folder and says what to do. */
function judgeMessage(stderr: string, { path, how }: Fault): string[] {
  const lines = stderr.trimEnd().split("\n");
  const errors = lines.filter((line) => /^error: /.test(line));
  if (errors.length !== 1 || lines.at(-1) !== errors[0]) {
    return [`expected one line of error at the end: ${stderr.slice(-300)}`];
  }
  const [line] = errors;
  const wrong: string[] = [];
  if (!/^error: Cannot [^:]+: [^;]+; ./.test(line)) {
    wrong.push(`not "Cannot ...: ...; ...": ${line}`);
  }
  const file = steadyName(basename(path).replace(/^\.(.*)\.(tmp|lock)$/, "$1"));
  // On a full disk another call may fail after this one did, and be the one in the message.
  const isNext = how === "ENOSPC" && /["'][^"']+["']/.test(line);
  if (
    !isNext && !steadyName(line).includes(file) && !line.includes(`${basename(dirname(path))}"`)
  ) {
    wrong.push(`does not name ${file}: ${line}`);
  }
  return wrong;
}

/**
 * Lists what is wrong after the command was run again, undisturbed.
 *
 * @param without Files that it need not complete: the log of steps that were done without one.
 */
export function judgeRepeat(
  { code, stderr, left }: Ended,
  { undisturbed, between }: Expected,
  without?: RegExp,
): string[] {
  if (code !== 0) return [`the next run fails: ${stderr.trimEnd().split("\n").at(-1)}`];
  if (typeof left === "string") return left.split("\n").map((line) => `after the next run ${line}`);
  // A new training keeps what it finds as `NAME.previous.safetensors`; and the system's temporary
  // folder is not ours to clear.
  const kept = (all: Snapshot) =>
    new Map([...all].filter(([name]) => !/\.previous\.|^tmp\//.test(name) && !without?.test(name)));
  // A result that was not finished stays next to the new one.
  const finished = new Map([...left].map(([name, contents]) => {
    const expected = undisturbed.get(name);
    return [name, between?.test(name) && expected?.isSubsetOf(contents) ? expected : contents];
  }));
  return compareFolders(kept(finished), kept(undisturbed))
    .map((line) => `after the next run ${line}`);
}

/** Lists how one folder differs from another. */
export function compareFolders(
  found: Snapshot,
  expected: Snapshot,
  { mayStay = false } = {},
): string[] {
  const lines: string[] = [];
  for (const name of new Set([...found.keys(), ...expected.keys()])) {
    const a = found.get(name);
    const b = expected.get(name);
    if (!a) lines.push(`${name} is missing`);
    else if (!b) {
      if (!(mayStay && isTemporary(name))) lines.push(`${name} is there`);
    } else if (a.symmetricDifference(b).size > 0) lines.push(`${name} differs`);
  }
  return lines;
}
