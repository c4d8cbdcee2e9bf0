// The same code as jsr:@std/fmt, taken from npm so that it installs where JSR is not reached.
// @ts-types="./colors.d.ts"
export * from "npm:deno-std@1.4.0/fmt/colors.js";
