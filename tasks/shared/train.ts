/** What `train-gpt` and `train-diffusion` share: everything but the model. */
import { loadTraining, trainingPath, type TrainingState } from "../../core/checkpoint.ts";
import {
  checkModelConfig,
  type Config,
  makeConfig,
  type PresetName,
  presets,
} from "../../core/config.ts";
import {
  type Corpus,
  findLatestCorpus,
  loadCorpus,
  requireLength,
  takeOpening,
} from "../../core/data/corpus.ts";
import { encodeCorpus } from "../../core/data/dataset.ts";
import { requireAlike, shared } from "../../core/training/data_parallel.ts";
import { joinRanks, type Mpi } from "../../core/training/mpi.ts";
import { describeIoError } from "../../core/files/errors.ts";
import { lockFile } from "../../core/files/lock.ts";
import { readBytes } from "../../core/files/read.ts";
import { makeFolder, requireWritable, writeFileAtomically } from "../../core/files/write.ts";
import type { LanguageModel } from "../../core/language_model.ts";
import type { RunHeader } from "./results.ts";
import { makeTokenizer } from "../../core/data/tokenizer.ts";
import {
  train,
  type TrainingObserver,
  type TrainingResult,
  type TrainingRun,
} from "../../core/training/trainer.ts";
import {
  commandLine,
  commonFlags,
  Interrupted,
  interruption,
  note,
  parseFlags,
  print,
  printJson,
  UsageError,
  type Values,
} from "./cli.ts";
import { chosenEngine } from "./engine.ts";
import { type Progress, startProgress } from "./progress.ts";
import { openRunLog, type RunLog, runLogPath } from "./run_log.ts";
import { setFlag, settingsOf } from "./settings.ts";
import { sparkline } from "./sparkline.ts";

const { default: SEED, ...seedFlag } = {
  ...commonFlags.seed,
  help: `${commonFlags.seed.help}; without it, ${commonFlags.seed.default}`,
};

// No default where a resumed run has its own: what was typed has to be told from what was not.
const flags = {
  preset: {
    choices: Object.keys(presets) as PresetName[],
    help: "size of the network and how it is trained; without it, small",
  },
  steps: { type: "integer", min: 1, help: "steps in all, instead of the preset's" },
  batch: { type: "integer", min: 1, max: 65536, help: "windows of text a step" },
  lr: {
    type: "number",
    above: 0,
    max: 10,
    help: "learning rate of AdamW; Muon's is --set muonLearningRate=X",
  },
  out: { type: "path", help: "weights file; without it, weights/MODEL-PRESET.safetensors" },
  resume: {
    type: "boolean",
    help: "go on from the last checkpoint of that file, with its settings: only --steps, " +
      "--eval-every, --patience, and what computes (--engine, --precision, --threads, " +
      "--distributed) may differ",
  },
  evalEvery: { type: "integer", min: 1, help: "steps between two validations" },
  set: setFlag,
  patience: {
    type: "integer",
    min: 1,
    help: "stop after this many validations without a better one",
  },
  distributed: { type: "boolean", help: "share each batch with the other ranks of mpirun" },
  ...commonFlags,
  seed: seedFlag,
} as const;

/** Runs the task for `model`. */
export async function trainTask(model: LanguageModel, args: string[]): Promise<void> {
  const name = `train-${model.kind}`;
  const values = parseFlags(
    {
      name,
      summary:
        `Train the ${
          model.kind === "gpt" ? "GPT" : "diffusion model"
        }; the best weights by validation are kept. ` +
        "Ctrl-C saves, --resume goes on.",
      examples: [
        `deno task ${name}`,
        `deno task ${name} --preset full --resume`,
        `deno task ${name} --data my-book.txt --out weights/mine.safetensors`,
        `mpirun -n 2 deno task ${name} --distributed`,
      ],
    },
    flags,
    args,
  );
  const path = values.out ?? `weights/${model.kind}-${values.preset ?? "small"}.safetensors`;
  if (!/(?<!\.training)\.safetensors$/.test(path)) {
    throw new UsageError(
      `Cannot use --out ${JSON.stringify(path)}: expected a name that ends in .safetensors, ` +
        `but not in .training.safetensors, which is for the state of the run`,
    );
  }
  const ranks = values.distributed ? await joinRanks() : undefined;
  if (ranks && ranks.rank > 0) await follow(model, path, values, ranks);
  else await lead(model, path, values, args, ranks);
}

type TrainValues = Values<typeof flags>;

/** Trains and tells about it: what a process does that is alone, or the first of several. */
async function lead(
  model: LanguageModel,
  path: string,
  values: TrainValues,
  args: string[],
  ranks?: Mpi,
): Promise<void> {
  const name = `train-${model.kind}`, launcher = ranks ? `mpirun -n ${ranks.size} ` : "";
  const command = launcher + commandLine(name, args);
  const resume = launcher + resumeCommand(name, args);
  if (values.out === undefined) await makeFolder("weights");
  await requireWritable(path);
  await requireWritable(trainingPath(path));
  using _lock = await lockFile(path);

  const { run, corpus, stop } = await prepared(model, path, values, note, ranks);
  const { config, engine } = run, done = run.resume?.counters.step ?? 0;
  const finished = isFinished(run.resume, config);
  if (done >= config.steps) {
    note(`all ${config.steps} steps are done; a larger --steps with --resume goes on`);
  } else if (run.resume) note(`going on from step ${done} of ${trainingPath(path)}`);
  else await keepPrevious(path);
  if (finished && !values.json) {
    if (ranks) await parted(ranks);
    return;
  }
  const header: RunHeader = {
    kind: "run",
    name: path,
    model: model.kind,
    config,
    engine: engine.name,
    precision: engine.precision,
    threads: values.threads ?? ranks?.cores ?? navigator.hardwareConcurrency,
    corpus: corpus.path,
    corpusSha256: corpus.sha256,
    charsPerStep: config.batch * config.context,
    date: new Date().toISOString(),
    command,
  };
  using log = await openRunLog(runLogPath(path), header, done);
  using progress = startProgress({ total: config.steps, done, unit: "step" });
  let saved = done;
  if (ranks) {
    note(`should a rank die, the job ends; go on from the last checkpoint with: ${resume}`);
    // mpirun sends it both when the user ends the job and when a rank has died; then the others
    // wait for that one in vain.
    interruption().addEventListener("abort", () => {
      progress.note(
        "stopping with the other ranks; if one has died and this hangs, " +
          (saved > 0 ? `step ${saved} is the one that is saved` : "nothing is saved yet"),
      );
    });
  }
  const result = await train(
    { ...run, command: recipeOf(run.resume, name, args, values.steps) },
    { ...watched(config, log, progress), onCheckpoint: (step) => saved = step },
    stop,
  );
  if (ranks) await parted(ranks);
  progress.finish();
  report(result, { path, config, json: values.json, engine, resume, ranks: ranks?.size ?? 1 });
}

/** Shows a run on stderr, and writes its log. */
function watched(config: Config, log: RunLog, progress: Progress): TrainingObserver {
  const every = Math.max(1, Math.round(config.steps / 500)); // some 500 lines draw a curve
  let lossSum = 0, lossCount = 0;
  const curve = sparkline(16), drawn = Deno.stderr.isTerminal();
  let loss = {}, validation = {}, rest = {}; // in the order of the line
  const show = (done: number) =>
    progress.update({ done, fields: { ...loss, ...validation, ...rest } });
  return {
    onStep({ step, chars, seconds, lossNats, gradientNorm, learningRate }) {
      lossSum += lossNats;
      lossCount++;
      if (step % every === 0) {
        const line = { step, chars, seconds, lossNats: lossSum / lossCount, gradientNorm };
        log.append({ kind: "train", ...line, learningRate });
        lossSum = lossCount = 0;
      }
      curve.add(lossNats);
      loss = { loss: lossNats.toFixed(3) + (drawn ? ` ${curve}` : "") };
      rest = {
        "chars/s": Math.round(chars / seconds).toLocaleString("en-US"),
        "grad": gradientNorm.toFixed(2),
        "lr": learningRate.toExponential(1),
      };
      show(step);
    },
    onValidation(report) {
      const bpc = report.bpc.toFixed(3);
      log.append({ kind: "validation", ...report });
      validation = { "val bpc": bpc };
      show(report.step);
      progress.note(
        `step ${report.step}: validation ${bpc} bits per character` +
          (report.best ? ", the best so far" : ""),
      );
    },
  };
}

/** Trains as one of the other ranks: it writes nothing and says nothing. */
async function follow(
  model: LanguageModel,
  path: string,
  values: TrainValues,
  ranks: Mpi,
): Promise<void> {
  try {
    const { run, stop } = await prepared(model, path, values, () => {}, ranks);
    await train(run, {}, stop);
    await parted(ranks);
  } catch (error) {
    // What stops one rank mostly stops all. Rank 0 says what it is, and mpirun ends us before we
    // repeat it.
    const ended = new Promise((resolve) => interruption().addEventListener("abort", resolve));
    await Promise.race([ended, new Promise((resolve) => setTimeout(resolve, 10_000))]);
    if (!interruption().aborted) throw error;
  }
}

/**
 * Waits until rank 0 has saved: when one rank ends by a signal, mpirun may end the others at once.
 */
async function parted(ranks: Mpi): Promise<void> {
  await ranks.sum(new Float32Array(1));
  ranks.finalizeAtExit();
}

/** What a run starts from, the same on every rank. `say` gets what the user should know. */
async function prepared(
  model: LanguageModel,
  path: string,
  values: TrainValues,
  say: (line: string) => void,
  ranks?: Mpi,
): Promise<{ run: TrainingRun; corpus: Corpus; stop: AbortSignal }> {
  const corpus = await loadCorpus(values.data ?? await findLatestCorpus());
  const vocabulary = model.vocabulary(corpus.text);
  const resume = values.resume
    ? await loadTraining(trainingPath(path), {
      expectKind: model.kind,
      advice: "leave out --resume to start from the beginning",
    })
    : undefined;
  const config = resume
    ? resumedConfig(resume, corpus, values)
    : makeConfig(model.kind, values.preset ?? "small", vocabulary.length, {
      ...settingsOf(values.set, model.kind),
      steps: values.steps,
      batch: values.batch,
      learningRate: values.lr,
      evalEvery: values.evalEvery,
      seed: values.seed ?? SEED,
    });
  checkModelConfig(config);
  requireLength(corpus, config.context);

  const threads = values.threads ?? ranks?.cores;
  const tell = isFinished(resume, config) ? () => {} : say; // nothing is going to be computed
  const engine = await chosenEngine({ ...values, threads }, tell);
  if (resume) tellOfOtherRounding(resume, engine, tell);
  tell(`config: ${JSON.stringify(config)}`);
  const run: TrainingRun = {
    model,
    config,
    vocabulary,
    dataset: encodeCorpus(corpus, makeTokenizer(model.kind, vocabulary)),
    corpusSha256: corpus.sha256,
    prompt: takeOpening(corpus.text),
    engine,
    path,
    resume,
    patience: values.patience,
  };
  if (!ranks) return { run, corpus, stop: interruption() };

  const stepper = shared(model, config, ranks, interruption());
  tell(`ranks: ${ranks.size} (${ranks.name}), each with threads: ${threads}`);
  if (ranks.caveat) tell(ranks.caveat);
  const { name, precision } = engine, { random, counters } = resume ?? {};
  const { patience } = values;
  const facts = { config, vocabulary, sha256: corpus.sha256, name, precision, patience };
  await requireAlike(ranks, { ...facts, random, counters });
  return { run: { ...run, stepper }, corpus, stop: stepper.stop };
}

/** Whether nothing is left to do of a run that is resumed, not even its last validation. */
function isFinished(resume: TrainingState | undefined, { steps }: Config): boolean {
  const { step, validatedStep } = resume?.counters ?? {};
  return step === steps && validatedStep === steps;
}

/**
 * The command line that makes the same weights: as typed, but for where they go and how it is told.
 */
export function recipeCommand(name: string, args: string[]): string {
  const told = args.filter((arg, i) => arg !== "--out" && args[i - 1] !== "--out");
  return commandLine(name, without(/^--(out|json|resume)(=|$)/, told));
}

/** What to type to make the weights of this run again; a resumed one is what it was begun as. */
function recipeOf(
  resume: TrainingState | undefined,
  name: string,
  args: string[],
  steps: number | undefined,
): string {
  if (resume?.command === undefined) return recipeCommand(name, args);
  const longer = steps !== undefined && steps !== resume.config.steps;
  return resume.command + (longer ? `, then --resume --steps ${steps}` : "");
}

/**
 * The command line that goes on with the run that `args` started or resumed: the same, with
 * --resume.
 */
function resumeCommand(name: string, args: string[]): string {
  return commandLine(name, [...without(/^--resume(=|$)/, args), "--resume"]);
}

/** Arguments but for some flags, and for the `--` that `deno task` may put first. */
function without(flags: RegExp, args: string[]): string[] {
  return (args[0] === "--" ? args.slice(1) : args).filter((arg) => !flags.test(arg));
}

/**
 * The config of the run that goes on. How long it lasts may change, and what computes it; all else
 * would make it another run, so a flag that says otherwise is refused.
 */
function resumedConfig(
  { config, corpusSha256 }: TrainingState,
  corpus: Corpus,
  values: TrainValues,
): Config {
  if (corpus.sha256 !== corpusSha256) {
    throw new Error(
      `Cannot resume: the run was trained on a text with SHA-256 ${corpusSha256.slice(0, 12)}…, ` +
        `${JSON.stringify(corpus.path)} has ${
          corpus.sha256.slice(0, 12)
        }…; give that text with --data`,
    );
  }
  const settings = settingsOf(values.set, config.kind);
  for (
    const [flag, given, had] of [
      ["--preset", values.preset, config.preset],
      ["--batch", values.batch, config.batch],
      ["--lr", values.lr, config.learningRate],
      ["--seed", values.seed, config.seed],
      ...(Object.keys(settings) as (keyof Config)[])
        .map((key) => [`--set ${key}`, settings[key], config[key]] as const),
    ] as const
  ) {
    if (given !== undefined && given !== had) {
      throw new UsageError(
        `Cannot resume with ${flag} ${given}: the run has ${had}; leave it out, or start a new run with --out`,
      );
    }
  }
  const { steps = config.steps, evalEvery = config.evalEvery } = values;
  return { ...config, steps, evalEvery };
}

/**
 * What computes may change, but then the numbers are no longer those of a run that never stopped.
 */
function tellOfOtherRounding(
  before: { engine?: string; precision?: string },
  { name, precision }: { name: string; precision: string },
  tell: (line: string) => void,
): void {
  const now = `${name}, ${precision}`, then = `${before.engine}, ${before.precision}`;
  if (before.engine === undefined || now === then) return;
  tell(`note: the run was computed by ${then} so far, and now by ${now}, which rounds otherwise`);
}

/**
 * Keeps what a new run is about to replace, the weights and the state to go on from, beside it as
 * `NAME.previous.safetensors`: forgetting --resume must not cost a night's training.
 */
async function keepPrevious(path: string): Promise<void> {
  const previous = path.replace(/\.safetensors$/, ".previous.safetensors");
  const replaced: string[] = [], kept: string[] = [];
  for (const [from, to] of [[path, previous], [path, previous].map(trainingPath)]) {
    if (await Deno.stat(from).then(() => true, () => false)) {
      await writeFileAtomically(to, await readBytes(from));
      replaced.push(from);
      kept.push(to);
    } else {
      // What is there belongs to an older run than the other file.
      await Deno.remove(to).catch((error) => {
        if (!(error instanceof Deno.errors.NotFound)) throw describeIoError("remove", to, error);
      });
    }
  }
  if (kept.length === 0) return;
  note(
    `note: this run replaces ${replaced.join(" and ")} (--resume would go on); ` +
      `the run before is kept as ${kept.join(" and ")}`,
  );
}

function report(
  { step, seconds, chars, lossNats, bpc, bestStep, idleShare, stopped }: TrainingResult,
  { path, config, json, engine, resume, ranks }: {
    path: string;
    config: Config;
    json: boolean;
    engine: { name: string; precision: string };
    /** What to type to go on. */
    resume: string;
    ranks: number;
  },
): void {
  if (stopped === "signal") {
    const { reason } = interruption();
    throw new Interrupted(
      reason?.signal ?? "SIGTERM", // of several ranks another one got it
      `Interrupted: saved step ${step} of ${config.steps} to ${trainingPath(path)}; ` +
        `go on with: ${resume}`,
    );
  }
  const charsPerSecond = Math.round(chars / seconds);
  if (json) {
    printJson({
      steps: step,
      seconds,
      chars_per_second: charsPerSecond,
      loss: lossNats,
      val_bpc: bpc,
      best_step: bestStep,
      idle_share: idleShare,
      engine: engine.name,
      precision: engine.precision,
      ranks,
      weights: path,
    });
    return;
  }
  print(
    `${path}: step ${bestStep} of ${step} was best, ${bpc.toFixed(3)} bits per character on ` +
      `validation blocks; training loss ${lossNats.toFixed(3)} nats; ${seconds.toFixed(0)} s, ` +
      `${charsPerSecond.toLocaleString("en-US")} characters/s, engine idle ${
        (100 * idleShare).toFixed(1)
      } %`,
  );
}
