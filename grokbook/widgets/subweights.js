// The subweight simulation of Section 3 and Appendix C, computed in the browser. The same update as
// grokbook/subweights.py; the exported functions are pure and a test compares them with Python.

export const TABLE_1 = {
  a: { P_g: 1, P_m: 2, kappa: 1.2, alpha: 0.005, w_g1: 0, w_g2: 0.005, w_m1: 0, w_m2: 1, q: 113, learning_rate: 0.01 },
};
TABLE_1.b = { ...TABLE_1.a, P_g: 4 };
TABLE_1.c = { ...TABLE_1.a, w_g2: 1 };

const PENALTIES = { alpha: (alpha) => alpha, "half-alpha": (alpha) => alpha / 2, "as-printed": () => 1 };

export const decay = (config) => PENALTIES[config.penalty ?? "alpha"](config.alpha);

// Both weights at steps 0, 1, ..., steps. Math is spelled out in the loop, which runs on every slider move.
export function simulate(config, steps) {
  const { kappa, q, learning_rate: rate } = config;
  const exponent = 2 / kappa - 1;
  const slopeG = ((decay(config) * 2) / kappa) * config.P_g ** 2;
  const slopeM = ((decay(config) * 2) / kappa) * config.P_m ** 2;
  let { w_g1: g1, w_g2: g2, w_m1: m1, w_m2: m2 } = config;
  const w_g = new Float64Array(steps + 1);
  const w_m = new Float64Array(steps + 1);
  for (let step = 0; step <= steps; step++) {
    const g = g1 * g2;
    const m = m1 * m2;
    w_g[step] = g;
    w_m[step] = m;
    const odds = (q - 1) * Math.exp(-g - m);
    const pull = -odds / (1 + odds);
    const moveG = rate * (pull + (g > 0 ? slopeG * Math.pow(g, exponent) : g < 0 ? -slopeG * Math.pow(-g, exponent) : 0));
    const moveM = rate * (pull + (m > 0 ? slopeM * Math.pow(m, exponent) : m < 0 ? -slopeM * Math.pow(-m, exponent) : 0));
    const [oldG1, oldM1] = [g1, m1];
    g1 -= moveG * g2;
    g2 -= moveG * oldG1;
    m1 -= moveM * m2;
    m2 -= moveM * oldM1;
    if (g1 * g2 * g < 0) {
      if (g1 * oldG1 < 0) g1 = 0;
      else g2 = 0;
    }
    if (m1 * m2 * m < 0) {
      if (m1 * oldM1 < 0) m1 = 0;
      else m2 = 0;
    }
  }
  return { w_g, w_m };
}

// Losses and norm at a pair of weights; weight_decay is the term that Appendix C adds to both losses.
export function measure(config, g, m) {
  const squared = Math.abs(g) ** (2 / config.kappa) * config.P_g ** 2 + Math.abs(m) ** (2 / config.kappa) * config.P_m ** 2;
  return {
    train_loss: Math.log1p((config.q - 1) * Math.exp(-g - m)),
    test_loss: Math.log1p((config.q - 2) * Math.exp(-g) + Math.exp(m - g)),
    parameter_norm: Math.sqrt(squared),
    weight_decay: decay(config) * squared,
  };
}

// The first step with w_g > w_m after w_m > w_g, when every test answer turns from wrong to right; -1 if there is none.
export function grokkingStep({ w_g, w_m }) {
  let memorised = false;
  for (let step = 0; step < w_g.length; step++) {
    if (w_m[step] > w_g[step]) memorised = true;
    else if (memorised && w_g[step] > w_m[step]) return step;
  }
  return -1;
}

// The weights [w_g, w_m] of Theorem D.4: the best total times the best split. A tie at kappa >= 2 goes to C_gen.
export function optimum(config) {
  const { P_g, P_m, kappa, q } = config;
  const power = 2 / kappa;
  const share = kappa < 2 ? 1 / (1 + Math.exp(((2 * kappa) / (2 - kappa)) * Math.log(P_g / P_m))) : P_g <= P_m ? 1 : 0;
  const rest = kappa < 2 ? 1 / (1 + Math.exp(((2 * kappa) / (2 - kappa)) * Math.log(P_m / P_g))) : 1 - share;
  const cost = decay(config) * (P_g ** 2 * share ** power + P_m ** 2 * rest ** power);
  const slope = (total) => cost * power * total ** (power - 1) - 1 / (1 + Math.exp(total) / (q - 1));
  const objective = (total) => Math.log1p((q - 1) * Math.exp(-total)) + cost * total ** power;
  // Beyond `high` weight decay alone exceeds the loss at zero. Walk down to where the slope turns negative, then bisect.
  let high = (Math.log(q) / cost) ** (kappa / 2);
  let low = high;
  for (let i = 0; i < 2000 && slope(low) >= 0; i++) [high, low] = [low, low * 0.98];
  if (slope(low) >= 0) return [0, 0];
  for (let i = 0; i < 60; i++) {
    const middle = (low + high) / 2;
    if (slope(middle) < 0) low = middle;
    else high = middle;
  }
  return objective(high) <= Math.log(q) ? [high * share, high * rest] : [0, 0];
}

// ---- drawing ---------------------------------------------------------------------------------------------------

const SETTINGS = Object.keys(TABLE_1.a);
const SLIDERS = [
  { name: "P_g", label: "P_G", spoken: "P G, the norm of the generalising circuit", min: 0.25, max: 6, step: 0.05 },
  { name: "P_m", label: "P_M", spoken: "P M, the norm of the memorising circuit", min: 0.25, max: 6, step: 0.05 },
  { name: "kappa", label: "κ", spoken: "kappa, how logits grow with parameters", min: 0.5, max: 4, step: 0.05 },
  { name: "alpha", label: "α", spoken: "alpha, the strength of weight decay", log: [1e-4, 0.05] },
  { name: "w_g2", label: "w_G2(0)", spoken: "w G 2 at the start: how fast the generalising circuit learns", log: [1e-4, 2], zero: true },
  { name: "w_m2", label: "w_M2(0)", spoken: "w M 2 at the start: how fast the memorising circuit learns", log: [1e-4, 2], zero: true },
  { name: "w_g1", label: "w_G1(0)", spoken: "w G 1 at the start", min: 0, max: 2, step: 0.01 },
  { name: "w_m1", label: "w_M1(0)", spoken: "w M 1 at the start", min: 0, max: 2, step: 0.01 },
  { name: "q", label: "q", spoken: "q, the number of labels", log: [3, 1000], whole: true },
  { name: "learning_rate", label: "λ", spoken: "lambda, the learning rate", log: [0.001, 0.05] },
];
const PRESETS = { a: "all three ingredients", b: "C_gen less efficient", c: "equal speeds" };
// An ingredient is present or not by the settings alone; a switch changes the one setting that decides it.
const INGREDIENTS = [
  {
    label: "1 Generalising circuit",
    present: (c) => c.w_g1 !== 0 || c.w_g2 !== 0,
    off: () => ({ w_g1: 0, w_g2: 0 }),
    on: () => ({ w_g2: TABLE_1.a.w_g2 }),
  },
  {
    label: "2 C_gen more efficient",
    present: (c) => c.P_g < c.P_m,
    off: (c) => ({ P_g: Math.min(2 * c.P_m, 6) }),
    on: (c) => ({ P_g: c.P_m / 2 }),
  },
  {
    label: "3 C_gen learned slower",
    present: (c) => c.w_g2 < c.w_m2,
    off: (c) => ({ w_g2: c.w_m2 }),
    on: (c) => ({ w_g2: TABLE_1.a.w_g2 * c.w_m2 }),
  },
];
const CURVES = [
  { name: "train_loss", label: "train loss", colour: "var(--gb-train)" },
  { name: "test_loss", label: "test loss", colour: "var(--gb-test)" },
  { name: "w_g", label: "w_G", colour: "var(--gb-gen)", right: true },
  { name: "w_m", label: "w_M", colour: "var(--gb-mem)", right: true },
  { name: "parameter_norm", label: "norm", colour: "var(--gb-norm)", right: true },
];
const POINTS = 400;

const number = (v) => (v === 0 ? "0" : Math.abs(v) < 0.01 ? v.toExponential(1) : v >= 100 ? v.toFixed(0) : v.toPrecision(3));
const setting = (v) => (v !== 0 && Math.abs(v) < 0.001 ? v.toExponential(1) : String(Number(v.toPrecision(3))));
const ceiling = (v) => [1, 2, 4, 6, 8, 10, 12, 16, 20, 30, 40, 60, 80, 100].find((c) => v <= c) ?? 10 ** Math.ceil(Math.log10(v));

// A slider's position runs from 0 to 200 on a logarithmic scale; with `zero`, its left end is 0 itself.
const toPosition = ({ log, zero }, v) => (zero && v <= 0 ? 0 : Math.max(zero ? 1 : 0, (200 * Math.log(v / log[0])) / Math.log(log[1] / log[0])));
function fromPosition({ log, zero, whole }, t) {
  if (zero && t <= 0) return 0;
  const value = log[0] * (log[1] / log[0]) ** (t / 200);
  return whole ? Math.round(value) : Number(value.toPrecision(2));
}

function render({ model, el }) {
  const id = freshId("subweights");
  const root = element(el, "div", { class: "gb gb-with-still", role: "group" });
  root.setAttribute("aria-label", "Simulation of two circuits: ten sliders, three switches, learning curves and a phase portrait");
  let batch = false;
  const settings = () => Object.fromEntries([...SETTINGS, "penalty"].map((name) => [name, model.get(name)]));
  const change = (values) => {
    batch = true; // one drawing for a change of several settings
    for (const [name, value] of Object.entries(values)) model.set(name, value);
    batch = false;
    model.save_changes();
    draw();
  };

  const presets = element(root, "div", { class: "gb-row", role: "group", "aria-label": "Settings of Table 1" });
  element(presets, "span", {}, "Table 1:");
  const buttons = Object.entries(PRESETS).map(([panel, label]) => {
    const button = element(presets, "button", { type: "button", "aria-label": `(${panel}) ${label}`, title: label }, `(${panel})`);
    button.addEventListener("click", () => change({ ...TABLE_1[panel], penalty: "alpha" }));
    return { button, panel };
  });
  const reset = element(presets, "button", { type: "button" }, "Reset");
  reset.addEventListener("click", () => {
    cursor.value = cursor.max;
    withDecay.checked = false;
    change({ ...TABLE_1.a, penalty: "alpha" });
  });

  const ingredients = element(root, "div", { class: "gb-row", role: "group", "aria-label": "The three ingredients" });
  const toggle = (parent, label, attributes = {}) => {
    const row = element(parent, "label", { class: "gb-switch" });
    const box = element(row, "input", { type: "checkbox", ...attributes });
    element(row, "span", {}, label);
    return box;
  };
  const switches = INGREDIENTS.map((ingredient) => {
    const box = toggle(ingredients, ingredient.label, { role: "switch" });
    box.addEventListener("change", () => change(ingredient[box.checked ? "on" : "off"](settings())));
    return { ingredient, box };
  });

  const stage = element(root, "div", { class: "gb-stage" });
  const first = element(stage, "div", { class: "gb-curves" });
  const chart = axes(first, "Losses, weights and norm over the steps", 420, 270, { left: 34, right: 28, top: 22, bottom: 36 });
  element(chart.svg, "text", { x: 4, y: 12 }, "loss (solid)");
  element(chart.svg, "text", { x: 416, y: 12, "text-anchor": "end" }, "weights, norm (broken)");
  element(chart.svg, "text", { x: chart.x(0.5), y: 266, "text-anchor": "middle" }, "steps");
  const lines = CURVES.map(({ name, label, colour, right }) => {
    const line = element(chart.curves, "path", { fill: "none", stroke: colour, "stroke-width": 2, "data-curve": name });
    if (right) line.setAttribute("stroke-dasharray", name === "parameter_norm" ? "2 3" : "7 3");
    element(line, "title", {}, label);
    return line;
  });
  const turn = element(chart.curves, "line", { y1: chart.y(0), y2: chart.y(1), stroke: "currentColor", "stroke-dasharray": "1 3" });
  const reading = element(chart.curves, "line", { y1: chart.y(0), y2: chart.y(1), stroke: "currentColor", "stroke-opacity": 0.6 });

  const second = element(stage, "div", { style: "grid-area: phase" });
  const phase = axes(second, "Phase portrait: w_M across, w_G up", 290, 270, { left: 34, right: 10, top: 22, bottom: 36 });
  element(phase.svg, "text", { x: 40, y: 14 }, "w_G");
  element(phase.svg, "text", { x: phase.x(0.5), y: 266, "text-anchor": "middle" }, "w_M");
  element(phase.curves, "line", {
    x1: phase.x(0), y1: phase.y(0), x2: phase.x(1), y2: phase.y(1), stroke: "currentColor", "stroke-dasharray": "2 4", "stroke-opacity": 0.6,
  });
  element(phase.svg, "text", { x: phase.x(0.42), y: phase.y(0.92), "fill-opacity": 0.8 }, "test right");
  element(phase.svg, "text", { x: phase.x(0.99), y: phase.y(0.55), "text-anchor": "end", "fill-opacity": 0.8 }, "test wrong");
  const path = element(phase.curves, "path", { fill: "none", stroke: "var(--gb-gen)", "stroke-width": 2, "data-curve": "path" });
  const best = element(phase.curves, "path", { fill: "var(--gb-theory)", stroke: "currentColor", "stroke-width": 0.5 });
  element(best, "title", {}, "The optimum of Theorem D.4");
  const here = element(phase.curves, "circle", { r: 5.5, fill: "none", stroke: "currentColor", "stroke-width": 2 });

  const values = element(stage, "div", { style: "grid-area: values" });
  const list = element(values, "div", { class: "gb-values" });
  const shown = CURVES.map(({ label, colour }) => {
    const item = element(list, "span");
    element(item, "span", { style: `color: ${colour}; font-weight: 600` }, `${label} `);
    return element(item, "output");
  });
  const verdict = element(values, "p", { class: "gb-readout" });
  const spoken = element(values, "p", { class: "gb-hidden", role: "status", "aria-live": "polite" });

  const panel = element(stage, "div", { style: "grid-area: sliders" });
  const controls = element(panel, "div", { class: "gb-sliders" });
  const range = (name, label, spoken, attributes) => {
    const row = element(controls, "div");
    const head = element(row, "div", { class: "gb-slider-head" });
    const words = element(head, "label", { for: `${id}-${name}` }, label);
    element(words, "span", { class: "gb-hidden" }, `, ${spoken}`);
    const output = element(head, "output", { for: `${id}-${name}` });
    const input = element(row, "input", { type: "range", id: `${id}-${name}`, "data-trait": name, ...attributes });
    return { input, output };
  };
  const { input: cursor, output: cursorShown } = range("cursor", "read at step", "where values are read off", {
    min: 0,
    max: model.get("steps"),
    step: 10,
    value: model.get("steps"),
  });
  cursor.addEventListener("input", () => read());
  const inputs = SLIDERS.map((slider) => {
    const { name, label, spoken, log, min, max, step } = slider;
    const { input, output } = range(name, label, spoken, log ? { min: 0, max: 200, step: 1 } : { min, max, step });
    input.addEventListener("input", () => {
      const value = Number(input.value);
      change({ [name]: log ? fromPosition(slider, value) : Number(value.toPrecision(12)) });
    });
    return { slider, input, output };
  });
  const options = element(panel, "div", { class: "gb-row" });
  element(options, "label", { for: `${id}-penalty` }, "Weight decay");
  const penalty = element(options, "select", { id: `${id}-penalty` });
  const conventions = { alpha: "α‖P′‖² (Figure 2)", "half-alpha": "½α‖P′‖² (Equation 6)", "as-printed": "‖P′‖² (Appendix C)" };
  for (const [name, text] of Object.entries(conventions)) element(penalty, "option", { value: name }, text);
  penalty.addEventListener("change", () => change({ penalty: penalty.value }));
  const withDecay = toggle(options, "draw the losses with the weight-decay term");
  withDecay.addEventListener("change", () => draw());

  let run;
  let scales;
  let speaking;

  function losses(step) {
    const { w_g, w_m } = run;
    const all = { w_g: w_g[step], w_m: w_m[step], ...measure(run.config, w_g[step], w_m[step]) };
    const more = withDecay.checked ? all.weight_decay : 0;
    return CURVES.map(({ name }) => all[name] + (name.endsWith("loss") ? more : 0));
  }

  function draw() {
    if (batch) return;
    const config = settings();
    const steps = model.get("steps");
    const started = performance.now();
    run = { config, steps, ...simulate(config, steps) };
    root.dataset.milliseconds = performance.now() - started;
    run.grokking = grokkingStep(run);
    run.best = optimum(config);

    for (const { slider, input, output } of inputs) {
      const value = config[slider.name];
      input.value = slider.log ? toPosition(slider, value) : value;
      output.textContent = setting(value);
      input.setAttribute("aria-valuetext", setting(value));
    }
    for (const { ingredient, box } of switches) box.checked = ingredient.present(config);
    for (const { button, panel } of buttons) {
      const same = SETTINGS.every((name) => config[name] === TABLE_1[panel][name]) && config.penalty === "alpha";
      button.setAttribute("aria-pressed", same);
    }
    penalty.value = config.penalty;
    cursor.max = steps;

    const every = Array.from({ length: POINTS + 1 }, (_, i) => Math.round((i * steps) / POINTS));
    const rows = every.map(losses);
    const finite = rows.filter((values) => values.every(Number.isFinite));
    const bottom = Math.min(-2, ...finite.map((v) => Math.max(-8, Math.floor(Math.log10(Math.min(v[0], v[1]))))));
    const height = Math.max(1, ...finite.map((v) => Math.ceil(Math.log10(Math.max(v[0], v[1])))));
    const right = Math.max(10, ceiling(Math.max(...finite.map((v) => Math.max(v[2], v[3], v[4])))));
    scales = CURVES.map((curve) => (v) => chart.y(curve.right ? Math.max(v, 0) / right : (Math.log10(v) - bottom) / (height - bottom)));
    lines.forEach((line, i) => {
      const points = rows.flatMap((v, j) => (Number.isFinite(v[i]) ? [`${chart.x(j / POINTS).toFixed(1)} ${scales[i](v[i]).toFixed(1)}`] : []));
      line.setAttribute("d", `M${points.join("L")}`);
    });
    const decades = Array.from({ length: height - bottom + 1 }, (_, i) => bottom + i);
    chart.setTicks(
      [0, 0.25, 0.5, 0.75, 1].map((u) => [u, `${Math.round(u * steps)}`]),
      decades.map((k) => [(k - bottom) / (height - bottom), powerOfTen(k)]),
      [0, 0.5, 1].map((v) => [v, `${v * right}`]),
    );
    turn.setAttribute("visibility", run.grokking < 0 ? "hidden" : "visible");
    for (const end of ["x1", "x2"]) turn.setAttribute(end, chart.x(Math.max(run.grokking, 0) / steps));

    const edge = ceiling(Math.max(...run.best, ...finite.map((v) => Math.max(v[2], v[3]))));
    run.place = (g, m) => `${phase.x(Math.max(m, 0) / edge).toFixed(1)} ${phase.y(Math.max(g, 0) / edge).toFixed(1)}`;
    path.setAttribute("d", `M${finite.map((v) => run.place(v[2], v[3])).join("L")}`);
    best.setAttribute("d", `M${run.place(...run.best)}m0 -8l7 8l-7 8l-7 -8z`);
    const marks = [0, 0.5, 1].map((u) => [u, `${u * edge}`]);
    phase.setTicks(marks, marks);
    read();
  }

  function read() {
    const step = Math.min(Number(cursor.value), run.steps);
    const now = losses(step);
    cursorShown.textContent = step;
    shown.forEach((output, i) => (output.textContent = number(now[i])));
    for (const end of ["x1", "x2"]) reading.setAttribute(end, chart.x(step / run.steps));
    const [cx, cy] = run.place(now[2], now[3]).split(" ");
    if (now.every(Number.isFinite)) here.setAttribute("cx", cx), here.setAttribute("cy", cy);

    const last = losses(run.steps);
    let text = `Test answers turn right at step ${run.grokking}: grokking.`;
    if (run.grokking < 0) text = last[2] > last[3] ? "C_gen leads all along: no delay, so no grokking." : `No grokking within ${run.steps} steps.`;
    if (!last.every(Number.isFinite)) text = "The run diverges: lower λ.";
    text += ` Optimum (◆): w_G = ${number(run.best[0])}, w_M = ${number(run.best[1])}.`;
    verdict.replaceChildren();
    element(verdict, "span", {}, text);
    root.dataset.grokkingStep = run.grokking;
    clearTimeout(speaking); // a screen reader hears the outcome once the slider rests
    speaking = setTimeout(() => (spoken.textContent = `${text} At step ${step}: ${list.textContent}`), 600);
  }

  const names = [...SETTINGS, "penalty", "steps"];
  for (const name of names) model.on(`change:${name}`, draw);
  const stopFollowing = followGround(root);
  draw();
  return () => {
    stopFollowing();
    clearTimeout(speaking);
    for (const name of names) model.off(`change:${name}`, draw);
  };
}

export default { render };
