// Keeps an open page up to date, and saves a few clicks. Everything works without it.
"use strict";

(() => {
  const body = document.body;
  const pulse = document.querySelector("[data-pulse]");

  // News: the server sends a line when something has changed; the parts that may show it are
  // fetched again, never more often than a tenth of the time that fetching takes.
  let source = null;
  let fetching = false;
  let latest = body.dataset.mark;

  function say(text, kind) {
    pulse.className = `pulse ${kind}`;
    pulse.lastElementChild.textContent = text;
  }

  function sayWaiting(waiting) {
    if (waiting === 0) say("idle", "");
    else say(waiting === 1 ? "1 job in work" : `${waiting.toLocaleString("en")} jobs in work`, "busy");
  }

  async function refresh() {
    if (fetching || latest === body.dataset.mark || !document.querySelector("[data-part]")) return;
    fetching = true;
    const began = performance.now();
    try {
      const answer = await fetch(location.href, { cache: "no-store" });
      if (answer.ok) replace(new DOMParser().parseFromString(await answer.text(), "text/html"));
    } catch {
      return; // the sandbox is gone; the event source says so
    } finally {
      const pause = Math.max(400, 10 * (performance.now() - began));
      setTimeout(() => { fetching = false; refresh(); }, pause);
    }
  }

  function replace(fresh) {
    body.dataset.mark = fresh.body.dataset.mark;
    for (const part of document.querySelectorAll("[data-part]")) {
      const other = fresh.querySelector(`[data-part="${part.dataset.part}"]`);
      if (!other || other.innerHTML === part.innerHTML) continue;
      const focused = part.contains(document.activeElement) && document.activeElement.getAttribute("href");
      part.replaceWith(document.adoptNode(other));
      prepare(other);
      if (focused) other.querySelector(`[href="${CSS.escape(focused)}"]`)?.focus();
    }
  }

  function listen() {
    if (source || document.hidden) return;
    source = new EventSource(body.dataset.live);
    source.onmessage = (event) => {
      const news = JSON.parse(event.data);
      latest = news.mark;
      sayWaiting(news.waiting);
      refresh();
    };
    source.onerror = () => say("not reachable", "gone");
  }

  // Browsers allow few connections to one server: a page that nobody sees gives its own back.
  function rest() {
    source?.close();
    source = null;
  }

  function prepare(root) {
    for (const button of root.querySelectorAll("[data-copy]")) {
      button.hidden = !navigator.clipboard;
      button.addEventListener("click", async () => {
        await navigator.clipboard.writeText(document.getElementById(button.dataset.copy).textContent);
        button.textContent = "Copied";
        setTimeout(() => { button.textContent = "Copy"; }, 1500);
      });
    }
    for (const select of root.querySelectorAll("form[data-auto] select")) {
      select.addEventListener("change", () => select.form.requestSubmit());
    }
  }

  // An empty field has nothing to say in the address.
  document.addEventListener("formdata", (event) => {
    for (const [name, value] of [...event.formData]) if (value === "") event.formData.delete(name);
  });
  document.addEventListener("keydown", (event) => {
    const typing = /^(INPUT|SELECT|TEXTAREA)$/.test(document.activeElement.tagName);
    if (event.key !== "/" || typing || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    const near = document.querySelector(".filters input[type=search]");
    (near ?? document.querySelector(".find input")).focus();
  });
  document.addEventListener("visibilitychange", () => (document.hidden ? rest() : listen()));
  addEventListener("pagehide", rest);
  addEventListener("pageshow", listen);
  prepare(document);
  listen();
})();
