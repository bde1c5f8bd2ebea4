// Fetches the page again every data-refresh seconds and replaces the element with that attribute. The scroll position, the
// focus and any text in a search box outside the element are kept. Without JavaScript, the page just doesn't refresh.
"use strict";
(() => {
  const part = document.querySelector("[data-refresh]");
  const seconds = Number(part.dataset.refresh);
  const key = "hub-refresh";

  // Users must be able to pause automatic updates (WCAG 2.2.2).
  const label = document.createElement("label");
  const box = document.createElement("input");
  const said = document.createElement("span");
  box.type = "checkbox";
  box.checked = localStorage.getItem(key) !== "off";
  box.addEventListener("change", () => {
    localStorage.setItem(key, box.checked ? "on" : "off");
    if (box.checked) {
      refresh();
    }
  });
  label.className = "refresh";
  label.append(box, ` Refresh every ${seconds} s`);
  said.className = "refresh-problem";
  said.setAttribute("role", "status");
  part.before(label, said);

  let running = false;
  async function refresh() {
    if (running || document.hidden || !box.checked) {
      return;
    }
    running = true;
    try {
      const answer = await fetch(location.href, { headers: { "X-Requested-With": "refresh" } });
      const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
      const replacement = fresh.getElementById(part.id);
      if (answer.status === 404) {
        part.replaceChildren(); // an expired or revoked link must show nothing
      }
      if (!answer.ok || !replacement) {
        said.textContent = answer.status === 404
          ? "This link is no longer valid. Ask for a new one."
          : answer.redirected ? "You are signed out. Reload the page." : "The hub isn't responding. This data is out of date.";
        return;
      }
      said.textContent = "";
      const focused = part.contains(document.activeElement) ? document.activeElement.id : "";
      const chosen = getSelection();
      if (!chosen.isCollapsed && part.contains(chosen.anchorNode)) {
        return; // the user is copying text
      }
      part.replaceChildren(...replacement.childNodes);
      document.title = fresh.title;
      const again = focused && document.getElementById(focused);
      if (again) {
        again.focus({ preventScroll: true });
      }
      part.dispatchEvent(new CustomEvent("refreshed"));
    } catch {
      said.textContent = "The hub isn't responding. This data is out of date.";
    } finally {
      running = false;
    }
  }
  setInterval(refresh, seconds * 1000);
  document.addEventListener("visibilitychange", refresh);
})();
