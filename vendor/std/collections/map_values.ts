// The same code as jsr:@std/collections, taken from npm so that it installs where JSR is not reached.
// @ts-types="./map_values.d.ts"
export * from "npm:deno-std@1.4.0/collections/map_values.js";
