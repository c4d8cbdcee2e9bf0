import { assertEquals } from "@std/assert";
import fc from "fast-check";
import { parseHTML } from "linkedom";
import { dataElement, h, visible } from "./dom.ts";

/** What a browser would make of an element. */
const parsed = (element: HTMLElement) =>
  parseHTML(`<!doctype html><html><body>${element.outerHTML}</body></html>`)
    .document.body.firstElementChild!;

const anyText = fc.oneof(
  fc.string({ unit: "grapheme" }),
  fc.array(fc.constantFrom("&", "<", ">", '"', "'", "&amp;", "&lt", "</p>", "<!--", "a")).map(
    (pieces) => pieces.join(""),
  ),
);

Deno.test("h writes texts and attributes so that a parser reads the same ones", () => {
  fc.assert(fc.property(anyText, anyText, (text, value) => {
    const element = parsed(h("p", { "data-x": value }, text));
    assertEquals(element.textContent, visible(text));
    assertEquals(element.getAttribute("data-x"), value);
    assertEquals(element.children.length, 0);
  }));
});

Deno.test("dataElement holds any JSON unchanged, without a character that ends a script", () => {
  fc.assert(fc.property(fc.jsonValue(), anyText, (value, text) => {
    const written = dataElement("x", [value, text, "</script>\u2028"]);
    assertEquals(/[<>&\u2028\u2029]/.test(written.textContent!), false);
    assertEquals(
      JSON.parse(parsed(written).textContent!),
      JSON.parse(JSON.stringify([value, text, "</script>\u2028"])),
    );
  }));
});

Deno.test("visible shows control characters as pictures, and keeps line breaks and tabs", () => {
  assertEquals(visible("a\0b\r\n\tc\x1b\x7f"), "a␀b␍\n\tc␛␡");
});
