// Theorem D.4 for two circuits, computed in the browser. The same mathematics as grokbook/theory.py, with P_M = 1 and
// the cross-entropy over 113 labels; the functions above `render` are pure and are compared with Python by a test.

const LOG_OTHERS = Math.log(112);

const logSigmoid = (x) => (x > 0 ? -Math.log1p(Math.exp(-x)) : x - Math.log1p(Math.exp(x)));

export const trainLoss = (total) => -logSigmoid(total - LOG_OTHERS);

function zero(f, positive, negative) {
  for (let i = 0; i < 200; i++) {
    const middle = positive + (negative - positive) / 2;
    if (f(middle) > 0) positive = middle;
    else negative = middle;
  }
  return positive;
}

// The share of the weight on C_gen. For kappa >= q one circuit has it all; a tie goes to the first, C_gen.
export function genShare(ratio, kappa, q) {
  if (kappa >= q) return ratio <= 1 ? 1 : 0;
  return 1 / (1 + Math.exp(((q * kappa) / (q - kappa)) * Math.log(ratio)));
}

// The norm of the one circuit that costs what the best mixture costs.
export function effectiveNorm(ratio, kappa, q) {
  if (kappa >= q) return Math.min(ratio, 1);
  const s = (q * kappa) / (q - kappa);
  const better = Math.min(ratio, 1);
  const apart = Math.abs(Math.log(ratio));
  return better * Math.exp(-Math.log1p(Math.exp(-s * apart)) / s);
}

// The total weight that minimises trainLoss(S) + alpha/q norm^q S^(q/kappa); 0 where no weight at all is best.
export function optimalTotal(norm, kappa, alpha, q) {
  const power = q / kappa;
  const logCost = Math.log(alpha / q) + q * Math.log(norm);
  const surplus = (t) => logSigmoid(LOG_OTHERS - Math.exp(t)) + (1 - power) * t - logCost - Math.log(power);
  let left = 0;
  let right = 1;
  if (power < 1) {
    const steepness = (t) => t + logSigmoid(Math.exp(t) - LOG_OTHERS) - Math.log1p(-power);
    left = zero(steepness, 700, -800);
    right = left + 1;
  }
  while (power >= 1 && surplus(left) <= 0 && left > -1e9) [left, right] = [2 * left - 1, left];
  if (surplus(left) <= 0) return 0;
  while (surplus(right) > 0) right += 1;
  const total = Math.exp(zero(surplus, left, right));
  const wins = power >= 1 || trainLoss(total) + Math.exp(logCost + power * Math.log(total)) < trainLoss(0);
  return wins ? total : 0;
}

export function optimalWeights(ratio, kappa, alpha, q) {
  const total = optimalTotal(effectiveNorm(ratio, kappa, q), kappa, alpha, q);
  if (total === 0) return [0, 0];
  const share = genShare(ratio, kappa, q);
  // For a mixture the smaller share is computed on its own: 1 - share would lose its digits.
  return [total * share, total * (kappa < q ? genShare(1 / ratio, kappa, q) : 1 - share)];
}

export function loss(wGen, wMem, ratio, kappa, alpha, q) {
  return trainLoss(wGen + wMem) + (alpha / q) * (ratio ** q * wGen ** (q / kappa) + wMem ** (q / kappa));
}

// ---- drawing ---------------------------------------------------------------------------------------------------

const SLIDERS = [
  { trait: "kappa", label: "κ", spoken: "kappa, how logits scale", min: 0.2, max: 4, step: 0.05, show: (v) => v.toFixed(2) },
  { trait: "q", label: "q", spoken: "q, the exponent of the norm", min: 0.5, max: 4, step: 0.05, show: (v) => v.toFixed(2) },
  {
    trait: "ratio",
    label: "P_G / P_M",
    spoken: "norm of the generalising circuit over that of the memorising one",
    min: -2,
    max: 2,
    step: 0.02,
    show: (v) => v.toFixed(3),
    to: Math.log2,
    from: (v) => 2 ** v,
  },
  {
    trait: "alpha",
    label: "α",
    spoken: "alpha, the strength of weight decay",
    min: -5,
    max: 1,
    step: 0.05,
    show: (v) => v.toPrecision(2),
    to: Math.log10,
    from: (v) => 10 ** v,
  },
];

const WIDTH = 340;
const HEIGHT = 220;
const BOX = { left: 50, right: 14, top: 24, bottom: 44 };
const LOW = 0.06; // where the loss curve's least and greatest value are drawn
const HIGH = 0.94;
const across = (u) => BOX.left + u * (WIDTH - BOX.left - BOX.right);
const up = (u) => HEIGHT - BOX.bottom - u * (HEIGHT - BOX.top - BOX.bottom);

function chart(figure, title, bottom, ends) {
  const svg = element(figure, "svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": title });
  element(svg, "text", { x: across(0), y: 14, "font-weight": "bold" }, title);
  element(svg, "line", { stroke: "var(--gb-faint)", x1: across(0), x2: across(1), y1: up(0), y2: up(0) });
  element(svg, "line", { stroke: "var(--gb-faint)", x1: across(0), x2: across(0), y1: up(0), y2: up(1) });
  element(svg, "text", { x: across(0), y: HEIGHT - 26 }, ends[0]);
  element(svg, "text", { x: across(1), y: HEIGHT - 26, "text-anchor": "end" }, ends[1]);
  element(svg, "text", { x: across(0.5), y: HEIGHT - 8, "text-anchor": "middle" }, bottom);
  return svg;
}

const path = (points) => "M" + points.map(([x, y]) => `${across(x).toFixed(2)} ${up(y).toFixed(2)}`).join("L");
const digits = (value) => (value === 0 ? "0" : value < 0.001 ? value.toExponential(1) : value.toPrecision(3));

function render({ model, el }) {
  const id = freshId("split");
  const root = element(el, "div", { class: "gb gb-with-still", role: "group" });
  root.setAttribute("aria-label", "Which circuit gets the weight: four sliders and two curves");
  const controls = element(root, "div", { class: "gb-sliders" });
  const inputs = SLIDERS.map((slider) => {
    const row = element(controls, "div");
    const head = element(row, "div", { class: "gb-slider-head" });
    const label = element(head, "label", { for: `${id}-${slider.trait}` }, slider.label);
    element(label, "span", { class: "gb-hidden" }, `, ${slider.spoken}`);
    const shown = element(head, "output", { for: `${id}-${slider.trait}` });
    const { min, max, step } = slider;
    const input = element(row, "input", { id: `${id}-${slider.trait}`, type: "range", min, max, step });
    input.addEventListener("input", () => {
      const value = (slider.from || Number)(Number(input.value));
      model.set(slider.trait, Number(value.toPrecision(12)));
      model.save_changes();
      draw();
    });
    return { slider, input, shown };
  });

  const verdict = element(root, "p", { class: "gb-readout", "aria-live": "polite" });
  const charts = element(root, "div", { class: "gb-charts" });
  charts.style.gridTemplateColumns = "repeat(auto-fit, minmax(min(250px, 100%), 1fr))";

  const first = element(charts, "div");
  const split = chart(first, "Loss in nats over the split of a total", "share of the weight on C_gen", ["0", "1"]);
  const curve = element(split, "path", { fill: "none", stroke: "currentColor", "stroke-width": 2 });
  const marks = [LOW, HIGH].map((u) => element(split, "text", { x: across(0) - 5, y: up(u) + 4, "text-anchor": "end" }));
  const dot = element(split, "circle", { r: 6, fill: "var(--gb-gen)" });

  const second = element(charts, "div");
  const response = chart(second, "Best share on C_gen", "P_G / P_M", ["1/4", "4"]);
  const middle = { stroke: "var(--gb-line)", x1: across(0.5), x2: across(0.5), y1: up(0), y2: up(1), "stroke-dasharray": "3 4" };
  element(response, "line", middle);
  for (const share of [0, 1]) element(response, "text", { x: across(0) - 5, y: up(share) + 4, "text-anchor": "end" }, `${share}`);
  element(response, "text", { x: across(0.5), y: HEIGHT - 26, "text-anchor": "middle" }, "1");
  const shares = element(response, "path", { fill: "none", stroke: "var(--gb-gen)", "stroke-width": 2.5 });
  const here = element(response, "circle", { r: 6, fill: "var(--gb-gen)" });

  function draw() {
    const [kappa, q, ratio, alpha] = SLIDERS.map((slider) => model.get(slider.trait));
    for (const { slider, input, shown } of inputs) {
      const value = model.get(slider.trait);
      if (document.activeElement !== input) input.value = (slider.to || Number)(value);
      shown.textContent = slider.show(value);
      input.setAttribute("aria-valuetext", slider.show(value));
    }
    const weights = optimalWeights(ratio, kappa, alpha, q);
    const best = weights[0] + weights[1];
    const total = best || 1; // with no weight at all, show the split of one unit
    const share = genShare(ratio, kappa, q);

    const xs = Array.from({ length: 201 }, (_, i) => i / 200);
    const ys = xs.map((x) => loss(total * x, total * (1 - x), ratio, kappa, alpha, q));
    const atBest = loss(total * share, total * (1 - share), ratio, kappa, alpha, q);
    const low = Math.min(atBest, ...ys);
    const span = Math.max(...ys) - low || 1;
    const height = (y) => LOW + ((HIGH - LOW) * (y - low)) / span;
    const [least, greatest] = [digits(low), digits(low + span)];
    marks[0].textContent = least;
    marks[1].textContent = greatest === least ? `+${digits(span)}` : greatest;
    curve.setAttribute("d", path(xs.map((x, i) => [x, height(ys[i])])));
    dot.setAttribute("cx", across(share));
    dot.setAttribute("cy", up(height(atBest)));
    dot.setAttribute("fill", share >= 0.5 ? "var(--gb-gen)" : "var(--gb-mem)");

    const logs = Array.from({ length: 401 }, (_, i) => i / 400);
    shares.setAttribute("d", path(logs.map((u) => [u, genShare(2 ** (4 * u - 2), kappa, q)])));
    here.setAttribute("cx", across((Math.log2(ratio) + 2) / 4));
    here.setAttribute("cy", up(share));
    here.setAttribute("fill", share >= 0.5 ? "var(--gb-gen)" : "var(--gb-mem)");

    const who = share === 1 ? "C_gen" : "C_mem";
    let text = kappa < q ? "κ < q, a mixture: " : kappa === q ? "κ = q, the boundary: " : "κ > q, winner takes all: ";
    if (best === 0) text += "weight decay is too strong, and the best total weight is 0.";
    else {
      text += `w_gen = ${digits(weights[0])}, w_mem = ${digits(weights[1])}, loss ${digits(atBest)}.`;
      if (kappa >= q) text += ratio === 1 ? " A tie: " : ` ${who} has it all.`;
      if (kappa >= q && ratio === 1) text += kappa > q ? "either circuit alone is optimal." : "every mixture is optimal.";
      if (kappa > q) text += " Both ends of the curve are local minima.";
    }
    verdict.replaceChildren();
    element(verdict, "span", {}, text);
    root.dataset.weights = weights.join(" ");
  }

  for (const { trait } of SLIDERS) model.on(`change:${trait}`, draw);
  const stopFollowing = followGround(root);
  draw();
  return () => {
    stopFollowing();
    for (const { trait } of SLIDERS) model.off(`change:${trait}`, draw);
  };
}

export default { render };
