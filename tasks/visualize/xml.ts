/** XML, escaped by construction: text only ever enters as a string, and strings are escaped. */

/** What is markup already. Only `element` makes it. */
export class Markup {
  constructor(readonly xml: string) {}
}

export type Child = Markup | string | Child[];

/**
 * An element. A character that XML can't hold is refused, so that a file is never one that no
 * reader takes.
 */
export function element(
  name: string,
  attributes: Record<string, string | number>,
  ...children: Child[]
): Markup {
  const shown = Object.entries(attributes).map(([key, value]) => ` ${key}="${escape(`${value}`)}"`);
  const content = children.map(markupOf).join("");
  return new Markup(`<${name}${shown.join("")}${content === "" ? "/>" : `>${content}</${name}>`}`);
}

function markupOf(child: Child): string {
  if (Array.isArray(child)) return child.map(markupOf).join("");
  return child instanceof Markup ? child.xml : escape(child);
}

const entities: Record<string, string> = {
  ...{ "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;" },
};

function escape(text: string): string {
  // deno-lint-ignore no-control-regex -- XML 1.0, section 2.2: these are what it can't hold
  const bad = /[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]|\p{Surrogate}/u.exec(text);
  if (bad) {
    const code = bad[0].codePointAt(0)!.toString(16).toUpperCase();
    throw new RangeError(`Cannot write U+${code} in XML: expected a character that it can hold`);
  }
  return text.replace(/[&<>"]/g, (character) => entities[character]);
}
