// @ts-check
/// <reference no-default-lib="true" />
/// <reference lib="dom" />
/// <reference lib="dom.iterable" />
/// <reference lib="esnext" />
// The script of the page, except for the race: theme, copy buttons, reading values off the charts. Without it the page is
// whole, only still.

/** @template {HTMLElement} T @param {string} id @returns {T} */
const byId = (id) => /** @type {T} */ (document.getElementById(id));

setUpTheme();
setUpCopying();
setUpTips();
if (document.getElementById("loss-data")) setUpLossReading();

function setUpTheme() {
  const themes = ["system", "light", "dark"];
  const button = byId("theme");
  /** @param {string} theme */
  const apply = (theme) => {
    document.documentElement.dataset.theme = theme;
    button.textContent = `Theme: ${theme}`;
  };
  let theme = recall("theme");
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
function recall(key) {
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

/** Shows the value of the nearest mark of a chart next to the pointer. */
function setUpTips() {
  const tip = document.createElement("div");
  tip.className = "tip";
  tip.hidden = true;
  document.body.append(tip);
  for (const chart of document.querySelectorAll("svg.plot")) {
    const marks = [...chart.querySelectorAll("title")].map((title) => {
      const mark = /** @type {SVGGraphicsElement} */ (/** @type {unknown} */ (title.parentElement));
      title.remove(); // else the browser would show it too, later
      return { mark, text: title.textContent ?? "" };
    });
    if (marks.length === 0) continue;
    chart.addEventListener("pointermove", (event) => {
      const { clientX: x, clientY: y } = /** @type {PointerEvent} */ (event);
      let nearest = { distance: 40, text: "" };
      for (const { mark, text } of marks) {
        const box = mark.getBoundingClientRect();
        // how far outside of the mark's box the pointer is, and a little for being off its middle
        const dx = Math.max(box.left - x, x - box.right, 0),
          dy = Math.max(box.top - y, y - box.bottom, 0);
        const off = Math.hypot(x - (box.left + box.right) / 2, y - (box.top + box.bottom) / 2);
        const distance = Math.hypot(dx, dy) + off / 1000;
        if (distance < nearest.distance) nearest = { distance, text };
      }
      tip.hidden = nearest.text === "";
      tip.textContent = nearest.text;
      const { width, height } = tip.getBoundingClientRect();
      tip.style.left = `${Math.min(Math.max(8, x + 14), innerWidth - width - 8) + scrollX}px`;
      tip.style.top = `${(y - height - 14 < 0 ? y + 18 : y - height - 14) + scrollY}px`;
    });
    chart.addEventListener("pointerleave", () => (tip.hidden = true));
  }
}

/** Reads the loss curves: at the pointer, or with the arrow keys from one validation to the next. */
function setUpLossReading() {
  /** @type {{ name: string, points: number[][] }[]} */
  const curves = JSON.parse(byId("loss-data").textContent ?? "[]")
    .filter((/** @type {{ points: number[][] }} */ { points }) => points.length > 0);
  const probe = byId("loss-probe");
  const BITS = 3;
  probe.textContent = "Point at the chart, or focus it and use the arrow keys, to read values.";
  probe.hidden = false;
  for (
    const chart
      of /** @type {NodeListOf<SVGSVGElement>} */ (document.querySelectorAll("[data-axis]"))
  ) {
    const axis = Number(chart.dataset.axis);
    const [from, to, left, right, , , bottom, top] = (chart.dataset.scale ?? "").split(" ").map(
      Number,
    );
    const hair = document.createElementNS("http://www.w3.org/2000/svg", "line");
    hair.setAttribute("class", "hair");
    hair.setAttribute("visibility", "hidden");
    hair.setAttribute("y1", String(top));
    hair.setAttribute("y2", String(bottom));
    chart.append(hair);
    chart.setAttribute("tabindex", "0");
    let at = 0;

    /** @param {number} value On the axis. */
    const read = (value) => {
      const near = curves.map(({ name, points }) => {
        const [point] = points.toSorted((a, b) =>
          Math.abs(a[axis] - value) - Math.abs(b[axis] - value)
        );
        return { name, point };
      });
      const [{ point }] = near;
      at = point[axis];
      const x = String(left + (at - from) / (to - from) * (right - left));
      hair.removeAttribute("visibility");
      hair.setAttribute("x1", x);
      hair.setAttribute("x2", x);
      const place = `step ${point[1]}, ${
        Math.round(point[0]).toLocaleString("en-GB")
      } characters, ${point[2].toFixed(0)} s`;
      const values = near.map(({ name, point }) => `${name} ${point[BITS].toFixed(3)}`);
      probe.textContent = `${place}: ${values.join(" · ")} bits`;
    };
    chart.addEventListener("pointermove", (event) => {
      const box = chart.getBoundingClientRect();
      const x = (event.clientX - box.left) / box.width * chart.viewBox.baseVal.width;
      read(from + (x - left) / (right - left) * (to - from));
    });
    chart.addEventListener("keydown", (event) => {
      const places = curves[0].points.map((point) => point[axis]);
      const next = event.key === "ArrowRight"
        ? places.find((place) => place > at)
        : event.key === "ArrowLeft"
        ? places.findLast((place) => place < at)
        : undefined;
      if (next === undefined) return;
      event.preventDefault();
      read(next);
    });
  }
}
