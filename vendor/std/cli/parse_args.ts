// The same code as jsr:@std/cli, taken from npm so that it installs where JSR is not reached.
// @ts-types="./parse_args.d.ts"
export * from "npm:deno-std@1.4.0/cli/parse_args.js";
