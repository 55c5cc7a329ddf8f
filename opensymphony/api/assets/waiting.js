// What waits for a person: approvals, questions, and tickets that cannot go on by themselves.

import { ACTIONS, draftOf, isShortened, questionOf, sendMessage } from "./dialogs.js";
import { button, h, keyed, say, set, show } from "./dom.js";
import { clean, duration, line, plural, waits } from "./format.js";

export function waiting(app) {
  const list = h("ul", { class: "cards" });
  const summary = h("p", { class: "summary" });
  const empty = h("div", { class: "empty", hidden: true }, h("p", {}, "Nothing waits for you."), h("p", { class: "muted" }, "Questions and approvals of agents come here, and tickets that need a person."));
  const element = h(
    "section",
    { class: "waiting", "aria-labelledby": "view-title" },
    h("div", { class: "view-head" }, h("h1", { id: "view-title" }, "Waiting for you"), summary),
    list,
    empty,
  );
  let found = [];
  return {
    element,
    title: "Waiting for you",
    update(snapshot) {
      found = snapshot.tickets.filter(waits).sort((a, b) => Number(Boolean(b.asked)) - Number(Boolean(a.asked)) || a.since_ms - b.since_ms);
      keyed(list, found, (one) => `${one.id} ${one.asked?.digest ?? ""}`, () => inList(asked(app, true)), (card, one) => card.update(one));
      show(empty, found.length === 0);
      say(summary, found.length ? plural(found.length, "ticket") : "");
    },
    tick: () => found.forEach((one) => list.keyedRows.get(`${one.id} ${one.asked?.digest ?? ""}`)?.update(one)),
  };
}

const inList = (card) => ({ element: h("li", {}, card.element), update: card.update });

let numbers = 0;

/** What one ticket waits for, with the ways to go on. `named`: it says which ticket it is. */
export function asked(app, named) {
  const id = `answer-${++numbers}`;
  const [who, what] = [h("span", { class: "id" }), h("span", { dir: "auto" })];
  const name = h("a", { class: "card-title", "data-row": named }, who, " ", what);
  const kind = h("span", { class: "chip asked" });
  const time = h("span", { class: "muted" });
  const words = h("pre", { class: "quote", tabindex: 0, role: "region", "aria-label": "What it says", dir: "auto" });
  const digest = h("p", { class: "muted digest" });
  const answer = h("textarea", {
    id,
    rows: 2,
    maxlength: 16_000,
    placeholder: "Your answer; Ctrl+Enter sends it",
    oninput: ready,
    onkeydown: (event) => event.key === "Enter" && (event.ctrlKey || event.metaKey) && sendAnswer(),
  });
  const send = button("Send the answer", sendAnswer, { class: "primary", disabled: true });
  const field = h("div", { class: "field" }, h("label", { for: id, class: "unseen" }, "Your answer"), answer, send);
  const approve = button("Approve…", () => ACTIONS.approve(view), { class: "primary" });
  const reject = button("Refuse…", () => ACTIONS.reject(view), { class: "danger" });
  const retry = button("Retry", () => ACTIONS.retry(view), { class: "primary" });
  const message = button("Message…", () => ACTIONS.message(view, app));
  const actions = h("div", { class: "actions" }, approve, reject, retry, message);
  const element = h(
    "article",
    { class: "card" },
    h("header", {}, named ? name : null, kind, time),
    words,
    digest,
    field,
    actions,
  );
  let [view, busy] = [null, false];

  function ready() {
    set(send, "disabled", busy || !answer.value.trim());
  }

  async function sendAnswer() {
    const text = answer.value;
    if (!text.trim() || busy) return;
    busy = true;
    ready();
    try {
      await sendMessage(app, view, questionOf(view), text, () => {
        if (answer.value === text) answer.value = "";
        ready();
      });
    } finally {
      busy = false;
      ready();
    }
  }

  return {
    element,
    update(one) {
      if (view === null) {
        answer.value = draftOf(one);
        ready();
      }
      view = one;
      const want = one.asked;
      if (named) {
        say(who, line(one.identifier, 80));
        say(what, line(one.title, 200));
        set(name, "href", `#/tickets/${encodeURIComponent(one.identifier)}`);
      }
      say(kind, want === null ? "needs a person" : want.kind);
      const now = app.now();
      const left = want ? (want.expires_ms > now ? `, ${duration(want.expires_ms - now)} left` : ", the time is over") : "";
      const from = want ? want.asked_ms : one.since_ms;
      say(time, from ? `for ${duration(now - from)}${left}` : "");
      say(words, clean(want ? want.text : one.error || one.reason || "It cannot go on by itself.", 20_000));
      set(words, "class", want?.kind === "approval" ? "quote" : "quote prose");
      show(digest, want?.kind === "approval");
      const part = want && isShortened(want.text) ? "only the beginning is shown; " : "";
      say(digest, want ? `${part}digest ${want.digest.slice(0, 12)}` : "");
      set(digest, "title", want?.digest);
      show(field, want?.kind === "question");
      show(approve, want?.kind === "approval");
      show(reject, want?.kind === "approval");
      show(retry, want === null);
      show(actions, want?.kind !== "question");
    },
  };
}
