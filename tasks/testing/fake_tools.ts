/**
 * For tests of setups: a home for one, with shell scripts in the place of Python, pip and the
 * compiler, first in the PATH.
 */
import { assertEquals } from "@std/assert";
import { dirname, fromFileUrl, join } from "@std/path";
import { npmOnnxruntime } from "../../engines/onnx/runtime.ts";

export interface Place extends AsyncDisposable {
  /** Where the record goes, and what setup makes. */
  folder: string;
  /** First in the PATH. */
  bin: string;
  /** Every call of a script, as typed. */
  calls(): Promise<string[]>;
  /** The entries of `folder`, with hashes and random endings cut off. */
  content(): string[];
  setUp(args?: string[], env?: Record<string, string>): Deno.ChildProcess;
}

/**
 * @param task The file of the task, next to this folder.
 * @param variable The environment variable that names the folder of the record.
 * @param scripts Bodies of shell scripts by their names.
 */
export async function place(
  task: string,
  variable: string,
  scripts: Record<string, string>,
): Promise<Place> {
  const root = await Deno.makeTempDir();
  const [folder, bin, log] = ["home", "bin", "calls.txt"].map((name) => join(root, name));
  await Deno.mkdir(bin);
  await Deno.writeTextFile(log, "");
  for (const [name, body] of Object.entries(scripts)) {
    await Deno.writeTextFile(join(bin, name), `#!/bin/sh\necho "${name} $*" >> ${log}\n${body}`);
    await Deno.chmod(join(bin, name), 0o755);
  }
  return {
    folder,
    bin,
    calls: async () => (await Deno.readTextFile(log)).trim().split("\n"),
    content: () =>
      [...Deno.readDirSync(folder)].map(({ name }) => name.replace(/-[0-9a-f]{8,12}$/, "")).sort(),
    setUp(args = [], env = {}) {
      const script = fromFileUrl(import.meta.resolve(`../${task}`));
      return new Deno.Command(Deno.execPath(), {
        args: ["run", "--allow-all", "--no-check", "--quiet", script, ...args],
        env: {
          PATH: `${bin}:${Deno.env.get("PATH")}`, // setup is for Linux
          [variable]: folder,
          NO_COLOR: "1",
          CXX: "",
          ...env,
        },
        stdout: "piped",
        stderr: "piped",
      }).spawn();
    },
    [Symbol.asyncDispose]: () => Deno.remove(root, { recursive: true }),
  };
}

/**
 * A Python whose pip fails or hangs if the variable FAKE_PIP says so, and else runs `install` in
 * the environment's folder (`$env`), after which the query for the packages is answered with
 * `found`.
 */
export const fakePython = (
  { requirement, install, found }: { requirement: string; install: string; found: string },
): string =>
  `case "$*" in
  *sys.version_info*) echo "\${FAKE_PYTHON:-3.12}";;
  *ensurepip*) test -z "$FAKE_NO_VENV" || { echo "ModuleNotFoundError: No module named 'ensurepip'" >&2; exit 1; };;
  *"-m venv"*) mkdir -p "$3/bin" && cp "$0" "$3/bin/python";;
  *"-m pip"*)
    env="$(dirname "$0")/.."
    case "$FAKE_PIP" in
      network) echo "WARNING: Retrying after connection broken by 'NewConnectionError'" >&2
        echo "ERROR: No matching distribution found for ${requirement}" >&2; exit 1;;
      disk) echo "ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device" >&2; exit 1;;
      nothing) echo "ERROR: No matching distribution found for ${requirement}" >&2; exit 1;;
      hangs) mkdir -p "$env/lib" && echo "pip is at work" >&2; exec sleep 60;;
      *) ${install};;
    esac;;
  *importlib*) env="$(cd "$(dirname "$0")/.." && pwd)"; echo ${found};;
esac`;

/**
 * A Python whose pip installs `onnxruntime-gpu`: with npm's own library, so that it does compute on
 * the CPU, and a CUDA half that is not a library. With FAKE_PIP=broken, neither is the library.
 */
export function fakeOnnxruntimePython(): string {
  const { version, addon } = npmOnnxruntime();
  const library = join(dirname(addon), "libonnxruntime.so.1");
  return fakePython({
    requirement: `onnxruntime-gpu==${version}`,
    install: `capi="$env/site/onnxruntime/capi"; mkdir -p "$capi"
        for f in cuda shared; do echo "no library" > "$capi/libonnxruntime_providers_$f.so"; done
        case "$FAKE_PIP" in broken) f=/dev/null;; *) f=${library};; esac
        cp $f "$capi/libonnxruntime.so.${version}"`,
    found: `"{\\"version\\": \\"${version}\\", \\"folder\\": \\"$env/site/onnxruntime\\"}"`,
  });
}

/** Waits for the end of a setup. */
export async function end(child: Deno.ChildProcess) {
  const { code, stdout, stderr } = await child.output();
  const [out, errors] = [stdout, stderr].map((bytes) => new TextDecoder().decode(bytes));
  return { code, out, errors, lastLine: errors.trim().split("\n").at(-1)! };
}

/** Waits until the pip of a setup says that it is at work (with FAKE_PIP=hangs). */
export async function untilPipWorks(child: Deno.ChildProcess): Promise<void> {
  for await (const chunk of child.stderr) {
    if (new TextDecoder().decode(chunk).includes("pip is at work")) return;
  }
}

/** Starts a setup, waits until its pip is at work, and ends it by `signal`. Gives its exit code. */
export async function endedInPip(here: Place, signal: Deno.Signal): Promise<number> {
  const child = here.setUp([], { FAKE_PIP: "hangs" });
  await untilPipWorks(child);
  child.kill(signal);
  const { code } = await child.status;
  await child.stdout.cancel();
  return code;
}

/**
 * `--uninstall` removes what setup has made in a folder, and nothing else; a second time does no
 * harm.
 */
export async function assertUninstalls(here: Place): Promise<void> {
  const prefix = join(here.folder, "..", "elsewhere");
  assertEquals((await end(here.setUp(["--prefix", prefix]))).code, 0);
  assertEquals(here.content(), ["installation.json"]);
  await Deno.writeTextFile(join(prefix, "mine.txt"), "");
  const { code, out } = await end(here.setUp(["--uninstall", "--json"]));
  assertEquals(code, 0);
  assertEquals(JSON.parse(out), { version: null, path: prefix });
  assertEquals([...Deno.readDirSync(prefix)].map(({ name }) => name), ["mine.txt"]);
  assertEquals((await end(here.setUp(["--uninstall"]))).code, 0); // again: nothing there, nothing wrong
}
