/** What the suite of engines asks of Deno, for a browser. Imported before the suite. */
Object.assign(globalThis, {
  Deno: {
    env: { get: () => undefined },
    readFile: async (url: URL) => new Uint8Array(await (await fetch(url)).arrayBuffer()),
  },
});
