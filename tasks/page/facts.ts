/** What the page is told when it is written: the files next to it. */

export interface PageFacts {
  /** Texts to learn from. */
  texts: { name: string; file: string; bytes: number }[];
  /** Weights that come with the page, by their model. */
  weights: { kind: "gpt" | "diffusion"; bytes: number }[];
  /** The table of n-grams of the text on which those were trained, if it comes with them. */
  ngrams?: { file: string; bytes: number };
}
