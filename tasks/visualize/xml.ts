/** Markup as XML, escaped by construction. */
import type { JSX } from "preact";
import render from "preact-render-to-string/jsx";
import { UserError } from "../../engines/errors.ts";

/**
 * The XML of an element.
 *
 * @throws {UserError} If a text has a character that XML can't hold, so that no file is written
 * that no reader takes.
 */
export function toXml(root: JSX.Element): string {
  const xml = render(root, undefined, { xml: true, jsx: false, pretty: false });
  // deno-lint-ignore no-control-regex -- XML 1.0, section 2.2: these are what it can't hold
  const bad = /[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]|\p{Surrogate}/u.exec(xml);
  if (bad) {
    const code = bad[0].codePointAt(0)!.toString(16).toUpperCase();
    throw new UserError({
      action: `write U+${code} in XML`,
      found: "expected a character that it can hold",
    });
  }
  // HTML, for which the renderer is made, leaves ">" in attributes and texts as it is; XML has no
  // "]]>" in texts. Outside of both there are no quotes.
  return xml.replace(/"[^"]*"|>[^<]*/g, (part) => part[0] + part.slice(1).replaceAll(">", "&gt;"));
}
