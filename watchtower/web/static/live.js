// Keeps the page true: listens for events, fetches the page's own HTML again and puts it in place.
// Everything it inserts was rendered and escaped by the server. Without it the page reloads itself.
"use strict";
(() => {
  const live = document.getElementById("live");
  const state = document.getElementById("link-state");
  const announce = document.getElementById("announce");
  if (!live || !live.dataset.source || !state) return;

  const SETTLE_MS = 250;     // events come in bursts
  const AGE_MS = 10000;      // so that "2 min ago" stays true
  let waiting = null;
  let busy = false;
  let again = false;
  let spoken = "";
  let connected = false;

  function waitForForm() {
    state.hidden = false;
    state.textContent = "waits for your form";
  }

  function tell(ok) {
    state.hidden = false;
    state.classList.toggle("lost", !ok);
    state.textContent = ok ? "live" : "connection lost, this is old";
  }

  function adopt(text) {
    const page = new DOMParser().parseFromString(text, "text/html");
    if (isHeld()) return;
    const active = document.activeElement;
    const focused = active && live.contains(active) ? active.getAttribute("href") : null;
    const fresh = page.getElementById("live") || page.body;
    live.replaceChildren(...fresh.childNodes);
    if (focused) {
      const link = live.querySelector(`a[href="${CSS.escape(focused)}"]`);
      if (link) link.focus({ preventScroll: true });
    }
    const head = live.querySelector("[data-headline]");
    if (!head) return;
    document.title = head.dataset.title;
    const icon = { up: "up", empty: "up", blind: "blind" }[head.dataset.tone] || "trouble";
    document.getElementById("favicon").href = `${live.dataset.static}${icon}.svg`;
    if (spoken && spoken !== head.dataset.headline) announce.textContent = head.dataset.headline;
    spoken = head.dataset.headline;
  }

  // Nothing is pulled away from under somebody who fills in a form, or looks at a preview.
  function isHeld() {
    const active = document.activeElement;
    const typing = active && live.contains(active) && active.matches("input, select, textarea, button");
    return Boolean(typing || live.querySelector("[data-hold], form[data-touched]"));
  }

  async function refresh() {
    if (isHeld()) { waitForForm(); return; }
    if (busy) { again = true; return; }
    busy = true;
    try {
      const answer = await fetch(live.dataset.source, {
        headers: { Accept: "text/html" }, cache: "no-store", signal: AbortSignal.timeout(8000),
      });
      if (answer.status === 401) { location.reload(); return; }
      if (!answer.ok) throw new Error(String(answer.status));
      adopt(await answer.text());
      tell(connected);
    } catch {
      tell(false);
    } finally {
      busy = false;
      if (again) { again = false; soon(); }
    }
  }

  function soon() {
    if (waiting !== null) return;
    waiting = setTimeout(() => { waiting = null; refresh(); }, SETTLE_MS + Math.random() * SETTLE_MS);
  }

  function listen() {
    const source = new EventSource(live.dataset.events);
    source.onopen = () => { connected = true; tell(true); soon(); };
    source.onerror = () => {
      connected = false;
      tell(false);
      // A closed source does not come back by itself, as after a 503 of a peer that just starts.
      if (source.readyState === EventSource.CLOSED) setTimeout(listen, 3000 + Math.random() * 2000);
    };
    for (const kind of ["verdict", "incident", "notification", "alerter", "peer", "config", "cluster", "silence", "channel", "drill", "reset"]) {
      source.addEventListener(kind, soon);
    }
  }

  const head = live.querySelector("[data-headline]");
  if (head) spoken = head.dataset.headline;
  live.addEventListener("input", (event) => {
    const form = event.target.closest("form");
    if (form) form.dataset.touched = "yes";
  });
  listen();
  setInterval(() => { if (!document.hidden) refresh(); }, AGE_MS);
  document.addEventListener("visibilitychange", () => { if (!document.hidden) refresh(); });
})();
