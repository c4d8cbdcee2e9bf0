/** For tests: an engine that is not quite what it was. */
import type { Engine, Session } from "@tiny-diffusion/engines";

/**
 * `engine` with something done to what its programs answer, before the caller sees it. Its steps
 * are done one by one.
 */
export function changedEngine(
  engine: Engine,
  change: (answer: Awaited<ReturnType<Session["run"]>>, program: string) => void,
): Engine {
  return {
    ...engine,
    async load(state, programs) {
      const session = await engine.load(state, programs);
      return {
        async run(name, inputs) {
          const answer = await session.run(name, inputs);
          change(answer, name);
          return answer;
        },
        readState: (names) => session.readState(names),
        writeState: (entries) => session.writeState(entries),
        dispose: () => session.dispose(),
      };
    },
  };
}
