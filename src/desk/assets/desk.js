// Keeps an open page up to date: listens for changes, fetches the <main> anew, makes times local. Works without; then the
// page reloads itself.
"use strict";
(() => {
  const every = 20_000; // silence and SLA clocks move without any record coming in
  const settle = 250; // changes come in bunches
  let ahead = 0; // server clock minus ours, in ms
  let timer = 0;
  let busy = false;
  let again = false;

  const main = () => document.getElementById("main");
  const now = () => Date.now() + ahead;

  function brief(ms) {
    const units = [["d", 864e5], ["h", 36e5], ["m", 6e4], ["s", 1e3]];
    const at = units.findIndex(([, size]) => ms >= size);
    if (at < 0) return "0s";
    const [unit, size] = units[at];
    const big = Math.floor(ms / size);
    if (at === units.length - 1 || (unit === "m" && big >= 10)) return `${big}${unit}`;
    const [small, step] = units[at + 1];
    const rest = Math.floor((ms % size) / step);
    return rest ? `${big}${unit} ${rest}${small}` : `${big}${unit}`;
  }

  function relative(ms) {
    if (Math.abs(ms) < 1000) return "just now";
    return ms > 0 ? `${brief(ms)} ago` : `in ${brief(-ms)}`;
  }

  const full = new Intl.DateTimeFormat(undefined, { dateStyle: "full", timeStyle: "long" });
  const stamp = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" });
  const ticks = {
    hms: new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" }),
    hm: new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", hourCycle: "h23" }),
    dayhm: new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit", hourCycle: "h23" }),
    day: new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short" }),
  };

  function relate(root) {
    for (const time of root.querySelectorAll("time[data-t=rel], time[data-t=age]")) {
      const ms = now() - Date.parse(time.dateTime);
      time.textContent = time.dataset.t === "age" ? brief(Math.max(ms, 0)) : relative(ms);
    }
  }

  function localise(root) {
    for (const time of root.querySelectorAll("time")) {
      const at = new Date(time.dateTime);
      time.title = `${full.format(at)} (${at.toISOString().slice(0, 19)}Z)`;
      if (time.dataset.t === "abs") time.textContent = stamp.format(at);
    }
    for (const tick of root.querySelectorAll("[data-tick]")) {
      tick.textContent = ticks[tick.dataset.tick].format(new Date(tick.dataset.at * 1000));
    }
    for (const title of root.querySelectorAll("svg title[data-at]")) {
      title.textContent = full.format(new Date(title.dataset.at * 1000));
    }
    for (const place of root.querySelectorAll("[data-origin]")) place.textContent = location.origin;
    relate(root);
  }

  function dress() {
    const page = main();
    ahead = Number(page.dataset.now) / 1e6 - Date.now();
    document.title = `${page.dataset.title} · sexton desk`;
    localise(page);
  }

  // On a narrow screen a drawing scrolls: show the newest end of a strip first, and of a plot the breach if it is out of sight.
  function aim(page) {
    for (const paper of page.querySelectorAll(".paper")) {
      const mark = paper.querySelector(".mark-breach");
      const at = mark ? mark.getBoundingClientRect().left - paper.getBoundingClientRect().left : paper.scrollWidth;
      if (!mark || at > paper.clientWidth * 0.85) paper.scrollLeft = mark ? at - paper.clientWidth * 0.6 : at;
    }
  }

  // Marks what is new or has changed, and says new incidents aloud.
  function compare(before, after) {
    const revs = new Map([...before.querySelectorAll("[data-key]")].map((e) => [e.dataset.key, e.dataset.rev]));
    const news = [];
    for (const row of after.querySelectorAll("[data-key][data-rev]")) {
      if (revs.get(row.dataset.key) === row.dataset.rev) continue;
      row.classList.add("fresh");
      if (!revs.has(row.dataset.key) && row.dataset.say) news.push(row.dataset.say);
    }
    if (news.length) document.getElementById("announce").textContent = `New: ${news.slice(0, 3).join("; ")}`;
  }

  // The focused link and scrolled boxes stay where they were.
  function keep(page) {
    const focus = document.activeElement;
    const path = page.contains(focus) && focus.getAttribute("href");
    const boxes = [...page.querySelectorAll("pre, .paper, .scroll")].map((e) => [e.scrollLeft, e.scrollTop]);
    return (next) => {
      if (path) next.querySelector(`a[href="${CSS.escape(path)}"]`)?.focus({ preventScroll: true });
      [...next.querySelectorAll("pre, .paper, .scroll")].forEach((e, i) => {
        if (boxes[i]) [e.scrollLeft, e.scrollTop] = boxes[i];
      });
    };
  }

  async function refresh() {
    if (busy) { again = true; return; }
    busy = true;
    try {
      const answer = await fetch(location.href, { headers: { "X-Part": "main" }, cache: "no-store" });
      if (answer.status === 401) { location.reload(); return; }
      const text = await answer.text();
      const next = new DOMParser().parseFromString(text, "text/html").getElementById("main");
      if (!next) return;
      const old = main();
      const restore = keep(old);
      compare(old, next);
      old.replaceWith(next);
      dress();
      restore(next);
    } catch {
      // The stream says that the desk is away; it refreshes when it is back.
    } finally {
      busy = false;
      if (again) { again = false; soon(); }
    }
  }

  function soon() {
    clearTimeout(timer);
    timer = setTimeout(refresh, settle);
  }

  function show(word, on) {
    const live = document.getElementById("live");
    live.textContent = word;
    live.className = `live ${on ? "on" : "off"}`;
  }

  function listen() {
    const stream = new EventSource("/v1/stream");
    let lost = false;
    stream.onopen = () => { show("live", true); if (lost) { lost = false; soon(); } };
    stream.onerror = () => {
      lost = true;
      show("not connected, trying again", false);
      if (stream.readyState === EventSource.CLOSED) setTimeout(listen, 5000);
    };
    stream.addEventListener("change", soon);
    stream.addEventListener("resync", soon);
  }

  dress();
  aim(main());
  document.getElementById("zone").textContent = `local, ${Intl.DateTimeFormat().resolvedOptions().timeZone || "UTC"}`;
  if (document.getElementById("live")) {
    listen();
    setInterval(() => { if (!document.hidden) refresh(); }, every);
    setInterval(() => { if (!document.hidden) relate(document); }, 1000);
    document.addEventListener("visibilitychange", () => { if (!document.hidden) refresh(); });
  }
})();
