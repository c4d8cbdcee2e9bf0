/** Fields of forms. */
import type { ComponentChildren } from "preact";

export function Field({ label, children }: { label: string; children: ComponentChildren }) {
  return (
    <label class="field">
      <span>{label}</span>
      {children}
    </label>
  );
}

export interface NumberProps {
  label: string;
  value: number;
  onValue(value: number): void;
  min?: number;
  /** The value must be larger than this; HTML has only `min`. */
  above?: number;
  max?: number;
  step?: number | "any";
}

/** A number; one that is out of its range is shown as such, and not taken. */
export function NumberField({ label, value, onValue, above, min = above, ...limits }: NumberProps) {
  const take = (input: HTMLInputElement) => {
    const isTooSmall = above !== undefined && input.valueAsNumber <= above;
    input.setCustomValidity(isTooSmall ? `Value must be greater than ${above}` : "");
    if (input.checkValidity()) onValue(input.valueAsNumber);
  };
  return (
    <Field label={label}>
      <input
        type="number"
        required
        min={min}
        {...limits}
        value={value}
        onInput={(event) => take(event.currentTarget)}
      />
    </Field>
  );
}

/** A slider whose value is written next to its label. */
export function Slider({ label, value, onValue, ...limits }: NumberProps) {
  return (
    <Field label={`${label}: ${value.toLocaleString("en-US")}`}>
      <input
        type="range"
        {...limits}
        value={value}
        onInput={(event) => onValue(event.currentTarget.valueAsNumber)}
      />
    </Field>
  );
}

export interface SelectProps<Value extends string> {
  label: string;
  value: Value;
  /** Values with what to show for them. */
  options: readonly (readonly [Value, string])[];
  onValue(value: Value): void;
}

export function SelectField<const Value extends string>(
  { label, value, options, onValue }: SelectProps<Value>,
) {
  return (
    <Field label={label}>
      <select value={value} onChange={(event) => onValue(event.currentTarget.value as Value)}>
        {options.map(([name, shown]) => <option value={name}>{shown}</option>)}
      </select>
    </Field>
  );
}

export interface TextProps {
  id: string;
  label: string;
  rows: number;
  value: string;
  onValue(value: string): void;
}

/** Text of several lines. */
export function TextField({ id, label, rows, value, onValue }: TextProps) {
  return (
    <Field label={label}>
      <textarea
        id={id}
        rows={rows}
        spellcheck={false}
        value={value}
        onInput={(event) => onValue(event.currentTarget.value)}
      />
    </Field>
  );
}

/** A button that asks for a file. */
export function FileButton(
  { label, accept, onFile }: { label: string; accept: string; onFile(file?: File): void },
) {
  return (
    <label class="button">
      {label}
      <input
        type="file"
        class="visually-hidden"
        accept={accept}
        onChange={(event) => onFile(event.currentTarget.files?.[0])}
      />
    </label>
  );
}

/** A line that says what went wrong. */
export function Problem({ of }: { of: string | undefined }) {
  return <p class="error" role="alert" hidden={of === undefined}>{of}</p>;
}
