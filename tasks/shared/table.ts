/** Moved: import from text.ts. */
import { wrap } from "./text.ts";
export { alignedTable } from "./text.ts";
export const wrapped = (text: string) => wrap(text);
