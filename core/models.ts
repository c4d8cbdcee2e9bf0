/** The two models by their kind. */
import type { ModelKind } from "./config.ts";
import * as diffusion from "./diffusion.ts";
import * as gpt from "./gpt.ts";
import type { LanguageModel } from "./language_model.ts";

/** Each model by the `kind` that a configuration or a file of weights says. */
export const models: Record<ModelKind, LanguageModel> = { gpt, diffusion };
