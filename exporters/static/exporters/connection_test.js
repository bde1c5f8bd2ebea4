// Shows a test's steps as they end. Without JavaScript, the button submits the form, and the response has all steps.
"use strict";
(() => {
  const form = document.querySelector("form[data-connection-test]");
  const section = document.getElementById("connection-test");
  const button = form && form.querySelector("[data-test]");
  if (!form || !section || !button) { return; }
  const steps = document.getElementById("connection-test-steps");
  const result = document.getElementById("connection-test-result");
  const save = form.querySelector("[data-save]");
  const tested = form.elements.tested;
  const FIRST = "Save without testing";

  function outcome(ok) {
    if (!tested) { return; }
    tested.value = ok === null ? "" : ok ? "ok" : "failed";
    save.textContent = ok === null ? FIRST : ok ? "Save" : "Save anyway";
  }

  // A running clock shows that a long test is still in progress.
  function waiting() {
    const item = document.createElement("li");
    const started = Date.now();
    item.className = "running";
    item.setAttribute("aria-hidden", "true");
    const tick = () => { item.textContent = `Running for ${Math.round((Date.now() - started) / 1000)} s`; };
    tick();
    const timer = setInterval(tick, 1000);
    return { item, stop() { clearInterval(timer); item.remove(); } };
  }

  function take(line) {
    const said = JSON.parse(line);
    if (said.step) {
      steps.lastElementChild.insertAdjacentHTML("beforebegin", said.step);
    } else {
      result.innerHTML = said.result;
      outcome(said.ok);
    }
  }

  async function run() {
    const clock = waiting();
    section.hidden = false;
    result.replaceChildren();
    steps.replaceChildren(clock.item);
    outcome(null);
    const focused = document.activeElement === button;
    button.disabled = true;
    section.dataset.busy = "1";
    section.scrollIntoView({ block: "nearest" });
    try {
      const data = new URLSearchParams(new FormData(form));
      data.set("do", "test");
      const answer = await fetch(form.action, { method: "POST", body: data, headers: { "X-Follow": "1" }, redirect: "error" });
      if (!answer.ok) { throw new Error(answer.statusText); }
      const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
      let rest = "";
      for (;;) {
        const { value, done } = await reader.read();
        const lines = (rest + (value || "")).split("\n");
        rest = lines.pop();
        lines.filter(Boolean).forEach(take);
        if (done) { break; }
      }
    } catch {
      result.textContent = "The test could not run: the hub isn't responding, or you are signed out.";
    } finally {
      clock.stop();
      button.disabled = false;
      // A disabled button loses the focus, and keyboard users would be back at the top of the page.
      if (focused && document.activeElement === document.body) { button.focus({ preventScroll: true }); }
      delete section.dataset.busy;
    }
  }

  form.addEventListener("submit", (event) => {
    if (event.submitter === button) {
      event.preventDefault();
      run();
    }
  });
  form.addEventListener("input", () => outcome(null));
})();
