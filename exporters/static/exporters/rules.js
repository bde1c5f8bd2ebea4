// Previews the rules as the user types. Without JavaScript, the Try button does.
"use strict";
(() => {
  const form = document.getElementById("rules-form");
  const preview = document.getElementById("preview");
  if (!form || !preview) { return; }
  const WAIT = 350; // milliseconds after the last key
  let timer = 0;
  let current = null;

  // Errors are shown at their fields, and removed once corrected.
  function mark() {
    for (const field of form.querySelectorAll(".rule .rule-field")) {
      const input = field.querySelector("input, select");
      const mistakes = [...preview.querySelectorAll("[data-of]")].filter((each) => each.dataset.of === input.id);
      field.classList.toggle("has-error", mistakes.length > 0);
      field.querySelector(".error-text")?.remove();
      input.removeAttribute("aria-invalid");
      input.removeAttribute("aria-describedby");
      if (mistakes.length) {
        const said = document.createElement("p");
        said.className = "error-text";
        said.id = `${input.id}_error`;
        said.textContent = mistakes.map((each) => each.dataset.text).join(" ");
        field.append(said);
        input.setAttribute("aria-invalid", "true");
        input.setAttribute("aria-describedby", said.id);
      }
    }
  }

  async function show() {
    if (current) { current.abort(); }
    const asked = current = new AbortController();
    const data = new URLSearchParams(new FormData(form));
    data.set("do", "try");
    preview.dataset.busy = "1";
    try {
      const answer = await fetch(form.action, {
        method: "POST", body: data, headers: { "X-Preview": "1" }, signal: asked.signal, redirect: "error",
      });
      if (answer.status === 429 && current === asked) {  // the hub is still working on earlier previews
        timer = setTimeout(show, 2000);
        return;
      }
      if (!answer.ok) { throw new Error(answer.statusText); }
      preview.innerHTML = await answer.text();
      mark();
    } catch (error) {
      if (error.name !== "AbortError") {
        preview.textContent = "The preview failed to load. Select “Try”.";
      }
    } finally {
      if (current === asked) { delete preview.dataset.busy; }
    }
  }

  form.addEventListener("input", (event) => {
    if (event.target.id === "pasted") { return; }
    clearTimeout(timer);
    timer = setTimeout(show, WAIT);
  });
})();
