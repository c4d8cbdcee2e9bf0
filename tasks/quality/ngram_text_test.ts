import { assertAlmostEquals, assertEquals } from "@std/assert";
import { seededRandom } from "../../core/random.ts";
import { kneserNey } from "../../core/ngrams/kneser_ney.ts";
import { writeFromTable } from "./ngram_text.ts";

const training = Int32Array.from("0102010301020010", Number);
const table = kneserNey(training, 4, 3);

Deno.test("a table's text follows its probabilities at the temperature", () => {
  for (const temperature of [1, 0.5]) {
    const random = seededRandom(1);
    const seen = new Float64Array(16); // by the first two characters
    const texts = 4000;
    for (let i = 0; i < texts; i++) {
      const [a, b] = writeFromTable(table, Int32Array.of(0), 2, { temperature, random });
      seen[4 * a + b]++;
    }
    const atTemperature = (history: number[]) => {
      const powers = table.row(history).map((p) => p ** (1 / temperature));
      const total = powers.reduce((sum, power) => sum + power);
      return powers.map((power) => power / total);
    };
    seen.forEach((count, i) => {
      const [a, b] = [i >> 2, i & 3];
      const p = atTemperature([0])[a] * atTemperature([0, a])[b];
      // five standard errors of the share of 4,000 draws
      assertAlmostEquals(count / texts, p, 5 * Math.sqrt(p * (1 - p) / texts) + 1e-9);
    });
  }
});

Deno.test("a table's text at temperature 0 is always the likeliest character after its history", () => {
  const text = writeFromTable(table, Int32Array.of(3), 6, {
    temperature: 0,
    random: seededRandom(1),
  });
  const all = [3, ...text];
  text.forEach((character, i) => {
    const row = table.row(all.slice(0, i + 1));
    assertEquals(row[character], Math.max(...row));
  });
});
