import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import fc from "fast-check";
import { UserError } from "../../engines/errors.ts";
import { judge, makeCase, removeWorkFolder } from "./run.ts";
import type { Target } from "./target.ts";
import { targets } from "./targets.ts";

for (const [name, target] of Object.entries(targets)) {
  Deno.test(`${name}: what is real is read, and a hundred changed cases are read or refused as promised`, async () => {
    try {
      const starts = await target.starts();
      const small = starts.filter(({ length }) => length < 50_000);
      const draws = fc.sample(fc.gen(), { numRuns: 100, seed: 11 });
      const kinds: string[] = [];
      for (const bytes of [...starts, ...draws.map((draw) => makeCase(target, small, draw))]) {
        const { kind, finding } = await judge(target, bytes);
        assertEquals(finding, undefined);
        kinds.push(kind);
      }
      assert(kinds.slice(0, starts.length).some((kind) => kind.startsWith("read")));
      assert(kinds.slice(starts.length).some((kind) => !kind.startsWith("read")));
    } finally {
      await removeWorkFolder();
    }
  });
}

const reader = (check: Target["check"]): Target => ({
  readers: [],
  starts: () => [],
  mutate: (bytes) => bytes,
  check,
});

let kept: unknown;
for (
  const [what, target, finding] of [
    [
      "an error of JavaScript's own",
      reader(() => (undefined as unknown as number[])[0].toString()),
      "it threw a TypeError",
    ],
    ["an error class of Deno's", reader(() => Deno.readTextFileSync("no/such/file")), "a NotFound"],
    [
      "an error of two lines",
      reader(() => {
        throw new UserError({ action: "read\n it", found: "it is bad", advice: "get another" });
      }),
      "control characters",
    ],
    [
      "an error without advice",
      reader(() => {
        throw new UserError({ action: "read it", found: "it is bad" });
      }),
      "no advice",
    ],
    [
      "a prototype that was changed",
      reader(() => {
        (kept as Record<string, boolean>[]).forEach((prototype) => prototype.polluted = true);
        return "read";
      }),
      "it changed a prototype",
    ],
    [
      "200 MB for a byte",
      reader(() => {
        kept = new Uint8Array(2e8);
        return "read";
      }),
      "MiB for 1 bytes",
    ],
  ] as const
) {
  Deno.test(`the fuzzer notices ${what}`, async () => {
    kept = [Object.prototype];
    try {
      const outcome = await judge(target, Uint8Array.of(1));
      assertStringIncludes(outcome.finding ?? "nothing", finding);
    } finally {
      delete (Object.prototype as { polluted?: boolean }).polluted;
      kept = undefined;
      await removeWorkFolder();
    }
  });
}
