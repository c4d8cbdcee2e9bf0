/** Who may use the engine: one call at a time, and no training while it is paused or others wait. */
import type { Engine, Program, Session } from "../../../engines/engine.ts";
import type { HostTensors } from "../../../engines/tensors.ts";

/** Runs one task after the other, in the order in which they come. */
export type InTurn = <Result>(task: () => Promise<Result>) => Promise<Result>;

export function makeTurns(): InTurn {
  let last: Promise<unknown> = Promise.resolve();
  return (task) => {
    const result = last.then(task);
    last = result.catch(() => {});
    return result;
  };
}

/** The same engine for callers that don't know of each other: onnxruntime-web takes one call at a time. */
export function takeTurns(engine: Engine, inTurn: InTurn): Engine {
  return {
    ...engine,
    async load<P extends Record<string, Program>>(state: HostTensors, programs: P) {
      const session: Session<P> = await inTurn(() => engine.load(state, programs));
      const { runSteps } = session;
      return {
        run: (name, inputs) => inTurn(() => session.run(name, inputs)),
        ...runSteps && {
          runSteps: (name, inputs) => inTurn(() => runSteps.call(session, name, inputs)),
        },
        readState: (names) => inTurn(() => session.readState(names)),
        writeState: (entries) => inTurn(() => session.writeState(entries)),
        dispose: () => void inTurn(() => Promise.resolve(session.dispose())),
      };
    },
  };
}

/** A gate that training waits at: open while nothing holds it. */
export function makeGate() {
  const holders = new Set<string>();
  let opening = Promise.withResolvers<void>();
  return {
    hold(by: string): void {
      if (holders.size === 0) opening = Promise.withResolvers();
      holders.add(by);
    },
    release(by: string): void {
      if (holders.delete(by) && holders.size === 0) opening.resolve();
    },
    isHeldBy: (by: string) => holders.has(by),
    /** Waits until nothing holds it. */
    async pass(): Promise<void> {
      while (holders.size > 0) await opening.promise;
    },
  };
}
export type Gate = ReturnType<typeof makeGate>;
