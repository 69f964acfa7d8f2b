// What the widgets' scripts share. widgets/source.py puts it before each of them, so that every widget stays one
// module without imports.

const SVG = ["svg", "g", "path", "circle", "line", "text", "tspan", "title"];

// Append an element; "_x" in its text becomes a subscript x, as in "w_G2(0)".
function element(parent, name, attributes = {}, text = "") {
  const node = SVG.includes(name) ? document.createElementNS("http://www.w3.org/2000/svg", name) : document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  // Otherwise JupyterLab takes the arrow keys to move between its cells.
  if (["button", "input", "select"].includes(name)) node.setAttribute("data-lm-suppress-shortcuts", "true");
  for (const [i, part] of text.split(/_([A-Za-z0-9]+)/).entries()) {
    if (i % 2) subscript(node, part);
    else node.append(part);
  }
  parent.append(node);
  return node;
}

function subscript(node, text) {
  if (!SVG.includes(node.tagName)) element(node, "sub", {}, text);
  else element(node, "tspan", { "font-size": "75%", "baseline-shift": "sub" }, text);
}

// An id for one widget's controls. Two widgets on a page are two modules, so a counter would give both the same.
const freshId = (name) => `${name}-${Math.random().toString(36).slice(2)}`;

// A box of axes: `x` and `y` map 0..1 to the drawing; ticks are drawn anew when their labels change.
function axes(figure, label, width, height, margin) {
  const svg = element(figure, "svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": label });
  const x = (u) => margin.left + u * (width - margin.left - margin.right);
  const y = (v) => height - margin.bottom - v * (height - margin.top - margin.bottom);
  element(svg, "path", { stroke: "var(--gb-faint)", fill: "none", d: `M${x(0)} ${y(1)}V${y(0)}H${x(1)}${margin.right > 20 ? `V${y(1)}` : ""}` });
  const ticks = element(svg, "g", { "aria-hidden": "true" });
  const curves = element(svg, "g");
  const setTicks = (bottom, left, right = []) => {
    ticks.replaceChildren();
    for (const [u, text] of bottom) element(ticks, "text", { x: x(u), y: y(0) + 16, "text-anchor": "middle" }, text);
    for (const [v, text] of left) element(ticks, "text", { x: x(0) - 5, y: y(v) + 4, "text-anchor": "end" }, text);
    for (const [v, text] of right) element(ticks, "text", { x: x(1) + 5, y: y(v) + 4 }, text);
  };
  return { svg, curves, x, y, setTicks };
}

// Ten to the k, as a tick says it.
const powerOfTen = (k) => (k === 0 ? "1" : k === 1 ? "10" : `10${[...String(k)].map((d) => (d === "-" ? "⁻" : "⁰¹²³⁴⁵⁶⁷⁸⁹"[d])).join("")}`);

// Whether what lies behind a node is dark: the page's theme, JupyterLab's or Colab's, whoever paints the ground.
function onDarkGround(node) {
  for (let behind = node; behind; behind = behind.parentElement) {
    const [red, green, blue, alpha = 1] = (getComputedStyle(behind).backgroundColor.match(/[\d.]+/g) || []).map(Number);
    if (alpha > 0.5 && blue !== undefined) return 0.3 * red + 0.6 * green + 0.1 * blue < 128;
  }
  return false;
}

// Keep a widget's root dark while its ground is. Returns the function that ends it.
function followGround(root) {
  const follow = () => root.classList.toggle("gb-dark", onDarkGround(root.parentElement));
  const watch = new MutationObserver(follow);
  for (const node of [document.documentElement, document.body]) watch.observe(node, { attributes: true });
  follow();
  return () => watch.disconnect();
}
