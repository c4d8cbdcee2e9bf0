/// <reference lib="dom" />
import { assertEquals } from "@std/assert";
import fc from "fast-check";
import { parseHTML } from "linkedom";
import { htmlDocument, makeVisible } from "./document.tsx";
import { type Child, DataScript } from "./markup.tsx";

/** What a browser would make of an element in a document. */
async function parsed(element: Child): Promise<Element> {
  const html = await htmlDocument({ title: "", style: "", scripts: [] }, element);
  return parseHTML(html).document.body.firstElementChild!;
}

const anyText = fc.oneof(
  fc.string({ unit: "grapheme" }),
  fc.array(fc.constantFrom("&", "<", ">", '"', "'", "&amp;", "&lt", "</p>", "<!--", "a")).map(
    (pieces) => pieces.join(""),
  ),
);

Deno.test("htmlDocument writes texts and attributes so that a parser reads the same ones", () =>
  fc.assert(fc.asyncProperty(anyText, anyText, async (text, value) => {
    const element = await parsed(<p data-x={value}>{text}</p>);
    assertEquals(element.textContent, makeVisible(text));
    assertEquals(element.getAttribute("data-x"), value);
    assertEquals(element.children.length, 0);
  })));

Deno.test("DataScript holds any JSON unchanged, without a character that ends a script", () =>
  fc.assert(fc.asyncProperty(fc.jsonValue(), anyText, async (value, text) => {
    const data = [value, text, "</script>\u2028\x7f"];
    const written = await parsed(<DataScript id="x" value={data} />);
    assertEquals(/[<>&\u2028\u2029]/.test(written.textContent!), false);
    assertEquals(JSON.parse(written.textContent!), JSON.parse(JSON.stringify(data)));
  })));

Deno.test("makeVisible shows control characters as pictures, and keeps line breaks and tabs", () => {
  assertEquals(makeVisible("a\0b\r\n\tc\x1b\x7f"), "a␀b␍\n\tc␛␡");
});
