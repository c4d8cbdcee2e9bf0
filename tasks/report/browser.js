// @ts-check
/// <reference no-default-lib="true" />
/// <reference lib="dom" />
/// <reference lib="dom.iterable" />
/// <reference lib="esnext" />
// What the page does in the browser: theme, copy buttons, replay. Without it the page is whole, only still.

/**
 * @typedef {{ seconds: number, changes: [position: number, character: string][] }} Step
 * @typedef {{ model: string, text: string, steps: Step[] }} Replay
 */

const MASK = "█";

/** @template {HTMLElement} T @param {string} id @returns {T} */
const byId = (id) => /** @type {T} */ (document.getElementById(id));

setUpTheme();
setUpCopying();
const replays = /** @type {Replay[]} */ (JSON.parse(byId("replay-data").textContent ?? "[]"));
if (replays.length > 0) setUpReplay(replays.map(showReplay));

function setUpTheme() {
  const themes = ["system", "light", "dark"];
  const button = byId("theme");
  /** @param {string} theme */
  const apply = (theme) => {
    document.documentElement.dataset.theme = theme;
    button.textContent = `Theme: ${theme}`;
  };
  let theme = remembered("theme");
  if (!themes.includes(theme)) theme = themes[0];
  apply(theme);
  button.hidden = false;
  button.addEventListener("click", () => {
    theme = themes[(themes.indexOf(theme) + 1) % themes.length];
    apply(theme);
    remember("theme", theme);
  });
}

/** Some browsers refuse storage to pages from disk. @param {string} key */
function remembered(key) {
  try {
    return localStorage.getItem(key) ?? "";
  } catch {
    return "";
  }
}

/** @param {string} key @param {string} value */
function remember(key, value) {
  try {
    localStorage.setItem(key, value);
  } catch {
    // then it holds for this visit only
  }
}

function setUpCopying() {
  for (
    const button
      of /** @type {NodeListOf<HTMLButtonElement>} */ (document.querySelectorAll(".copy"))
  ) {
    const code = /** @type {HTMLElement} */ (button.previousElementSibling);
    button.hidden = false;
    button.setAttribute("aria-label", `Copy: ${code.textContent}`);
    button.addEventListener("click", async () => {
      button.textContent = (await copy(code)) ? "Copied" : "Select it";
      setTimeout(() => (button.textContent = "Copy"), 1500);
    });
  }
}

/** @param {HTMLElement} code */
async function copy(code) {
  try {
    await navigator.clipboard.writeText(code.textContent ?? "");
    return true;
  } catch {
    getSelection()?.selectAllChildren(code); // ready for Ctrl-C
    return false;
  }
}

/**
 * Shows one replay in its stage. `show(step)` draws the text as it was after that many steps.
 *
 * @param {Replay} replay
 */
function showReplay({ model, text, steps }) {
  const stage = byId(`stage-${model}`), progress = byId(`stage-${model}-progress`);
  const final = [...text];
  const start = [...final];
  for (const { changes } of steps) for (const [position] of changes) start[position] = "";

  const cells = final.map(() => document.createElement("span"));
  stage.replaceChildren(...cells);
  /** @type {string[]} */
  const shown = [];
  /** @type {number[]} */
  let highlighted = [];
  let last = steps.length;

  /** What is seen of a character that is not there yet: a mask, or nothing in a GPT, which has no masks. */
  const blank = model === "diffusion" ? MASK : "";

  /** @param {number} step */
  function show(step) {
    const characters = [...start];
    for (const { changes } of steps.slice(0, step)) {
      for (const [position, character] of changes) characters[position] = character;
    }
    let blanks = 0;
    characters.forEach((character, i) => {
      if (character === "") blanks++;
      if (shown[i] === character) return;
      shown[i] = character;
      cells[i].textContent = character || blank;
      const masked = character === "" && blank !== "";
      cells[i].className = start[i] ? "given" : masked ? "masked" : "";
      if (masked && final[i] === "\n") cells[i].classList.add("breaks");
    });
    for (const i of highlighted) cells[i].classList.remove("new");
    // all that is new since the last picture, or after a jump only what the last step did
    const from = step > last && step - last < 50 ? last : step - 1;
    highlighted = steps.slice(Math.max(0, from), step)
      .flatMap(({ changes }) => changes.map(([position]) => position));
    if (step < steps.length) { for (const i of highlighted) cells[i].classList.add("new"); }
    last = step;
    const seconds = step === 0 ? 0 : steps[step - 1].seconds;
    progress.textContent = `pass ${step} of ${steps.length} · ${seconds.toFixed(2)} s · ${
      blanks === 0 ? "finished" : `${blanks} to go`
    }`;
  }

  /** Scrolls the stage, not the page, to what was fixed last. */
  function follow() {
    const cell = cells[highlighted[highlighted.length - 1]];
    if (!cell) return;
    const top = cell.offsetTop - stage.offsetTop;
    if (top < stage.scrollTop || top > stage.scrollTop + stage.clientHeight - 40) {
      stage.scrollTop = top - stage.clientHeight / 2;
    }
  }

  return { steps, show, follow, describe: () => `${model}: ${progress.textContent}` };
}

/** @param {ReturnType<typeof showReplay>[]} stages */
function setUpReplay(stages) {
  const controls = byId("controls"), play = byId("play"), status = byId("replay-status");
  const scrubber = /** @type {HTMLInputElement} */ (byId("scrubber"));
  const speed = /** @type {HTMLSelectElement} */ (byId("speed"));
  const pace = /** @type {HTMLSelectElement} */ (byId("pace"));
  const reducedMotion = matchMedia("(prefers-reduced-motion: reduce)");
  const PASSES_PER_SECOND = 20;

  /** Moments, on the present scale, at which each stage's steps end. */
  let moments = stages.map(() => /** @type {number[]} */ ([]));
  let end = 0, now = 0, playing = false;

  function setScale() {
    const share = end > 0 ? now / end : 1;
    const byTime = pace.value === "time";
    moments = stages.map(({ steps }) => steps.map((step, i) => (byTime ? step.seconds : i + 1)));
    end = Math.max(...moments.map((list) => list.at(-1) ?? 0));
    scrubber.max = String(end);
    scrubber.step = byTime ? "any" : "1";
    seek(byTime ? share * end : Math.round(share * end));
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
    stages.forEach((stage, i) => stage.show(moments[i].filter((m) => m <= now).length));
    if (now >= end) setPlaying(false);
  }

  /** @param {boolean} on */
  function setPlaying(on) {
    if (on === playing) return;
    playing = on;
    play.classList.toggle("playing", on);
    play.title = on ? "Pause" : "Play";
    play.setAttribute("aria-label", play.title);
    status.textContent = on ? "playing" : stages.map((stage) => stage.describe()).join("; ");
    if (!on) return;
    if (now >= end) seek(0);
    let before = performance.now(), drawn = before, pending = 0;
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
        for (const stage of stages) stage.follow();
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
    for (const stage of stages) stage.follow();
  }

  /** @param {number} moment */
  function jump(moment) {
    setPlaying(false);
    seek(moment);
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
  scrubber.addEventListener("input", () => jump(Number(scrubber.value)));
  pace.addEventListener("change", () => {
    setPlaying(false);
    setScale();
  });
  byId("replay").addEventListener("keydown", (event) => {
    const on = /** @type {HTMLElement} */ (event.target).tagName;
    const isNative = on === "SELECT" || (on === "BUTTON" && event.key === " ");
    if (isNative || event.ctrlKey || event.metaKey || event.altKey || !(event.key in keys)) return;
    event.preventDefault();
    keys[event.key]();
  });

  controls.hidden = false;
  setScale();
}
