/**
 * The promises of a session: state that programs share and the caller can read, keep and put back.
 */
import { assert, assertEquals, assertMatch, assertRejects } from "@std/assert";
import * as tf from "@tensorflow/tfjs-core";
import type { HostTensors } from "../tensors.ts";
import { type Engine, type Program, runSteps, type Session } from "../engine.ts";
import type { EngineCase } from "./engine_case.ts";

const state = (): HostTensors => ({
  "a/weight": { shape: [2, 3], data: Float32Array.of(1, 2, 3, 4, 5, 6) },
  total: { shape: [], data: Float32Array.of(10) },
  fixed: { shape: [3], data: Float32Array.of(1, 0, -1) },
});

const programs: Record<string, Program> = {
  /** Adds to one entry, and the sum of the other's old value to another. */
  step: {
    inputs: { by: { shape: [3], dtype: "float32" }, times: { shape: [], dtype: "int32" } },
    body: (state, { by, times }) => ({
      outputs: { old: tf.sum(state["a/weight"]) },
      newState: {
        "a/weight": tf.add(state["a/weight"], tf.mul(by, tf.cast(times, "float32"))),
        total: tf.add(state.total, tf.sum(state["a/weight"])),
      },
    }),
  },
  swap: {
    inputs: {},
    body: (state) => ({
      outputs: { same: state.fixed },
      newState: { "a/weight": tf.neg(state["a/weight"]), total: state.total },
    }),
  },
  look: {
    inputs: { unused: { shape: [2], dtype: "float32" } },
    body: (state) => ({ outputs: { row: tf.sum(state["a/weight"], 0), total: state.total } }),
  },
};

export const sessionCases: EngineCase[] = [];

function test(name: string, body: (session: Session, engine: Engine) => Promise<void>): void {
  const run = async (engine: Engine) => {
    const session = await engine.load(state(), programs);
    try {
      await body(session, engine);
    } finally {
      session.dispose();
    }
  };
  sessionCases.push({ name, bf16: true, run }); // nothing here is a matrix product
}

const unused = new Float32Array(2);
const step = (session: Session, by: number[], times: number) =>
  session.run("step", { by: Float32Array.from(by), times: Int32Array.of(times) });

test("programs share the state, and see what the last one made of it", async (session) => {
  assertEquals(await step(session, [1, 0, -1], 2), { old: Float32Array.of(21) });
  assertEquals(await session.run("look", { unused }), {
    row: Float32Array.of(9, 7, 5),
    total: Float32Array.of(31),
  });
  assertEquals(await session.run("swap", {}), { same: Float32Array.of(1, 0, -1) });
  assertEquals(await step(session, [0, 0, 0], 1), { old: Float32Array.of(-21) });
  assertEquals(await session.run("look", { unused }), {
    row: Float32Array.of(-9, -7, -5),
    total: Float32Array.of(10),
  });
});

test("several steps in one go are those steps one after the other, bit for bit", async (session) => {
  const inputs = [[1, 0.1, -1], [0.3, 0, 7], [-2, 1e-3, 0.7]].map((by, i) => ({
    by: Float32Array.from(by),
    times: Int32Array.of(i + 1),
  }));
  const start = await session.readState(["a/weight", "total"]);
  const alone: Record<string, Float32Array>[] = [];
  for (const each of inputs) alone.push(await session.run("step", each));
  const after = await session.readState();

  await session.writeState(start);
  assertEquals(await runSteps(session, "step", inputs), alone);
  assertEquals(await session.readState(), after);

  await session.writeState(start); // and in groups of other sizes, mixed with single runs
  assertEquals([
    ...await runSteps(session, "step", inputs.slice(0, 2)),
    await session.run("step", inputs[2]),
  ], alone);
  assertEquals(await session.readState(), after);
  assertEquals(await runSteps(session, "step", []), []);
  assertEquals((await runSteps(session, "look", [{ unused }, { unused }])).length, 2);
  assertEquals(await session.readState(), after);
});

test("of several steps one of which has wrong inputs none is done", async (session) => {
  const good = { by: new Float32Array(3).fill(1), times: Int32Array.of(1) };
  if (!session.runSteps) return;
  const error = await assertRejects(
    async () => await runSteps(session, "step", [good, { ...good, by: new Float32Array(2) }]),
    TypeError,
  );
  assertMatch(
    error.message,
    /^Cannot run "step": "by" is float32 \[2\], expected float32 \[3\]$/,
  );
  assertEquals(await session.readState(), state());
});

test("the state can be read, kept and put back", async (session) => {
  assertEquals(await session.readState(), state());
  const kept = await session.readState(["total", "a/weight"]);
  assertEquals(Object.keys(kept), ["total", "a/weight"]);
  const first = await step(session, [1, 2, 3], 4);
  const after = await session.readState();
  await step(session, [1, 1, 1], 1);
  await session.writeState(kept);
  assertEquals(await session.readState(), state());
  assertEquals(await step(session, [1, 2, 3], 4), first);
  assertEquals(await session.readState(), after);
});

test("what was read, written or given stays as it is, and changing it changes nothing", async (session) => {
  const before = await session.readState(["a/weight"]);
  await step(session, [1, 1, 1], 1);
  assertEquals(before["a/weight"], state()["a/weight"]);
  before["a/weight"].data.fill(0);

  const written = { total: { shape: [], data: Float32Array.of(5) } };
  await session.writeState(written);
  written.total.data.fill(7);
  const { row, total } = await session.run("look", { unused });
  assertEquals([[...row], [...total]], [[7, 9, 11], [5]]);
  row.fill(0);
  await step(session, [0, 0, 0], 0);
  assertEquals([...row], [0, 0, 0]);
  assertEquals([...(await session.run("look", { unused })).row], [7, 9, 11]);
});

test("inputs are refused where they are not what the program declares", async (session) => {
  const good = { by: new Float32Array(3), times: new Int32Array(1) };
  // deno-lint-ignore no-explicit-any -- inputs that the types would not allow either
  const wrong: [any, RegExp][] = [
    [{ by: good.by }, /^Cannot run "step": "times" is nothing, expected int32 \[1\]$/],
    [{ ...good, by: new Float32Array(4) }, /"by" is float32 \[4\], expected float32 \[3\]$/],
    [{ ...good, by: new Int32Array(3) }, /"by" is int32 \[3\], expected float32 \[3\]$/],
    [{ ...good, more: new Float32Array(1) }, /^Cannot run "step": it has no input "more"$/],
  ];
  for (const [inputs, message] of wrong) {
    const error = await assertRejects(async () => await session.run("step", inputs), TypeError);
    assertMatch(error.message, message);
  }
  assertEquals(await session.readState(), state());
});

test("the state that a session was loaded with stays the caller's", async (_, engine) => {
  const given = state();
  const session = await engine.load(given, programs);
  await step(session, [1, 1, 1], 1);
  await step(session, [1, 1, 1], 1); // onnx swaps two buffers, so twice
  assertEquals(given, state());
  given["a/weight"].data.fill(0);
  given.fixed.data.fill(0);
  assertEquals([...(await session.run("look", { unused })).row], [9, 11, 13]);
  assertEquals((await session.readState()).fixed, state().fixed);
  session.dispose();
});

test("two sessions of one engine have a state each", async (session, engine) => {
  const other = await engine.load(state(), programs);
  await step(session, [1, 1, 1], 1);
  assertEquals(await other.readState(), state());
  other.dispose();
  await step(session, [1, 1, 1], 1);
  assert((await session.readState()).total.data[0] === 10 + 21 + 27);
});

/** A case with its own programs. */
const testAlone = (name: string, run: EngineCase["run"]) =>
  sessionCases.push({ name, bf16: true, run });

const vector = (...entries: number[]) => ({
  shape: [entries.length],
  data: Float32Array.from(entries),
});

testAlone("entries of the state can change places, or stay as they are", async (engine) => {
  const swap: Program = {
    inputs: {},
    body: ({ a, b }) => ({ outputs: { sum: tf.add(a, b) }, newState: { a: b, b: a } }),
  };
  const silent: Program = { inputs: {}, body: ({ a }) => ({ outputs: {}, newState: { c: a } }) };
  const session = await engine.load({ a: vector(1), b: vector(2), c: vector(3), d: vector(4) }, {
    swap,
    silent,
  });
  for (let i = 0; i < 20; i++) assertEquals([...(await session.run("swap", {})).sum], [3]);
  await session.run("swap", {});
  assertEquals(await session.run("silent", {}), {});
  const after = Object.values(await session.readState()).map(({ data }) => [...data]);
  assertEquals(after, [[2], [1], [2], [4]]);
  session.dispose();
});

testAlone("the state keeps no memory of ours, wherever it is", async (engine) => {
  const keep: Program = {
    inputs: { x: { shape: [64], dtype: "float32" }, y: { shape: [64], dtype: "float32" } },
    body: (_, { x, y }) => ({
      outputs: {},
      newState: { a: x, b: tf.reshape(y, [8, 8]), c: tf.slice(y, 0, 32) },
    }),
  };
  const state = {
    a: vector(...new Float32Array(64)),
    b: { shape: [8, 8], data: new Float32Array(64) },
    c: vector(...new Float32Array(32)),
  };
  const session = await engine.load(state, { keep });
  // TensorFlow shares memory at a multiple of 64 bytes, and copies the rest; one of these
  // offsets is such a multiple.
  for (let offset = 0; offset < 16; offset++) {
    const [x, y] = [7, 8].map((value) =>
      new Float32Array(80).fill(value).subarray(offset).subarray(0, 64)
    );
    await session.run("keep", { x, y });
    x.fill(0);
    y.fill(0);
    const { a, b, c } = await session.readState();
    assertEquals([a, b, c].map(({ data }) => new Set(data)), [
      new Set([7]),
      new Set([8]),
      new Set([8]),
    ]);
  }
  session.dispose();
});

testAlone("an output may be an input, a constant or an entry of the state", async (engine) => {
  const program: Program = {
    inputs: { x: { shape: [2], dtype: "float32" } },
    body: ({ a }, { x }) => ({ outputs: { x, again: x, a, one: tf.ones([2]) } }),
  };
  const session = await engine.load({ a: vector(3, 4) }, { program });
  const outputs = await session.run("program", { x: Float32Array.of(1, 2) });
  assertEquals(Object.values(outputs).map((data) => [...data]), [[1, 2], [1, 2], [3, 4], [1, 1]]);
  session.dispose();
});
