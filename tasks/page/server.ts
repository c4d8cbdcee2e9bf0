/**
 * Serves the files of a folder over HTTP, read-only, with headers that isolate its pages from other
 * sites: only then do browsers give WebAssembly several threads.
 */
import { extname, isAbsolute, join, relative } from "@std/path";

const types: Record<string, string> = {
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript; charset=utf-8",
  ".mjs": "text/javascript; charset=utf-8",
  ".css": "text/css; charset=utf-8",
  ".json": "application/json; charset=utf-8",
  ".jsonl": "application/jsonl; charset=utf-8",
  ".svg": "image/svg+xml",
  ".png": "image/png",
  ".wasm": "application/wasm",
  ".safetensors": "application/octet-stream",
  ".gz": "application/gzip",
  ".txt": "text/plain; charset=utf-8",
};

const isolation = {
  "cross-origin-opener-policy": "same-origin",
  "cross-origin-embedder-policy": "require-corp",
  "cross-origin-resource-policy": "same-origin",
};

/**
 * Workers have no page to carry their policy. This one lets them load and run the files next to
 * them, WebAssembly included.
 */
const workerPolicy =
  "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; connect-src 'self'; worker-src 'self'";

/**
 * Makes a handler of requests for the files under `root`. For a folder it sends its `index.html`;
 * names that begin with a dot are hidden, and nothing outside of `root` is reached, by whatever
 * spelling or link.
 *
 * @param options.home Where `/` leads if `root` has no `index.html`.
 */
export function fileHandler(
  root: string,
  { home }: { home?: string } = {},
): (request: Request) => Promise<Response> {
  return async (request) => {
    if (request.method !== "GET" && request.method !== "HEAD") {
      return sendText(405, "Only GET and HEAD are answered", { allow: "GET, HEAD" });
    }
    const { pathname } = new URL(request.url);
    const path = await findFile(root, pathname);
    if (path === undefined) return notFound();
    const { isDirectory } = await Deno.stat(path);
    const isFolder = pathname.endsWith("/"); // relative links of a page need the slash
    if (!isDirectory) return isFolder ? notFound() : await sendFile(path, request);
    if (!isFolder) return redirect(`${pathname}/`);
    const index = await findFile(root, `${pathname}index.html`);
    if (index !== undefined) return await sendFile(index, request);
    return pathname === "/" && home !== undefined
      ? redirect(home)
      : sendText(404, "There is no page here");
  };
}

/**
 * Answers only requests for this machine's own names. A page of another site can have its name
 * resolved to this machine (DNS rebinding) and would then read what is served here.
 */
export function forHosts(
  port: () => number,
  handler: (request: Request) => Promise<Response>,
): (request: Request) => Promise<Response> {
  const names = ["127.0.0.1", "localhost", "[::1]"];
  return async (request) => {
    const host = request.headers.get("host")?.toLowerCase();
    const isOwn = names.some((name) =>
      host === `${name}:${port()}` || (host === name && port() === 80)
    );
    return isOwn ? await handler(request) : sendText(421, "This server has no such host");
  };
}

/** Finds the file or folder of a URL's path; undefined if there is none that may be seen. */
async function findFile(root: string, pathname: string): Promise<string | undefined> {
  try {
    const names = pathname.split("/").filter((name) => name !== "").map(decodeURIComponent);
    if (names.some((name) => name.startsWith(".") || /[/\\\0:]/.test(name))) return undefined;
    const [folder, path] = await Promise.all([root, join(root, ...names)].map(Deno.realPath));
    // By another name, as a link has it or Windows gives it, a hidden file is hidden all the same.
    // On another drive it is outside.
    const below = relative(folder, path);
    const isHidden = below.split(/[/\\]/).some((name) => name.startsWith("."));
    return isHidden || isAbsolute(below) ? undefined : path;
  } catch {
    return undefined; // no such file, or one that we may not read, or bad escapes
  }
}

async function sendFile(path: string, request: Request): Promise<Response> {
  const file = await Deno.open(path);
  const { size, mtime, isFile } = await file.stat();
  const type = types[extname(path).toLowerCase()];
  if (!isFile || type === undefined) {
    file.close();
    return notFound();
  }
  const etag = `"${size.toString(36)}-${(mtime?.getTime() ?? 0).toString(36)}"`;
  const headers = {
    ...isolation,
    "content-type": type,
    "x-content-type-options": "nosniff",
    ...type.startsWith("text/javascript") && { "content-security-policy": workerPolicy },
    etag,
    "cache-control": "no-cache", // that is: ask whether it has changed
  };
  const isKnown = request.headers.get("if-none-match") === etag;
  if (isKnown || request.method === "HEAD") {
    file.close();
    return isKnown
      ? new Response(null, { status: 304, headers })
      : new Response(null, { headers: { ...headers, "content-length": String(size) } });
  }
  return new Response(file.readable, { headers: { ...headers, "content-length": String(size) } });
}

function sendText(status: number, text: string, headers: Record<string, string> = {}): Response {
  return new Response(`${text}\n`, {
    status,
    headers: { "content-type": "text/plain; charset=utf-8", ...headers },
  });
}

const notFound = () => sendText(404, "There is no such file");
const redirect = (location: string) => new Response(null, { status: 302, headers: { location } });
