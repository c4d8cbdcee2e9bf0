/**
 * MPI through Deno's foreign function interface: as little of it as data-parallel training needs.
 * Everything that differs from one MPI to another is in one table.
 *
 * MPI's own errors end all processes of the job with its own message (MPI_ERRORS_ARE_FATAL, its
 * default), so what its functions return is not looked at.
 */
import { mapValues } from "@std/collections/map-values";
import { UserError } from "@tiny-diffusion/engines/errors";

/** The processes (ranks) that were started together and compute together. */
export interface Communicator {
  /** The number of this rank, from 0. */
  readonly rank: number;
  /** The number of ranks. */
  readonly size: number;
  /**
   * Adds up each entry over all ranks, in place. Every rank gets the same sums, to the bit (the MPI
   * standard, 5.9.6, demands it). All ranks have to call it, with as many entries.
   */
  sum(values: Float32Array): Promise<void>;
}

/** The communicator of all ranks that mpirun has started. */
export interface Mpi extends Communicator {
  /** Such as `Open MPI`. */
  readonly name: string;
  /** This rank's share, at least 1, of the cores that the ranks on its machine may use. */
  readonly cores: number;
  /** Advice for the user about how its jobs end. */
  readonly caveat?: string;
  /**
   * Makes this process finalize MPI when it ends, after all its output: while Open MPI's mpirun ends
   * the job, that call may never return. All ranks have to call this; if one ends without, mpirun
   * ends the others.
   */
  finalizeAtExit(): void;
}

/**
 * The constants in one MPI's `mpi.h`. A handle is a number, or a symbol of the library whose address
 * counts.
 */
interface Implementation {
  name: string;
  /** Its packages on Debian and Ubuntu. */
  packages: string;
  /** Files of the library; the first that is there. */
  libraries: string[];
  /** One of these variables tells a process that it is a rank of this MPI. */
  rankVariables: string[];
  MPI_COMM_WORLD: Handle;
  MPI_INFO_NULL: Handle;
  MPI_FLOAT: Handle;
  MPI_SUM: Handle;
  MPI_COMM_TYPE_SHARED: number;
  MPI_IN_PLACE: bigint;
  caveat?: () => string | undefined;
}
type Handle = string | number;

/** The known MPIs; to support another, add a row. */
export const implementations: Implementation[] = [
  {
    name: "Open MPI",
    packages: "openmpi-bin",
    libraries: ["libmpi.so.40"],
    rankVariables: ["OMPI_COMM_WORLD_RANK", "PMIX_RANK"], // by its mpirun; by Slurm's srun --mpi=pmix
    MPI_COMM_WORLD: "ompi_mpi_comm_world",
    MPI_INFO_NULL: "ompi_mpi_info_null",
    MPI_FLOAT: "ompi_mpi_float",
    MPI_SUM: "ompi_mpi_op_sum",
    MPI_COMM_TYPE_SHARED: 0,
    MPI_IN_PLACE: 1n,
    caveat: () =>
      variable("OMPI_COMM_WORLD_RANK") && !variable("OMPI_MCA_odls_base_sigkill_timeout")
        ? "Ctrl-C: this mpirun leaves the ranks 1 s to save; with " +
          "--mca odls_base_sigkill_timeout 10 it waits 10 s, tells them, and leaves them 10 s"
        : undefined,
  },
  {
    name: "MPICH", // and those that share its numbers, such as Intel MPI and MVAPICH
    packages: "mpich",
    libraries: ["libmpich.so.12", "libmpi.so.12"],
    rankVariables: ["PMI_RANK"],
    MPI_COMM_WORLD: 0x44000000,
    MPI_INFO_NULL: 0x1c000000,
    MPI_FLOAT: 0x4c00040a,
    MPI_SUM: 0x58000003,
    MPI_COMM_TYPE_SHARED: 1,
    MPI_IN_PLACE: 2n ** 64n - 1n, // (void *) -1
  },
];

/** Calls may come from any thread, one at a time: Deno makes blocking calls on its own threads. */
const MPI_THREAD_SERIALIZED = 2;

/**
 * Joins the ranks that mpirun (or Slurm's srun) has started. Once per process.
 *
 * @throws {UserError} If this process was not started so, or there is no MPI library.
 */
export async function joinRanks(known = implementations): Promise<Mpi> {
  if (Deno.build.os !== "linux") {
    throw cannotJoin("MPI works only on Linux here", "use one process");
  }
  const started = known.findIndex(({ rankVariables }) => rankVariables.some(variable));
  if (started < 0) {
    throw cannotJoin(
      "mpirun did not start this process",
      `put "mpirun -n 2" before the command (on Debian and Ubuntu it is in ${known[0].packages})`,
    );
  }
  // First the one whose variable was found; Slurm's srun may set MPICH's variable for another.
  const candidates = [known[started], ...known.toSpliced(started, 1)];
  const opened = candidates.map(openLibrary).find((library) => library !== undefined);
  if (!opened) {
    const names = candidates.flatMap(({ libraries }) => libraries).join(", ");
    throw cannotJoin(
      `none of the libraries ${names} is here`,
      `install ${candidates[0].name} (on Debian and Ubuntu: ${candidates[0].packages})`,
    );
  }
  const { name, caveat, mpi, handles, MPI_IN_PLACE, MPI_COMM_TYPE_SHARED } = opened;
  const { MPI_COMM_WORLD, MPI_INFO_NULL, MPI_FLOAT, MPI_SUM } = handles;

  const int = new Int32Array(1);
  const countRanks = (communicator: FfiHandle) => {
    mpi.MPI_Comm_size(communicator, int);
    return int[0];
  };
  const sumOver = async (communicator: FfiHandle, values: Float32Array) => {
    const buffer = values as Float32Array<ArrayBuffer>;
    const { length } = buffer;
    // Does not block the event loop: while a rank waits for another it still receives signals.
    await mpi.MPI_Allreduce(MPI_IN_PLACE, buffer, length, MPI_FLOAT, MPI_SUM, communicator);
  };

  mpi.MPI_Init_thread(null, null, MPI_THREAD_SERIALIZED, int);
  if (int[0] < MPI_THREAD_SERIALIZED) {
    throw cannotJoin(`${name} was built without threads`, "use one that was built with them");
  }
  mpi.MPI_Comm_rank(MPI_COMM_WORLD, int);
  const rank = int[0];
  const size = countRanks(MPI_COMM_WORLD);
  const expected = variable("OMPI_COMM_WORLD_SIZE") ?? variable("PMI_SIZE") ??
    variable("SLURM_STEP_NUM_TASKS");
  if (expected !== undefined && Number(expected) !== size) {
    throw cannotJoin(
      `${expected} ranks were started but ${name} sees ${size}`,
      `start them with the mpirun of ${name}`,
    );
  }
  const memory = new BigUint64Array(1); // large enough for either kind of handle
  mpi.MPI_Comm_split_type(MPI_COMM_WORLD, MPI_COMM_TYPE_SHARED, 0, MPI_INFO_NULL, memory);
  const machine = typeof MPI_COMM_WORLD === "bigint" ? memory[0] : new Int32Array(memory.buffer)[0];
  return {
    name,
    rank,
    size,
    cores: await countOwnCores(countRanks(machine), (values) => sumOver(machine, values)),
    caveat: caveat?.(),
    sum: (values) => sumOver(MPI_COMM_WORLD, values),
    finalizeAtExit: () => addEventListener("unload", () => void mpi.MPI_Finalize()),
  };
}

/**
 * Counts this rank's share of the cores that it may use: 1 / k of a core that k ranks of the
 * machine may use. So it fits whether mpirun has bound each rank to its own cores or not.
 */
async function countOwnCores(
  ranks: number,
  sumOnMachine: (values: Float32Array) => Promise<void>,
): Promise<number> {
  const mask = new Uint8Array(128); // glibc's cpu_set_t: 1024 bits
  const isKnown = libc().sched_getaffinity(0, BigInt(mask.length), mask) === 0;
  const mine = new Float32Array(8 * mask.length).map((_, i) => mask[i >> 3] >> (i & 7) & 1);
  const users = mine.slice();
  await sumOnMachine(users);
  const allowed = mine.reduce((a, b) => a + b);
  const share = mine.reduce((total, may, core) => total + (may && may / users[core]), 0);
  // A container may have fewer cores' worth of time than cores; Deno counts that.
  const { hardwareConcurrency } = navigator;
  const isBoundByTime = hardwareConcurrency < allowed;
  const cores = isKnown && !isBoundByTime ? share + 1e-3 : hardwareConcurrency / ranks;
  return Math.max(1, Math.floor(cores));
}

type FfiHandle = bigint | number;

function openLibrary(implementation: Implementation) {
  for (const library of implementation.libraries) {
    // RTLD_GLOBAL, since Open MPI opens plugins that look for its functions.
    const opened = libc().dlopen(cString(library), RTLD_NOW | RTLD_GLOBAL);
    if (opened === null) continue;
    const { MPI_COMM_WORLD, MPI_INFO_NULL, MPI_FLOAT, MPI_SUM } = implementation;
    const handle = (value: Handle): FfiHandle =>
      typeof value === "number" ? value : libc().dlsym(opened, cString(value));
    const type = typeof MPI_COMM_WORLD === "number" ? "i32" : "usize";
    return {
      ...implementation,
      mpi: Deno.dlopen(library, declareFunctions(type)).symbols,
      handles: mapValues({ MPI_COMM_WORLD, MPI_INFO_NULL, MPI_FLOAT, MPI_SUM }, handle),
    };
  }
}

/** Declares the signatures, with handles of that type. */
function declareFunctions(handle: "i32" | "usize") {
  return {
    MPI_Init_thread: { parameters: ["pointer", "pointer", "i32", "buffer"], result: "i32" },
    MPI_Comm_rank: { parameters: [handle, "buffer"], result: "i32" },
    MPI_Comm_size: { parameters: [handle, "buffer"], result: "i32" },
    MPI_Comm_split_type: { parameters: [handle, "i32", "i32", handle, "buffer"], result: "i32" },
    MPI_Allreduce: {
      parameters: ["usize", "buffer", "i32", handle, handle, handle],
      result: "i32",
      nonblocking: true,
    },
    MPI_Finalize: { parameters: [], result: "i32" },
  } as const;
}

const RTLD_NOW = 2;
const RTLD_GLOBAL = 0x100;
const cString = (text: string) => new TextEncoder().encode(`${text}\0`);

function libc() {
  return (system ??= Deno.dlopen("libc.so.6", libcFunctions)).symbols;
}
const libcFunctions = {
  dlopen: { parameters: ["buffer", "i32"], result: "pointer" },
  dlsym: { parameters: ["pointer", "buffer"], result: "usize" },
  sched_getaffinity: { parameters: ["i32", "usize", "buffer"], result: "i32" },
} as const;
let system: Deno.DynamicLibrary<typeof libcFunctions> | undefined;

const variable = (name: string) => Deno.env.get(name);

function cannotJoin(found: string, advice: string): UserError {
  return new UserError({ action: "join other ranks", found, advice });
}
