/**
 * Executes the notebook docs/tour.ipynb in Deno's Jupyter kernel, and fails when a cell does.
 * Jupyter comes from PyPI, into a temporary virtual environment (some 20 MB to download).
 *
 *   deno task --cwd checks tour            execute it, keep nothing
 *   deno task --cwd checks tour --write    store the new outputs in the notebook
 */
import { fromFileUrl, join } from "@std/path";

/** Runs the notebook given by its first argument and writes the result to the second. */
const EXECUTE = `
import queue, sys, nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionComplete

notebook = nbformat.read(sys.argv[1], as_version=4)

async def collect_late_outputs(cell, cell_index, execute_reply):
    """Under load, outputs of Deno's kernel were lost; they may arrive after the cell is idle."""
    while True:
        try:
            message = await client.kc.iopub_channel.get_msg(timeout=1)
        except queue.Empty:
            return
        if message["parent_header"].get("msg_id") == execute_reply["parent_header"]["msg_id"]:
            try:
                client.process_message(message, cell, cell_index)
            except CellExecutionComplete:
                pass

client = NotebookClient(notebook, kernel_name="deno", timeout=300, iopub_timeout=60,
                        raise_on_iopub_timeout=True, record_timing=False,
                        on_cell_executed=collect_late_outputs,
                        resources={"metadata": {"path": sys.argv[2]}})
client.execute()
nbformat.write(notebook, sys.argv[3])
`;

/** The kernel as `deno jupyter --install` registers it, but for this Deno and without colours. */
const KERNEL = {
  argv: [Deno.execPath(), "jupyter", "--kernel", "--conn", "{connection_file}"],
  display_name: "Deno",
  language: "typescript",
  env: { NO_COLOR: "1" },
};

const docs = fromFileUrl(new URL("../docs", import.meta.url));
const notebook = join(docs, "tour.ipynb");

/** Runs a program whose output the user sees. */
async function run(program: string, args: string[], env: Record<string, string> = {}) {
  const { success } = await new Deno.Command(program, { args, env }).spawn().status;
  if (!success) throw new Error(`Cannot run the notebook: ${program} failed; see its output above`);
}

const folder = await Deno.makeTempDir({ prefix: "tour-" });
try {
  const isWindows = Deno.build.os === "windows";
  await run(isWindows ? "python" : "python3", ["-m", "venv", join(folder, "venv")]);
  const python = isWindows
    ? join(folder, "venv", "Scripts", "python.exe")
    : join(folder, "venv", "bin", "python");
  const pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check"];
  await run(python, [...pip, "nbclient", "nbformat"]);

  const jupyter = join(folder, "jupyter");
  await Deno.mkdir(join(jupyter, "kernels", "deno"), { recursive: true });
  await Deno.writeTextFile(join(jupyter, "kernels", "deno", "kernel.json"), JSON.stringify(KERNEL));

  const executed = join(folder, "executed.ipynb");
  const env = { JUPYTER_DATA_DIR: jupyter, JUPYTER_PATH: jupyter };
  await run(python, ["-c", EXECUTE, notebook, docs, executed], env);
  if (Deno.args.includes("--write")) await Deno.copyFile(executed, notebook);
} finally {
  await Deno.remove(folder, { recursive: true });
}

interface Cell {
  id: string;
  cell_type: string;
  execution_count: number | null;
}
const { cells } = JSON.parse(await Deno.readTextFile(notebook)) as { cells: Cell[] };
const code = cells.filter(({ cell_type }) => cell_type === "code");
const without = code.filter(({ execution_count }) => execution_count === null);
if (without.length > 0) {
  const ids = without.map(({ id }) => id).join(", ");
  console.error(
    `error: Cannot accept the notebook: cells ${ids} are stored without having run; ` +
      `run "deno task --cwd checks tour --write"`,
  );
  Deno.exit(1);
}
console.log(`${code.length} cells of docs/tour.ipynb ran without an error`);
