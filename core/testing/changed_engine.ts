/** For tests: an engine whose answers are changed. */
import type { Engine, Outputs } from "@tiny-diffusion/engines";

/**
 * Wraps an engine so that `change` alters what its programs answer before the caller sees it. Its
 * steps run one by one.
 */
export function changedEngine(
  engine: Engine,
  change: (answer: Outputs, program: string) => void,
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
