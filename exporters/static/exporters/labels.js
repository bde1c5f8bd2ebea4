// Adds accessible names that Django's admin lacks: for autocomplete inputs, for the two inputs of a date and time, for the
// inputs in the rows of an inline, and for table cells. Also scrolls the navigation to the current page.
"use strict";
(() => {
  const text = (element) => (element ? element.textContent.trim().replace(/:$/, "") : "");

  function headOf(cell) {
    const head = cell.closest("table").querySelectorAll("thead th")[cell.cellIndex];
    return text(head && (head.querySelector(".text") || head));
  }

  function labelOf(input) {
    const label = input.id && document.querySelector(`label[for="${CSS.escape(input.id)}"]`);
    if (label) {
      return text(label);
    }
    const cell = input.closest("td");
    if (cell) {
      return headOf(cell);
    }
    const row = input.closest(".form-row");
    return text(row && row.querySelector("label, legend"));
  }

  function name(element, words) {
    if (element && words && !element.getAttribute("aria-label")) {
      element.setAttribute("aria-label", words);
    }
  }

  function nameAll() {
    for (const box of document.querySelectorAll(".select2-container:not(.select2-container--open:last-child)")) {
      const select = box.previousElementSibling;
      const field = box.querySelector(".select2-selection[role=combobox]");
      if (select && field && !field.dataset.named) {
        const words = labelOf(select);
        field.dataset.named = "yes";
        field.removeAttribute("aria-labelledby");
        const shown = () => text(box.querySelector(".select2-selection__rendered")).replace(/^×/, "");
        const update = () => {
          const said = [words, shown()].filter(Boolean).join(": ");
          field.setAttribute("aria-label", said);
          name(field.querySelector("[role=textbox]"), words);
        };
        update();
        new MutationObserver(update).observe(box.querySelector(".select2-selection__rendered") || field, { childList: true });
      }
    }
    for (const field of document.querySelectorAll(".select2-search__field")) {
      const box = field.closest(".select2-container");
      const select = box && box.previousElementSibling;
      name(field, (select && select.tagName === "SELECT" && labelOf(select)) || "Search");
    }
    for (const field of document.querySelectorAll(".vDateField, .vTimeField")) {
      name(field, `${labelOf(field)}: ${field.classList.contains("vDateField") ? "date" : "time"}`);
    }
    // On small screens, each row is a card (admin.css) whose lines need labels.
    const cells = "#result_list tbody :is(td, th):not(.action-checkbox, [data-label]), .inline-group tbody td:not(.original, [data-label], [colspan])";
    for (const cell of document.querySelectorAll(cells)) {
      cell.dataset.label = headOf(cell).replace(/\?$/, "");
    }
    for (const field of document.querySelectorAll(".inline-group td :is(input, select, textarea):not([type=hidden])")) {
      name(field, field.name.endsWith("-DELETE") ? "Delete" : labelOf(field));
    }
  }

  let waiting = false;
  // On small screens, the navigation is wider than the screen.
  function showCurrent() {
    const list = document.querySelector("#main-nav ul");
    const link = list && list.querySelector("[aria-current]");
    if (link) {
      list.scrollLeft += link.getBoundingClientRect().right - list.getBoundingClientRect().right + 48;
    }
  }

  document.addEventListener("DOMContentLoaded", () => {
    nameAll();
    showCurrent();
    addEventListener("resize", showCurrent);
    new MutationObserver(() => {
      if (!waiting) {
        waiting = true;
        setTimeout(() => { waiting = false; nameAll(); }, 0);
      }
    }).observe(document.body, { childList: true, subtree: true });
  });
})();
