/**
 * Shapes that JSON from outside is held against: each returns the value with its type, or throws
 * and says where.
 */

import { quoted } from "../../engines/errors.ts";

export type Shape<T> = (value: unknown, path?: string) => T;
type Shaped<S> = S extends Shape<infer T> ? T : never;

/**
 * What was found is told by its kind where it may be large or deep, and names and texts from the
 * file on one line.
 */
function mismatch(path: string, expected: string, value: unknown): TypeError {
  const found = value === undefined
    ? "nothing"
    : Array.isArray(value)
    ? "a list"
    : typeof value === "object" && value !== null
    ? "an object"
    : typeof value === "string"
    ? quoted(value)
    : String(value);
  return new TypeError(`${path || "the value"} is ${found}, expected ${expected}`);
}

export const text: Shape<string> = (value, path = "") => {
  if (typeof value !== "string") throw mismatch(path, "a string", value);
  return value;
};

/** A finite number. */
export const number: Shape<number> = (value, path = "") => {
  if (typeof value !== "number" || !Number.isFinite(value)) throw mismatch(path, "a number", value);
  return value;
};

/** An integer of 0 or more. */
export const count: Shape<number> = (value, path = "") => {
  if (!Number.isSafeInteger(value) || (value as number) < 0) {
    throw mismatch(path, "an integer of at least 0", value);
  }
  return value as number;
};

export const truth: Shape<boolean> = (value, path = "") => {
  if (typeof value !== "boolean") throw mismatch(path, "true or false", value);
  return value;
};

/** A moment in ISO 8601. */
export const date: Shape<string> = (value, path = "") => {
  if (typeof value !== "string" || Number.isNaN(Date.parse(value))) {
    throw mismatch(path, "a date", value);
  }
  return value;
};

export function oneOf<const T extends string>(...choices: T[]): Shape<T> {
  return (value, path = "") => {
    if (!choices.includes(value as T)) throw mismatch(path, choices.join(" or "), value);
    return value as T;
  };
}

export function nullable<T>(shape: Shape<T>): Shape<T | null> {
  return (value, path) => value === null ? null : shape(value, path);
}

export function optional<T>(shape: Shape<T>): Shape<T | undefined> {
  return (value, path) => value === undefined ? undefined : shape(value, path);
}

export function either<A, B>(a: Shape<A>, b: Shape<B>): Shape<A | B> {
  return (value, path) => {
    try {
      return a(value, path);
    } catch {
      return b(value, path);
    }
  };
}

export function list<T>(shape: Shape<T>): Shape<T[]> {
  return (value, path = "") => {
    if (!Array.isArray(value)) throw mismatch(path, "a list", value);
    return value.map((item, i) => shape(item, `${path}[${i}]`));
  };
}

export function tuple<T extends unknown[]>(...shapes: { [I in keyof T]: Shape<T[I]> }): Shape<T> {
  return (value, path = "") => {
    if (!Array.isArray(value) || value.length !== shapes.length) {
      throw mismatch(path, `a list of ${shapes.length}`, value);
    }
    return shapes.map((shape, i) => shape(value[i], `${path}[${i}]`)) as T;
  };
}

export function dictionary<T>(shape: Shape<T>): Shape<Record<string, T>> {
  return (value, path = "") =>
    Object.fromEntries(
      Object.entries(plainObject(value, path)).map(([key, item]) => [
        key,
        shape(item, `${path}.${/^[\w-]{1,40}$/.test(key) ? key : quoted(key)}`),
      ]),
    );
}

/** An object with these fields; others are dropped, since a later version may write more. */
export function object<S extends Record<string, Shape<unknown>>>(
  fields: S,
): Shape<{ [K in keyof S]: Shaped<S[K]> }> {
  return (value, path = "") => {
    const source = plainObject(value, path);
    return Object.fromEntries(
      Object.entries(fields).map(([key, shape]) => [
        key,
        shape(source[key], path ? `${path}.${key}` : key),
      ]),
    ) as { [K in keyof S]: Shaped<S[K]> };
  };
}

function plainObject(value: unknown, path: string): Record<string, unknown> {
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw mismatch(path, "an object", value);
  }
  return value as Record<string, unknown>;
}
