// What scrolls in a box of its own must be reachable by keyboard (WCAG 2.1.1): it becomes a tab stop while it is too wide.
function reach() {
  for (const box of document.querySelectorAll(".bd-content :is(table, pre, div.math, p, li, dd, td)")) {
    const scrolls = box.scrollWidth > box.clientWidth + 1 && getComputedStyle(box).overflowX === "auto";
    if (scrolls) {
      box.tabIndex = 0;
    } else if (box.tabIndex === 0 && !box.matches("[contenteditable]")) {
      box.removeAttribute("tabindex");
    }
  }
}

addEventListener("resize", reach);
addEventListener("toggle", reach, true); // a fold was opened
addEventListener("load", () => {
  reach();
  window.MathJax?.startup?.promise?.then(reach);
});
