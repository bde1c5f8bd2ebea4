// Adds a button to each .copy that copies its text. Without JavaScript, users select the text themselves.
"use strict";
document.addEventListener("DOMContentLoaded", () => {
  const SHOWN = 4000; // milliseconds

  async function copy(text, source) {
    if (navigator.clipboard) { // only with https or on localhost
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
