// Gives each .copy a button that copies its text. Without this the text is selected by hand.
"use strict";
document.addEventListener("DOMContentLoaded", () => {
  const SHOWN = 4000; // milliseconds

  async function copy(text, source) {
    if (navigator.clipboard) { // only on https and on this machine
      await navigator.clipboard.writeText(text);
      return;
    }
    getSelection().selectAllChildren(source);
    if (!document.execCommand("copy")) {
      throw new Error("refused");
    }
  }

  for (const box of document.querySelectorAll(".copy")) {
    const source = box.querySelector("pre");
    if (!source) { continue; }
    const button = document.createElement("button");
    button.type = "button";
    button.className = "button secondary";
    button.textContent = "Copy";
    button.setAttribute("aria-live", "polite");
    button.addEventListener("click", async () => {
      try {
        await copy(source.textContent, source);
        button.textContent = "Copied";
      } catch {
        getSelection().selectAllChildren(source);
        button.textContent = "Selected: press Ctrl+C";
      }
      setTimeout(() => { button.textContent = "Copy"; }, SHOWN);
    });
    box.append(button);
  }
});
