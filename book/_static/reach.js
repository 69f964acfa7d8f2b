// What scrolls in a box of its own must be reachable by keyboard (WCAG 2.1.1): it becomes a tab stop while it is too wide.
function reach() {
  for (const box of document.querySelectorAll(".bd-content :is(table, pre, div.math, p, li, dd, td)")) {
    const scrolls = box.scrollWidth > box.clientWidth + 1 && getComputedStyle(box).overflowX === "auto";
    if (box.matches("table")) box.classList.toggle("scrolls", scrolls);
    if (scrolls) {
      box.tabIndex = 0;
    } else if (box.tabIndex === 0 && !box.matches("[contenteditable]")) {
      box.removeAttribute("tabindex");
    }
  }
  for (const formula of document.querySelectorAll(".bd-content div.math > mjx-container")) {
    formula.parentNode.classList.toggle("scrolls", formula.scrollWidth > formula.clientWidth + 1);
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

// No line begins with the comma or the bracket that closes a formula's clause, or ends with the one that opens it.
function keepPunctuation() {
  for (const formula of document.querySelectorAll(".bd-content :not(.kept) > span.math")) {
    const isText = (node) => node?.nodeType === Node.TEXT_NODE;
    const [before, after] = [formula.previousSibling, formula.nextSibling];
    const closing = isText(after) ? after.data.match(/^[.,;:!?)\]’”]*/)[0] : "";
    const opening = isText(before) ? before.data.match(/[(\[“‘]*$/)[0] : "";
    if (closing || opening) {
      if (closing) after.splitText(closing.length);
      const kept = document.createElement("span");
      kept.className = "kept";
      formula.replaceWith(kept);
      if (opening) kept.append(before.splitText(before.length - opening.length));
      kept.append(formula);
      if (closing) kept.append(after);
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
