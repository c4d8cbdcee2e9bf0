/**
 * The five changes that turn the GPT into the diffusion model: each with a picture and with the
 * very lines of `core/gpt.ts` and `core/diffusion.ts`, read when the page is built.
 */
import { hunksOf, type Line } from "./line_diff.ts";
import { type Child, h } from "./dom.ts";
import { section } from "./parts.ts";

/** The lines of one change, in the order in which they stand. */
export interface CodeChange {
  /** 1 to 5. */
  number: number;
  removed: Line[];
  added: Line[];
}

/** The changes as the files have them now. */
export async function readChanges(): Promise<CodeChange[]> {
  const read = (name: string) => Deno.readTextFile(new URL(`../../core/${name}`, import.meta.url));
  return changesOf(await read("gpt.ts"), await read("diffusion.ts"));
}

/**
 * Sorts the lines in which two files differ by their marks, comment lines "change N of 5" above
 * what is new. A line that is gone belongs to the change of the new line that assigns to the same
 * name, or else to the first of its hunk. Documentation and imports are left out.
 *
 * @throws {SyntaxError} If a line of code differs where nothing is marked.
 */
export function changesOf(gpt: string, diffusion: string): CodeChange[] {
  const changes = [1, 2, 3, 4, 5].map((number): CodeChange => ({ number, removed: [], added: [] }));
  const [a, b] = [gpt, diffusion].map((source) => source.trimEnd().split("\n"));
  let current: number | undefined;
  for (const hunk of hunksOf(a, b)) {
    const first = hunk.added.map(markOf).find((mark) => mark !== undefined) ?? current;
    const names = new Map<string, number>();
    for (const line of hunk.added) {
      current = markOf(line) ?? current;
      if (!isCode(line)) continue;
      if (current === undefined) throw unmarked("diffusion.ts", line);
      changes[current - 1].added.push(line);
      const name = assignedBy(line);
      if (name !== undefined) names.set(name, current);
    }
    for (const line of hunk.removed.filter(isCode)) {
      const mark = names.get(assignedBy(line) ?? "") ?? first;
      if (mark === undefined) throw unmarked("gpt.ts", line);
      changes[mark - 1].removed.push(line);
    }
  }
  return changes;
}

const isCode = ({ text }: Line) =>
  !/^\s*(\/\*\*|\*|\/\/)/.test(text) && !/^import /.test(text) &&
  !/^export const kind/.test(text) &&
  text.trim() !== "";

function markOf({ text }: Line): number | undefined {
  const mark = /^\s*\/\/ change ([1-5]) of 5\b/.exec(text)?.[1];
  return mark === undefined ? undefined : Number(mark);
}

/** What stands before the equals sign. */
const assignedBy = ({ text }: Line) =>
  /^\s*(?:export )?(?:const |let )?([\w.[\]]+) = /.exec(text)?.[1];

function unmarked(file: string, { number, text }: Line): SyntaxError {
  return new SyntaxError(
    `Cannot sort the changes: line ${number} of core/${file} differs without a mark, ` +
      `"${text.trim()}"; write "// change N of 5" above it in diffusion.ts`,
  );
}

const EXPLANATIONS: { title: string; text: string; picture: () => HTMLElement }[] = [
  {
    title: "A token for “hidden”",
    text:
      "The vocabulary gets one more entry, the mask. It stands for a character that the model is not shown.",
    picture: () =>
      picture(
        "The GPT's tokens are characters; the diffusion model has the mask as token 0 before them",
        [
          ["GPT", tokens("gpt", ["↵", "␣", "!", "…", "y", "z"])],
          ["Diffusion", tokens("diffusion", ["█", "↵", "␣", "!", "…", "y", "z"])],
        ],
      ),
  },
  {
    title: "Attention sees both sides",
    text:
      "A GPT may not look ahead, or it would see what it is to predict. The diffusion model has nothing to hide but the masks, so every position looks at all others. It is the only change inside the network.",
    picture: () =>
      picture(
        "Which positions a position sees: in the GPT those up to itself, in the diffusion model all",
        [
          ["GPT", attention("gpt", true)],
          ["Diffusion", attention("diffusion", false)],
        ],
        "aside",
      ),
  },
  {
    title: "The task is to uncover",
    text:
      "A GPT learns to name the next character. The diffusion model is shown a text of which a random share is hidden, from almost nothing to almost all, and learns to name the hidden ones.",
    picture: () =>
      picture(
        "Input and target: the GPT's target is the input shifted by one; the diffusion model's is the text without masks",
        [
          ["GPT", pair("gpt", [..."the sea"], [..."he sea."])],
          ["Diffusion", pair("diffusion", [..."t█e██ea"], [..."the sea"])],
        ],
      ),
  },
  {
    title: "Only hidden characters count",
    text:
      "Every position of a GPT has something to predict. In the diffusion model the characters that it was shown teach nothing, so the loss is averaged over the hidden ones.",
    picture: () =>
      picture(
        "Which positions count in the loss: all of the GPT, the hidden ones of the diffusion model",
        [
          ["GPT", weighed("gpt", [..."he sea."], () => true)],
          ["Diffusion", weighed("diffusion", [..."the sea"], (i) => [1, 3, 4].includes(i))],
        ],
      ),
  },
  {
    title: "Many characters in one pass",
    text:
      "The GPT appends one character a pass. The diffusion model starts from a block of masks, and each pass fixes those that its sampler chooses, wherever they stand: the surest ones, usually.",
    picture: () =>
      picture(
        "In three passes the GPT writes t, h, e; in two the diffusion model fixes all of “the sea”",
        [
          ["GPT", passes("gpt", ["t", "th", "the"])],
          ["Diffusion", passes("diffusion", ["t█e█s█a", "the sea"])],
        ],
      ),
  },
];

/** The section of the page. */
export function fiveChanges(changes: CodeChange[]): HTMLElement {
  return section(
    "changes",
    "The five changes",
    h(
      "p",
      {},
      "Both models are the same small transformer, and most of their code is the same file. This is all that differs, line for ",
      "line: ",
      h("code", {}, "diff core/gpt.ts core/diffusion.ts"),
      ".",
    ),
    h(
      "ol",
      { class: "changes" },
      changes.map((change, i) =>
        h(
          "li",
          { class: "change" },
          h(
            "div",
            { class: "explained" },
            h(
              "div",
              {},
              h("h3", {}, h("span", { class: "count" }, change.number), EXPLANATIONS[i].title),
              h("p", {}, EXPLANATIONS[i].text),
            ),
            EXPLANATIONS[i].picture(),
          ),
          code(change),
        )
      ),
    ),
    h(
      "p",
      { class: "fine" },
      "One difference from the papers: as in the original, the loss has no weight 1/t, so windows of which much is hidden count more ",
      "than they do in the bound (nelbo) that this page reports. The network is not told how much is hidden, and need not be: what ",
      "it sees already says so.",
    ),
  );
}

function code({ number, removed, added }: CodeChange): HTMLElement {
  const block = (file: string, lines: Line[], tag: "del" | "ins", sign: string) => [
    h("span", { class: "file" }, file),
    lines.map(({ number, text }) =>
      h(
        tag,
        {},
        h("span", { class: "line-number" }, String(number).padStart(3)),
        h("span", { class: "diff-sign" }, ` ${sign} `),
        h("span", {}, text),
      )
    ),
  ];
  return h(
    "div",
    { class: "code", tabindex: 0, role: "region", "aria-label": `Code of change ${number}` },
    h(
      "pre",
      {},
      removed.length > 0 ? block("core/gpt.ts", removed, "del", "−") : null,
      added.length > 0 ? block("core/diffusion.ts", added, "ins", "+") : null,
    ),
  );
}

// ---------------------------------------------------------------- pictures

function picture(label: string, rows: [string, Child][], className = ""): HTMLElement {
  return h(
    "div",
    { class: `picture ${className}`, role: "img", "aria-label": label },
    rows.map(([name, content]) =>
      h("div", {}, h("span", { class: `model ${name.toLowerCase()}` }, name), content)
    ),
  );
}

function tokens(
  model: string,
  texts: string[],
  isStrong = (text: string, _at: number): boolean => text === "█",
) {
  return h(
    "span",
    { class: `tokens ${model}` },
    texts.map((text, i) =>
      h("i", { class: isStrong(text, i) ? "strong" : "" }, text === " " ? "␣" : text)
    ),
  );
}

/** A square of positions: the row's looks at the column's. */
function attention(model: string, causal: boolean): HTMLElement {
  const size = 6, side = 13;
  const cells = Array.from({ length: size * size }, (_, i) => {
    const row = Math.floor(i / size), column = i % size;
    return h("rect", {
      ...{ x: column * side, y: row * side, width: side - 2, height: side - 2, rx: 2 },
      class: causal && column > row ? "unseen" : `seen ${model}`,
    });
  });
  return h("svg", { viewBox: `0 0 ${size * side} ${size * side}`, class: "attention" }, cells);
}

function passes(model: string, texts: string[]): HTMLElement {
  return h(
    "span",
    { class: "stack" },
    texts.map((text) => tokens(model, [...text])),
  );
}

function pair(model: string, input: string[], target: string[]): HTMLElement {
  return h(
    "span",
    { class: "stack" },
    tokens(model, input),
    tokens(`${model} target`, target, () => false),
  );
}

function weighed(model: string, target: string[], counts: (at: number) => boolean): HTMLElement {
  return tokens(`${model} weighed`, target, (_, at) => counts(at));
}
