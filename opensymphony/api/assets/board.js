// Every ticket, grouped by where it stands.

import { h, icon, keyed, say, set, show } from "./dom.js";
import { PHASES, duration, line, money, plural, short, stage, tokens, waits, why } from "./format.js";

const GROUPS = [
  { name: "running", label: PHASES.running, has: (one) => !waits(one) && (one.phase === "running" || one.phase === "stopping") },
  { name: "needs_person", label: PHASES.needs_person, has: waits },
  { name: "retrying", label: PHASES.retrying, has: (one) => one.phase === "retrying" },
  { name: "in_review", label: PHASES.in_review, has: (one) => one.phase === "in_review" },
  { name: "waiting_to_start", label: PHASES.waiting_to_start, has: (one) => one.phase === "waiting_to_start" },
  { name: "closed", label: "Closed and others", has: () => true, folded: true },
];

const SORTS = {
  order: ["Start order", () => 0],
  longest: ["Longest", (a, b) => began(a) - began(b)],
  cost: ["Most expensive", (a, b) => b.usage.cost_micros - a.usage.cost_micros],
  tokens: ["Most tokens", (a, b) => tokens(b.usage) - tokens(a.usage)],
  name: ["Name", (a, b) => a.identifier.localeCompare(b.identifier, "en", { numeric: true })],
};

const remembered = { filter: "", sort: "order", folded: new Set(["closed"]) };

const began = (one) => (one.phase === "running" && one.started_ms) || one.since_ms || 0;

export function board(app) {
  let seen = null;
  const filter = h("input", {
    type: "search",
    placeholder: "Filter",
    "aria-label": "Filter tickets",
    autocomplete: "off",
    spellcheck: "false",
    value: remembered.filter,
    oninput: () => ((remembered.filter = filter.value), draw()),
    onkeydown: (event) => {
      if (event.key === "Escape" && filter.value) {
        filter.value = remembered.filter = "";
        draw();
        event.stopPropagation();
      }
    },
  });
  const sort = h(
    "select",
    { "aria-label": "Order of tickets", onchange: () => ((remembered.sort = sort.value), draw()) },
    Object.entries(SORTS).map(([name, [label]]) => h("option", { value: name, selected: name === remembered.sort }, label)),
  );
  const groups = GROUPS.map((one) => group(one, draw));
  const summary = h("p", { class: "summary" });
  const empty = h("div", { class: "empty", hidden: true });
  const element = h(
    "section",
    { class: "board", "aria-labelledby": "view-title" },
    h(
      "div",
      { class: "view-head" },
      h("h1", { id: "view-title" }, "Board"),
      summary,
      h("div", { class: "view-tools" }, h("div", { class: "filter" }, filter, h("kbd", { "aria-hidden": "true" }, "/")), sort),
    ),
    h(
      "div",
      { class: "row row-head", "aria-hidden": "true" },
      ["", "Ticket", "", "Stage", "Review", "For", "Tokens", "Cost"].map((text) => h("span", {}, text)),
    ),
    groups.map((one) => one.element),
    empty,
  );

  function draw() {
    if (seen === null) return;
    const words = remembered.filter.toLowerCase().split(/\s+/).filter(Boolean);
    const found = words.length ? seen.tickets.filter((one) => matches(one, words)) : seen.tickets;
    const left = new Set(found);
    for (const one of groups) {
      const mine = found.filter((view) => left.has(view) && one.has(view));
      for (const view of mine) left.delete(view);
      if (remembered.sort !== "order") mine.sort(SORTS[remembered.sort][1]);
      one.update(mine, app.now(), words.length > 0);
    }
    const all = seen.tickets.length;
    say(summary, words.length ? `${plural(found.length, "ticket")} of ${all}` : plural(all, "ticket"));
    show(empty, found.length === 0);
    say(empty, all === 0 ? "No ticket is known. As soon as the tracker has one that is ours, it stands here." : "No ticket matches the filter.");
  }

  return {
    element,
    title: "Board",
    update: (snapshot) => ((seen = snapshot), draw()),
    tick: () => groups.forEach((one) => one.tick(app.now())),
  };
}

function matches(one, words) {
  const text = [one.identifier, one.title, one.state, PHASES[one.phase], one.stage, one.reason, one.branch, ...one.labels].join(" ").toLowerCase();
  return words.every((word) => text.includes(word));
}

function group(kind, redraw) {
  const count = h("span", { class: "count" });
  const list = h("ul", { class: "rows", id: `group-${kind.name}` });
  const head = h(
    "button",
    {
      type: "button",
      class: "group-head",
      "data-row": true,
      "aria-expanded": "true",
      "aria-controls": list.id,
      onclick: () => {
        if (!remembered.folded.delete(kind.name)) remembered.folded.add(kind.name);
        redraw();
      },
    },
    icon("fold"),
    h("span", { class: `dot ${kind.name}`, "aria-hidden": "true" }),
    h("span", { class: "name" }, kind.label),
    count,
  );
  const element = h("section", { class: "group", hidden: true, "aria-label": kind.label }, h("h2", {}, head), list);
  let rows = [];
  return {
    element,
    has: kind.has,
    update(views, now, filtering) {
      const open = filtering || !remembered.folded.has(kind.name);
      show(element, views.length > 0);
      say(count, String(views.length));
      set(head, "aria-expanded", String(open));
      show(list, open);
      rows = open ? views : [];
      keyed(list, rows, (view) => view.id, row, (made, view) => made.update(view, now));
    },
    tick(now) {
      for (const view of rows) list.keyedRows.get(view.id)?.tick(view, now);
    },
  };
}

function row() {
  const dot = h("span", { class: "dot" });
  const id = h("span", { class: "id", dir: "auto" });
  const title = h("span", { class: "title", dir: "auto" });
  const reason = h("span", { class: "reason", dir: "auto" });
  const stageChip = h("span", { class: "chip" });
  const labels = h("span", { class: "labels" });
  const pull = h("span", { class: "chip pull" });
  const time = h("span", { class: "num time" });
  const used = h("span", { class: "num" });
  const cost = h("span", { class: "num" });
  const link = h(
    "a",
    { class: "row", "data-row": true },
    h("span", { class: "mark", "aria-hidden": "true" }, dot),
    id,
    h("span", { class: "text" }, h("span", { class: "first" }, title, labels), reason),
    h("span", { class: "stage" }, stageChip),
    h("span", { class: "review" }, pull),
    time,
    used,
    cost,
  );

  let [known, spoken] = ["", ""];

  function tick(view, now) {
    const [text, words] = howLong(view, now);
    say(time, text);
    if (words !== spoken) set(time, "title", (spoken = words));
  }

  return {
    element: h("li", {}, link),
    tick,
    update(view, now) {
      tick(view, now);
      // Of a thousand tickets nearly all are as they were.
      const sign = JSON.stringify(view);
      if (sign === known) return;
      known = sign;
      set(link, "href", `#/tickets/${encodeURIComponent(view.identifier)}`);
      set(dot, "class", `dot ${dotOf(view)}`);
      say(id, line(view.identifier, 80));
      say(title, line(view.title, 300));
      const text = line(why(view), 400);
      say(reason, text);
      set(reason, "class", view.error && view.phase !== "in_review" ? "reason failed" : "reason");
      const step = view.paused ? "paused" : stage(view) || (view.phase === "stopping" ? "stopping" : view.asked ? view.asked.kind : line(view.state, 30));
      say(stageChip, step);
      set(stageChip, "class", `chip ${view.paused ? "paused" : view.asked ? "asked" : ""}`);
      show(pull, view.pull_request || view.verified !== null);
      const [told, kind] = reviewOf(view);
      say(pull, told);
      set(pull, "class", `chip pull ${kind}`);
      keyed(labels, view.labels.slice(0, 3), (one) => one, (one) => h("span", { class: "label" }, line(one, 24)), () => {});
      say(used, tokens(view.usage) ? short(tokens(view.usage)) : "");
      say(cost, view.usage.cost_micros ? money(view.usage.cost_micros) : "");
    },
  };
}

export function dotOf(view) {
  if (waits(view)) return "needs_person";
  return view.phase;
}

/** What became of the work so far: its pull request, else whether it was verified. */
export function reviewOf(view) {
  const pull = view.pull_request;
  if (pull) {
    const threads = pull.open_threads ? ` · ${pull.open_threads}` : "";
    return [`PR ${pull.state}${threads}`, pull.state];
  }
  if (view.verified === true) return ["verified", "verified"];
  if (view.verified === false) return ["not verified", "unverified"];
  return ["", ""];
}

function howLong(view, now) {
  if (view.due_ms && view.due_ms > now) return [`in ${duration(view.due_ms - now)}`, "until it goes on"];
  if (view.pull_request?.starts_ms > now) return [`in ${duration(view.pull_request.starts_ms - now)}`, "until its review starts it again"];
  const from = began(view);
  return from ? [duration(now - from), "in this phase"] : ["", ""];
}
