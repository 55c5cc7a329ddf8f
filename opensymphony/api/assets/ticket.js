// One ticket: where it stands and why, what happened, what was said, what changed, and what can be done.

import { Refused, request, ticketPath } from "./api.js";
import { dotOf, reviewOf } from "./board.js";
import { files } from "./diff.js";
import { ACTIONS } from "./dialogs.js";
import { button, h, icon, keyed, outside, say, set, show } from "./dom.js";
import { PHASES, count, duration, line, money, moment, plural, stage, tokens, waits, why } from "./format.js";
import { rules, timeline } from "./timeline.js";
import { text, transcript } from "./transcript.js";
import { asked } from "./waiting.js";

const LOOK_MS = 2000;

const PARTS = { timeline: "Timeline", transcript: "Transcript", changes: "Changes", checks: "Verification" };

export function ticket(app, identifier) {
  const path = `#/tickets/${encodeURIComponent(identifier)}`;
  const head = heading(app, identifier);
  const facts = h("dl", { class: "facts" });
  const missing = h("p", { class: "empty", hidden: true });
  const need = h("div", { class: "need", hidden: true });
  const reasons = rules(app);
  const made = {
    timeline: timeline(app, identifier),
    transcript: transcript(app, identifier),
    changes: fetched(app, identifier, "changes", showChanges, "no_workspace", "There is no workspace, so nothing is changed in it."),
    checks: fetched(app, identifier, "verifications", showChecks, "", ""),
  };
  const tabs = {};
  const panels = {};
  for (const [at, [name, label]] of Object.entries(PARTS).entries()) {
    tabs[name] = h(
      "button",
      {
        type: "button",
        role: "tab",
        id: `tab-${name}`,
        "aria-controls": `panel-${name}`,
        title: `${label} (${at + 1})`,
        onclick: () => app.go(`${path}/${name}`),
      },
      label,
    );
    panels[name] = h("div", { role: "tabpanel", id: `panel-${name}`, "aria-labelledby": `tab-${name}`, tabindex: -1, hidden: true }, made[name].element);
  }
  const tablist = h("div", { class: "tabs", role: "tablist", "aria-label": "Parts of the ticket", onkeydown: arrows }, Object.values(tabs));
  const body = h(
    "div",
    { class: "ticket-body" },
    h("div", { class: "ticket-main" }, need, tablist, Object.values(panels)),
    h("aside", { class: "ticket-side", "aria-label": "Facts" }, facts, reasons.element),
  );
  const element = h("article", { class: "ticket" }, head.element, missing, body);
  let [open, view, sign, explained] = ["", null, "", { sign: null, at: 0, busy: false }];

  function arrows(event) {
    const by = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!by) return;
    const names = Object.keys(PARTS);
    const next = names[(names.indexOf(open) + by + names.length) % names.length];
    app.go(`${path}/${next}`);
    tabs[next].focus();
    event.preventDefault();
  }

  async function explain() {
    if (explained.busy || document.hidden || app.lostSince !== null) return;
    explained = { sign, at: Date.now(), busy: true };
    try {
      reasons.update(await request(ticketPath(identifier)));
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
    } finally {
      explained.busy = false;
    }
  }

  function draw(changed) {
    head.update(view, app.now());
    drawFacts(facts, view, app.now());
    show(need, waits(view));
    keyed(need, waits(view) ? [view] : [], (one) => one.asked?.digest ?? one.phase, () => asked(app, false), (card, one) => card.update(one));
    for (const [name, panel] of Object.entries(made)) if (name === open) panel.update(view, changed);
  }

  return {
    element,
    get title() {
      return line(identifier, 80);
    },
    ticket: () => view,
    part(name) {
      const wanted = name in PARTS ? name : open || "timeline";
      if (wanted === open) return;
      open = wanted;
      for (const one of Object.keys(PARTS)) {
        set(tabs[one], "aria-selected", String(one === open));
        set(tabs[one], "tabindex", one === open ? 0 : -1);
        show(panels[one], one === open);
      }
      if (view) made[open].update(view, true);
      if (window.scrollY > body.offsetTop) window.scrollTo(0, body.offsetTop);
    },
    parts: (number) => Object.keys(PARTS)[number - 1] && app.go(`${path}/${Object.keys(PARTS)[number - 1]}`),
    update(snapshot) {
      view = snapshot.tickets.find((one) => one.identifier === identifier) ?? null;
      show(missing, view === null);
      say(missing, `The daemon knows no ticket ${line(identifier, 80)}: it may have been closed or taken away.`);
      show(body, view !== null);
      if (view === null) return head.update(null, app.now());
      const now = JSON.stringify(view);
      const changed = now !== sign;
      sign = now;
      draw(changed);
      if (changed) explain();
    },
    tick() {
      if (view === null) return;
      head.tick(view, app.now());
      drawFacts(facts, view, app.now());
      made[open]?.tick?.(view);
      if (explained.sign !== sign && Date.now() - explained.at > LOOK_MS) explain();
    },
    leave: () => Object.values(made).forEach((one) => one.leave?.()),
  };
}

function heading(app, identifier) {
  const title = h("h1", { dir: "auto" });
  const dot = h("span", { class: "dot", "aria-hidden": "true" });
  const phase = h("span", { class: "phase" });
  const sentence = h("p", { class: "sentence", dir: "auto" });
  const links = h("span", { class: "links" });
  const tools = h("div", { class: "actions" });
  let view = null;
  const buttons = Object.fromEntries(
    [
      ["message", "Message"],
      ["retry", "Retry"],
      ["pause", "Pause"],
      ["resume", "Resume"],
      ["budget", "Spend more…"],
      ["rehydrate", "New conversation…"],
      ["stop", "Stop"],
    ].map(([name, label]) => [name, button(label, () => ACTIONS[name](view, app), { class: name === "stop" ? "danger" : "" })]),
  );
  tools.append(...Object.values(buttons));
  const element = h(
    "header",
    { class: "ticket-head" },
    h("p", { class: "crumbs" }, h("a", { href: "#/board" }, icon("back"), "Board"), h("span", { class: "id", dir: "auto" }, line(identifier, 80)), links),
    h("div", { class: "ticket-title" }, title, tools),
    h("p", { class: "where" }, dot, phase),
    sentence,
  );

  function tick(one, now) {
    const from = (one.phase === "running" && one.started_ms) || one.since_ms;
    const due = one.due_ms && one.due_ms > now ? `, goes on in ${duration(one.due_ms - now)}` : "";
    const step = stage(one);
    say(phase, [`${PHASES[one.phase]}${step ? `: ${step}` : ""}`, from ? ` for ${duration(now - from)}` : "", one.paused ? ", paused" : "", due].join(""));
  }

  return {
    element,
    tick,
    update(one, now) {
      view = one;
      show(tools, one !== null);
      if (one === null) return say(title, line(identifier, 80));
      say(title, line(one.title, 500) || line(identifier, 80));
      set(dot, "class", `dot ${dotOf(one)}`);
      say(sentence, line(one.asked ? one.reason : why(one), 1000));
      const places = [one.url && ["Ticket", one.url], one.pull_request && ["Pull request", one.pull_request.url]].filter(Boolean);
      keyed(links, places, (place) => place.join(" "), ([label, url]) => outside(url, label, { class: "out" }), () => {});
      const active = ["running", "retrying", "stopping"].includes(one.phase);
      show(buttons.stop, active);
      show(buttons.retry, ["retrying", "needs_person", "in_review"].includes(one.phase) && !one.asked);
      show(buttons.pause, !one.paused && one.phase !== "closed");
      show(buttons.resume, one.paused);
      show(buttons.rehydrate, one.conversation_id !== null && one.phase !== "closed");
      show(buttons.budget, one.phase === "needs_person" && /budget/.test(one.reason));
      show(buttons.message, one.phase !== "closed");
      say(buttons.message, one.asked?.kind === "question" ? "Answer" : "Message");
      tick(one, now);
    },
  };
}

function drawFacts(place, one, now) {
  const [review] = reviewOf(one);
  const facts = [
    ["State", line(one.state, 60)],
    ["Labels", one.labels.map((label) => line(label, 40)).join(", ")],
    ["Priority", one.priority],
    ["Run", one.generation || ""],
    ["Turns", one.turns || ""],
    ["Checks", one.attempts || ""],
    ["Failures", one.failures || ""],
    ["Review", review],
    ["Open threads", one.pull_request?.open_threads || ""],
    ["Tokens", tokens(one.usage) ? `${count(one.usage.prompt_tokens)} in, ${count(one.usage.completion_tokens)} out` : ""],
    ["From cache", one.usage.cache_read_tokens ? count(one.usage.cache_read_tokens) : ""],
    ["Model calls", one.usage.model_calls ? count(one.usage.model_calls) : ""],
    ["Cost", one.usage.cost_micros ? money(one.usage.cost_micros) : ""],
    ["Started", one.started_ms ? moment(one.started_ms) : ""],
    ["Took", one.started_ms && one.ended_ms ? duration(one.ended_ms - one.started_ms) : ""],
    ["Last activity", one.last_activity_ms && one.phase === "running" ? `${duration(now - one.last_activity_ms)} ago` : ""],
    ["Messages", one.messages ? `${one.messages} for its next turn` : ""],
    ["Branch", line(one.branch, 200), "code"],
    ["Commit", one.commit ? line(one.commit, 12) : "", "code"],
    ["Workspace", line(one.workspace, 400), "code"],
    ["Conversation", line(one.conversation_id, 60), "code"],
    ["Last run", line(one.outcome, 100)],
    ["Stands in for", line(one.conversation_reason, 300)],
    ["New conversation", line(one.rehydration, 300)],
  ].filter(([, value]) => value !== "" && value !== null && value !== undefined);
  keyed(
    place,
    facts,
    ([name]) => name,
    ([name, , kind]) => {
      const value = h("dd", { class: kind ?? "", dir: "auto" });
      return { element: h("div", {}, h("dt", {}, name), value), value };
    },
    (row, [, value]) => say(row.value, String(value)),
  );
}

/** A part that is fetched whole when the ticket has changed. */
function fetched(app, identifier, rest, draw, code, words) {
  const note = h("p", { class: "empty" }, "Loading…");
  const body = h("div", {});
  const element = h("div", {}, note, body);
  let [dirty, busy, last, sign] = [true, false, 0, ""];
  async function look() {
    if (busy || document.hidden || app.lostSince !== null || Date.now() - last < LOOK_MS) return;
    [busy, dirty, last] = [true, false, Date.now()];
    try {
      const found = await request(ticketPath(identifier, `/${rest}`));
      const now = JSON.stringify(found);
      if (now !== sign) {
        sign = now;
        const top = window.scrollY;
        body.replaceChildren(...draw(found));
        window.scrollTo(0, top);
      }
      show(note, false);
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      [sign] = [""];
      body.replaceChildren();
      show(note, true);
      say(note, code && error.code === code ? words : error.message);
    } finally {
      busy = false;
    }
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

function showChanges(found) {
  if (!found.diff.trim()) return [h("p", { class: "empty" }, "The agent has changed nothing yet.")];
  const cut = found.truncated ? h("p", { class: "banner warn" }, "There is more than can be shown here: look into the workspace.") : "";
  return [cut, files(found.diff)];
}

function showChecks(found) {
  if (!found.verifications.length) return [h("p", { class: "empty" }, "Nothing was verified yet.")];
  return found.verifications.map((one, at) =>
    h(
      "details",
      { class: "check", open: at === 0 },
      h(
        "summary",
        { "data-row": true },
        icon("fold"),
        h("span", { class: one.passed ? "exit good" : "exit bad" }, one.passed ? "passed" : "failed"),
        h("span", {}, `Run ${one.generation}`),
        one.exit_code !== null ? h("span", { class: "muted" }, `exit code ${one.exit_code}`) : null,
        h("time", { class: "muted" }, moment(one.at_ms)),
      ),
      one.output ? text(one.output, `Output, ${plural(one.output.split("\n").length, "line")}`, true) : h("p", { class: "muted" }, "It printed nothing."),
    ),
  );
}
