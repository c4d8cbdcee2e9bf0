/// <reference lib="dom" />
import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import { DOMParser } from "linkedom";
import type { Change, Step } from "../../core/sampling/write.ts";
import { applyStep, type Frame, startFrames } from "./frames.ts";
import { animatedSvg, type Track } from "./svg.tsx";

const CELL = 8, LINE = 18;

/** A generation of several blocks in which some characters are hidden again. */
function track(given: string, blocks: number, size: number, changes: Change[][]): Track {
  const known = [...given], hidden = new Array<string>(blocks * size).fill("");
  const windows = Array.from({ length: blocks }, (_, block) => ({
    start: known.length + block * size,
    masked: Array.from({ length: size }, (_, i) => i),
  }));
  const first = startFrames([...known, ...hidden], hidden.length, windows);
  return { title: "Diffusion", first, steps: stepsOf(changes) };
}

const stepsOf = (changes: Change[][]): Step[] =>
  changes.map((changes, i) => ({ changes, forwards: i + 1, seconds: i }));

const rootOf = (svg: string) =>
  new DOMParser().parseFromString(svg, "image/svg+xml").documentElement as unknown as Element;

/** A film parsed again, so that what it shows at a step can be looked at as a browser would. */
function parsed(svg: string) {
  const root = rootOf(svg);
  const number = (element: Element, name: string): number | undefined => {
    for (let at: Element | null = element; at; at = at.parentElement) {
      const found = new RegExp(`${name}:(\\d+)`).exec(at.getAttribute("style") ?? "");
      if (found) return Number(found[1]);
    }
  };
  const classes = (element: Element) => (element.getAttribute("class") ?? "").split(" ");
  const isOn = (element: Element, step: number) => {
    const names = classes(element);
    if (names.includes("on")) return step >= number(element, "--k")!;
    if (names.includes("until")) {
      return step >= number(element, "--k")! && step < number(element, "--u")!;
    }
    return names.includes("fix") ? step < number(element, "--k")! : !names.includes("flash");
  };
  const panels = [...root.querySelectorAll(".diffusion, .gpt")];
  return panels.map((panel) => ({
    /** Characters by place, and the places of masks, as `line:column`. */
    at(step: number) {
      const characters = new Map<string, string>(), masks = new Set<string>();
      const body = panel.lastElementChild!;
      for (const text of body.querySelectorAll("text")) {
        if (!isOn(text, step)) continue;
        const line = (Number(text.getAttribute("y")) - LINE + 5) / LINE;
        const columns = text.getAttribute("x")!.split(" ").map((x) => Number(x) / CELL);
        const shown = text.textContent!;
        const parts = columns.length === 1 ? [shown] : [...shown];
        assertEquals(parts.length, columns.length);
        columns.forEach((column, i) => {
          assert(!characters.has(`${line}:${column}`), `two characters at ${line}:${column}`);
          characters.set(`${line}:${column}`, parts[i]);
        });
      }
      for (const path of body.querySelectorAll(".cells")) {
        if (!isOn(path, step)) continue;
        for (const [, from, y, to] of path.getAttribute("d")!.matchAll(/M(\d+) (\d+)H(\d+)/g)) {
          for (let x = Number(from); x < Number(to); x += CELL) {
            masks.add(`${(Number(y) - LINE / 2) / LINE}:${x / CELL}`);
          }
        }
      }
      return { characters, masks };
    },
  }));
}

/** What a frame has to show, in the order of the text. */
const expected = ({ cells }: Frame) => ({
  characters: cells.map(({ character }) => character).filter((character) =>
    character.trim() !== ""
  ),
  masks: cells.filter(({ character }) => character === "").length,
});

const inOrder = (characters: Map<string, string>) =>
  [...characters].map(([place, character]) => ({ place: place.split(":").map(Number), character }))
    .sort((a, b) => a.place[0] - b.place[0] || a.place[1] - b.place[1])
    .map(({ character }) => character);

/** Fills block after block in any order, and hides some characters again. */
const anyTrack = fc.record({
  given: fc.string({ unit: fc.constantFrom(..."ab \n<&東"), maxLength: 12 }),
  blocks: fc.integer({ min: 1, max: 3 }),
  size: fc.integer({ min: 1, max: 12 }),
  seeds: fc.array(fc.nat(), { minLength: 200, maxLength: 200 }),
}).map(({ given, blocks, size, seeds }) => {
  let next = 0;
  const pick = (below: number) => seeds[next++ % seeds.length] % below;
  const changes: Change[][] = [];
  for (let block = 0; block < blocks; block++) {
    const start = [...given].length + block * size;
    const hidden = new Set(Array.from({ length: size }, (_, i) => start + i));
    for (let step = 0; hidden.size > 0; step++) {
      const fixed = [...hidden].filter((_, i) => i === 0 || pick(3) === 0);
      const again = Array.from({ length: size }, (_, i) => start + i)
        .filter((position) => !hidden.has(position) && step < 8 && pick(6) === 0);
      changes.push([
        ...fixed.map((position): Change => [position, "xyz \n<é東"[pick(8)], 1]),
        ...again.map((position): Change => [position, "", 0]),
      ]);
      for (const position of fixed) hidden.delete(position);
      for (const position of again) hidden.add(position);
    }
  }
  return track(given, blocks, size, changes);
});

Deno.test("at every step a film shows the characters and the masks of that frame, and nothing else", () => {
  fc.assert(
    fc.property(anyTrack, fc.integer({ min: 4, max: 30 }), (track, columns) => {
      const [panel] = parsed(animatedSvg([track], { stepsPerSecond: 20, columns }));
      let frame = track.first;
      for (let step = 0;; step++) {
        const { characters, masks } = panel.at(step),
          { characters: text, masks: count } = expected(frame);
        assertEquals(inOrder(characters), text);
        assertEquals(masks.size, count);
        for (const place of masks) {
          assert(!characters.has(place), `a mask over a character at ${place}`);
        }
        if (step === track.steps.length) break;
        frame = applyStep(frame, track.steps[step]);
      }
    }),
    { numRuns: 40 },
  );
});

Deno.test("a GPT beside it appears character by character, without masks", () => {
  const text = "To be,\nor not";
  const changes = [...text].map((character, i): Change[] => [[2 + i, character, 1]]);
  const gpt = { title: "GPT", first: startFrames([..."> "], text.length), steps: stepsOf(changes) };
  const other = track("> ", 1, 3, [[[2, "a", 1], [4, "b", 1]], [[3, "c", 1]]]);
  const panels = parsed(animatedSvg([other, gpt], { stepsPerSecond: 20 }));
  const shownAt = (step: number) =>
    panels.map((panel) =>
      inOrder(panel.at(step).characters).join("") + "▒".repeat(panel.at(step).masks.size)
    );
  assertEquals(shownAt(0), [">▒▒▒", ">"]);
  assertEquals(shownAt(1), [">ab▒", ">T"]);
  assertEquals(shownAt(99), [">acb", ">Tobe,ornot"]);
});

Deno.test("lines break between words where a word fits in a line", () => {
  const text = "one two three-and-more four";
  const changes = [[...text].map((character, i): Change => [i, character, 1])];
  const [panel] = parsed(
    animatedSvg([track("", 1, text.length, changes)], { stepsPerSecond: 20, columns: 9 }),
  );
  const lines: string[] = [];
  for (const [place, character] of panel.at(1).characters) {
    const line = Number(place.split(":")[0]);
    lines[line] = (lines[line] ?? "") + character;
  }
  assertEquals(lines, ["onetwo", "three-and", "-more", "four"]);
});

Deno.test("a film has no script, no address but its own names, and hostile text stays text", () => {
  const hostile = `</text><script>alert(1)</script>&"'<![CDATA[]]>\x1b[2J\0\u202e<img onload=x>`;
  const changes = [[...hostile].map((character, i): Change => [i, character, 1])];
  const svg = animatedSvg([track("", 1, [...hostile].length, changes)], { stepsPerSecond: 20 });
  const root = rootOf(svg);
  const names = new Set([...root.querySelectorAll("*")].map(({ tagName }) => tagName));
  assertEquals([...names].sort(), ["desc", "g", "path", "rect", "style", "text", "title"]);
  assertEquals(svg.match(/https?:[^"]*/g), ["http://www.w3.org/2000/svg"]);
  assert(!/[^\P{C}\n]/u.test(svg), "a control character");
  assert(!/url\(|@import|href|<script|\son\w+=/.test(svg.replaceAll("&lt;img onload=x", "")));
  assert(root.querySelector("desc")!.textContent!.includes("</text><script>alert(1)</script>&"));
});

Deno.test("a film that was left before its end keeps its masks, and one of nothing is a film too", () => {
  const left = track("ab", 2, 3, [[[2, "c", 1]]]);
  const [panel] = parsed(animatedSvg([left], { stepsPerSecond: 20 }));
  assertEquals([inOrder(panel.at(9).characters).join(""), panel.at(9).masks.size], ["abc", 5]);
  const [empty] = parsed(animatedSvg([track("", 0, 0, [])], { stepsPerSecond: 20 }));
  assertEquals(empty.at(0).characters.size, 0);
});

Deno.test("a film lasts as long as its steps at the speed asked for, with the ends held", () => {
  const changes = Array.from({ length: 40 }, (_, i): Change[] => [[i, "a", 1]]);
  const svg = animatedSvg([track("", 1, 40, changes)], { stepsPerSecond: 10 });
  // a second of the first frame, 40 steps and 4 for the last highlight to fade, four seconds of the
  // last frame
  assert(svg.includes("animation: play 9.40s linear infinite"), /animation: play.*/.exec(svg)?.[0]);
  assert(svg.includes("@media (prefers-reduced-motion: reduce) { svg { animation: none } }"));
  assert(svg.includes("--t: 44;"), "the finished text where nothing moves");
});

Deno.test("text has the contrast that WCAG AA asks for, also where it is fresh, in both themes", () => {
  const svg = animatedSvg([track("", 1, 1, [])], { stepsPerSecond: 20 });
  const themes = svg.split("prefers-color-scheme: dark").map((css) =>
    Object.fromEntries(
      [...css.matchAll(/--(\w+): (#\w+)/g)].map(([, name, value]) => [name, value]),
    )
  );
  assertEquals(themes.length, 2);
  const luminance = (hex: string) => {
    const digits = hex.length === 4
      ? [...hex.slice(1)].map((digit) => digit + digit)
      : hex.slice(1).match(/../g)!;
    const [r, g, b] = digits.map((pair) => {
      const share = parseInt(pair, 16) / 255;
      return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const contrast = (a: string, b: string) => {
    const [dark, light] = [luminance(a), luminance(b)].sort((a, b) => a - b);
    return (light + 0.05) / (dark + 0.05);
  };
  for (const { ground, ink, quiet, fresh, gpt } of themes) {
    for (const [text, behind] of [[ink, ground], [quiet, ground], [ink, fresh], [ink, gpt]]) {
      assert(contrast(text, behind) >= 4.5, `${text} on ${behind}: ${contrast(text, behind)}`);
    }
  }
});

Deno.test("right-to-left text is ordered as a page orders it, and Arabic letters join", () => {
  const seen = (text: string, columns = 12) => {
    const changes = [[...text].map((character, i): Change => [i, character, 1])];
    const film = animatedSvg([track("", 1, [...text].length, changes)], {
      stepsPerSecond: 20,
      columns,
    });
    const [panel] = parsed(film);
    // Masks are where the characters will be.
    const { characters } = panel.at(1);
    assertEquals(panel.at(0).masks.size, [...text].length);
    const lines: string[] = [];
    for (const [place, character] of characters) {
      const [line, column] = place.split(":").map(Number);
      lines[line] = (lines[line] ?? "").padEnd(column, " ");
      lines[line] = lines[line].slice(0, column) + character + lines[line].slice(column + 1);
    }
    return lines;
  };
  assertEquals(seen("ab (c)"), ["ab (c)"]);
  assertEquals(seen("say שלום 12 (ok)", 20), ["say 12 םולש (ok)"]);
  assertEquals(seen("שלום (12) ab"), ["ab (12) םולש"]);
  assertEquals(seen("אב\nab"), ["          בא", "ab"]);
  assertEquals(seen("אבג דהו זחט", 8), [" והד גבא", "     טחז"]);
  assertEquals(seen("אבג abcdefg", 8), ["     גבא", " abcdefg"]);
  assertEquals(seen("abc אבגדהוזח", 8), ["abc", "חזוהדגבא"]);
  // initial, final; beh, alef, beh: alef joins only to what precedes it
  assertEquals(seen("بب"), ["          \ufe90\ufe91"]);
  assertEquals(seen("باب بـ"), ["      \u0640\ufe91 \ufe8f\ufe8e\ufe91"]);
  assertEquals(seen("یکی"), ["         \ufbfd\ufb91\ufbfe"]);
});
