// @ts-check
/// <reference no-default-lib="true" />
/// <reference lib="dom" />
/// <reference lib="dom.iterable" />
/// <reference lib="esnext" />
// Replays samples side by side on one clock. The data is that of `sections/race.tsx`; without this script the finished texts are there.

/**
 * @typedef {import("../sections/race.tsx").Replay} Replay
 * @typedef {import("../sections/race.tsx").Race} Race
 * @typedef {{ position: number, character: string, confidence: number }} Change
 */

const MASK = "█";
const PASSES_PER_SECOND = 20;
/** The point of the clock shown when the page opens: something to see, something to come. */
const OPENING = 0.4;

/** @template {HTMLElement} T @param {string} id @returns {T} */
const byId = (id) => /** @type {T} */ (document.getElementById(id));

const data = document.getElementById("race-data");
if (data) setUpRace(/** @type {Race} */ (JSON.parse(data.textContent ?? "")));

/** The changes of each step as `sections/race.tsx` packed them. @param {(number | string)[][]} packed @param {string[]} final */
function unpack(packed, final) {
  let position = 0;
  return packed.map((step) => {
    /** @type {Change[]} */
    const changes = [];
    for (let i = 0; i < step.length; i += 2) {
      position += Number(step[i]);
      const confidence = Number(step[i + 1]) / 100;
      let character = final[position];
      if (typeof step[i + 2] === "string") {
        character = String(step[i + 2]);
        i++;
      }
      changes.push({ position, character, confidence });
    }
    return changes;
  });
}

/** The sum of all numbers up to each. @param {number[]} numbers */
function addUp(numbers) {
  let sum = 0;
  return numbers.map((n) => sum += n);
}

/**
 * A sample made ready: its steps, when each ends, and for each character how early or late in its block a step is.
 *
 * @param {Replay} replay
 */
function prepare({ text, steps: packed, times, passes: passesEach, borders, ...rest }) {
  const final = [...text];
  const steps = unpack(packed, final);
  const seconds = addUp(times).map((tenths) => tenths / 1e4);
  const passes = addUp(passesEach);
  let block = 0;
  const blockOf = final.map((_, position) => {
    while (position >= borders[block]) block++;
    return block;
  });
  /** First and last step of each block. @type {[number, number][]} */
  const spans = [];
  steps.forEach((changes, i) => {
    for (const { position } of changes) {
      const span = (spans[blockOf[position]] ??= [i, i]);
      span[1] = i;
    }
  });
  /** From 0, first in the block, to 5. @param {number} position @param {number} step */
  const lateness = (position, step) => {
    const [first, last] = spans[blockOf[position]];
    return Math.floor(6 * (step - first) / (last - first + 1));
  };
  // a GPT that draws from all characters is sure by definition: their probabilities add up to 1
  const hasDoubt = steps.some((changes) => changes.some(({ confidence }) => confidence < 1));
  return { ...rest, final, steps, seconds, passes, borders: new Set(borders), lateness, hasDoubt };
}

/** @param {number} confidence */
function sureness(confidence) {
  return [0.5, 0.8, 0.95, 0.99].filter((limit) => confidence >= limit).length;
}

/**
 * One side of the race.
 *
 * @param {string} model
 */
function makeLane(model) {
  const stage = byId(`stage-${model}`);
  const progress = byId(`stage-${model}-progress`);
  const probe = byId(`stage-${model}-probe`);
  /** The look of a character that is not there yet: a mask, or nothing for a GPT. */
  const blank = model === "diffusion" ? MASK : "";

  /** @type {ReturnType<typeof prepare>} */
  let replay;
  /** @type {HTMLElement[]} */
  let cells = [];
  /** @type {string[]} */
  let shown = [];
  /** The character of each position now, the step that fixed it and the model's confidence. */
  /** @type {{ character: string, step: number, confidence: number, again: boolean }[]} */
  let state = [];
  /** @type {number[]} */
  let fresh = [];
  let last = 0;

  /** @param {ReturnType<typeof prepare>} chosen */
  function load(chosen) {
    replay = chosen;
    cells = replay.final.map(() => document.createElement("span"));
    shown = [];
    last = 0;
    stage.replaceChildren(...cells);
    stage.scrollTop = 0;
    probe.textContent = "";
  }

  /** @param {number} step */
  function replayTo(step) {
    const start = replay.final.map((character) => ({
      character,
      step: -1,
      confidence: 1,
      again: false,
    }));
    for (const changes of replay.steps) {
      for (const { position } of changes) start[position].character = "";
    }
    replay.steps.slice(0, step).forEach((changes, i) => {
      for (const { position, character, confidence } of changes) {
        const again = character === "";
        start[position] = { character, step: i, confidence, again };
      }
    });
    return start;
  }

  /** Draws the text as it was after so many steps. @param {number} step @param {string} tint */
  function show(step, tint) {
    // all that is new since the last picture, or after a jump only what the last step did
    const from = step > last && step - last < 50 ? last : step - 1;
    last = step;
    fresh = replay.steps.slice(Math.max(0, from), step)
      .flatMap((changes) => changes.map(({ position }) => position));
    const isNew = new Set(step < replay.steps.length ? fresh : []);
    state = replayTo(step);
    let blanks = 0;
    let again = 0;
    state.forEach((cell, i) => {
      const isBlank = cell.character === "";
      if (isBlank) blanks++;
      if (cell.again) again++;
      const looks = [];
      if (replay.borders.has(i)) looks.push("edge");
      if (isBlank && blank) looks.push("masked");
      if (isBlank && blank && replay.final[i] === "\n") looks.push("breaks");
      if (cell.again) looks.push("remasked");
      if (!isBlank && cell.step < 0) looks.push("given");
      if (isNew.has(i)) looks.push("new");
      else if (!isBlank && cell.step >= 0 && tint === "step") {
        looks.push(`s${replay.lateness(i, cell.step)}`);
      } else if (!isBlank && cell.step >= 0 && tint === "confidence" && replay.hasDoubt) {
        looks.push(`c${sureness(cell.confidence)}`);
      }
      const look = looks.join(" ");
      const text = cell.character || blank;
      if (shown[i] === text + look) return;
      shown[i] = text + look;
      if (cells[i].textContent !== text) cells[i].textContent = text;
      cells[i].className = look;
    });
    const parts = [
      `pass ${replay.passes[step - 1] ?? 0} of ${replay.passes.at(-1) ?? 0}`,
      `${(replay.seconds[step - 1] ?? 0).toFixed(2)} s`,
    ];
    if (step === replay.steps.length) parts.push("finished");
    else parts.push(`${blanks} ${model === "diffusion" ? "masked" : "to write"}`);
    if (again > 0) parts.push(`${again} of them again`);
    progress.textContent = parts.join(" · ");
  }

  /** Scrolls the stage, not the page, to what was fixed last. */
  function follow() {
    const cell = cells[fresh[fresh.length - 1]];
    if (!cell) return;
    const top = cell.offsetTop - stage.offsetTop;
    if (top < stage.scrollTop || top > stage.scrollTop + stage.clientHeight - 40) {
      stage.scrollTop = top - stage.clientHeight / 2;
    }
  }

  stage.addEventListener("pointerover", (event) => {
    const index = cells.indexOf(/** @type {HTMLElement} */ (event.target));
    if (index < 0) return;
    const { character, step, confidence, again } = state[index];
    const name = character === "\n" ? "line break" : character === " " ? "space" : `“${character}”`;
    const sure = replay.hasDoubt ? `, ${Math.round(100 * confidence)} % sure` : "";
    probe.textContent = again
      ? `masked again in pass ${replay.passes[step]}`
      : character === ""
      ? "not fixed yet"
      : step < 0
      ? `${name}: given`
      : `${name}: fixed in pass ${replay.passes[step]}${sure}`;
  });
  probe.hidden = false;

  return {
    model,
    load,
    show,
    follow,
    replay: () => replay,
    describe: () => `${model === "gpt" ? "GPT" : "Diffusion"}: ${progress.textContent}`,
  };
}

/** @param {Race} race */
function setUpRace({ replays }) {
  const controls = byId("controls");
  const play = byId("play");
  const status = byId("race-status");
  const warning = byId("race-warning");
  const scrubber = /** @type {HTMLInputElement} */ (byId("scrubber"));
  const speed = /** @type {HTMLSelectElement} */ (byId("speed"));
  const pace = /** @type {HTMLSelectElement} */ (byId("pace"));
  const tint = /** @type {HTMLSelectElement} */ (byId("tint"));
  const reducedMotion = matchMedia("(prefers-reduced-motion: reduce)");
  const stages = /** @type {NodeListOf<HTMLElement>} */ (document.querySelectorAll(".stage"));
  const lanes = [...stages].map((stage) => makeLane(stage.dataset.model ?? ""));
  const choices = lanes.map((
    { model },
  ) => /** @type {HTMLSelectElement} */ (byId(`stage-${model}-choice`)));

  /** Moments, on the present clock, at which each lane's steps end. */
  let moments = lanes.map(() => /** @type {number[]} */ ([]));
  let end = 0;
  let now = 0;
  let playing = false;

  /** Applies the choices in the lists. @param {number} share The point of the clock to show then. */
  function load(share) {
    setPlaying(false);
    lanes.forEach((lane, i) => lane.load(prepare(replays[Number(choices[i].value)])));
    setScale(share);
    for (const lane of lanes) lane.follow();
    warn();
  }

  /** @param {number} share */
  function setScale(share) {
    const byTime = pace.value === "time";
    moments = lanes.map((lane) => byTime ? lane.replay().seconds : lane.replay().passes);
    end = Math.max(0, ...moments.map((list) => list.at(-1) ?? 0));
    scrubber.max = String(end);
    scrubber.step = byTime ? "any" : "1";
    seek(byTime ? share * end : Math.round(share * end));
  }

  function warn() {
    const loaded = lanes.map((lane) => lane.replay());
    const prompts = new Set(loaded.map(({ prompt }) => prompt));
    const lines = loaded.flatMap(({ model, marks }) => marks.map((mark) => `${model}: ${mark}`));
    if (prompts.size > 1) lines.unshift("The prompts differ, so this is not a race");
    warning.textContent = lines.join(". ");
    warning.hidden = lines.length === 0;
  }

  /** @param {number} moment */
  function seek(moment) {
    now = Math.min(Math.max(moment, 0), end);
    scrubber.value = String(now);
    scrubber.setAttribute(
      "aria-valuetext",
      pace.value === "time"
        ? `${now.toFixed(2)} of ${end.toFixed(2)} seconds`
        : `pass ${Math.floor(now)} of ${end}`,
    );
    draw();
    if (now >= end) setPlaying(false);
  }

  function draw() {
    lanes.forEach((lane, i) => lane.show(moments[i].filter((m) => m <= now).length, tint.value));
    for (const name of ["step", "confidence"]) byId(`scale-${name}`).hidden = tint.value !== name;
  }

  function announce() {
    status.textContent = playing ? "playing" : lanes.map((lane) => lane.describe()).join("; ");
  }

  /** @param {boolean} on */
  function setPlaying(on) {
    if (on === playing) return;
    playing = on;
    play.classList.toggle("playing", on);
    play.title = on ? "Pause" : "Play";
    play.setAttribute("aria-label", play.title);
    announce();
    if (!on) return;
    if (now >= end) seek(0);
    let before = performance.now();
    let drawn = before;
    let pending = 0;
    requestAnimationFrame(function tick(time) {
      if (!playing) return;
      const rate = Number(speed.value) * (pace.value === "time" ? 1 : PASSES_PER_SECOND);
      pending += Math.max(0, time - before) / 1000 * rate;
      before = time;
      // with reduced motion the picture changes once a second, at the same overall speed
      if (!reducedMotion.matches || time - drawn > 1000) {
        drawn = time;
        seek(now + pending);
        pending = 0;
        for (const lane of lanes) lane.follow();
      }
      requestAnimationFrame(tick);
    });
  }

  /** @param {1 | -1} direction */
  function stepBy(direction) {
    setPlaying(false);
    const all = [0, ...moments.flat()];
    seek(
      direction > 0
        ? Math.min(end, ...all.filter((moment) => moment > now + 1e-9))
        : Math.max(0, ...all.filter((moment) => moment < now - 1e-9)),
    );
    for (const lane of lanes) lane.follow();
    announce();
  }

  /** @param {number} moment */
  function jump(moment) {
    setPlaying(false);
    seek(moment);
    announce();
  }

  /** @type {Record<string, () => void>} */
  const keys = {
    " ": () => setPlaying(!playing),
    ArrowRight: () => stepBy(1),
    ArrowLeft: () => stepBy(-1),
    Home: () => jump(0),
    End: () => jump(end),
  };

  play.addEventListener("click", () => setPlaying(!playing));
  byId("to-start").addEventListener("click", () => jump(0));
  byId("to-end").addEventListener("click", () => jump(end));
  byId("step-back").addEventListener("click", () => stepBy(-1));
  byId("step-forward").addEventListener("click", () => stepBy(1));
  scrubber.addEventListener("input", () => {
    setPlaying(false);
    seek(Number(scrubber.value));
  });
  tint.addEventListener("change", draw);
  pace.addEventListener("change", () => {
    setPlaying(false);
    setScale(end > 0 ? now / end : 1);
  });
  for (const choice of choices) {
    choice.addEventListener("change", () => load(end > 0 ? now / end : 1));
    choice.hidden = false;
  }
  byId("race").addEventListener("keydown", (event) => {
    const on = /** @type {HTMLElement} */ (event.target).tagName;
    const isNative = on === "SELECT" || on === "SUMMARY" || (on === "BUTTON" && event.key === " ");
    if (isNative || event.ctrlKey || event.metaKey || event.altKey || !(event.key in keys)) return;
    event.preventDefault();
    keys[event.key]();
  });

  controls.hidden = false;
  byId("race-legend").hidden = false;
  load(OPENING);
}
