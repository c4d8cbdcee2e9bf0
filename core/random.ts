/**
 * Seeded random draws whose state can be saved, so that a resumed run goes on with the numbers that it would have drawn.
 *
 * The generator is xoroshiro128+ from pure-rand; what is built on it here is only what the models need.
 */
import { xoroshiro128plus, xoroshiro128plusFromState } from "pure-rand/generator/xoroshiro128plus";

export interface Random {
  /** Uniform on [0, 1), with 53 random bits. */
  uniform(): number;
  /** A uniform integer from 0 to `bound - 1`, without bias. */
  integer(bound: number): number;
  /** Standard normal, by the polar method of Marsaglia. */
  normal(): number;
  /** What `restoreRandom` needs to go on from here. */
  state(): number[];
}

/** A generator that always draws the same numbers for the same `seed` (a 32-bit integer). */
export function seededRandom(seed: number): Random {
  return fromGenerator(xoroshiro128plus(seed));
}

/** The generator that `random.state()` came from, at the same point of its sequence. */
export function restoreRandom(state: number[]): Random {
  return fromGenerator(xoroshiro128plusFromState(state));
}

function fromGenerator(generator: ReturnType<typeof xoroshiro128plus>): Random {
  const bits32 = () => generator.next() >>> 0;
  const uniform = () => ((bits32() >>> 5) * 2 ** 26 + (bits32() >>> 6)) / 2 ** 53;
  return {
    uniform,
    integer(bound) {
      if (!Number.isInteger(bound) || bound < 1 || bound > 2 ** 32) {
        throw new RangeError(`Cannot draw an integer below ${bound}: expected 1 to 2^32`);
      }
      const limit = 2 ** 32 - (2 ** 32 % bound); // values from here on would favour the small remainders
      let value = bits32();
      while (value >= limit) value = bits32();
      return value % bound;
    },
    normal() {
      for (;;) {
        const x = 2 * uniform() - 1, y = 2 * uniform() - 1;
        const s = x * x + y * y;
        if (s > 0 && s < 1) return x * Math.sqrt(-2 * Math.log(s) / s);
      }
    },
    state: () => [...generator.getState()],
  };
}
