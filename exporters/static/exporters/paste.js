// Shows what a pasted connection string is for, and suggests a name. Without JavaScript, the Test button does.
"use strict";
(() => {
  const form = document.querySelector("form[data-connection-test]");
  const box = document.getElementById("id_connection_string");
  const place = document.getElementById("pasted");
  const name = document.getElementById("id_name");
  if (!form || !box || !place || !name) { return; }
  const WAIT = 300; // milliseconds after the last key
  let timer = 0;
  let asked = 0;
  let suggested = "";

  async function look() {
    const number = ++asked;
    const data = new URLSearchParams(new FormData(form));
    data.set("do", "parse");
    try {
      const answer = await fetch(form.action, { method: "POST", body: data, headers: { "X-Follow": "1" }, redirect: "error" });
      if (!answer.ok || number !== asked) { return; }
      const said = await answer.json();
      if (said.error) {
        const problem = document.createElement("p");
        problem.className = "error-text";
        problem.textContent = said.error;
        place.replaceChildren(problem);
        return;
      }
      place.innerHTML = said.html;
      if (said.name && (!name.value || name.value === suggested)) {
        name.value = suggested = said.name;
      }
    } catch {
      place.textContent = "";
    }
  }

  function soon() {
    clearTimeout(timer);
    timer = setTimeout(look, WAIT);
  }
  box.addEventListener("input", soon);
  if (box.value) { soon(); } // pasted before this was loaded
  // The autocomplete input reports its choice only as a jQuery event.
  django.jQuery("#id_team").on("change", soon);
})();
