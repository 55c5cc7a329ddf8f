// Webhooks that came, what became of them, and once more please.

import { Refused, request } from "./api.js";
import { toast } from "./dialogs.js";
import { button, h, icon, keyed, say, set, show } from "./dom.js";
import { clean, clock, day, line, moment, plural } from "./format.js";

const LOOK_MS = 5000;
const EVENTS_MAX = 500; // and as many more as were asked for
const MATTERS = ["number", "outcome", "detail", "replays", "event", "ticket", "changes"];

export function deliveries(app) {
  const list = h("ul", { class: "rows deliveries" });
  const summary = h("p", { class: "summary" });
  const refused = h("p", { class: "muted refused", hidden: true });
  const empty = h("div", { class: "empty" }, "Loading…");
  const older = h("div", { class: "older", hidden: true }, button("Show earlier ones", () => look(oldest())));
  const element = h(
    "section",
    { "aria-labelledby": "view-title" },
    h("div", { class: "view-head" }, h("h1", { id: "view-title" }, "Incoming events"), summary),
    refused,
    list,
    empty,
    older,
  );
  const known = new Map();
  let [busy, last, ended, none, most] = [false, 0, false, false, EVENTS_MAX];
  const oldest = () => Math.min(...known.keys());

  async function look(before = null) {
    if (busy || none || document.hidden || app.lostSince !== null) return;
    busy = true;
    if (before === null) last = Date.now();
    try {
      const page = await request(`/api/v1/deliveries${before === null ? "" : `?before=${before}`}`);
      for (const one of page.deliveries) known.set(one.number, one);
      if (before !== null || known.size === page.deliveries.length) ended = page.deliveries.length === 0;
      if (before !== null) most = Math.max(EVENTS_MAX, known.size);
      const reasons = Object.entries(page.refused).map(([reason, number]) => `${number} ${reason.replaceAll("_", " ")}`);
      show(refused, reasons.length > 0);
      say(refused, `Turned away since the start: ${line(reasons.join(", "), 300)}`);
      say(empty, "No webhook has come yet.");
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      none = error.code === "no_webhooks"; // until the daemon starts again
      say(empty, error.code === "no_webhooks" ? "No webhooks are taken. Set public.port in opensymphony.toml to have events at once; without them the tracker is looked at from time to time." : error.message);
    } finally {
      busy = false;
    }
    draw();
  }

  function draw() {
    const all = [...known.values()].sort((a, b) => b.number - a.number);
    if (all.length > most) {
      for (const one of all.splice(most)) known.delete(one.number);
      ended = false;
    }
    keyed(list, all, (one) => one.number, () => row(() => look()), (made, one) => made.update(one));
    say(summary, all.length ? plural(all.length, "event") : "");
    show(empty, all.length === 0);
    show(older, all.length > 0 && !ended && oldest() > 1);
  }

  look();
  return { element, title: "Incoming events", update: () => last === 0 && look(), tick: () => Date.now() - last > LOOK_MS && look() };
}

function row(again) {
  const outcome = h("span", { class: "chip" });
  const event = h("span", { class: "event" });
  const ticket = h("span", { class: "id", dir: "auto" });
  const detail = h("span", { class: "reason", dir: "auto" });
  const time = h("time", { class: "num" });
  const body = h("div", { class: "delivery-body" });
  const details = h(
    "details",
    { class: "delivery", ontoggle: () => details.open && open() },
    h("summary", { class: "row", "data-row": true }, h("span", { class: "mark" }, icon("fold")), outcome, ticket, h("span", { class: "text" }, event, detail), time),
    body,
  );
  let [one, sign] = [null, ""];

  async function open() {
    const facts = [
      ["Number", one.number],
      ["Service", line(one.service, 40)],
      ["Id", line(one.id, 100)],
      ["Author", line(one.author, 200)],
      ["Changes", line(one.changes, 600)],
      ["Detail", line(one.detail, 600)],
      ["Replays", one.replays || ""],
    ].filter(([, value]) => value !== "");
    const replay = button("Replay", send, { class: "primary" });
    const content = h("pre", { class: "text", tabindex: 0, role: "region", "aria-label": "Body", dir: "ltr" }, "Loading…");
    body.replaceChildren(
      h("dl", { class: "facts" }, facts.map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", { dir: "auto" }, String(value))))),
      h("div", { class: "actions" }, replay),
      content,
    );
    try {
      const found = await request(`/api/v1/deliveries/${one.number}`);
      say(content, clean(JSON.stringify(found.body, null, 2), 60_000));
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      say(content, error.message);
    }
  }

  async function send() {
    try {
      await request(`/api/v1/deliveries/${one.number}/replay`, { method: "POST" });
      toast(`Event ${one.number} is looked at once more.`);
      again();
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      toast(error.message, { failed: true });
    }
  }

  return {
    element: h("li", {}, details),
    update(next) {
      one = next;
      const now = JSON.stringify(MATTERS.map((name) => next[name]));
      if (now === sign) return;
      sign = now;
      say(outcome, line(next.outcome, 20));
      set(outcome, "class", `chip outcome ${["looked", "ignored", "failed", "pending"].includes(next.outcome) ? next.outcome : ""}`);
      say(event, line(next.event, 80));
      say(ticket, line(next.ticket || next.ticket_id || "—", 80));
      say(detail, line(next.detail || next.changes, 300));
      say(time, `${day(next.received_ms)}, ${clock(next.received_ms)}`);
      set(time, "title", moment(next.received_ms));
      if (details.open) open();
    },
  };
}
