// The same code as jsr:@std/path, taken from npm so that it installs where JSR is not reached.
// @ts-types="./mod.d.ts"
export * from "npm:deno-std@1.4.0/path/mod.js";
