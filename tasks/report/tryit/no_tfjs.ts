/**
 * What stands for tfjs in the page. `core/diffusion.ts` needs tfjs for the loss only, which the
 * page has no use for, so the bundler leaves it out, and these, which it asks for by name, with it.
 */
const training = (): never => {
  throw new Error("internal: the page does not train");
};
export {
  training as cast,
  training as div,
  training as logSoftmax,
  training as maximum,
  training as mean,
  training as mul,
  training as neg,
  training as oneHot,
  training as reshape,
  training as sum,
};
