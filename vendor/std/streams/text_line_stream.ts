// The same code as jsr:@std/streams, taken from npm so that it installs where JSR is not reached.
// @ts-types="./text_line_stream.d.ts"
export * from "npm:deno-std@1.4.0/streams/text_line_stream.js";
