/** Moved: import from flags.ts, run.ts, help.ts and text.ts. */
export * from "./flags.ts";
export * from "./help.ts";
export * from "./run.ts";
export * from "./text.ts";
