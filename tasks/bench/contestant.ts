/** The processes that are timed against each other, by `bench` and by `check-gpu`. */
import { fromFileUrl } from "@std/path";
import { median } from "../../core/scoring/statistics.ts";
import { quoted, UserError } from "../../engines/errors.ts";
import { enginePermissions } from "../shared/process.ts";
import { type Contest, type Measured, readLines, type Ready } from "./step.ts";

/** The work of a contestant in PyTorch: `pytorch/step.py` reads it. */
export interface PytorchSettings extends Pick<Contest, "work" | "threads"> {
  /** Whether `torch.compile` compiles the model first. @default {false} */
  compile?: boolean;
}

/** Lists contestants in the order of a round: reversed every other time. */
export function inTurns<Each>(contestants: Each[], round: number): Each[] {
  return round % 2 === 0 ? contestants : contestants.toReversed();
}

/** Returns the median over their common rounds of a's median step divided by b's. */
export function ratio(a: Contestant, b: Contestant): number {
  const rounds = Math.min(a.rounds.length, b.rounds.length);
  return median(
    a.rounds.slice(0, rounds).map(({ ms }, round) => median(ms) / median(b.rounds[round].ms)),
  );
}

/** A process that trains, or multiplies matrices, on command. */
export class Contestant implements Disposable {
  readonly rounds: Measured[] = [];
  name = "";
  flops?: number;
  readonly #process: Deno.ChildProcess;
  readonly #writer: WritableStreamDefaultWriter<Uint8Array<ArrayBuffer>>;
  readonly #answers: AsyncIterator<string>;

  /** @throws {UserError} If there is no such program. */
  private constructor(
    /** The name that errors use. */
    readonly what: string,
    [program, ...args]: string[],
    readonly precision: string,
  ) {
    const streams = { stdin: "piped", stdout: "piped", stderr: "piped" } as const;
    try {
      this.#process = new Deno.Command(program, { args, ...streams }).spawn();
    } catch (error) {
      const found = error instanceof Deno.errors.NotFound
        ? "there is no such program"
        : (error as Error).message;
      const advice = "check the path";
      throw new UserError({ action: `start ${what}`, found, advice }, { cause: error });
    }
    this.#writer = this.#process.stdin.getWriter();
    this.#answers = readLines(this.#process.stdout)[Symbol.asyncIterator]();
  }

  static startEngine(contest: Contest): Promise<Contestant> {
    const script = fromFileUrl(new URL("step.ts", import.meta.url));
    const command = [Deno.execPath(), "run", "--no-prompt", ...enginePermissions, script];
    command.push(JSON.stringify(contest));
    return Contestant.start(`the engine "${contest.engine}"`, command, contest.precision);
  }

  /** @param python A Python that has PyTorch. */
  static startPytorch(python: string, settings: PytorchSettings): Promise<Contestant> {
    const script = fromFileUrl(new URL("pytorch/step.py", import.meta.url));
    const command = [python, script, JSON.stringify(settings)];
    return Contestant.start(`PyTorch in ${quoted(python)}`, command, "f32");
  }

  /** @throws {UserError} If there is no such program, or it ends before it is ready. */
  private static async start(
    what: string,
    command: string[],
    precision: string,
  ): Promise<Contestant> {
    const contestant = new Contestant(what, command, precision);
    try {
      return Object.assign(contestant, await contestant.#answer<Ready>());
    } catch (error) {
      contestant[Symbol.dispose]();
      throw error;
    }
  }

  async run(steps: number): Promise<Measured> {
    // If it has ended, there is no answer, and its last words are on stderr.
    await this.#writer.write(new TextEncoder().encode(`${steps}\n`)).catch(() => {});
    return await this.#answer<Measured>();
  }

  async #answer<Answer>(): Promise<Answer> {
    const { value, done } = await this.#answers.next();
    const action = `time a step of ${this.what}`;
    if (done) {
      const [lastLine] = (await this.#process.stderr.text()).trim().split("\n").slice(-1);
      const complaint = lastLine.replace(/^error: /, "");
      throw new UserError({ action, found: complaint || "its process ended without a message" });
    }
    try {
      return JSON.parse(value);
    } catch (error) {
      const found = `it answered ${quoted(value.slice(0, 60))}, expected figures as JSON`;
      throw new UserError({ action, found, advice: "check that it is a Python" }, { cause: error });
    }
  }

  [Symbol.dispose](): void {
    try {
      this.#process.kill();
    } catch {
      // it has ended already
    }
  }
}
