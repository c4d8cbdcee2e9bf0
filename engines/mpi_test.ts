import { assert, assertEquals, assertRejects } from "@std/assert";
import { fromFileUrl } from "@std/path";
import { testOnLinux } from "../files/testing/system.ts";
import { implementations, joinRanks } from "./mpi.ts";
import { mpiEnvironment, testedLaunchers } from "./testing/mpiruns.ts";

const rank = fromFileUrl(new URL("./testing/mpi_rank.ts", import.meta.url));
const deno = [Deno.execPath(), "run", "--no-prompt", "--allow-env", "--allow-ffi", rank];

for (const { name, mpirun } of await testedLaunchers("sums over ranks")) {
  for (const size of [1, 2, 3]) {
    Deno.test({
      name: `${size} ranks of ${name} add up in place, and share the cores of the machine`,
      ignore: !mpirun,
      fn: async () => {
        const [program, ...args] = [...mpirun!, `${size}`, ...deno];
        const { code, stdout, stderr } = await new Deno.Command(program, {
          args,
          env: mpiEnvironment,
        }).output();
        assertEquals(code, 0, new TextDecoder().decode(stderr));
        const lines = new TextDecoder().decode(stdout).trim().split("\n").map((line) =>
          JSON.parse(line)
        );
        lines.sort((a, b) => a.rank - b.rank);
        assertEquals(lines.map(({ rank }) => rank), Array.from({ length: size }, (_, i) => i));
        for (const { name: used, size: seen, cores, sums } of lines) {
          assertEquals([used, seen], [name, size]);
          // Rank r gives r + 1 + i mod 7 at entry i; entry 1 is then added up once more.
          const expected = (i: number) => size * (size + 1) / 2 + size * (i % 7);
          const at = (i: number) => i === 1 ? size * expected(1) : expected(i);
          assertEquals(sums, [...Array.from({ length: 8 }, (_, i) => at(i)), at(100_002)]);
          const share = navigator.hardwareConcurrency / size;
          assertEquals(cores, Math.max(1, Math.floor(share)));
        }
      },
    });
  }
}

testOnLinux("a process that mpirun did not start is told what to type and to install", async () => {
  const error = await assertRejects(() => joinRanks(), Error);
  assertEquals(
    error.message,
    'Cannot join other ranks: mpirun did not start this process; put "mpirun -n 2" before the ' +
      "command (on Debian and Ubuntu it is in openmpi-bin)",
  );
});

testOnLinux("a rank on a machine without an MPI library is told which to install", async () => {
  const absent = implementations.map((row) => ({
    ...row,
    libraries: row.libraries.map((name) => `absent-${name}`),
  }));
  for (const { rankVariables: [variable], name, packages } of absent) {
    Deno.env.set(variable, "0");
    try {
      const { message } = await assertRejects(() => joinRanks(absent), Error);
      assert(message.startsWith("Cannot join other ranks: none of the libraries absent-lib"));
      assert(message.endsWith(`is here; install ${name} (on Debian and Ubuntu: ${packages})`));
    } finally {
      Deno.env.delete(variable);
    }
  }
});
