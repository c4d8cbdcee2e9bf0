/** Callers that share one batched program: their questions are gathered and answered together. */

/** The place of one caller. Dispose it when done, since the others wait for its questions. */
export interface Lane<Question, Answer> extends Disposable {
  ask(question: Question): Promise<Answer>;
}

/**
 * Opens `count` lanes. As soon as every lane that is still open has asked, all are answered at once.
 *
 * @param answer Gets the question of each lane, undefined for one that is closed, and answers in
 * the same order.
 * @param close Called when the last lane is closed.
 */
export function openLanes<Question, Answer>(
  answer: (questions: (Question | undefined)[]) => Promise<Answer[]>,
  count: number,
  close: () => void,
): Lane<Question, Answer>[] {
  interface Waiting {
    question: Question;
    resolve(answer: Answer): void;
    reject(reason: unknown): void;
  }
  const rows = Array.from({ length: count }, (_, row) => row);
  const open = new Set(rows);
  let waiting = new Map<number, Waiting>();

  async function answerIfAllAsked(): Promise<void> {
    if (waiting.size === 0 || waiting.size < open.size) return;
    const asked = waiting;
    waiting = new Map();
    try {
      const answers = await answer(rows.map((row) => asked.get(row)?.question));
      for (const [row, { resolve }] of asked) resolve(answers[row]);
    } catch (error) {
      for (const { reject } of asked.values()) reject(error);
    }
  }

  return rows.map((row) => ({
    ask: (question) =>
      new Promise((resolve, reject) => {
        waiting.set(row, { question, resolve, reject });
        answerIfAllAsked();
      }),
    [Symbol.dispose]() {
      if (!open.delete(row)) return;
      waiting.delete(row);
      if (open.size === 0) close();
      else answerIfAllAsked();
    },
  }));
}
