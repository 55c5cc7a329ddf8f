// The frame of every view: navigation, the connection and what is in the way, keys, and the way from an address to a view.

import { onRefusedToken, request, token } from "./api.js";
import { board } from "./board.js";
import { deliveries } from "./deliveries.js";
import { ACTIONS, help, pauseAll, resumeAll, toast } from "./dialogs.js";
import { button, h, icon, keyed, say, set, show } from "./dom.js";
import { figures } from "./figures.js";
import { clock, line, money, short, tokens, waits } from "./format.js";
import { health, troubles } from "./health.js";
import { Stream } from "./stream.js";
import { ticket } from "./ticket.js";
import { waiting } from "./waiting.js";

const VIEWS = {
  board: { make: board, label: "Board", key: "b" },
  waiting: { make: waiting, label: "Waiting for you", short: "Waiting", key: "w" },
  figures: { make: figures, label: "Figures", key: "f" },
  deliveries: { make: deliveries, label: "Incoming events", short: "Events", key: "e" },
  health: { make: health, label: "Health", key: "h" },
};
const STALE_MS = 1500; // a break that is over sooner is not worth a banner

const $ = (id) => document.getElementById(id);
const app = {
  snapshot: null,
  offset: 0,
  state: "connecting",
  lostSince: null,
  /** The daemon's clock; it stands still while there is no connection, so that old figures do not grow as if they were new. */
  now: () => (app.lostSince ?? Date.now()) + app.offset,
  go: (hash) => (location.hash = hash),
};
let view = null;
let route = "";
let chord = 0;
let drawing = false;

function start() {
  if (!token) return notice();
  show($("shell"), true);
  frame();
  onRefusedToken(() => stateChanged("refused"));
  window.addEventListener("hashchange", navigate);
  window.addEventListener("keydown", pressed);
  document.addEventListener("visibilitychange", draw);
  setInterval(tick, 1000);
  navigate();
  new Stream(pictureCame, stateChanged).start();
}

function notice() {
  const place = $("notice");
  show(place, true);
  place.append(
    h("h1", {}, "Open the dashboard from a terminal"),
    h("p", {}, "This tab has no access yet. Run this where the daemon runs, and the dashboard opens in your browser:"),
    h("pre", {}, h("code", {}, "opensymphony dashboard")),
    h("p", { class: "muted" }, "Access ends with the tab, and with the daemon: after a restart, run it again."),
  );
}

function frame() {
  for (const [name, one] of Object.entries(VIEWS)) {
    const link = h(
      "a",
      { href: `#/${name}`, title: `${one.label} (g ${one.key})` },
      icon(name),
      h("span", { class: one.short ? "label long" : "label" }, one.label),
      one.short ? h("span", { class: "label short", "aria-hidden": "true" }, one.short) : null,
      (one.badge = h("span", { class: "badge", hidden: true })),
    );
    one.link = link;
    $("nav").append(link);
  }
  app.pauseButton = button("", () => (app.snapshot?.paused ? resumeAll() : pauseAll()), { class: "tool" });
  $("tools").append(
    app.pauseButton,
    button(icon("refresh"), refresh, { class: "tool", "aria-label": "Look at the tracker now", title: "Look at the tracker now (r)" }),
    button(icon("theme"), switchTheme, { class: "tool", "aria-label": "Light or dark", title: "Light or dark (t)" }),
    button(icon("help"), help, { class: "tool", "aria-label": "Keys", title: "Keys (?)" }),
  );
  stateChanged("connecting");
  drawFrame();
}

function pictureCame(snapshot) {
  app.snapshot = snapshot;
  app.offset = snapshot.at_ms - Date.now();
  app.lostSince = null;
  draw();
}

/** At most once a frame, and not at all in the background. */
function draw() {
  if (document.hidden || drawing) return;
  drawing = true;
  requestAnimationFrame(() => {
    drawing = false;
    drawFrame();
    if (app.snapshot) view?.update(app.snapshot);
  });
}

function tick() {
  if (document.hidden) return;
  drawConnection();
  if (app.snapshot) view?.tick?.();
}

function stateChanged(state) {
  if (app.state === "refused") return;
  app.state = state;
  if (state === "live") app.lostSince = null;
  else app.lostSince ??= Date.now();
  document.documentElement.dataset.connection = state;
  if (document.hidden) return;
  drawConnection();
  if (state === "live") draw();
}

const WORDS = { live: "Live", connecting: "Connecting", lost: "Disconnected", full: "Disconnected", refused: "Access ended", resting: "Resting" };

function drawConnection() {
  say($("connection"), WORDS[app.state]);
  const banners = [];
  const lost = app.lostSince !== null && Date.now() - app.lostSince > STALE_MS && app.state !== "resting";
  const seen = app.snapshot ? ` What you see is from ${clock(app.snapshot.at_ms)}.` : "";
  if (app.state === "refused") {
    banners.push(["bad", `The daemon was restarted, and this tab's access has ended.${seen} Run “opensymphony dashboard” to go on.`]);
  } else if (lost && app.state === "full") {
    banners.push(["bad", `Too many programs follow this daemon: close a tab.${seen}`]);
  } else if (lost) {
    banners.push(["bad", `Disconnected since ${clock(app.lostSince)}.${seen} Trying again…`]);
  }
  document.documentElement.classList.toggle("stale", banners.length > 0);
  if (app.snapshot) {
    if (app.snapshot.paused) banners.push(["warn", "Everything is paused: nothing new starts."]);
    for (const [kind, text, name] of troubles(app.snapshot, app.now())) if (kind === "bad") banners.push(["bad", text, name]);
  }
  keyed($("banners"), banners, (one) => one[1], ([kind, text]) => h("p", { class: `banner ${kind}` }, line(text, 600)), () => {});
}

function drawFrame() {
  const seen = app.snapshot;
  drawConnection();
  const waitingFor = seen ? seen.tickets.filter(waits).length : 0;
  const troubled = seen ? troubles(seen, app.now()).length : 0;
  badge(VIEWS.waiting, waitingFor, "");
  badge(VIEWS.health, troubled, "warn");
  document.title = `${waitingFor ? `(${waitingFor}) ` : ""}${view?.title ?? "OpenSymphony"} · OpenSymphony`;
  const paused = Boolean(seen?.paused);
  if (app.pauseButton.dataset.paused !== String(paused)) {
    app.pauseButton.dataset.paused = String(paused);
    app.pauseButton.replaceChildren(icon(paused ? "play" : "pause"));
    set(app.pauseButton, "aria-label", paused ? "Resume everything" : "Pause everything");
    set(app.pauseButton, "title", paused ? "Resume everything" : "Pause everything");
  }
  if (seen) {
    const facts = [
      ["cost today", money(seen.spent_day.cost_micros)],
      ["tokens today", short(tokens(seen.spent_day))],
      ["agents", `${seen.tickets.filter((one) => one.phase === "running").length}/${seen.max_concurrent_agents}`],
    ];
    keyed(
      $("spent"),
      facts,
      (one) => one[0],
      ([name]) => {
        const value = h("dd");
        return { element: h("div", {}, h("dt", {}, name), value), value };
      },
      (row, one) => say(row.value, one[1]),
    );
  }
}

function badge(one, number, kind) {
  show(one.badge, number > 0);
  say(one.badge, number > 99 ? "99+" : String(number));
  set(one.badge, "class", `badge ${kind}`);
}

function navigate() {
  const [name, ...rest] = location.hash.replace(/^#\/?/, "").split("/");
  const wanted = name === "tickets" && rest[0] ? `tickets/${rest[0]}` : name in VIEWS ? name : "board";
  if (wanted !== route) {
    const first = route === "";
    view?.leave?.();
    route = wanted;
    view = wanted.startsWith("tickets/") ? ticket(app, decoded(rest[0])) : VIEWS[wanted].make(app);
    $("main").replaceChildren(view.element);
    window.scrollTo(0, 0);
    if (!first) $("main").focus({ preventScroll: true });
  }
  view.part?.(rest[1] ?? "");
  for (const [key, one] of Object.entries(VIEWS)) {
    set(one.link, "aria-current", key === wanted || (key === "board" && wanted.startsWith("tickets/")) ? "page" : null);
  }
  if (app.snapshot) view.update(app.snapshot);
  drawFrame();
}

function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

async function refresh() {
  try {
    const answer = await request("/api/v1/refresh", { method: "POST" });
    toast(answer.waits ? `The tracker is looked at later: ${answer.waits}` : "The tracker is looked at now.");
  } catch (error) {
    toast(error.message, { failed: true });
  }
}

function switchTheme() {
  const root = document.documentElement;
  const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  root.dataset.theme = dark ? "light" : "dark";
  try {
    localStorage.setItem("opensymphony.theme", root.dataset.theme);
  } catch {
    // Kept for this page only.
  }
}

function pressed(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
  const typing = event.target.closest?.("input, textarea, select");
  if (event.key === "Escape") {
    if (typing) typing.blur();
    else if (route.startsWith("tickets/")) app.go("#/board");
    return;
  }
  if (typing) {
    if (event.key === "Enter" && typing.type === "search") step(1, true);
    return;
  }
  const key = event.key;
  if (Date.now() < chord) {
    chord = 0;
    const found = Object.entries(VIEWS).find(([, one]) => one.key === key);
    if (found) app.go(`#/${found[0]}`);
  } else if (key === "g") chord = Date.now() + 1500;
  else if (key === "?") help();
  else if (key === "/") focusFilter();
  else if (key === "j") step(1);
  else if (key === "k") step(-1);
  else if (key === "r") refresh();
  else if (key === "t") switchTheme();
  else if (key === "m" && view?.ticket?.()) ACTIONS.message(view.ticket(), app);
  else if (/^[1-9]$/.test(key) && view?.parts) view.parts(Number(key));
  else return;
  event.preventDefault();
}

function focusFilter() {
  const field = $("main").querySelector("input[type=search]");
  field?.focus();
  field?.select();
}

/** Move the focus to the next or previous row that is shown. */
function step(by, first = false) {
  const rows = [...$("main").querySelectorAll("[data-row]")].filter((row) => row.checkVisibility?.() ?? row.offsetParent !== null);
  const at = rows.indexOf(document.activeElement.closest?.("[data-row]"));
  const next = first || at < 0 ? (by > 0 ? 0 : rows.length - 1) : Math.min(Math.max(at + by, 0), rows.length - 1);
  rows[next]?.focus();
  rows[next]?.scrollIntoView({ block: "nearest" });
}

start();
