// The same code as jsr:@std/text, taken from npm so that it installs where JSR is not reached.
// @ts-types="./levenshtein_distance.d.ts"
export * from "npm:deno-std@1.4.0/text/levenshtein_distance.js";
