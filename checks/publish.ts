/**
 * Packs engines, files and core as `deno publish` would, and uses them as others will: by HTTP, from
 * separate programs (the READMEs' examples). It leaves out what only JSR itself can tell, such as
 * whether the names are free.
 *
 *   deno task --cwd checks publish
 */
import { fromFileUrl, join, relative } from "@std/path";

const root = fromFileUrl(new URL("..", import.meta.url));
/** By member, the flags that it needs: a sampler's type is inferred from its table of options. */
const members = { engines: [], files: [], core: ["--allow-slow-types"] };

/** Runs a command of Deno and returns its output; ends this check if it fails. */
async function deno(args: string[], cwd: string): Promise<string> {
  const command = new Deno.Command(Deno.execPath(), { args, cwd, env: { NO_COLOR: "1" } });
  const { success, stdout, stderr } = await command.output();
  const said = new TextDecoder().decode(stdout) + new TextDecoder().decode(stderr);
  if (success) return said;
  console.error(`${said}error: deno ${args[0]} failed in ${cwd}`);
  Deno.exit(1);
}

const readJson = async (path: string) => JSON.parse(await Deno.readTextFile(path));

async function packedFiles(member: string, flags: string[]): Promise<Set<string>> {
  const args = ["publish", "--dry-run", "--allow-dirty", ...flags];
  const said = await deno(args, join(root, member));
  const urls = Array.from(said.matchAll(/^\s+(file:\S+) \(/gm), ([, url]) => fromFileUrl(url));
  const files = new Set(urls.filter((path) => path.startsWith(join(root, member))));
  const stray = [...files].find((path) => /_test\.ts$|[\\/]testing[\\/]/.test(path));
  if (stray) {
    console.error(`error: ${member} packs ${stray}, which only tests use`);
    Deno.exit(1);
  }
  return files;
}

const files = new Map<string, Set<string>>();
for (const [member, flags] of Object.entries(members)) {
  files.set(member, await packedFiles(member, flags));
}
const packed = new Set([...files.values()].flatMap((paths) => [...paths]));
const server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen() {} }, async ({ url }) => {
  const path = join(root, decodeURIComponent(new URL(url).pathname));
  if (!packed.has(path)) return new Response(null, { status: 404 });
  const headers = { "content-type": "application/typescript" };
  return new Response(await Deno.readTextFile(path), { headers });
});

const { port } = server.addr;
const folder = await Deno.makeTempDir();
const { imports, links } = await readJson(join(root, "deno.json"));
for (const member of files.keys()) {
  const { name, exports } = await readJson(join(root, member, "deno.json"));
  for (const [key, path] of Object.entries<string>(exports)) {
    imports[name + key.slice(1)] = new URL(path, `http://127.0.0.1:${port}/${member}/`).href;
  }
}
await Deno.writeTextFile(
  join(folder, "deno.json"),
  JSON.stringify({
    imports,
    links: links.map((link: string) => relative(folder, join(root, link))),
  }),
);
for (const member of files.keys()) {
  const readme = await Deno.readTextFile(join(root, member, "README.md"));
  const [, example] = /^```ts\n(.*?)^```$/ms.exec(readme)!;
  await Deno.writeTextFile(join(folder, `${member}.ts`), example);
  const permissions = ["--allow-read", "--allow-write", "--allow-env", "--allow-ffi"];
  const imported = `--allow-import=127.0.0.1:${port}`;
  await deno(
    ["run", "--no-prompt", "--check", "--no-lock", ...permissions, imported, `${member}.ts`],
    folder,
  );
}

await server.shutdown();
const { modulesCache } = JSON.parse(await deno(["info", "--json"], root));
await Deno.remove(join(modulesCache, "http", `127.0.0.1_PORT${port}`), { recursive: true });
await Deno.remove(folder, { recursive: true });
for (const [member, paths] of files) {
  console.log(`${member} packs into ${paths.size} files, and its README's example runs on them`);
}
