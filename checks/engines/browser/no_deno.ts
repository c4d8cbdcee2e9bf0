/**
 * What the suite of engines asks of Deno, for a browser, where the variables of the environment are
 * in the worker's address. Imported before the suite.
 */
const variables = new URLSearchParams(location.search);
Object.assign(globalThis, {
  Deno: {
    env: { get: (name: string) => variables.get(name) ?? undefined },
    readFile: async (url: URL) => new Uint8Array(await (await fetch(url)).arrayBuffer()),
  },
});
