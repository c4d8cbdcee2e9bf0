/** The part of `@std/fmt/colors` that this project uses; honours `NO_COLOR`. */
export function bold(text: string): string;
export function dim(text: string): string;
export function inverse(text: string): string;
export function red(text: string): string;
export function green(text: string): string;
export function stripAnsiCode(text: string): string;
