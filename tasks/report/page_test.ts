import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import fc from "fast-check";
import { parseHTML } from "linkedom";
import {
  exampleEvaluation,
  exampleProvenance,
  exampleQuality,
  exampleRun,
  exampleSample,
} from "../testing/example_results.ts";
import { thin } from "./charts.tsx";
import { makeVisible } from "./document.tsx";
import { gather, type Hash } from "./gather.ts";
import { buildPage } from "./page.tsx";
import { parseRun, type Results } from "./read_results.ts";

const unchanged: Hash = (path) =>
  Promise.resolve({ sha256: (path.startsWith("data/") ? "2" : "1").repeat(64) });

function everything(): Results {
  return {
    samples: [exampleSample("gpt"), exampleSample("diffusion")],
    evaluations: [exampleEvaluation("gpt"), exampleEvaluation("diffusion")],
    quality: [exampleQuality("gpt"), exampleQuality("diffusion")],
    runs: [parseRun("gpt", exampleRun("gpt")), parseRun("diffusion", exampleRun("diffusion"))],
    problems: [],
  };
}

const pageOf = async (results: Results) => await buildPage(await gather(results, unchanged));

/** A page on which everything that a file can say is `text`. */
async function pageSaying(text: string): Promise<string> {
  const results: Results = {
    samples: [],
    evaluations: [],
    quality: [],
    runs: [],
    problems: [text],
  };
  for (const model of ["gpt", "diffusion"] as const) {
    const provenance = exampleProvenance(model, {
      command: text,
      engine: text,
      precision: text,
      weights: text,
      corpus: text,
      machine: text,
      versions: { [text]: text },
      commit: text,
    });
    results.samples.push({
      ...exampleSample(model, { text: "P" + text, prompt: "P", provenance }),
      sampler: text,
      settings: { [text]: text },
    });
    results.evaluations.push(exampleEvaluation(model, provenance));
    const quality = exampleQuality(model, provenance);
    for (const row of quality.rows.filter(({ source }) => source === model)) {
      Object.assign(row, { sampler: text, settings: { [text]: text } });
    }
    quality.judges.gpt!.weights = text;
    results.quality.push({ ...quality, prompt: text });
    const run = parseRun(text, exampleRun(model));
    Object.assign(run.header, { name: text, engine: text, command: text, corpus: text });
    results.runs.push(run);
  }
  return await pageOf(results);
}

/**
 * All elements by name and attributes (values apart), in order: what the markup of a page is,
 * without its text.
 */
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
    { numRuns: 6, examples: [[HOSTILE], [HOSTILE.toReversed()]] },
  );
});

Deno.test("buildPage shows a hostile text as it is, and the data for the race holds it exactly", async () => {
  for (const hostile of [HOSTILE.slice(0, 7).join(""), HOSTILE.slice(7).join("")]) {
    const text = "P" + hostile;
    const { document } = parseHTML(await pageSaying(hostile));
    const shown = [...document.querySelectorAll(".sample .text, .stage")];
    assertEquals(shown.length, 2 * 2 + 2);
    for (const element of shown) assertEquals(element.textContent, makeVisible(text));
    const { replays } = JSON.parse(document.querySelector("#race-data")!.textContent!);
    assertEquals(replays.map((replay: { text: string }) => replay.text), Array(4).fill(text));
  }
});

Deno.test("buildPage allows by hash the script and the style that it has, and nothing else", async () => {
  const html = await pageOf(everything());
  const { document } = parseHTML(html);
  const policy = document.querySelector("meta[http-equiv=Content-Security-Policy]")!
    .getAttribute("content")!;
  const hashesOf = async (pattern: RegExp) => {
    const hashes = [...html.matchAll(pattern)].map(async ([, source]) => {
      const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(source));
      return `'sha256-${new Uint8Array(digest).toBase64()}'`;
    });
    return (await Promise.all(hashes)).join(" ");
  };
  assertEquals(policy.split("; "), [
    "default-src 'none'",
    `script-src ${await hashesOf(/<script type="module">([^]*?)<\/script>/g)}`,
    `style-src ${await hashesOf(/<style>([^]*?)<\/style>/g)}`,
    "base-uri 'none'",
    "form-action 'none'",
  ]);
  assertEquals(document.querySelectorAll("[style], [src], link, iframe, object").length, 0);
  assertEquals(document.querySelectorAll("style").length, 1);
  assert(!/unsafe|https?:/.test(policy), policy);
  for (const link of document.querySelectorAll("[href]")) {
    const target = link.getAttribute("href")!;
    assert(target.startsWith("#") && document.querySelector(target), target);
  }
});

const numbersIn = (element: Element) =>
  [...element.querySelectorAll("data")].map((data) => Number(data.getAttribute("value")));

Deno.test("buildPage prints the figures of the results, masked-mean apart from the likelihoods", async () => {
  const { document } = parseHTML(await pageOf(everything()));
  const [likelihoods, comparisons, maskedMean] = document.querySelectorAll("#bits table");
  assertEquals(numbersIn(likelihoods), [
    ...[2.2329, 0.0098, 2.51234, 0.0117, 2.98765, 0.0131, 0.00213, 3.04321, 0.0333],
    ...[4.829, 0.0098, 6.0224, 0.0098],
  ]);
  assertEquals(numbersIn(maskedMean), [2.2191, 0.011]);
  assert(!likelihoods.textContent!.includes("masked-mean"));
  const bound = [...likelihoods.querySelectorAll(".figure")].map((cell) => cell.textContent);
  assertEquals(bound.slice(1, 4), ["2.512", "≤ 2.988", "3.043"]);
  assertEquals(numbersIn(comparisons), [2.51234 - 2.2329, 2.98765 - 2.2329]);
  // sqrt(0.00213² + 0.0131²) * 1.96 = 0.0260
  assertStringIncludes(document.querySelector("#glance")!.textContent!, "± 0.026 (upper bound");
});

Deno.test("buildPage prints every figure of sample quality, each reference text once", async () => {
  const results = everything();
  const { document } = parseHTML(await pageOf(results));
  const shown = numbersIn(document.querySelector("#quality-table")!);
  const memory = numbersIn(document.querySelector("#memory-table")!);
  const written = results.quality.flatMap(({ rows }, i) => i === 0 ? rows : rows.slice(6));
  const inMemory = ["longest_match", "found_30", "found_50"];
  for (const { figures, cost } of written) {
    for (const [name, spread] of Object.entries(figures)) {
      if (spread) assert((inMemory.includes(name) ? memory : shown).includes(spread.mean), name);
    }
    if (cost) assert(shown.includes(cost.forwards.mean) && shown.includes(cost.seconds.mean));
  }
  assertEquals(document.querySelectorAll("#memory-table tbody tr").length, 6 + 2 * 3);
});

Deno.test("buildPage keeps figures of different contexts in groups of their own", async () => {
  const results = everything();
  const wide = exampleEvaluation("gpt", exampleProvenance("gpt", { weights: "weights/gpt.pt" }));
  wide.rows[0] = { ...wide.rows[0], weights: "weights/gpt.pt", context: 256 };
  wide.baselines = [];
  results.evaluations.push(wide);
  const { document } = parseHTML(await pageOf(results));
  const groups = [...document.querySelectorAll("#bits table")[0].querySelectorAll("tbody")];
  assertEquals(
    groups.map((body) => [body.querySelector("th")!.textContent, body.children.length - 1]),
    [["Context 256", 1], ["Context 64", 6]],
  );
  const charts = [...document.querySelectorAll("#bits figure")].map(({ id }) => id);
  assertEquals(charts, ["bits-chart-256", "bits-chart-64"]);
});

Deno.test("buildPage never draws texts of different lengths, judges or training texts in one chart", async () => {
  const results = everything();
  const short = exampleQuality("diffusion");
  for (const row of short.rows) row.length = 500;
  short.provenance = { ...short.provenance, command: "deno task quality --length 500" };
  results.quality.push(short);
  const { document } = parseHTML(await pageOf(results));
  assertEquals(document.querySelectorAll("#memory-table tbody tr").length, 6 + 2 * 3);
  const apart = [...document.querySelectorAll("#temperature > .fine code")];
  assertEquals(apart.map(({ textContent }) => textContent), ["deno task quality --length 500"]);
});

Deno.test("buildPage says of what was made with other weights than the race that it was", async () => {
  const results = everything();
  const from = exampleProvenance("gpt", {
    weights: "weights/gpt-old.safetensors",
    weightsSha256: "7".repeat(64),
    command: "deno task eval --model gpt --weights weights/gpt-old.safetensors",
  });
  const evaluation = exampleEvaluation("gpt", from);
  results.evaluations.push({ ...evaluation, comparisons: [] });
  const hash: Hash = (path) =>
    path.includes("old") ? Promise.resolve({ sha256: "7".repeat(64) }) : unchanged(path);
  const { document } = parseHTML(await buildPage(await gather(results, hash)));
  const rows = [...document.querySelectorAll("#bits table")[0].querySelectorAll("tbody th")];
  const marked = rows.filter((row) => row.querySelector(".other"));
  assertEquals(marked.map((row) => row.querySelector("code")!.textContent), [
    "weights/gpt-old.safetensors",
  ]);
  assertStringIncludes(
    document.querySelector("#bits-chart-64 .other")!.textContent!,
    'made with other weights ("weights/gpt-old.safetensors") than the race',
  );
  assertEquals(document.querySelectorAll(".stale").length, 0);
});

Deno.test("buildPage says of a loss curve that it is not of the weights in the race", async () => {
  const results = everything();
  const [run] = results.runs.filter(({ header }) => header.model === "gpt");
  run.header.name = "weights/gpt-old.safetensors";
  const { document } = parseHTML(await pageOf(results));
  const marks = [...document.querySelectorAll("#training .other")];
  assertEquals(marks.map((mark) => mark.textContent!.replace(/ than.*/, "")), [
    'the training of other weights ("weights/gpt-old.safetensors")',
    'the training of other weights ("weights/gpt-old.safetensors")',
  ]);
});

Deno.test("buildPage gives each chart a label, a text with its limits and a command, and each table a caption", async () => {
  const { document } = parseHTML(await pageOf(everything()));
  const charts = [...document.querySelectorAll("figure.chart")];
  assertEquals(charts.map(({ id }) => id), [
    ...["bits-chart-64", "mask-chart", "decoder-chart", "loss-chart", "cost-chart"],
    ...["temperature-chart", "memory-chart"],
  ]);
  for (const chart of charts) {
    const terms = [...chart.querySelectorAll("figcaption dt")].map((term) => term.textContent);
    assertEquals(terms, ["Shows", "Does not show", "Made by"]);
    for (const text of [...chart.querySelectorAll("figcaption dd")].slice(0, 2)) {
      assert(text.textContent!.length > 40, text.textContent!);
    }
    assert(chart.querySelector("figcaption .copy"), chart.id);
    for (const svg of chart.querySelectorAll("svg.plot")) assert(svg.getAttribute("aria-label"));
    assert(chart.querySelectorAll("svg.plot").length >= 2);
    assert(!/NaN|undefined/.test(chart.innerHTML), chart.id);
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
    const { quality } = n % 2 === 0 ? all : { quality: [] };
    const results: Results = { samples: [], evaluations: [], quality, runs: [], problems: [] };
    kinds.forEach((kind, i) =>
      Object.assign(results, { [kind]: emptyOrGpt[Math.floor(n / 3 ** i) % 3][kind] })
    );
    const html = await pageOf(results);
    const code = /<script[^]*?<\/script>|<pre[^]*?<\/pre>/g; // the page's own, and core's
    assert(!/undefined|NaN|\[object/.test(html.replace(code, "")), `${n}`);
    const { document } = parseHTML(html);
    assertEquals(document.querySelector(".notes") === null, n === 26, `${n}`);
    assertEquals(document.querySelectorAll(".stage").length, n % 3, `${n}`);
  }
});

Deno.test("a page with 20 samples of 2,000 characters stays below 1 MB", async () => {
  const results = everything();
  const text = "P" + "What vessel comes so late, with lanterns low?\n".repeat(50).slice(0, 2000);
  results.samples = Array.from({ length: 10 }, (_, i) => { // of two texts each
    const model = i % 2 === 0 ? "gpt" : "diffusion";
    return { ...exampleSample(model, { text, prompt: "P" }), settings: { overlap: 16, seed: i } };
  });
  const html = await pageOf(results);
  const bytes = new TextEncoder().encode(html).length;
  assert(bytes < 1_000_000, `${bytes} bytes`);
  const { document } = parseHTML(html);
  const { replays } = JSON.parse(document.querySelector("#race-data")!.textContent!);
  assertEquals(replays.length, 20);
});

Deno.test("thin keeps the mean and the order of the points, and at most as many as asked for", () => {
  const line = fc.array(fc.double({ min: 0, max: 10, noNaN: true }), { minLength: 1 });
  fc.assert(fc.property(line, fc.integer({ min: 1, max: 50 }), (values, count) => {
    const points = values.map((bits, i) => [i, bits]);
    const fewer = thin(points, count);
    assert(fewer.length <= count || fewer.length === points.length);
    assert(fewer.every(([chars], i) => i === 0 || chars > fewer[i - 1][0]));
    if (points.length % fewer.length === 0) {
      const mean = (list: number[][]) =>
        list.reduce((sum, [, bits]) => sum + bits, 0) / list.length;
      // sums of at most 100 numbers below 10 in another order: rounding stays far below 1e-9
      assert(Math.abs(mean(points) - mean(fewer)) < 1e-9);
    }
  }));
});
