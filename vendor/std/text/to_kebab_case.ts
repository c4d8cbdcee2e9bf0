// The same code as jsr:@std/text, taken from npm so that it installs where JSR is not reached.
// @ts-types="./to_kebab_case.d.ts"
export * from "npm:deno-std@1.4.0/text/to_kebab_case.js";
