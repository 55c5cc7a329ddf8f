// What happened with a ticket, and why it is, or is not, being worked on.

import { Refused, request, ticketPath } from "./api.js";
import { budget } from "./health.js";
import { button, h, keyed, say, show } from "./dom.js";
import { clock, day, duration, line, moment } from "./format.js";

const PAGE = 100;
const LOOK_MS = 2000;
const ENTRIES_MAX = 2000; // and as many more as were asked for

export function timeline(app, identifier) {
  const list = h("ol", { class: "timeline" });
  const note = h("p", { class: "empty" }, "Loading…");
  const older = h("div", { class: "older", hidden: true }, button("Show what came before", () => look(before)));
  const element = h("div", {}, list, note, older);
  const known = new Map();
  let [before, begun, busy, dirty, last, most] = [null, false, false, true, 0, ENTRIES_MAX];

  async function look(place = null) {
    if (busy || document.hidden || app.lostSince !== null) return;
    if (place === null && Date.now() - last < LOOK_MS) return;
    busy = true;
    if (place === null) [dirty, last] = [false, Date.now()];
    try {
      const page = await request(ticketPath(identifier, `/timeline?limit=${PAGE}${place === null ? "" : `&before=${place}`}`));
      const fresh = page.entries.filter((one) => !known.has(sign(one))).length;
      // More came than a page holds: what is between is fetched again from here.
      if (begun && place === null && fresh === page.entries.length && fresh === PAGE) known.clear();
      for (const one of page.entries) known.set(sign(one), one);
      if (!begun || place !== null || known.size === page.entries.length) before = page.before ?? null;
      begun = true;
      if (place !== null) most = Math.max(ENTRIES_MAX, known.size);
      draw();
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      show(note, known.size === 0);
      say(note, error.message);
    } finally {
      busy = false;
    }
  }

  function draw() {
    const entries = [...known.values()].sort((a, b) => b.sequence - a.sequence);
    if (entries.length > most) {
      for (const one of entries.splice(most)) known.delete(sign(one));
      before = entries.at(-1).sequence + 1; // others can have the same sequence
    }
    keyed(list, entries, sign, entryOf, () => {});
    show(note, entries.length === 0);
    say(note, "Nothing has happened yet.");
    show(older, before !== null);
  }

  return {
    element,
    update(view, changed) {
      dirty ||= changed;
      if (dirty) look();
    },
    tick: () => dirty && look(),
  };
}

const sign = (one) => `${one.sequence} ${one.kind} ${one.text}`;

function entryOf(one) {
  const kind = line(one.kind, 40).replaceAll("_", " ");
  return h(
    "li",
    { class: one.failed ? "failed" : `kind-${line(one.kind, 40).replace(/[^a-z]+/g, "-")}` },
    h("time", { title: moment(one.at_ms) }, `${day(one.at_ms)}, ${clock(one.at_ms)}`),
    h("p", { dir: "auto" }, line(one.text, 1000)),
    h("p", { class: "muted" }, one.generation ? `${kind} · run ${one.generation}` : kind),
  );
}

/** The conditions on a ticket, its budgets, what is being done and how its last runs ended. */
export function rules(app) {
  const sentence = h("p", { class: "sentence" });
  const list = h("ul", { class: "rules" });
  const budgets = h("div", { class: "budgets" });
  const pending = h("ul", { class: "plain" });
  const history = h("ul", { class: "plain" });
  const blocks = [
    [h("h2", {}, "Why"), sentence, list],
    [h("h2", {}, "Budgets"), budgets],
    [h("h2", {}, "Being done right now"), pending],
    [h("h2", {}, "Last runs"), history],
  ].map((children) => h("section", { hidden: true }, children));
  return {
    element: h("div", { class: "explained" }, blocks),
    update(found) {
      show(blocks[0], true);
      say(sentence, line(found.sentence, 1000));
      keyed(
        list,
        found.rules,
        (one) => `${one.name} ${one.holds} ${one.text}`,
        (one) =>
          h(
            "li",
            { class: one.holds ? "holds" : "stands-in-the-way" },
            h("span", { class: "unseen" }, one.holds ? "Holds: " : "Does not hold: "),
            h("span", { dir: "auto" }, line(one.text, 500)),
            !one.holds && one.since_ms ? h("span", { class: "muted" }, ` for ${duration(app.now() - one.since_ms)}`) : null,
          ),
        () => {},
      );
      show(blocks[1], found.budgets.length > 0);
      keyed(budgets, found.budgets, (one) => `${one.scope} ${one.unit}`, budget, (row, one) => row.update(one));
      show(blocks[2], found.pending.length > 0);
      const doing = found.pending.map((key) => key.split("/").pop().replaceAll("-", " "));
      keyed(pending, doing, (one) => one, (one) => h("li", {}, line(one, 100)), () => {});
      show(blocks[3], found.history.length > 0);
      keyed(history, found.history, (one) => one, (one) => h("li", { dir: "auto" }, line(one, 300)), () => {});
    },
  };
}
