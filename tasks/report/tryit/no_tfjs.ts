/**
 * Replaces tfjs in the page, which samples from an exported network and never trains.
 *
 * `core/diffusion.ts` imports the attention of `core/model.ts`. The bundler drops the functions that
 * the page never calls, but not this one call at the top of the module.
 */
export const customGrad = () => (): never => {
  throw new Error("internal: the page does not train");
};
