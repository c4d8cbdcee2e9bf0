/** The text to learn from: one that comes with the page, a paste, or a file. */
import { useState } from "preact/hooks";
import type { PageFacts } from "../facts.ts";
import type { ToWorker } from "../messages.ts";
import { Field, FileButton, Problem } from "./fields.tsx";
import type { PageState } from "./state.ts";

export interface TextProps {
  state: PageState;
  facts: PageFacts;
  send(message: ToWorker): void;
}

export function TextSection({ state, facts, send }: TextProps) {
  const [isOver, setOver] = useState(false);
  const { text, errors } = state;
  const take = (name: string, content: string) => {
    if (mayReplace(state)) send({ type: "text", name, text: content });
  };
  const takeFile = async (file: File | undefined) => {
    if (file) take(file.name, await file.text());
  };
  return (
    <section
      id="text"
      aria-labelledby="text-title"
      class={isOver ? "over" : undefined}
      onDragOver={(event) => {
        event.preventDefault();
        setOver(true);
      }}
      onDragLeave={() => setOver(false)}
      onDrop={(event) => {
        event.preventDefault();
        setOver(false);
        takeFile(event.dataTransfer?.files[0]);
      }}
    >
      <h2 id="text-title">1. A text</h2>
      <div class="actions">
        {facts.texts.map(({ name, file }) => (
          <button
            type="button"
            onClick={() => mayReplace(state) && send({ type: "fetchText", name, file })}
          >
            {name}
          </button>
        ))}
        <FileButton label="A file…" accept=".txt,.md,text/*" onFile={takeFile} />
      </div>
      <Field label="Or paste one here, or drop a file: 400 to 5 million characters, at most 1,024 different ones">
        <textarea
          id="paste"
          rows={2}
          spellcheck={false}
          onPaste={(event) => {
            event.preventDefault(); // a long text would keep the browser busy with its layout
            take("pasted text", event.clipboardData?.getData("text/plain") ?? "");
          }}
          onChange={(event) => {
            if (event.currentTarget.value !== "") take("typed text", event.currentTarget.value);
          }}
        />
      </Field>
      <Problem of={errors.text} />
      {text && (
        <>
          <p id="text-facts">
            <strong>{text.name}</strong>: {text.characters.toLocaleString("en-US")} characters,{" "}
            {text.distinct}{" "}
            different ones. The last tenth is for validation; the models never learn from it.
          </p>
          <div
            class="text excerpt"
            tabindex={0}
            role="region"
            aria-label="The beginning of the text"
          >
            {text.opening}
          </div>
        </>
      )}
    </section>
  );
}

/** Asks before a text replaces another that models have learned from. */
function mayReplace({ learners }: PageState): boolean {
  return Object.keys(learners).length === 0 ||
    confirm("Take another text? What was learned from the present one is forgotten.");
}
