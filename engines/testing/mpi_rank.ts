/** A rank for `engines/mpi_test.ts`: adds up numbers that tell the ranks apart, and prints what it got. */
import { joinRanks } from "../mpi.ts";

const mpi = await joinRanks();
const values = Float32Array.from({ length: 100_003 }, (_, i) => mpi.rank + 1 + i % 7);
await mpi.sum(values);
await mpi.sum(values.subarray(1, 2)); // a part of it stays a part
const { name, rank, size, cores } = mpi;
console.log(
  JSON.stringify({ name, rank, size, cores, sums: [...values.subarray(0, 8), values.at(-1)] }),
);
mpi.finalizeAtExit();
