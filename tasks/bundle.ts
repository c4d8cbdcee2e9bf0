/** Packs all that a machine without a network needs; `bundle/` holds the work. */
import { writeBundle } from "./bundle/archive.ts";
import { listParts, type Part } from "./bundle/contents.ts";
import { UserError } from "../engines/errors.ts";
import { engineNames } from "../engines/names.ts";
import { outputFlags, parseFlags } from "./shared/flags.ts";
import { interruption, note, print, printJson, runTask } from "./shared/run.ts";
import { alignedTable } from "./shared/text.ts";

const task = {
  name: "bundle",
  summary: "Pack all that a machine without a network needs (Deno, packages, sources, engines) " +
    "into one archive and one script that unpacks and starts it.",
  examples: [
    "deno task bundle --with-data",
    "deno task bundle --engine onnx:webgpu --with-data --with-weights --split 60M",
    "deno task bundle --engine tensorflow --with-data --out /media/stick/tiny-diffusion",
  ],
} as const;

const flags = {
  engine: {
    choices: engineNames,
    multiple: true,
    default: ["onnx"],
    help: "an engine to take along as it is set up here, next to onnx",
  },
  withData: { type: "boolean", help: "take the text along that was fetched last" },
  withWeights: { type: "boolean", help: "take all weights in weights/ along, not the states" },
  split: { type: "size", help: "cut the archive into pieces of this size, such as 60M" },
  out: { type: "path", default: "bundle", placeholder: "DIR", help: "the folder to write to" },
  ...outputFlags,
} as const;

export async function main(args: string[]): Promise<void> {
  const { engine: engines, withData, withWeights, split, out, json } = parseFlags(
    task,
    flags,
    args,
  );
  if (Deno.build.os === "windows") {
    throw new UserError({
      action: "make a bundle",
      found: "this is Windows, which the script that starts a bundle does not run on",
      advice: "make it on a machine like the one that it is for (Linux, macOS)",
    });
  }
  const signal = interruption();
  const parts = await listParts({ engines, withData, withWeights, out }, signal);
  const contents = parts.map(({ name, links }) => ({ name, bytes: sizeOf(Object.values(links)) }));
  if (!json) print(alignedTable(["part", "size"], contents.map(row)));
  note("packing");
  const files = await writeBundle(parts, out, split ?? Infinity, signal);
  if (json) return printJson({ parts: contents, files });
  print(
    `\n${
      alignedTable(["file", "size"], files.map(({ path, bytes }) => row({ name: path, bytes })))
    }`,
  );
  print(`\nCopy the files into one folder there, then: sh tiny-diffusion.sh train-diffusion`);
}

const row = ({ name, bytes }: { name: string; bytes: number }) => [
  name,
  `${(bytes / 1e6).toFixed(1)} MB`.padStart(9),
];

/** Adds up the sizes of files and of what is in folders, as the archive takes them. */
function sizeOf(paths: Part["links"][string][]): number {
  let sum = 0;
  for (const path of paths) {
    const { isDirectory, size } = Deno.statSync(path);
    if (isDirectory) {
      sum += sizeOf([...Deno.readDirSync(path)].map(({ name }) => `${path}/${name}`));
    } else if (!path.endsWith(".map")) sum += size;
  }
  return sum;
}

if (import.meta.main) await runTask(main, Deno.args);
