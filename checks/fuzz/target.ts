/** The interface of a fuzz target, and the promises that every reader keeps. */
import { Buffer } from "node:buffer";
import { UserError } from "../../engines/errors.ts";
import type { Choices } from "./mutate.ts";

/** Something that reads bytes from outside. */
export interface Target {
  /** The files that are under test, from the project's folder: their coverage is reported. */
  readers: string[];
  /** Real cases, from which the others are made. Small ones are tried more often. */
  starts(): Uint8Array[] | Promise<Uint8Array[]>;
  /** Another case, made from one or two. */
  mutate(bytes: Uint8Array, other: Uint8Array, random: Choices): Uint8Array;
  /**
   * Reads a case and checks what comes of it.
   *
   * @param folder An empty folder for readers that want a path.
   * @returns What it was, in a few words, which start with "read" if it was read.
   * @throws {BrokenPromise} If what was read is not what a reader promises; else what the reader
   * throws.
   */
  check(bytes: Uint8Array, folder: string): string | Promise<string>;
}

/** A promise of a reader that it did not keep. */
export class BrokenPromise extends Error {}

export function promise(kept: boolean, what: string): void {
  if (!kept) throw new BrokenPromise(what);
}

/** Writes what was read and reads it again: neither may fail. */
export async function roundTrip<T>(what: string, again: () => T | Promise<T>): Promise<T> {
  try {
    return await again();
  } catch (error) {
    if (error instanceof BrokenPromise) throw error;
    throw new BrokenPromise(`${what} was read, but can't be written and read again: ${error}`);
  }
}

/**
 * Explains why an error is not one that a user may meet: a bug of ours, or one without advice, of
 * several lines, or with characters that a terminal obeys. Undefined if it is as it should be.
 */
export function findFault(error: unknown): string | undefined {
  if (error instanceof UserError) {
    return error.advice ? findFaultInLine(error.message) : "its message has no advice";
  }
  return error instanceof Error ? `it threw a ${error.constructor.name}` : `it threw ${error}`;
}

/** Does the same for a message. */
export function findFaultInLine(message: string): string | undefined {
  if (/[\p{Cc}\p{Zl}\p{Zp}]|[\p{Bidi_Control}\ufeff]/u.test(message)) {
    return "its message has control characters";
  }
  if (!message.isWellFormed()) return "its message has half a character";
  if (message.length > 2000) return `its message has ${message.length} characters`;
}

/** An error's message without what varies: names and numbers. */
export function kindOf(message: string): string {
  return message.replace(/"(\\.|[^"\\])*"/g, '""').replace(/-?\d[\d.e+,]*/g, "0");
}

/** Whether two arrays are the same bit for bit. */
export function isSameData(a: ArrayBufferView, b: ArrayBufferView): boolean {
  const [x, y] = [a, b].map(({ buffer, byteOffset, byteLength }) =>
    new Uint8Array(buffer, byteOffset, byteLength)
  );
  return Buffer.compare(x, y) === 0;
}
