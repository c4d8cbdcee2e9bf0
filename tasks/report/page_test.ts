import { assert, assertAlmostEquals, assertEquals, assertStringIncludes } from "@std/assert";
import fc from "fast-check";
import { parseHTML } from "linkedom";
import type { Results } from "./read_results.ts";
import { parseRun } from "./read_results.ts";
import { gather, type Hash } from "./gather.ts";
import { buildPage } from "./page.ts";
import { lossChart, thin } from "./charts.ts";
import { visible } from "./dom.ts";
import {
  exampleEvaluation,
  exampleProvenance,
  exampleRun,
  exampleSample,
} from "./example_results.ts";

const unchanged: Hash = (path) =>
  Promise.resolve({ sha256: (path.startsWith("data/") ? "2" : "1").repeat(64) });

function everything(): Results {
  return {
    samples: [exampleSample("gpt"), exampleSample("diffusion")],
    evaluations: [exampleEvaluation("gpt"), exampleEvaluation("diffusion")],
    runs: [parseRun("gpt", exampleRun("gpt")), parseRun("diffusion", exampleRun("diffusion"))],
    problems: [],
  };
}

const pageOf = async (results: Results) => await buildPage(await gather(results, unchanged));

/** A page on which everything that a file can say is `text`. */
async function pageSaying(text: string): Promise<string> {
  const results: Results = { samples: [], evaluations: [], runs: [], problems: [text] };
  for (const model of ["gpt", "diffusion"] as const) {
    const provenance = exampleProvenance(model, {
      ...{ command: text, engine: text, precision: text, weights: text, corpus: text },
      ...{ machine: text, versions: { [text]: text }, commit: text },
    });
    results.samples.push({
      ...exampleSample(model, { text: "P" + text, prompt: "P", provenance }),
      ...{ sampler: text, settings: { [text]: text } },
    });
    results.evaluations.push(exampleEvaluation(model, provenance));
    const run = parseRun(text, exampleRun(model));
    Object.assign(run.header, { name: text, engine: text, command: text, corpus: text });
    results.runs.push(run);
  }
  return await pageOf(results);
}

/** All elements by name and attributes (values apart), in order: what the markup of a page is, without its text. */
function skeleton(html: string): string[] {
  return [...parseHTML(html).document.querySelectorAll("*")].map((element) =>
    `${element.tagName} ${[...element.attributes].map(({ name }) => name).join(" ")}`
  );
}

const HOSTILE = [
  "</script><script>alert(1)</script>",
  "</div><img src=x onerror=alert(1)>",
  "<!--",
  "]]>",
  "<svg onload=alert(1)>",
  "\"'`onmouseover=alert(1) x=",
  "&lt;b&gt;&amp;&#60;",
  "<style>*{display:none}</style>",
  "</title></style></textarea>",
  "\u202edcba\u202c",
  "\u2028\u2029",
  "\0\x1b[31m\x7f",
  "😀\ud800",
  "\r\n\t",
];

Deno.test("buildPage makes no markup of anything that a result says", async () => {
  const expected = skeleton(await pageSaying("plain"));
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.oneof(fc.constantFrom(...HOSTILE), fc.string({ unit: "binary" })), {
        minLength: 1,
        maxLength: 4,
      }),
      async (pieces) => {
        assertEquals(skeleton(await pageSaying("x" + pieces.join(""))), expected);
      },
    ),
    { numRuns: 15, examples: HOSTILE.map((text) => [[text]]) },
  );
});

Deno.test("buildPage shows a hostile text as it is, and the data for the replay holds it exactly", async () => {
  for (const hostile of HOSTILE) {
    const text = "P" + hostile;
    const { document } = parseHTML(await pageSaying(hostile));
    for (const shown of document.querySelectorAll("article > .text, .stage")) {
      assertEquals(shown.textContent, visible(text));
    }
    const data = JSON.parse(document.querySelector("#replay-data")!.textContent!);
    assertEquals(data.map((replay: { text: string }) => replay.text), [text, text]);
  }
});

Deno.test("buildPage allows by hash the script and the style that it has, and nothing else", async () => {
  const html = await pageOf(everything());
  const { document } = parseHTML(html);
  const policy = document.querySelector("meta[http-equiv=Content-Security-Policy]")!
    .getAttribute("content")!;
  const hashOf = async (open: string, close: string) => {
    const source = html.slice(
      html.indexOf(open) + open.length,
      html.indexOf(close, html.indexOf(open)),
    );
    const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(source));
    return `'sha256-${new Uint8Array(digest).toBase64()}'`;
  };
  assertEquals(policy.split("; "), [
    "default-src 'none'",
    `script-src ${await hashOf('<script type="module">', "</script>")}`,
    `style-src ${await hashOf("<style>", "</style>")}`,
    "base-uri 'none'",
    "form-action 'none'",
  ]);
  assertEquals(document.querySelectorAll("[style], [src], link, iframe, object").length, 0);
  assertEquals(document.querySelectorAll("style").length, 1);
  for (const link of document.querySelectorAll("[href]")) {
    const target = link.getAttribute("href")!;
    assert(target.startsWith("#") && document.querySelector(target), target);
  }
});

Deno.test("buildPage prints the figures of the results, masked-mean apart from the likelihoods", async () => {
  const { document } = parseHTML(await pageOf(everything()));
  const [likelihoods, maskedMean] = document.querySelectorAll("#bits table");
  const numbers = (table: Element) =>
    [...table.querySelectorAll("data")].map((data) => Number(data.getAttribute("value")));
  assertEquals(
    numbers(likelihoods),
    [2.51234, 0.0117, 2.98765, 0.0131, 0.00213, 3.04321, 0.0333],
  );
  assertEquals(numbers(maskedMean), [2.2191, 0.011]);
  assert(!likelihoods.textContent!.includes("masked-mean"));
  const bound = [...likelihoods.querySelectorAll(".figure")].map((cell) => cell.textContent);
  assertEquals(bound, ["2.512", "≤ 2.988", "3.043"]);
});

Deno.test("buildPage keeps figures of different contexts in groups of their own", async () => {
  const results = everything();
  const wide = exampleEvaluation("gpt", exampleProvenance("gpt", { weights: "weights/gpt.pt" }));
  wide.rows[0] = { ...wide.rows[0], weights: "weights/gpt.pt", context: 256 };
  results.evaluations.push(wide);
  const { document } = parseHTML(await pageOf(results));
  const groups = [...document.querySelectorAll("#bits table")[0].querySelectorAll("tbody")];
  assertEquals(
    groups.map((body) => [body.querySelector("th")!.textContent, body.children.length - 1]),
    [["Context 256", 1], ["Context 64", 3]],
  );
});

Deno.test("buildPage gives each chart a label and a text, and each table a caption", async () => {
  const { document } = parseHTML(await pageOf(everything()));
  const charts = [...document.querySelectorAll("figure.chart")];
  assertEquals(charts.map(({ id }) => id), ["loss-chart", "words-chart", "mask-chart"]);
  for (const chart of charts) {
    assert(chart.querySelector("figcaption")!.textContent!.length > 40);
    for (const svg of chart.querySelectorAll("svg")) assert(svg.getAttribute("aria-label"));
    assertEquals(chart.querySelectorAll("svg").length, 2);
    assert(!chart.innerHTML.includes("NaN"));
  }
  for (const table of document.querySelectorAll("table")) assert(table.querySelector("caption"));
});

Deno.test("buildPage works with any part of the results missing", async () => {
  const all = everything();
  const kinds = ["samples", "evaluations", "runs"] as const;
  const emptyOrGpt = [
    { samples: [], evaluations: [], runs: [] },
    { samples: [all.samples[0]], evaluations: [all.evaluations[0]], runs: [all.runs[0]] },
    all,
  ];
  // every combination of nothing, GPT only and both models for the three kinds
  for (let n = 0; n < 27; n++) {
    const results: Results = { samples: [], evaluations: [], runs: [], problems: [] };
    kinds.forEach((kind, i) =>
      Object.assign(results, { [kind]: emptyOrGpt[Math.floor(n / 3 ** i) % 3][kind] })
    );
    const html = await pageOf(results);
    assert(!/undefined|NaN|\[object/.test(html.replace(/<script[^]*?<\/script>/g, "")), `${n}`);
    const { document } = parseHTML(html);
    assertEquals(document.querySelector(".notes") === null, n === 26, `${n}`);
    assertEquals(document.querySelectorAll(".stage").length, n % 3, `${n}`);
  }
});

Deno.test("lossChart draws training losses in bits, and marks the best checkpoint", () => {
  const log = exampleRun("gpt").split("\n").filter((line) => !line.includes('"train"'));
  const run = parseRun("gpt", log.join("\n"));
  run.train = run.validation.map((line) => ({
    ...line,
    ...{ kind: "train", lossNats: line.bpc * Math.LN2, learningRate: 1 },
  }));
  const chart = lossChart({ gpt: { run, stale: [] } })!;
  const [train, validation] = [
    ...chart.querySelector("svg")!.querySelectorAll("[aria-label=line] path"),
  ]
    .map((path) => path.getAttribute("d")!.match(/[\d.]+/g)!.map(Number));
  assertEquals(train.length, 2 * run.validation.length);
  // Plot rounds to a thousandth of a pixel
  train.forEach((value, i) => assertAlmostEquals(value, validation[i], 0.0011));

  const lowest = run.validation.toSorted((a, b) => a.bpc - b.bpc)[0];
  const caption = chart.querySelector("figcaption")!.textContent!;
  assertStringIncludes(caption, `best ${lowest.bpc.toFixed(3)} after`);
  assertStringIncludes(caption, `(step ${lowest.step})`);
});

Deno.test("thin keeps the mean and the order of the points, and at most as many as asked for", () => {
  const line = fc.array(fc.double({ min: 0, max: 10, noNaN: true }), { minLength: 1 });
  fc.assert(fc.property(line, fc.integer({ min: 1, max: 50 }), (values, count) => {
    const points = values.map((bits, i) => ({ chars: i, bits }));
    const fewer = thin(points, count);
    assert(fewer.length <= count || fewer.length === points.length);
    assert(fewer.every((point, i) => i === 0 || point.chars > fewer[i - 1].chars));
    if (points.length % fewer.length === 0) {
      const mean = (list: { bits: number }[]) =>
        list.reduce((sum, { bits }) => sum + bits, 0) / list.length;
      // sums of at most 100 numbers below 10 in another order: rounding stays far below 1e-9
      assert(Math.abs(mean(points) - mean(fewer)) < 1e-9);
    }
  }));
});
