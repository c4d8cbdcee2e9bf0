import { assertEquals, assertLessOrEqual } from "@std/assert";
import { makeSparkline } from "./sparkline.ts";

const curveOf = (values: number[], cells: number) => {
  const line = makeSparkline(cells);
  values.forEach(line.add);
  return `${line}`;
};

Deno.test("the lowest value is the lowest block, the highest the highest", () => {
  assertEquals(curveOf([7, 0, 3.5, 1, 6], 8), "█▁▅▂▇");
  assertEquals(curveOf([2, 2, 2], 8), "▁▁▁");
  assertEquals(curveOf([], 8), "");
});

Deno.test("however many values there are, the line stays within its cells and shows all of the time", () => {
  for (const count of [8, 9, 17, 100, 1000, 4097]) {
    const falling = curveOf(Array.from({ length: count }, (_, i) => -i), 8);
    assertLessOrEqual(falling.length, 8);
    assertEquals(falling[0], "█");
    assertEquals(falling.at(-1), "▁");
    assertEquals([...falling], [...falling].toSorted().reverse());
  }
});
