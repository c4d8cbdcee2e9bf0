import { assert, assertEquals, assertThrows } from "@std/assert";
import fc from "fast-check";
import { DOMParser } from "linkedom";
import { h } from "preact";
import { UserError } from "../../engines/errors.ts";
import { toXml } from "./xml.ts";

const parse = (xml: string) => new DOMParser().parseFromString(xml, "text/xml");

Deno.test("text and attributes come back from a parser as they went in, and never as markup", () => {
  const unit = fc.constantFrom(..."<>&\"' a;#]-!é🌙");
  const value = fc.string({ unit, minLength: 1 }); // an empty one is written as `b="b"`
  fc.assert(fc.property(fc.string({ unit }), value, (inside, attribute) => {
    const xml = toXml(h("a", { b: attribute }, inside, h("i", {})));
    const root = parse(xml).documentElement!;
    assertEquals(root.children.length, 1);
    assertEquals(root.textContent, inside);
    // the parser at hand leaves entities in attributes as they are, so they are looked at
    // themselves
    const [, written] = /^<a b="([^"]*)"/.exec(xml)!;
    const back = written.replaceAll("&lt;", "<").replaceAll("&gt;", ">").replaceAll("&quot;", '"')
      .replaceAll("&amp;", "&");
    assertEquals(back, attribute);
    assert(!/[<>]|&(?!amp;|lt;|gt;|quot;)/.test(written), written);
  }));
});

Deno.test("what XML can't hold is refused, with its code point", () => {
  for (const [character, code] of [["\0", "0"], ["\x1b", "1B"], ["\uffff", "FFFF"]]) {
    assertThrows(() => toXml(h("a", {}, character)), UserError, `Cannot write U+${code} in XML`);
  }
  assertEquals(toXml(h("a", {}, "\t\n")), "<a>\t\n</a>");
});
