import { assertEquals, assertRejects } from "@std/assert";
import type { Engine } from "../../../engines/engine.ts";
import { makeGate, makeTurns, takeTurns } from "./turns.ts";

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

Deno.test("takeTurns lets one call into the engine at a time, in their order, also after one that fails", async () => {
  const log: string[] = [];
  const call = async (name: string) => {
    log.push(`${name} begins`);
    await pause(2);
    log.push(`${name} ends`);
    if (name === "bad") throw new Error("bad");
    return {};
  };
  const slow = {
    name: "slow",
    precision: "f32",
    load: async () => {
      await call("load");
      return { run: call, readState: () => call("read"), writeState: async () => {}, dispose() {} };
    },
  } as unknown as Engine;
  const engine = takeTurns(slow, makeTurns());
  const session = await engine.load({}, {});
  const run = (name: string) => session.run(name as never, {});
  await Promise.all([run("a"), assertRejects(() => run("bad")), session.readState(), run("b")]);
  const names = ["load", "a", "bad", "read", "b"];
  assertEquals(log, names.flatMap((name) => [`${name} begins`, `${name} ends`]));
});

Deno.test("a gate is passed once nobody holds it", async () => {
  const gate = makeGate();
  await gate.pass();
  gate.hold("pause");
  gate.hold("writing");
  let passed = false;
  const passing = gate.pass().then(() => passed = true);
  gate.release("pause");
  await pause(1);
  assertEquals([passed, gate.isHeldBy("pause"), gate.isHeldBy("writing")], [false, false, true]);
  gate.release("writing");
  await passing;
  assertEquals(passed, true);
});
