/** Pieces of markup that several parts of the page use. The renderer escapes all texts and attributes. */
import type { ComponentChildren, VNode } from "preact";
import type { ModelKind } from "../../core/config.ts";
import type { Marked } from "./report_data.ts";
import { MODEL_NAMES } from "./words.ts";

export type Child = ComponentChildren;

export interface SectionProps {
  id: string;
  title: string;
  children?: Child;
}

/**
 * A section of the page, or null where there is nothing to show. The functions that make sections
 * are called, not rendered as components, so that the page can list their ids and titles.
 */
export type Part = VNode<SectionProps> | null;

export function Section({ id, title, children }: SectionProps) {
  const heading = `${id}-title`;
  return (
    <section id={id} aria-labelledby={heading}>
      <h2 id={heading}>{title}</h2>
      {children}
    </section>
  );
}

export function ModelTag({ model }: { model: ModelKind }) {
  return <span class={`model ${model}`}>{MODEL_NAMES[model]}</span>;
}

/** Says why results are stale, and how they differ from what the race shows: each reason once. */
export function Marks({ of }: { of: Marked[] }) {
  const stale = new Set(of.flatMap((marked) => marked.stale));
  const other = new Set(of.flatMap((marked) => marked.other));
  return (
    <>
      {stale.size > 0 && (
        <span class="stale">
          <strong>stale</strong>: {[...stale].join("; ")}
        </span>
      )}
      {other.size > 0 && <span class="other">{[...other].join("; ")}</span>}
    </>
  );
}

/** A rounded number, with the exact one for machines: `<data value="2.1203">2.12</data>`. */
export function Value({ of, digits }: { of: number; digits: number }) {
  return <data value={of}>{of.toFixed(digits)}</data>;
}

/** A command to type, with a button that copies it. The button is shown where scripts run. */
export function Command({ text }: { text: string }) {
  return (
    <span class="command">
      <code>{text}</code>
      <button type="button" class="copy" hidden>Copy</button>
    </span>
  );
}

/** Each command once. */
export function Commands({ of }: { of: string[] }) {
  return <Folded most={3}>{[...new Set(of)].map((text) => <Command text={text} />)}</Folded>;
}

/** A list of which the most are hidden where it is long, so that Tab does not stop at each. */
export function Folded({ most, children }: { most: number; children: Child[] }) {
  const rest = children.slice(most);
  if (rest.length < 2) return <>{children}</>;
  return (
    <>
      {children.slice(0, most)}
      <details>
        <summary>{rest.length} more</summary>
        {rest}
      </details>
    </>
  );
}

/** Names and what belongs to them, as a list. */
export function Facts({ of, class: name }: { of: [Child, Child][]; class?: string }) {
  return (
    <dl class={name}>
      {of.map(([term, details]) => (
        <div>
          <dt>{term}</dt>
          <dd>{details}</dd>
        </div>
      ))}
    </dl>
  );
}

/** A row of a table: its head and a cell for each of the other columns. */
export interface Row {
  head: Child;
  cells: Child[];
  /** Shown below the head; the figure of a stale row is pale. */
  marks?: Marked;
}

export interface TableProps {
  caption: string;
  /** Titles of the columns. After the first they hold numbers, except for these: */
  columns: string[];
  /** Columns of text. */
  text?: string[];
  /** The column of the figure that matters most. */
  figure?: string;
  rows?: Row[];
  /** Rows under titles, instead of `rows`. */
  groups?: [string, Row[]][];
}

/** A table in a box that scrolls sideways where the screen is narrow. */
export function Table(
  { caption, columns, text = [], figure, rows = [], groups = [["", rows]] }: TableProps,
) {
  const classes = columns.map((title) =>
    title === figure ? "figure" : text.includes(title) ? undefined : "number"
  );
  return (
    <div class="scroll" role="region" tabindex={0} aria-label={caption}>
      <table>
        <caption>{caption}</caption>
        <thead>
          <tr>{columns.map((title) => <th scope="col">{title}</th>)}</tr>
        </thead>
        {groups.map(([title, rows]) => (
          <tbody>
            {title !== "" && (
              <tr class="group">
                <th colspan={columns.length} scope="rowgroup">{title}</th>
              </tr>
            )}
            {rows.map(({ head, cells, marks }) => (
              <tr class={marks && marks.stale.length > 0 ? "is-stale" : undefined}>
                <th scope="row">
                  {head}
                  {marks && <Marks of={[marks]} />}
                </th>
                {cells.map((cell, i) => <td class={classes[i + 1]}>{cell}</td>)}
              </tr>
            ))}
          </tbody>
        ))}
      </table>
    </div>
  );
}

/**
 * A script element that holds data for the page's script. JSON needs these characters only within
 * strings, where they are written as escapes, so no text can end the element.
 */
export function DataScript(
  { id, value, weights }: { id: string; value: unknown; weights?: string },
) {
  const json = JSON.stringify(value).replace(
    /[<>&\x7f\u2028\u2029]/g,
    (c) => "\\u" + c.charCodeAt(0).toString(16).padStart(4, "0"),
  );
  return (
    <script
      type="application/json"
      id={id}
      data-weights={weights}
      dangerouslySetInnerHTML={{ __html: json }}
    />
  );
}
