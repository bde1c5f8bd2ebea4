// Fetches the page anew every so many seconds and puts its part with data-refresh in the place of the old one. Where one
// is on the page stays: the scroll position, the focus, what stands in a search box outside of it. Without JavaScript the
// page is the same, and stands still.
"use strict";
(() => {
  const part = document.querySelector("[data-refresh]");
  const seconds = Number(part.dataset.refresh);
  const key = "hub-refresh";

  // What moves by itself can be stopped (WCAG 2.2.2).
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
        part.replaceChildren(); // a link that has ended shows nothing any more
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
        return; // somebody is copying
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
