/**
 * Prints how much a first start fetches and what it takes on disk: the tarballs of all packages in
 * the lock, and an empty cache after one command.
 *
 *   deno task --cwd checks install-size
 */
import { fromFileUrl, join } from "@std/path";
import { namesIn } from "../tasks/testing/task_process.ts";

const root = fromFileUrl(new URL("..", import.meta.url));
const lock = JSON.parse(await Deno.readTextFile(join(root, "deno.lock")));
const packages = Object.keys(lock.npm).map((key) => /^(@?[^@]+)@([^_]+)/.exec(key)!.slice(1));
const npm = new Deno.Command("npm", { args: ["config", "get", "registry"] });
const registry = new TextDecoder().decode((await npm.output()).stdout).trim();
const sizes = await Promise.all(packages.map(async ([name, version]) => {
  const file = `${name.split("/").at(-1)}-${version}.tgz`;
  const url = new URL(`${name}/-/${file}`, registry);
  const response = await fetch(url, { method: "HEAD" });
  if (!response.ok) throw new Error(`${url}: ${response.status}`);
  return { file, bytes: Number(response.headers.get("content-length")) };
}));
const megabytes = (bytes: number) => `${(bytes / 1e6).toFixed(1)} MB`.padStart(9);
const largest = sizes.toSorted((a, b) => b.bytes - a.bytes).slice(0, 8);
for (const { file, bytes } of largest) console.log(megabytes(bytes), file);
const packed = sizes.reduce((sum, { bytes }) => sum + bytes, 0);
console.log(megabytes(packed), `packed, ${sizes.length} packages`);

const cache = await Deno.makeTempDir();
try {
  await new Deno.Command(Deno.execPath(), {
    args: ["run", "--quiet", "--frozen", "--allow-all", "tasks/sample.ts", "--help"],
    cwd: root,
    env: { DENO_DIR: cache },
    stdout: "null",
  }).output();
  const files = namesIn(cache).map((name) => Deno.statSync(join(cache, name)))
    .filter(({ isFile }) => isFile);
  console.log(megabytes(files.reduce((sum, { size }) => sum + size, 0)), "on disk");
} finally {
  await Deno.remove(cache, { recursive: true });
}
