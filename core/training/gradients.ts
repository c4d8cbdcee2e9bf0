/** The gradients of a batch alone, to compare engines by. */
import type { Program } from "@tiny-diffusion/engines";
import type { Config } from "../config.ts";
import type { LanguageModel } from "../language_model.ts";
import { batchInputs, computeGradients } from "./step.ts";

/** Computes loss and gradients alone: outputs `loss`, and `gradient/NAME` for each weight. */
export function gradients(model: LanguageModel, config: Config, rows: number): Program {
  return {
    inputs: batchInputs(rows, config),
    body(state, inputs) {
      const { loss, gradients } = computeGradients(model, config, state, inputs);
      const named = Object.entries(gradients).map(([name, tensor]) => [`gradient/${name}`, tensor]);
      return { outputs: { loss, ...Object.fromEntries(named) } };
    },
  };
}
