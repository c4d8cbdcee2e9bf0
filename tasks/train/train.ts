/** The whole of `train-gpt` and `train-diffusion` except the model. */
import {
  isExportPath,
  loadTraining,
  trainingPath,
  type TrainingState,
} from "../../core/checkpoint.ts";
import {
  checkModelConfig,
  checkTrainingConfig,
  type Config,
  expectSetting,
  makeConfig,
  parseSlice,
  type PresetName,
  presets,
} from "../../core/config.ts";
import { type Corpus, loadCorpus, requireLength, sliceTraining } from "../../core/data/corpus.ts";
import { findLatestCorpus } from "../shared/fetched_texts.ts";
import { describeIoError } from "../../files/errors.ts";
import { lockFile } from "../../files/lock.ts";
import { adviseJoining, writePieces } from "../../files/pieces.ts";
import { exists, readBytes } from "../../files/read.ts";
import { makeFolder, requireWritable, writeFileAtomically } from "../../files/write.ts";
import type { LanguageModel } from "../../core/language_model.ts";
import { makeParallelStepper, requireSameFacts } from "../../core/training/data_parallel.ts";
import { joinRanks, type Mpi } from "../../engines/mpi.ts";
import type { TrainingObserver, TrainingResult } from "../../core/training/loop.ts";
import { train, type TrainingRun } from "../../core/training/trainer.ts";
import { UserError } from "../../engines/errors.ts";
import { commonFlags, parseFlags, reportsFlag, UsageError, type Values } from "../shared/flags.ts";
import { Interrupted, interruption, note, print, printJson } from "../shared/run.ts";
import { commandLine, quantity, withoutControls } from "../shared/text.ts";
import { startEngineFromFlags } from "../shared/engine.ts";
import { type Progress, startProgress } from "../shared/progress.ts";
import { openRunLog, type RunLog, runLogPath } from "./run_log.ts";
import type { RunHeader } from "../shared/results.ts";
import { tryTo } from "../shared/provenance.ts";
import { parseSettings, setFlag } from "../shared/settings.ts";
import { makeSparkline } from "./sparkline.ts";
import { describeText, loadNamedWeights } from "../shared/weights.ts";

const DEFAULT_PRESET = "small";
/** The default of a flag that replaces a setting of the preset. */
const PRESETS = "the preset's";
const { default: SEED, ...seedFlag } = commonFlags.seed;

// No default where a resumed run has its own: so that a typed flag can be told from an absent one.
const flags = {
  preset: {
    choices: Object.keys(presets) as PresetName[],
    help: "size of the network and how it is trained",
    defaultHelp: DEFAULT_PRESET,
  },
  steps: { type: "integer", min: 1, help: "total steps", defaultHelp: PRESETS },
  batch: {
    type: "integer",
    min: 1,
    max: 65536,
    help: "windows of text per step",
    defaultHelp: PRESETS,
  },
  lr: {
    type: "number",
    above: 0,
    max: 10,
    help: "learning rate of AdamW; Muon's is --set muonLearningRate=X",
    defaultHelp: PRESETS,
  },
  out: { type: "path", help: "weights file", defaultHelp: "weights/MODEL-PRESET.safetensors" },
  resume: {
    type: "boolean",
    help:
      "resume from the last checkpoint of that file, with its settings: only --steps, --until, " +
      "--split, --eval-every, --sample-every, --patience, and what computes (--engine, --precision, " +
      "--threads, --distributed) may differ",
  },
  from: {
    type: "path",
    help: "start from these weights instead of random ones: of either model, of any text",
  },
  evalEvery: {
    type: "integer",
    min: 1,
    help: "steps between two validations",
    defaultHelp: PRESETS,
  },
  set: setFlag,
  slice: {
    type: "string",
    placeholder: "FROM..TO",
    help: "train on these characters of the training part only; validation stays the same",
  },
  sampleEvery: {
    type: "integer",
    min: 1,
    help: "steps between two short samples, which the log keeps for the report",
    defaultHelp: "no samples",
  },
  until: {
    type: "duration",
    help: "end within this time, set-up included, validated and saved, to be resumed; " +
      "the learning rate follows --steps, not the time",
  },
  split: {
    type: "size",
    help: "at the end, write the weights in pieces of this size, too, for cat to join: " +
      "OUT.part-1-of-3",
  },
  patience: {
    type: "integer",
    min: 1,
    help: "stop after this many validations without a better one",
  },
  distributed: { type: "boolean", help: "share each batch with the other ranks of mpirun" },
  ...reportsFlag,
  ...commonFlags,
  seed: { ...seedFlag, defaultHelp: `${SEED}` },
} as const;

type TrainValues = Values<typeof flags>;

export async function trainTask(model: LanguageModel, args: string[]): Promise<void> {
  const name = `train-${model.kind}`;
  const trained = model.kind === "gpt" ? "GPT" : "diffusion model";
  const values = parseFlags(
    {
      name,
      summary: `Train the ${trained}; the best weights by validation are kept. ` +
        "Ctrl-C saves, --resume resumes.",
      examples: [
        `deno task ${name}`,
        `deno task ${name} --preset full --resume`,
        `deno task ${name} --until 8m --split 15M`,
        `deno task ${name} --data my-book.txt --out weights/mine.safetensors`,
        `mpirun -n 2 deno task ${name} --distributed`,
      ],
    },
    flags,
    args,
  );
  const path = values.out ?? `weights/${model.kind}-${values.preset ?? DEFAULT_PRESET}.safetensors`;
  // The run that another one replaced can be resumed under the name that it was kept as.
  const replaced = values.resume && isExportPath(path.replace(/\.previous(?=\.safetensors$)/, ""));
  if (!isExportPath(path) && !replaced) {
    throw new UsageError(
      `Cannot use --out ${JSON.stringify(path)}: expected a name that ends in .safetensors, ` +
        "but not in .training.safetensors or .previous.safetensors, which are for the state of " +
        "the run and for the run that it replaces",
    );
  }
  const { slice } = values;
  if (slice !== undefined && !parseSlice(slice)) {
    const expected = expectSetting("slice", slice);
    throw new UsageError(`Cannot use --slice ${JSON.stringify(slice)}: expected ${expected}`);
  }
  if (values.until !== undefined && values.distributed) {
    throw new UsageError(
      "Cannot use --until and --distributed together: each rank would stop at another step; " +
        "let the scheduler, or timeout(1), send SIGTERM to mpirun, which saves",
    );
  }
  const ranks = values.distributed ? await joinRanks() : undefined;
  if (ranks && ranks.rank > 0) await trainSilently(model, path, values, ranks);
  else await trainAndReport(model, path, values, args, ranks);
}

/** Trains and reports: the task of a process that is alone, or of the first of several ranks. */
async function trainAndReport(
  model: LanguageModel,
  path: string,
  values: TrainValues,
  args: string[],
  ranks?: Mpi,
): Promise<void> {
  const name = `train-${model.kind}`;
  const launcher = ranks ? `mpirun -n ${ranks.size} ` : "";
  const others = args.filter((arg) => !/^--resume(=|$)/.test(arg));
  const resumeCommand = launcher + commandLine(name, [...others, "--resume"]);
  if (values.out === undefined) await makeFolder("weights");
  await requireWritable(path);
  await requireWritable(trainingPath(path), { isTrainingState: true });
  using _lock = await lockFile(path);

  const { run, corpus, stop } = await prepareRun(model, path, values, note, ranks);
  const { config, engine } = run;
  const done = run.resume?.counters.step ?? 0;
  const isFinished = hasFinished(run.resume, config);
  if (done >= config.steps) {
    note(`all ${config.steps} steps are done; use --resume with a larger --steps to continue`);
  } else if (run.resume) note(`resuming from step ${done} of ${trainingPath(path)}`);
  else await keepPrevious(path);
  if (isFinished && !values.json) {
    if (ranks) await leaveTogether(ranks);
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
    command: launcher + commandLine(name, args),
  };
  using progress = startProgress({ total: config.steps, done, unit: "step" });
  const { reports } = values;
  using log = await tryTo(
    "the run is not logged",
    reports,
    () => openRunLog(runLogPath(path, reports), header, done, progress.note),
  );
  let saved = done;
  if (ranks) {
    note(`should a rank die, the job ends; resume from the last checkpoint with: ${resumeCommand}`);
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
    { ...run, command: describeRecipe(run.resume, name, args, values.steps) },
    { ...makeObserver(config, log, progress), onCheckpoint: (step) => saved = step },
    stop,
  );
  if (ranks) await leaveTogether(ranks);
  progress.finish();
  if (values.split !== undefined && result.bestStep > 0) {
    const pieces = await writePieces(path, await readBytes(path), values.split);
    note(`${path} is there in ${quantity(pieces.length, "piece")}, too; ${adviseJoining(path)}`);
  }
  const { json } = values;
  reportResult(result, header, { json, resumeCommand, ranks: ranks?.size ?? 1 });
}

/** Makes an observer that shows a run on stderr and writes its log. */
function makeObserver(
  config: Config,
  log: RunLog | undefined,
  progress: Progress,
): TrainingObserver {
  const every = Math.max(1, Math.round(config.steps / 500)); // some 500 lines draw a curve
  let lossSum = 0;
  let lossCount = 0;
  const curve = makeSparkline(16);
  const isTerminal = Deno.stderr.isTerminal();
  let loss = {}; // the fields in the order of the line
  let validation = {};
  let rest = {};
  const show = (done: number) =>
    progress.update({ done, fields: { ...loss, ...validation, ...rest } });
  return {
    onStep({ step, chars, seconds, lossNats, gradientNorm, learningRate }) {
      lossSum += lossNats;
      lossCount++;
      if (step % every === 0) {
        const line = { step, chars, seconds, lossNats: lossSum / lossCount, gradientNorm };
        log?.append({ kind: "train", ...line, learningRate });
        lossSum = lossCount = 0;
      }
      curve.add(lossNats);
      loss = { loss: lossNats.toFixed(3) + (isTerminal ? ` ${curve}` : "") };
      rest = {
        "chars/s": Math.round(chars / seconds).toLocaleString("en-US"),
        "grad": gradientNorm.toFixed(2),
        "lr": learningRate.toExponential(1),
      };
      show(step);
    },
    onValidation(report) {
      const bpc = report.bpc.toFixed(3);
      log?.append({ kind: "validation", ...report });
      validation = { "val bpc": bpc };
      show(report.step);
      progress.note(
        `step ${report.step}: validation ${bpc} bits per character` +
          (report.best ? ", the best so far" : ""),
      );
    },
    onSample(report) {
      log?.append({ kind: "sample", ...report });
      const lines = (isTerminal ? withoutControls(report.text) : report.text).trim().split("\n");
      progress.note([`step ${report.step} writes:`, ...lines].join("\n    "));
    },
  };
}

/** Trains as one of the other ranks, which write and print nothing. */
async function trainSilently(
  model: LanguageModel,
  path: string,
  values: TrainValues,
  ranks: Mpi,
): Promise<void> {
  try {
    const { run, stop } = await prepareRun(model, path, values, () => {}, ranks);
    await train(run, {}, stop);
    await leaveTogether(ranks);
  } catch (error) {
    // What stops one rank mostly stops all. Rank 0 reports it, and mpirun ends us before we repeat
    // it.
    const ended = new Promise((resolve) => interruption().addEventListener("abort", resolve));
    await Promise.race([ended, new Promise((resolve) => setTimeout(resolve, 10_000))]);
    if (!interruption().aborted) throw error;
  }
}

/** Waits until rank 0 has saved: when one rank ends by a signal, mpirun may end the others at once. */
async function leaveTogether(ranks: Mpi): Promise<void> {
  await ranks.sum(new Float32Array(1));
  ranks.finalizeAtExit();
}

/** Prepares a run, the same on every rank. `tell` gets what the user should know. */
async function prepareRun(
  model: LanguageModel,
  path: string,
  values: TrainValues,
  tell: (line: string) => void,
  ranks?: Mpi,
): Promise<{ run: TrainingRun; corpus: Corpus; stop: AbortSignal }> {
  const whole = await loadCorpus(values.data ?? await findLatestCorpus());
  const resume = values.resume ? await loadRun(model, path, tell) : undefined;
  const config = resume
    ? resumeConfig(resume, whole, values)
    : makeConfig(model.kind, values.preset ?? DEFAULT_PRESET, model.vocabulary(whole.text).length, {
      ...parseSettings(values.set, model.kind),
      steps: values.steps,
      batch: values.batch,
      learningRate: values.lr,
      evalEvery: values.evalEvery,
      slice: values.slice,
      seed: values.seed ?? SEED,
    });
  checkModelConfig(config);
  checkTrainingConfig(config);
  const slice = parseSlice(config.slice);
  const corpus = slice ? sliceTraining(whole, slice) : whole;
  requireLength(corpus, config.context);

  const threads = values.threads ?? ranks?.cores;
  const say = hasFinished(resume, config) ? () => {} : tell; // nothing is going to be computed
  say(describeText(whole));
  const engine = await startEngineFromFlags({ ...values, threads }, say);
  if (resume) warnOfOtherRounding(resume, engine, say);
  say(`config: ${JSON.stringify(config)}`);
  const { patience, sampleEvery } = values;
  const until = values.until === undefined ? undefined : 1000 * values.until;
  const start = values.from === undefined || resume ? undefined : await loadNamedWeights(
    values.from,
    { data: whole.path },
  );
  const run: TrainingRun = {
    model,
    config,
    corpus,
    engine,
    path,
    resume,
    start,
    patience,
    sampleEvery,
    until,
  };
  if (!ranks) return { run, corpus, stop: interruption() };

  const stepper = makeParallelStepper(model, config, ranks, interruption());
  say(`ranks: ${ranks.size} (${ranks.name}), each with threads: ${threads}`);
  if (ranks.caveat) say(ranks.caveat);
  await requireSameFacts(ranks, {
    config,
    sha256: corpus.sha256,
    name: engine.name,
    precision: engine.precision,
    patience,
    random: resume?.random,
    counters: resume?.counters,
  });
  return { run: { ...run, stepper }, corpus, stop: stepper.stop };
}

/**
 * Loads the state of a run. Where its best weights are gone, the state forgets them: the run then
 * validates, and saves what is the best from there.
 */
async function loadRun(
  { kind }: LanguageModel,
  path: string,
  tell: (line: string) => void,
): Promise<TrainingState> {
  const state = await loadTraining(trainingPath(path), {
    expectKind: kind,
    advice: "leave out --resume to start from the beginning",
  });
  const { bestScore, counters } = state;
  if (bestScore === null || await exists(path)) return state;
  tell(
    `note: ${path} is gone, which held the best weights so far (of step ${counters.bestStep}); ` +
      "the next ones are saved",
  );
  return { ...state, bestScore: null, counters: { ...counters, sinceBest: 0, validatedStep: 0 } };
}

/** Whether nothing is left to do of a run that is resumed, not even its last validation. */
function hasFinished(resume: TrainingState | undefined, { steps }: Config): boolean {
  const { step, validatedStep } = resume?.counters ?? {};
  return step === steps && validatedStep === steps;
}

/**
 * Makes the config of a resumed run. How long it lasts may change, and what computes it; all else
 * would make it another run, so a flag that says otherwise is refused.
 */
function resumeConfig(
  { config, corpusSha256, counters }: TrainingState,
  corpus: Corpus,
  values: TrainValues,
): Config {
  if (corpus.sha256 !== corpusSha256) {
    const [had, has] = [corpusSha256, corpus.sha256].map((hash) => `${hash.slice(0, 12)}…`);
    throw new UserError({
      action: "resume",
      found: `the run was trained on a text with SHA-256 ${had}, ` +
        `${JSON.stringify(corpus.path)} has ${has}`,
      advice: "give that text with --data",
    });
  }
  const { preset, batch, lr, seed, slice, set } = values;
  const flagged = { preset, batch, learningRate: lr, seed, slice };
  const typed = [
    ...Object.entries(flagged).map(([key, value]) =>
      [key === "learningRate" ? "--lr" : `--${key}`, key, value] as const
    ),
    ...Object.entries(parseSettings(set, config.kind)).map(([key, value]) =>
      [`--set ${key}`, key, value] as const
    ),
  ];
  for (const [flag, key, value] of typed) {
    const had = config[key as keyof Config] ?? "none";
    if (value === undefined || value === had) continue;
    throw new UsageError(
      `Cannot resume with ${flag} ${value}: the run has ${had}; ` +
        "leave it out, or start a new run with --out",
    );
  }
  const { steps = config.steps, evalEvery = config.evalEvery } = values;
  if (steps < counters.step) {
    throw new UsageError(
      `Cannot resume with --steps ${steps}: ${counters.step} steps are done; ` +
        "leave it out, or give as many or more",
    );
  }
  return { ...config, steps, evalEvery };
}

/**
 * Describes how to make these weights again: the command as typed, except where they go, how long it
 * may take and how it is reported. A resumed run keeps the command that started it.
 */
export function describeRecipe(
  resume: TrainingState | undefined,
  name: string,
  args: string[],
  steps?: number,
): string {
  if (resume?.command === undefined) {
    const isKept = (arg: string, i: number) =>
      !/^--(out|reports|until|split|json|resume)(=|$)/.test(arg) &&
      !["--out", "--reports", "--until", "--split"].includes(args[i - 1]);
    return commandLine(name, args.filter(isKept));
  }
  const isLonger = steps !== undefined && steps !== resume.config.steps;
  return resume.command + (isLonger ? `, then --resume --steps ${steps}` : "");
}

/** Warns that the numbers are no longer those of a run that never stopped, if so. */
function warnOfOtherRounding(
  before: { engine?: string; precision?: string },
  { name, precision }: { name: string; precision: string },
  tell: (line: string) => void,
): void {
  const now = `${name}, ${precision}`;
  const then = `${before.engine}, ${before.precision}`;
  if (before.engine === undefined || now === then) return;
  tell(`note: the run was computed by ${then} so far, and now by ${now}, which rounds otherwise`);
}

/**
 * Keeps what a new run is about to replace, the weights and the state, next to it as
 * `NAME.previous.safetensors`: forgetting --resume must not cost a night's training.
 */
async function keepPrevious(path: string): Promise<void> {
  const previous = path.replace(/\.safetensors$/, ".previous.safetensors");
  const replaced: string[] = [];
  const kept: string[] = [];
  for (const [from, to] of [[path, previous], [path, previous].map(trainingPath)]) {
    if (await exists(from)) {
      const isTrainingState = from !== path;
      await writeFileAtomically(to, await readBytes(from), { isTrainingState });
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
    `note: this run replaces ${replaced.join(" and ")} (--resume would continue it); ` +
      `the previous run is kept as ${kept.join(" and ")}`,
  );
}

function reportResult(
  { step, seconds, chars, lossNats, bpc, bestStep, idleShare, stopped }: TrainingResult,
  { name: path, config, engine, precision }: RunHeader,
  { json, resumeCommand, ranks }: { json: boolean; resumeCommand: string; ranks: number },
): void {
  if (stopped === "signal") {
    const { reason } = interruption();
    throw new Interrupted(
      reason?.signal ?? "SIGTERM", // of several ranks another one got it
      `Interrupted: saved step ${step} of ${config.steps} to ${trainingPath(path)}; ` +
        `continue with: ${resumeCommand}`,
    );
  }
  if (stopped === "time") {
    note(`the time is up: saved step ${step} of ${config.steps}; continue with: ${resumeCommand}`);
    if (config.schedule !== "constant") {
      note(
        `note: schedule=${config.schedule} decays towards step ${config.steps}, whatever the time; ` +
          "give fewer --steps to see its end",
      );
    }
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
      engine,
      precision,
      ranks,
      weights: path,
    });
    return;
  }
  if (bestStep === 0) {
    print(`${path}: not written, as the time was up before a validation; only the state is saved`);
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
