/** The part of `@std/cli/parse-args` that this project uses. */
export interface ParseArgsOptions {
  string?: string[];
  boolean?: string[];
  collect?: string[];
  negatable?: string[];
  alias?: Record<string, string | string[]>;
  default?: Record<string, unknown>;
  stopEarly?: boolean;
  "--"?: boolean;
  unknown?: (arg: string, key?: string, value?: unknown) => unknown;
}
export function parseArgs(
  args: string[],
  options?: ParseArgsOptions,
): { _: (string | number)[]; [flag: string]: unknown };
