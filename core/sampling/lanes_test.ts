import { assert, assertEquals, assertRejects } from "@std/assert";
import { openLanes } from "./lanes.ts";

/** Lanes that answer a number with ten times itself, and what was asked together. */
function tenfold(count: number) {
  const batches: (number | undefined)[][] = [];
  let closed = 0;
  const lanes = openLanes<number, number>(
    (questions) => {
      batches.push(questions);
      if (questions.includes(13)) return Promise.reject(new RangeError("not that one"));
      return Promise.resolve(questions.map((question) => 10 * question!));
    },
    count,
    () => closed++,
  );
  return { lanes, batches, closed: () => closed };
}

Deno.test("what all lanes ask is answered together, each its own", async () => {
  const { lanes: [a, b], batches } = tenfold(2);
  assertEquals(await Promise.all([a.ask(1), b.ask(2)]), [10, 20]);
  assertEquals(await Promise.all([b.ask(3), a.ask(4)]), [30, 40]);
  assertEquals(batches, [[1, 2], [4, 3]]);
});

Deno.test("one lane alone waits for nobody", async () => {
  const { lanes: [only], batches } = tenfold(1);
  assertEquals([await only.ask(1), await only.ask(2)], [10, 20]);
  assertEquals(batches, [[1], [2]]);
});

Deno.test("a lane that waits is answered when the others are closed, and not before", async () => {
  const { lanes: [a, b, c], batches, closed } = tenfold(3);
  let answer: number | undefined;
  const waiting = a.ask(1).then((value) => answer = value);
  b[Symbol.dispose]();
  b[Symbol.dispose](); // twice is once
  await new Promise((resolve) => setTimeout(resolve, 0));
  assertEquals(answer, undefined);
  c[Symbol.dispose]();
  await waiting;
  assertEquals([answer, batches, closed()], [10, [[1, undefined, undefined]], 0]);
  a[Symbol.dispose]();
  assertEquals(closed(), 1);
});

Deno.test("an error reaches all that asked together, and the next question is answered again", async () => {
  const { lanes: [a, b] } = tenfold(2);
  const asked = [a.ask(1), b.ask(13)];
  for (const question of asked) await assertRejects(() => question, RangeError, "not that one");
  assertEquals(await Promise.all([a.ask(1), b.ask(2)]), [10, 20]);
});

Deno.test("lanes that come to an end one after the other are all served to their end", async () => {
  const { lanes, batches } = tenfold(4);
  await Promise.all(lanes.map(async (lane, row) => {
    using mine = lane;
    for (let i = 0; i <= row; i++) assertEquals(await mine.ask(i), 10 * i);
  }));
  assertEquals(batches.map((batch) => batch.filter((question) => question !== undefined).length), [
    ...[4, 3, 2, 1],
  ]);
  assert(batches.every((batch) => batch.length === 4));
});
