/**
 * The five changes that turn the GPT into the diffusion model: each with a picture and with the
 * very lines of `core/gpt.ts` and `core/diffusion.ts`, read when the page is built.
 */
import type { ModelKind } from "../../../core/config.ts";
import { UserError } from "../../../engines/errors.ts";
import { type Child, ModelTag, type Part, Section } from "../markup.tsx";
import { type Line, lineDiff } from "./line_diff.ts";

/** The lines of one change, in their order. */
export interface CodeChange {
  /** 1 to 5. */
  number: number;
  removed: Line[];
  added: Line[];
}

/** Reads the changes as the files have them now. */
export async function readChanges(): Promise<CodeChange[]> {
  const read = (name: string) =>
    Deno.readTextFile(new URL(`../../../core/${name}`, import.meta.url));
  return sortChanges(await read("gpt.ts"), await read("diffusion.ts"));
}

/**
 * Sorts the lines in which two files differ by their marks, comment lines "change N of 5" above
 * what is new. A line that is gone belongs to the change of the new line that assigns to the same
 * name, or else to the first of its hunk. Documentation and imports are left out.
 *
 * @throws {UserError} If a line of code differs where nothing is marked.
 */
export function sortChanges(gpt: string, diffusion: string): CodeChange[] {
  const changes = [1, 2, 3, 4, 5].map((number): CodeChange => ({ number, removed: [], added: [] }));
  const [a, b] = [gpt, diffusion].map((source) => source.trimEnd().split("\n"));
  let current: number | undefined;
  for (const hunk of lineDiff(a, b)) {
    const first = hunk.added.map(markOf).find((mark) => mark !== undefined) ?? current;
    const names = new Map<string, number>();
    for (const line of hunk.added) {
      current = markOf(line) ?? current;
      if (!isCode(line)) continue;
      if (current === undefined) throw unmarked("diffusion.ts", line);
      changes[current - 1].added.push(line);
      const name = assignedName(line);
      if (name !== undefined) names.set(name, current);
    }
    for (const line of hunk.removed.filter(isCode)) {
      const mark = names.get(assignedName(line) ?? "") ?? first;
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

/** The name on the left of the equals sign. */
const assignedName = ({ text }: Line) =>
  /^\s*(?:export )?(?:const |let )?([\w.[\]]+) = /.exec(text)?.[1];

function unmarked(file: string, { number, text }: Line): UserError {
  return new UserError({
    action: "sort the changes",
    found: `line ${number} of core/${file} differs without a mark, "${text.trim()}"`,
    advice: 'write "// change N of 5" above it in diffusion.ts',
  });
}

interface Explanation {
  title: string;
  text: string;
  /** A description of the picture for those who don't see it. */
  label: string;
  gpt: Child;
  diffusion: Child;
  /** True if the pictures of the two models are next to each other. */
  isAside?: boolean;
}

const EXPLANATIONS: Explanation[] = [
  {
    title: "A token for “hidden”",
    text:
      "The vocabulary gets one more entry, the mask. It stands for a character that the model is not shown.",
    label:
      "The GPT's tokens are characters; the diffusion model has the mask as token 0 before them",
    gpt: <Tokens model="gpt" of="↵␣!…yz" />,
    diffusion: <Tokens model="diffusion" of="█↵␣!…yz" />,
  },
  {
    title: "Attention sees both sides",
    text:
      "A GPT may not look ahead, or it would see what it is to predict. The diffusion model has nothing to hide but the masks, so every position looks at all others. It is the only change inside the network.",
    label:
      "Which positions a position sees: in the GPT those up to itself, in the diffusion model all",
    gpt: <Attention model="gpt" sees={(row, column) => column <= row} />,
    diffusion: <Attention model="diffusion" sees={() => true} />,
    isAside: true,
  },
  {
    title: "The task is to uncover",
    text:
      "A GPT learns to name the next character. The diffusion model is shown a text of which a random share is hidden, from almost nothing to almost all, and learns to name the hidden ones.",
    label:
      "Input and target: the GPT's target is the input shifted by one; the diffusion model's is the text without masks",
    gpt: <Pair model="gpt" input="the sea" target="he sea." />,
    diffusion: <Pair model="diffusion" input="t█e██ea" target="the sea" />,
  },
  {
    title: "Only hidden characters count",
    text:
      "Every position of a GPT has something to predict. In the diffusion model the characters that it was shown teach nothing, so the loss is averaged over the hidden ones.",
    label:
      "Which positions count in the loss: all of the GPT, the hidden ones of the diffusion model",
    gpt: <Tokens model="gpt" look="weighed" of="he sea." strong={() => true} />,
    diffusion: (
      <Tokens
        model="diffusion"
        look="weighed"
        of="the sea"
        strong={(_, at) => [1, 3, 4].includes(at)}
      />
    ),
  },
  {
    title: "Many characters in one pass",
    text:
      "The GPT appends one character a pass. The diffusion model starts from a block of masks, and each pass fixes those that its sampler chooses, wherever they are: the surest ones, usually.",
    label:
      "In three passes the GPT writes t, h, e; in two the diffusion model fixes all of “the sea”",
    gpt: <Passes model="gpt" texts={["t", "th", "the"]} />,
    diffusion: <Passes model="diffusion" texts={["t█e█s█a", "the sea"]} />,
  },
];

/** The section of the page. */
export function fiveChanges(changes: CodeChange[]): Part {
  return (
    <Section id="changes" title="The five changes">
      <p>
        Both models are the same small transformer, and most of their code is the same file. This is
        all that differs, line for line: <code>diff core/gpt.ts core/diffusion.ts</code>.
      </p>
      <ol class="changes">
        {changes.map((change, i) => (
          <li class="change">
            <Explained number={change.number} {...EXPLANATIONS[i]} />
            <Code {...change} />
          </li>
        ))}
      </ol>
      <p class="fine">
        One difference from the papers: as in the original, the loss has no weight 1/t, so windows
        of which much is hidden count more than they do in the bound (nelbo) that this page reports.
        No input says how much is hidden, and none is needed: the network can see that.
      </p>
    </Section>
  );
}

function Explained(
  { number, title, text, label, gpt, diffusion, isAside }: Explanation & { number: number },
) {
  return (
    <div class="explained">
      <div>
        <h3>
          <span class="count">{number}</span>
          {title}
        </h3>
        <p>{text}</p>
      </div>
      <div class={isAside ? "picture aside" : "picture"} role="img" aria-label={label}>
        <div>
          <ModelTag model="gpt" />
          {gpt}
        </div>
        <div>
          <ModelTag model="diffusion" />
          {diffusion}
        </div>
      </div>
    </div>
  );
}

function Code({ number, removed, added }: CodeChange) {
  return (
    <div class="code" tabindex={0} role="region" aria-label={`Code of change ${number}`}>
      <pre>
        {removed.length > 0 && <span class="file">core/gpt.ts</span>}
        {removed.map((line) => (
          <del>
            <CodeLine sign="−" {...line} />
          </del>
        ))}
        {added.length > 0 && <span class="file">core/diffusion.ts</span>}
        {added.map((line) => (
          <ins>
            <CodeLine sign="+" {...line} />
          </ins>
        ))}
      </pre>
    </div>
  );
}

function CodeLine({ number, text, sign }: Line & { sign: string }) {
  return (
    <>
      <span class="line-number">{String(number).padStart(3)}</span>
      <span class="diff-sign">{` ${sign} `}</span>
      <span>{text}</span>
    </>
  );
}

interface TokensProps {
  model: ModelKind;
  look?: string;
  of: string;
  /** Says which of them are highlighted. @default {the masks} */
  strong?: (token: string, at: number) => boolean;
}

function Tokens({ model, look = "", of, strong = (token) => token === "█" }: TokensProps) {
  return (
    <span class={`tokens ${model} ${look}`}>
      {[...of].map((token, at) => (
        <i class={strong(token, at) ? "strong" : ""}>{token === " " ? "␣" : token}</i>
      ))}
    </span>
  );
}

/** A square of positions: the row's looks at the column's. */
function Attention(
  { model, sees }: { model: ModelKind; sees: (row: number, column: number) => boolean },
) {
  const positions = [0, 1, 2, 3, 4, 5];
  const side = 13;
  const all = positions.length * side;
  return (
    <svg viewBox={`0 0 ${all} ${all}`} class="attention">
      {positions.map((row) =>
        positions.map((column) => (
          <rect
            x={column * side}
            y={row * side}
            width={side - 2}
            height={side - 2}
            rx={2}
            class={sees(row, column) ? `seen ${model}` : "unseen"}
          />
        ))
      )}
    </svg>
  );
}

function Passes({ model, texts }: { model: ModelKind; texts: string[] }) {
  return <span class="stack">{texts.map((text) => <Tokens model={model} of={text} />)}</span>;
}

function Pair({ model, input, target }: { model: ModelKind; input: string; target: string }) {
  return (
    <span class="stack">
      <Tokens model={model} of={input} />
      <Tokens model={model} look="target" of={target} strong={() => false} />
    </span>
  );
}
