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

// Figures too wide to be read at a phone's width (CSS pixels; others are left whole).
function markWide() {
  for (const image of document.querySelectorAll(".bd-content figure img")) {
    image.classList.toggle("wide", image.naturalWidth > 590);
  }
}

// Quoted numbers are bold; a whole quoted sentence is not.
function markSentences() {
  for (const quoted of document.querySelectorAll(".bd-content span.pasted-text")) {
    quoted.classList.toggle("sentence", quoted.textContent.length > 25);
  }
}

// No line begins with the comma or the bracket that closes a formula's clause.
function keepPunctuation() {
  for (const formula of document.querySelectorAll(".bd-content :not(.kept) > span.math")) {
    const text = formula.nextSibling;
    const marks = text?.nodeType === Node.TEXT_NODE && text.data.match(/^[.,;:!?)\]’”]+/);
    if (marks) {
      text.splitText(marks[0].length);
      const kept = document.createElement("span");
      kept.className = "kept";
      formula.replaceWith(kept);
      kept.append(formula, text);
    }
  }
}

addEventListener("resize", reach);
addEventListener("toggle", reach, true); // a fold was opened
addEventListener("load", () => {
  markWide();
  markSentences();
  keepPunctuation();
  reach();
  window.MathJax?.startup?.promise?.then(reach);
});
