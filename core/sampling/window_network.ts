/** A diffusion model's network: each forward pass reads one window of the text. */
import type { Program, Session } from "@tiny-diffusion/engines";
import type { LanguageModel, Network } from "../language_model.ts";

/** A network, the model that it belongs to, and how much it was used. */
export interface TrainedNetwork extends Network {
  /** The model whose weights these are. */
  readonly model: LanguageModel;
  /** Forward passes so far. */
  readonly forwards: number;
}

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

  async logits(text: ArrayLike<number>, from: number): Promise<Float32Array[]> {
    this.forwards++;
    const tokens = new Int32Array(this.context); // the rest is masked: the mask is token 0
    tokens.set(text);
    const { logits } = await this.session.run("logits", { tokens });
    return Array.from(
      { length: text.length - from },
      (_, i) => logits.subarray((from + i) * this.vocab, (from + i + 1) * this.vocab),
    );
  }

  [Symbol.dispose](): void {
    this.session.dispose?.();
  }
}
