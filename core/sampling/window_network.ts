/** A diffusion model's network: each forward pass reads one window of the text. */
import type { Program, Session } from "@tiny-diffusion/engines";
import { MASK_TOKEN } from "../data/tokenizer.ts";
import type { LanguageModel, TrainedNetwork } from "../language_model.ts";

/** A session that has a program from `tokens` [window] to `logits` [window, vocab]. */
export type WindowSession =
  & Pick<Session<{ logits: Program }>, "run">
  & { dispose?(): void };

/** The network of a session, whatever runs it. */
export class WindowNetwork implements TrainedNetwork, Disposable {
  forwards = 0;

  constructor(
    readonly session: WindowSession,
    readonly model: LanguageModel,
    readonly context: number,
    readonly vocab: number,
  ) {}

  async logits(text: ArrayLike<number>): Promise<Float32Array[]> {
    this.forwards++;
    const tokens = new Int32Array(this.context).fill(MASK_TOKEN);
    tokens.set(text);
    const { logits } = await this.session.run("logits", { tokens });
    return Array.from(
      { length: text.length },
      (_, i) => logits.subarray(i * this.vocab, (i + 1) * this.vocab),
    );
  }

  [Symbol.dispose](): void {
    this.session.dispose?.();
  }
}
