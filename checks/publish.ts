/**
 * Packs core as `deno publish` would, and uses it as others will: by HTTP, from a program of its
 * own (the README's example). What this leaves out is what only JSR itself can tell, such as
 * whether the name is free.
 *
 *   deno task --cwd checks publish
 */
import { fromFileUrl, join, relative } from "@std/path";

const root = fromFileUrl(new URL("..", import.meta.url)), core = join(root, "core");

/** Runs a command of Deno and returns its output; ends this check if it fails. */
async function deno(args: string[], cwd: string): Promise<string> {
  const command = new Deno.Command(Deno.execPath(), { args, cwd, env: { NO_COLOR: "1" } });
  const { success, stdout, stderr } = await command.output();
  const said = new TextDecoder().decode(stdout) + new TextDecoder().decode(stderr);
  if (success) return said;
  console.error(`${said}error: deno ${args[0]} failed in ${cwd}`);
  Deno.exit(1);
}

const packing = await deno(["publish", "--dry-run", "--allow-dirty"], core);
const packed = new Set(
  Array.from(packing.matchAll(/^\s+(file:\S+) \(/gm), ([, url]) => fromFileUrl(url)),
);

const server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen() {} }, async ({ url }) => {
  const path = join(core, decodeURIComponent(new URL(url).pathname));
  if (!packed.has(path)) return new Response(null, { status: 404 });
  const headers = { "content-type": "application/typescript" };
  return new Response(await Deno.readTextFile(path), { headers });
});
const folder = await Deno.makeTempDir(), { port } = server.addr;
const { imports, links } = JSON.parse(await Deno.readTextFile(join(root, "deno.json")));
const config = {
  imports: { ...imports, "@tiny-diffusion/core": `http://127.0.0.1:${port}/mod.ts` },
  links: links.map((link: string) => relative(folder, join(root, link))),
};
await Deno.writeTextFile(join(folder, "deno.json"), JSON.stringify(config));
const readme = await Deno.readTextFile(join(core, "README.md"));
const [, example] = /^```ts\n(.*?)^```$/ms.exec(readme)!;
await Deno.writeTextFile(join(folder, "example.ts"), example);
const permissions = ["--allow-read", "--allow-write", "--allow-env", "--allow-ffi"];
const imported = `--allow-import=127.0.0.1:${port}`;
await deno(
  ["run", "--no-prompt", "--check", "--no-lock", ...permissions, imported, "example.ts"],
  folder,
);

await server.shutdown();
const { modulesCache } = JSON.parse(await deno(["info", "--json"], root));
await Deno.remove(join(modulesCache, "http", `127.0.0.1_PORT${port}`), { recursive: true });
await Deno.remove(folder, { recursive: true });
console.log(`core packs into ${packed.size} files, and the README's example runs on them`);
