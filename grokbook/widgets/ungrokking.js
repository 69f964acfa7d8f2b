// The recorded ungrokking runs, unpacked and drawn in the browser. The exported functions are pure, and a test compares
// them with the table they came from.

// `data` is what ungrokking.py packs. Returns the runs: size, decay, seed, converged, steps, and an array a column.
export function unpack({ runs, grids, columns }) {
  let at = 0;
  const starts = runs.map((run) => (at += grids[run[3]].length) - grids[run[3]].length);
  const decoded = Object.entries(columns).map(([name, { low, high, values }]) => {
    const bytes = Uint8Array.from(atob(values), (character) => character.charCodeAt(0));
    const view = new DataView(bytes.buffer);
    return [name, Array.from({ length: at }, (_, i) => low + ((high - low) * view.getUint16(2 * i, true)) / 65535)];
  });
  return runs.map(([size, decay, seed, grid, converged], i) => {
    const steps = grids[grid];
    const part = decoded.map(([name, all]) => [name, all.slice(starts[i], starts[i] + steps.length)]);
    return { size, decay, seed, converged: Boolean(converged), steps, ...Object.fromEntries(part) };
  });
}

// Of one weight decay and seed, which need not have every size, the run whose size is nearest in ratio; or undefined.
export function closest(runs, size, decay, seed) {
  const far = (r) => Math.abs(Math.log(r.size / size));
  const alike = runs.filter((r) => r.decay === decay && r.seed === seed);
  return alike.reduce((best, r) => (best && far(best) <= far(r) ? best : r), undefined);
}

// A column at the last measured step that is not after `step`, for each size that one weight decay and seed have.
export function front(runs, decay, seed, step, column) {
  const alike = runs.filter((r) => r.decay === decay && r.seed === seed);
  const points = alike.map((r) => [r.size, r[column][Math.max(r.steps.findLastIndex((s) => s <= step), 0)]]);
  return points.sort((a, b) => a[0] - b[0]);
}

// What became of a run, in words; the bounds are those of the book's claims.
export function outcome({ mirror_free_accuracy: accuracy, converged }) {
  const last = accuracy.at(-1);
  const what = last < 0.1 ? "it has ungrokked" : last > 0.9 ? "it has kept the rule" : "it stands in between";
  return `${what}${converged ? "" : ", and is still moving"}`;
}

// ---- drawing ---------------------------------------------------------------------------------------------------

const PANELS = [
  {
    title: "accuracy",
    height: 128,
    curves: [
      { name: "train_accuracy", label: "train", colour: "var(--gb-train)" },
      { name: "mirror_free_accuracy", label: "mirror-free", colour: "var(--gb-test)", dash: "5 3" },
      { name: "test_accuracy", label: "test", colour: "var(--gb-test)" },
    ],
  },
  {
    title: "correct logit",
    height: 108,
    curves: [
      { name: "trig_logit", label: "trigonometric", colour: "var(--gb-gen)" },
      { name: "mem_logit", label: "the rest", colour: "var(--gb-mem)" },
    ],
  },
  { title: "parameter norm", height: 128, curves: [{ name: "parameter_norm", label: "norm", colour: "var(--gb-norm)" }] },
];
const FRAME_MS = 90; // a frame of the animation, one measured step each

const thousands = (n) => String(n).replace(/\B(?=(\d{3})+$)/g, "\u00a0");
const shown = (name, v) => (name.endsWith("accuracy") ? v.toFixed(3) : v.toFixed(1));

// Round ends for an axis that holds all values, and the ticks between.
function ends(values) {
  const [low, high] = [Math.min(...values), Math.max(...values)];
  const unit = [1, 2, 5, 10, 20, 25, 50, 100, 200, 500].find((u) => (high - low) / u <= 4) ?? 1000;
  const [first, last] = [Math.floor(low / unit), Math.ceil(high / unit)];
  return Array.from({ length: last - first + 1 }, (_, i) => (first + i) * unit);
}

function render({ model, el }) {
  const id = freshId("ungrokking");
  const runs = unpack(model.get("data"));
  const distinct = (key) => [...new Set(runs.map((run) => run[key]))].sort((a, b) => a - b);
  const [sizes, decays, seeds] = ["size", "decay", "seed"].map(distinct);
  const longest = Math.max(...runs.map((run) => run.steps.at(-1)));
  const along = (step) => Math.log(Math.max(step, 1)) / Math.log(longest);

  const root = element(el, "div", { class: "gb gb-with-still", role: "group" });
  root.setAttribute("aria-label", "Recorded ungrokking runs: choose one, and move through its training");
  const stage = element(root, "div", { class: "gb-stage" });

  const left = element(stage, "div", { class: "gb-curves" });
  const panels = PANELS.map((panel, i) => {
    const last = i === PANELS.length - 1;
    const box = axes(left, `${panel.title} over the steps`, 420, panel.height, { left: 34, right: 8, top: 22, bottom: last ? 36 : 8 });
    element(box.svg, "text", { x: 4, y: 11 }, panel.title);
    const marks = panel.title === "accuracy" ? [0, 0.5, 1] : ends(runs.flatMap((run) => panel.curves.flatMap(({ name }) => run[name])));
    const [low, high] = [marks[0], marks.at(-1)];
    const decades = Array.from({ length: Math.floor(Math.log10(longest)) + 1 }, (_, k) => [along(10 ** k), last ? powerOfTen(k) : ""]);
    const labelled = marks.filter((v) => marks.length < 4 || Math.round(v / (marks[1] - marks[0])) % 2 === 0);
    box.setTicks(decades, labelled.map((v) => [(v - low) / (high - low), `${v}`]));
    if (last) element(box.svg, "text", { x: box.x(0.5), y: panel.height - 4, "text-anchor": "middle" }, "steps after the cut");
    if (low < 0) element(box.curves, "line", { x1: box.x(0), x2: box.x(1), y1: box.y(-low / (high - low)), y2: box.y(-low / (high - low)), stroke: "var(--gb-line)" });
    const lines = panel.curves.map(({ name, label, colour, dash = "" }) => {
      const line = element(box.curves, "path", { fill: "none", stroke: colour, "stroke-width": 2, "stroke-dasharray": dash, "data-curve": name });
      element(line, "title", {}, label);
      const dot = element(box.curves, "circle", { r: 4, fill: colour });
      return { name, line, dot, place: (step, v) => [box.x(along(step)), box.y((v - low) / (high - low))] };
    });
    const cursor = element(box.curves, "line", { y1: box.y(0), y2: box.y(1), stroke: "currentColor", "stroke-opacity": 0.6 });
    return { box, lines, cursor };
  });

  const right = element(stage, "div", { style: "grid-area: phase" });
  const map = axes(right, "Accuracy over the number of pairs kept, at the chosen step", 290, 308, { left: 34, right: 10, top: 42, bottom: 36 });
  const title = element(map.svg, "text", { x: 4, y: 11 });
  const subtitle = element(map.svg, "text", { x: 4, y: 26, "fill-opacity": 0.8 }, "dots: all runs at their end");
  element(map.svg, "text", { x: map.x(0.5), y: 304, "text-anchor": "middle" }, "pairs kept, D′");
  const [smallest, largest] = [0.9 * sizes[0], 1.1 * sizes.at(-1)];
  const across = (size) => map.x(Math.log(size / smallest) / Math.log(largest / smallest));
  const middle = sizes.filter((_, i) => i % Math.ceil(sizes.length / 5) === 0);
  map.setTicks(middle.map((s) => [Math.log(s / smallest) / Math.log(largest / smallest), `${s}`]), [0, 0.5, 1].map((v) => [v, `${v}`]));
  const dots = element(map.curves, "g", { "data-curve": "finals" });
  const frontLine = element(map.curves, "path", { fill: "none", stroke: "var(--gb-test)", "stroke-width": 2, "data-curve": "front" });
  const frontDots = element(map.curves, "g", { fill: "var(--gb-test)" });
  const ring = element(map.curves, "circle", { r: 8, fill: "none", stroke: "currentColor", "stroke-width": 2 });

  const values = element(stage, "div", { style: "grid-area: values" });
  const list = element(values, "div", { class: "gb-values" });
  const readings = PANELS.flatMap((panel) => panel.curves).map(({ name, label, colour, dash }) => {
    const item = element(list, "span");
    element(item, "span", { style: `color: ${colour}; font-weight: 600` }, `${label}${dash ? " (dashed)" : ""} `);
    return { name, label, output: element(item, "output", { "data-value": name }) };
  });
  const verdict = element(values, "p", { class: "gb-readout" });
  const spoken = element(values, "p", { class: "gb-hidden", role: "status", "aria-live": "polite" });

  const panel = element(stage, "div", { style: "grid-area: sliders" });
  const slider = (parent, name, label, spokenLabel, max) => {
    const row = element(parent, "div");
    const head = element(row, "div", { class: "gb-slider-head" });
    const words = element(head, "label", { for: `${id}-${name}` }, label);
    element(words, "span", { class: "gb-hidden" }, `, ${spokenLabel}`);
    const output = element(head, "output", { for: `${id}-${name}` });
    return { output, input: element(row, "input", { type: "range", id: `${id}-${name}`, min: 0, max, step: 1 }) };
  };
  const time = element(panel, "div", { class: "gb-row" });
  const play = element(time, "button", { type: "button" }, "Play");
  const track = element(time, "div", { class: "gb-wide", style: "flex: 1 1 12rem" });
  const cursor = slider(track, "row", "step", "how far training has come", runs[0].steps.length - 1);
  const chooser = element(panel, "div", { class: "gb-wide" });
  const size = slider(chooser, "size", "pairs kept, D′", "how many pairs training goes on with", sizes.length - 1);
  const choices = (label, name, options) => {
    const row = element(panel, "div", { class: "gb-row", role: "group", "aria-label": label, style: "margin-top: 0.3rem" });
    element(row, "span", {}, label);
    return options.map((value) => {
      const button = element(row, "button", { type: "button" }, `${value}`);
      button.addEventListener("click", () => choose({ [name]: value }));
      return { name, value, button };
    });
  };
  const buttons = [...choices("weight decay", "weight_decay", decays), ...choices("seed", "seed", seeds)];
  const rowOfMap = element(panel, "label", { class: "gb-switch" });
  const mirrorFree = element(rowOfMap, "input", { type: "checkbox", role: "switch" });
  rowOfMap.append("in the map, count only mirror-free pairs");

  let run;
  let playing;
  let speaking;
  let batch = false;

  const current = () => closest(runs, model.get("size"), model.get("weight_decay"), model.get("seed")) ?? runs[0];

  function choose(changes) {
    batch = true; // one drawing for a change of several traits
    for (const [name, value] of Object.entries(changes)) model.set(name, value);
    const chosen = "seed" in changes ? (r) => r.seed === changes.seed : (r) => r.decay === changes.weight_decay;
    const kept = runs.filter(chosen);
    if (kept.length && !runs.some((r) => r.decay === model.get("weight_decay") && r.seed === model.get("seed"))) {
      // Not every seed has every weight decay: what was chosen stays, the other gives way.
      const near = kept.find((r) => r.size === model.get("size")) ?? kept[0];
      model.set("weight_decay", near.decay);
      model.set("seed", near.seed);
    }
    model.set("size", current().size);
    batch = false;
    model.save_changes();
    draw();
  }

  function stop() {
    clearInterval(playing);
    playing = undefined;
    play.textContent = "Play";
  }

  play.addEventListener("click", () => {
    if (playing) return stop();
    const last = run.steps.length - 1;
    if (model.get("row") >= last) choose({ row: 0 });
    play.textContent = "Pause";
    playing = setInterval(() => {
      choose({ row: Math.min(model.get("row") + 1, run.steps.length - 1) });
      if (model.get("row") >= run.steps.length - 1) stop();
    }, FRAME_MS);
  });
  cursor.input.addEventListener("input", () => {
    stop();
    choose({ row: Number(cursor.input.value) });
  });
  size.input.addEventListener("input", () => choose({ size: sizes[Number(size.input.value)] }));
  mirrorFree.addEventListener("change", () => draw());
  map.svg.addEventListener("click", (event) => {
    const box = map.svg.getBoundingClientRect();
    const x = ((event.clientX - box.left) * 290) / box.width;
    choose({ size: sizes.reduce((best, s) => (Math.abs(across(s) - x) < Math.abs(across(best) - x) ? s : best)) });
  });

  function draw() {
    if (batch) return;
    run = current();
    const row = Math.min(model.get("row"), run.steps.length - 1);
    const step = run.steps[row];

    for (const { lines, cursor: mark } of panels) {
      for (const { name, line, dot, place } of lines) {
        const points = run.steps.flatMap((s, i) => (s ? [place(s, run[name][i]).map((v) => v.toFixed(1)).join(" ")] : []));
        line.setAttribute("d", `M${points.join("L")}`);
        const [x, y] = place(step, run[name][row]);
        dot.setAttribute("cx", x.toFixed(1));
        dot.setAttribute("cy", y.toFixed(1));
        for (const end of ["x1", "x2"]) mark.setAttribute(end, x.toFixed(1));
      }
    }

    const column = mirrorFree.checked ? "mirror_free_accuracy" : "test_accuracy";
    title.textContent = `${mirrorFree.checked ? "mirror-free" : "test"} accuracy at step ${thousands(step)}`;
    dots.replaceChildren();
    for (const r of runs) {
      const look = r.converged ? { fill: "currentColor", "fill-opacity": 0.3 } : { fill: "none", stroke: "currentColor", "stroke-opacity": 0.5 };
      element(dots, "circle", { r: 2.5, cx: across(r.size).toFixed(1), cy: map.y(r[column].at(-1)).toFixed(1), ...look });
    }
    subtitle.textContent = `dots: all ${runs.length} runs at their end${runs.some((r) => !r.converged) ? ", ○ still moving" : ""}`;
    const now = front(runs, run.decay, run.seed, step, column);
    const places = now.map(([s, v]) => [across(s).toFixed(1), map.y(v).toFixed(1)]);
    frontLine.setAttribute("d", `M${places.map((p) => p.join(" ")).join("L")}`);
    frontDots.replaceChildren();
    places.forEach(([cx, cy], i) => {
      element(frontDots, "circle", { r: 4, cx, cy });
      if (now[i][0] === run.size) ring.setAttribute("cx", cx), ring.setAttribute("cy", cy);
    });

    for (const { name, output } of readings) output.textContent = shown(name, run[name][row]);
    cursor.input.max = run.steps.length - 1;
    cursor.input.value = row;
    cursor.output.textContent = thousands(step);
    cursor.input.setAttribute("aria-valuetext", `step ${thousands(step)}`);
    size.input.value = sizes.indexOf(run.size);
    size.output.textContent = `${run.size}`;
    size.input.setAttribute("aria-valuetext", `${run.size} pairs`);
    for (const { name, value, button } of buttons) button.setAttribute("aria-pressed", value === (name === "seed" ? run.seed : run.decay));
    const text = `D′ = ${run.size}, weight decay ${run.decay}, seed ${run.seed}. After ${thousands(run.steps.at(-1))} steps ${outcome(run)}.`;
    verdict.textContent = text;
    root.dataset.step = step;
    clearTimeout(speaking); // a screen reader hears the outcome once the slider rests
    const heard = readings.map(({ label, output }) => `${label} ${output.textContent}`).join(", ");
    speaking = setTimeout(() => (spoken.textContent = `${text} At step ${thousands(step)}: ${heard}`), 600);
  }

  const names = ["size", "weight_decay", "seed", "row"];
  for (const name of names) model.on(`change:${name}`, draw);
  const stopFollowing = followGround(root);
  draw();
  return () => {
    stop();
    stopFollowing();
    clearTimeout(speaking);
    for (const name of names) model.off(`change:${name}`, draw);
  };
}

export default { render };
