/** For the tests of MPI: the mpiruns of this machine. */

export interface Launcher {
  /** As in the table of `engines/mpi.ts`. */
  name: string;
  /** Starts ranks, their number and command to follow; undefined where this machine has none. */
  mpirun?: string[];
}

/** The mpirun of each MPI on this machine; says aloud which is missing. */
export async function testedLaunchers(what: string): Promise<Launcher[]> {
  const launchers: Launcher[] = [
    // More ranks than cores, and not all on the same core.
    {
      name: "Open MPI",
      mpirun: await find("openmpi", "Open MPI", "--oversubscribe --bind-to none -n"),
    },
    { name: "MPICH", mpirun: await find("mpich", "HYDRA", "-n") },
  ];
  for (const { name, mpirun } of launchers) {
    if (!mpirun) {
      console.warn(
        `skipped: ${what} by ${name} (its mpirun is not installed, or this is not Linux)`,
      );
    }
  }
  return launchers;
}

async function find(suffix: string, says: string, flags: string): Promise<string[] | undefined> {
  if (Deno.build.os !== "linux") return; // where our MPI works
  for (const program of [`mpirun.${suffix}`, "mpirun"]) {
    try {
      const { stdout } = await new Deno.Command(program, { args: ["--version"] }).output();
      if (new TextDecoder().decode(stdout).includes(says)) return [program, ...flags.split(" ")];
    } catch {
      // not installed
    }
  }
}

/** Lets root start ranks, as in a container: Open MPI asks twice. */
export const mpiEnvironment = {
  OMPI_ALLOW_RUN_AS_ROOT: "1",
  OMPI_ALLOW_RUN_AS_ROOT_CONFIRM: "1",
};
