/**
 * Draws `overtaking.svg` of the figures in `lab-log.md`, "When does diffusion overtake the GPT?":
 * how far the bound of the diffusion model is above the best GPT, by the length of its run.
 *
 *     deno run --allow-read --allow-write --allow-env docs/overtaking.ts
 */
/// <reference lib="dom" />
import * as Plot from "@observablehq/plot";
import { parseHTML } from "linkedom";

/** A run, by its epochs: bits per character above the best GPT, and their standard error. */
type Run = [epochs: number, bits: number, error: number];

const texts: { characters: number; color: string; runs: Run[] }[] = [
  {
    characters: 50_000,
    color: "#b3411c",
    runs: [[24.6, 0.2012, 0.0174], [49.2, 0.1329, 0.0170], [98.3, 0.1225, 0.0166]],
  },
  {
    characters: 100_000,
    color: "#1c6cb3",
    runs: [[23.0, 0.2067, 0.0155], [46.1, 0.1654, 0.0147], [92.2, 0.1453, 0.0143]],
  },
  { characters: 200_000, color: "#2c7a3f", runs: [[25.0, 0.3359, 0.0163], [50.0, 0.2935, 0.016]] },
];

const points = texts.flatMap(({ characters, color, runs }) =>
  runs.map(([epochs, bits, error]) => ({ characters, color, epochs, bits, error }))
);
const { document } = parseHTML("<!doctype html><html></html>");
const drawn = Plot.plot({
  document,
  width: 720,
  height: 380,
  marginLeft: 50,
  marginRight: 150,
  marginBottom: 44,
  style: { background: "white", color: "#222", fontSize: "13px" },
  x: { type: "log", label: "epochs", domain: [20, 110], ticks: [25, 50, 100], tickFormat: String },
  y: { label: "bits per character above the best GPT", grid: true, domain: [0, 0.4] },
  marks: [
    Plot.ruleY([0], { strokeDasharray: "6 4" }),
    Plot.ruleX(points, {
      x: "epochs",
      y1: ({ bits, error }) => bits - error,
      y2: ({ bits, error }) => bits + error,
      stroke: "color",
      strokeOpacity: 0.5,
      strokeWidth: 3,
    }),
    Plot.line(points, { x: "epochs", y: "bits", z: "characters", stroke: "color" }),
    Plot.dot(points, { x: "epochs", y: "bits", fill: "color", r: 4 }),
    Plot.text(points, {
      ...Plot.selectLast({ x: "epochs", y: "bits", z: "characters" }),
      text: ({ characters }) => `${characters / 1000},000 characters`,
      textAnchor: "start",
      dx: 12,
      fill: "color",
    }),
    Plot.text(["the best GPT"], { frameAnchor: "bottom-left", dx: 6, dy: -6 }),
  ],
});
drawn.setAttribute("xmlns", "http://www.w3.org/2000/svg");
await Deno.writeTextFile(new URL("overtaking.svg", import.meta.url), `${drawn.outerHTML}\n`);
