/** The signs and colours of texts that are being written, as the race and the page in the browser have them. */

/** Classes of the colours for how sure the model was, and for how late a character was fixed. */
export const SURENESS = ["c0", "c1", "c2", "c3", "c4"];
export const LATENESS = ["s0", "s1", "s2", "s3", "s4", "s5"];

export interface ScaleProps {
  id?: string;
  from: string;
  to: string;
  colours: string[];
  hidden?: boolean;
}

/** A scale of colours, and what its ends mean. */
export function Scale({ id, from, to, colours, hidden = false }: ScaleProps) {
  return (
    <li class="scale" id={id} hidden={hidden}>
      {from}
      <span class="swatches" aria-hidden="true">{colours.map((name) => <i class={name} />)}</span>
      {to}
    </li>
  );
}

/** The look of a character, and its meaning. */
export function Sign({ look, text, meaning }: { look: string; text: string; meaning: string }) {
  return (
    <li>
      <span class={`sign ${look}`} aria-hidden="true">{text}</span>
      {meaning}
    </li>
  );
}
