// Renews the parts of a page marked data-live when the node says that something changed.
// The server renders them as it did the page, so there is one way in which text is escaped.
"use strict";
(() => {
  const status = document.getElementById("live");
  const BETWEEN = 500;
  let last = 0;
  let waiting = null;
  let busy = false;
  let again = false;

  const say = (text, state) => {
    if (!status) return;
    if (status.textContent !== text) status.textContent = text;
    status.dataset.state = state;
  };

  const renew = async () => {
    if (busy) { again = true; return; }
    busy = true;
    last = Date.now();
    try {
      const answer = await fetch(location.href, { headers: { accept: "text/html" }, cache: "no-store" });
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      for (const part of document.querySelectorAll("[data-live]")) {
        const fresh = page.getElementById(part.id);
        if (!fresh || fresh.isEqualNode(part)) continue;
        // Where somebody is, by keyboard or finger, they stay.
        const scrolled = new Map([...part.querySelectorAll(".scroll")].map((box, i) => [i, box.scrollLeft]));
        const at = part.contains(document.activeElement) ? document.activeElement : null;
        const href = at && at.getAttribute("href");
        const label = at && at.getAttribute("aria-label");
        part.replaceWith(document.importNode(fresh, true));
        const now = document.getElementById(part.id);
        [...now.querySelectorAll(".scroll")].forEach((box, i) => { box.scrollLeft = scrolled.get(i) || 0; });
        if (at) {
          const same = [...now.querySelectorAll("a[href], [tabindex]")].find((one) =>
            (href && one.getAttribute("href") === href) || (label && one.getAttribute("aria-label") === label));
          if (same) same.focus({ preventScroll: true });
        }
      }
      document.title = page.title;
      say("Live", "live");
    } catch {
      say("Not reached; trying again", "lost");
    }
    busy = false;
    if (again) { again = false; soon(); }
  };

  const soon = () => {
    if (waiting || document.hidden) return;
    waiting = setTimeout(() => { waiting = null; renew(); }, Math.max(0, last + BETWEEN - Date.now()));
  };

  const events = new EventSource("/events");
  events.addEventListener("changed", soon);
  events.onopen = () => say("Live", "live");
  events.onerror = () => say("Not reached; trying again", "lost");
  document.addEventListener("visibilitychange", soon);
})();
