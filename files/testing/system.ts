/**
 * For tests: what not every system has. A test that needs it is ignored where it is missing, and
 * its name says what it needs.
 */

type Test = Deno.TestDefinition["fn"];

/**
 * A test of something that Windows lacks, such as signals, a POSIX shell, or links that everyone
 * may make.
 */
export function testOnUnix(needs: string, name: string, fn: Test): void {
  Deno.test({ name: `${name} (needs ${needs})`, ignore: Deno.build.os === "windows", fn });
}

export function testOnLinux(name: string, fn: Test): void {
  Deno.test({ name: `${name} (needs Linux)`, ignore: Deno.build.os !== "linux", fn });
}

/** The exit code of a process that was killed: 128 + 9 where there are signals. */
export const KILLED = Deno.build.os === "windows" ? 1 : 137;
