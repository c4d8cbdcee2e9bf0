/** Trained weights on an engine, as generation sees them. */
import { CachedNetwork, next, prefill } from "./cache.ts";
import type { ModelConfig, ModelKind } from "./config.ts";
import type { Engine, HostTensors, Session } from "./engines/engine.ts";
import type { Network } from "./language_model.ts";
import { models } from "./models.ts";
import { windowLogits } from "./programs.ts";

export interface LoadedNetwork extends Network, Disposable {
  /** Forward passes so far. */
  readonly forwards: number;
}

/** Loads what generation needs: a GPT reads one character at a time with a cache, a diffusion model a whole window. */
export async function loadNetwork(
  engine: Engine,
  config: ModelConfig & { kind: ModelKind },
  weights: HostTensors,
): Promise<LoadedNetwork> {
  if (config.kind === "gpt") {
    const programs = { prefill: prefill(config), next: next(config) };
    return new CachedNetwork(await engine.load(weights, programs), config);
  }
  const logits = windowLogits(models.diffusion, config, 1);
  return new WindowNetwork(await engine.load(weights, { logits }), config);
}

/** The network without a cache: every call computes the whole window. */
class WindowNetwork implements LoadedNetwork {
  forwards = 0;
  constructor(readonly session: Session, readonly config: ModelConfig) {}

  get context(): number {
    return this.config.context;
  }
  get vocab(): number {
    return this.config.vocab;
  }

  async logits(tokens: ArrayLike<number>, from: number): Promise<Float32Array[]> {
    this.forwards++;
    const { logits } = await this.session.run("logits", { tokens: Int32Array.from(tokens) });
    const row = (position: number) =>
      logits.subarray(position * this.vocab, (position + 1) * this.vocab);
    return Array.from({ length: tokens.length - from }, (_, i) => row(from + i));
  }

  [Symbol.dispose](): void {
    this.session.dispose();
  }
}
