// What was said and done in a ticket's conversation, live.

import { Refused, request, ticketPath } from "./api.js";
import { button, h, say, set, show } from "./dom.js";
import { delta, lines, parse } from "./diff.js";
import { clean, line, plural } from "./format.js";

const PAGE = 200;
const LOOK_MS = 1500;
const ENTRIES_MAX = 2000; // of who follows; what came before is loaded again on demand
const PREVIEW_LINES = 10;
const PREVIEW_CHARS = 2000;
const WHOLE_CHARS = 200_000;
const FOLLOW_PX = 120;

export function transcript(app, identifier) {
  const list = h("ol", { class: "talk", "aria-label": "Transcript" });
  const older = h("div", { class: "older", hidden: true });
  const note = h("p", { class: "empty" }, "Loading…");
  const follow = button("↓ Newest", () => toEnd(), { class: "follow", hidden: true });
  const element = h("div", { class: "transcript" }, older, list, note, follow);
  const calls = new Map();
  let [conversation, before, after, last] = [null, null, null, 0];
  let [busy, dirty, gone, running, begun] = [false, true, false, false, true];

  async function look() {
    if (busy || gone || document.hidden || app.lostSince !== null) return;
    if (!begun) return say(note, "No conversation yet: the agent has not begun.");
    [busy, dirty, last] = [true, false, Date.now()];
    try {
      const known = conversation !== null;
      const query = known ? `?limit=500&after=${after}` : `?limit=${PAGE}`;
      const page = await request(ticketPath(identifier, `/transcript${query}`));
      if (gone) return;
      if (known && page.conversation_id !== conversation) return again();
      const first = conversation === null;
      conversation = page.conversation_id;
      if (first) before = page.before ?? null;
      const near = first || isNear();
      append(page.entries, list);
      after = page.after ?? after;
      if (near) forget();
      if (page.entries.length === 500) dirty = true;
      show(note, list.children.length === 0);
      say(note, "Nothing was said yet.");
      drawOlder();
      if (page.entries.length && element.offsetParent !== null) near && running ? toEnd() : show(follow, running && !near);
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      show(note, list.children.length === 0);
      say(note, error.code === "no_conversation" ? "No conversation yet: the agent has not begun." : error.message);
    } finally {
      busy = false;
    }
  }

  function again() {
    [conversation, before, after] = [null, null, null];
    calls.clear();
    list.replaceChildren();
    dirty = true;
  }

  function append(entries, place) {
    let thought = "";
    for (const entry of entries) {
      const call = entry.kind !== "call" && entry.call_id ? calls.get(entry.call_id) : null;
      if (call) {
        call.result(entry);
        call.element.lastSeq = entry.seq;
      } else {
        // A call that repeats the thought before it has nothing to add.
        const made = entryOf(entry.kind === "call" && entry.text === thought ? { ...entry, text: "" } : entry);
        thought = entry.kind === "thought" ? entry.text : "";
        if (entry.kind === "call" && entry.call_id) calls.set(entry.call_id, made);
        [made.element.seq, made.element.lastSeq] = [entry.seq, entry.seq];
        if (entry.kind === "call") made.element.callId = entry.call_id;
        place.append(made.element);
      }
    }
  }

  /** A call whose result stands behind others goes with them: what is loaded again has both. */
  function forget() {
    let newest = -1;
    while (list.children.length > ENTRIES_MAX || (list.children.length > PAGE && newest >= list.firstChild.seq)) {
      const one = list.firstChild;
      newest = Math.max(newest, one.lastSeq);
      calls.delete(one.callId);
      one.remove();
      before = list.firstChild.seq;
    }
  }

  function drawOlder() {
    show(older, before !== null);
    if (before !== null && !older.firstChild) older.append(button("Show what came before", loadOlder));
  }

  async function loadOlder() {
    if (busy) return;
    busy = true;
    try {
      const page = await request(ticketPath(identifier, `/transcript?limit=${PAGE}&before=${before}`));
      if (gone || page.conversation_id !== conversation) return;
      const place = document.createDocumentFragment();
      const height = document.documentElement.scrollHeight;
      append(page.entries, place);
      list.prepend(place);
      before = page.before ?? null;
      drawOlder();
      window.scrollBy(0, document.documentElement.scrollHeight - height);
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      say(note, error.message);
      show(note, true);
    } finally {
      busy = false;
    }
  }

  const isNear = () => window.innerHeight + window.scrollY > document.documentElement.scrollHeight - FOLLOW_PX;
  function toEnd() {
    show(follow, false);
    window.scrollTo(0, document.documentElement.scrollHeight);
  }
  const scrolled = () => isNear() && show(follow, false);
  window.addEventListener("scroll", scrolled, { passive: true });

  return {
    element,
    update(view, changed) {
      running = view.phase === "running" || view.phase === "stopping";
      begun = view.conversation_id !== null || conversation !== null;
      if (changed) dirty = true;
      if (dirty) look();
    },
    tick: () => (dirty || (running && Date.now() - last > LOOK_MS)) && look(),
    leave() {
      gone = true;
      window.removeEventListener("scroll", scrolled);
    },
  };
}

const WHO = { prompt: "OpenSymphony", message: "Agent", question: "Agent asks", error: "Error", plan: "Plan", condensation: "Summary of what came before" };

/** One entry as an element; a call can be given its result later. */
export function entryOf(entry) {
  if (entry.kind === "call" || entry.kind === "result") return callOf(entry);
  const time = at(entry.at);
  if (entry.kind === "status") return { element: h("li", { class: "entry status" }, h("span", { dir: "auto" }, line(entry.text, 400)), time) };
  if (entry.kind === "thought") {
    return { element: h("li", { class: "entry thought" }, text(entry.text, "Thought"), time) };
  }
  const known = entry.kind in WHO ? entry.kind : "other";
  return {
    element: h(
      "li",
      { class: `entry ${known}` },
      h("p", { class: "who" }, h("span", {}, WHO[known] ?? line(entry.tool || entry.kind, 60)), time),
      text(entry.text, WHO[known] ?? "Text"),
    ),
  };
}

function callOf(entry) {
  const state = h("span", { class: "exit" });
  const output = h("div", { class: "output" });
  let given = null;
  const shell = Boolean(entry.command);
  const path = h("span", { class: "path", dir: "ltr" }, line(entry.path ?? "", 300));
  const head = shell
    ? h("pre", { class: "command", dir: "ltr" }, h("span", { class: "prompt-sign", "aria-hidden": "true" }, "$ "), clean(entry.command, 4000))
    : h("p", { class: "tool" }, h("span", { class: "tool-name" }, line(entry.tool || "tool", 60)), " ", path);
  const element = h("li", { class: "entry call" }, h("div", { class: "call-head" }, head, state, at(entry.at)), output);

  function result(found) {
    const failed = Boolean(found.failed) || found.kind === "error" || (found.exit_code ?? 0) !== 0;
    element.classList.toggle("failed", failed);
    const code = found.exit_code ?? null;
    say(state, code !== null ? `exit ${code}` : failed ? "failed" : "done");
    set(state, "class", failed ? "exit bad" : "exit good");
    if (found.path && !path.textContent) say(path, line(found.path, 300));
    if (found.diff || found.kind === "plan") given?.remove();
    if (found.diff) {
      output.append(changed(found));
    }
    if (found.text && !(found.diff && !failed)) output.append(text(found.text, "Output", true));
  }

  if (entry.kind === "result") result(entry);
  else {
    say(state, "running");
    set(state, "class", "exit open");
    if (entry.diff) output.append(changed(entry));
    else if (!shell && entry.arguments) output.append((given = text(pretty(entry.arguments), "Arguments", true)));
    if (entry.text) element.prepend(text(entry.text, "Thought"));
  }
  return { element, result };
}

function changed(entry) {
  const found = parse(entry.diff);
  const label = `Changes of ${line(entry.path || "a file", 200)}`;
  return h(
    "div",
    { class: "edit" },
    found.map((file) => h("div", {}, delta(file.added, file.deleted), lines(file, label))),
  );
}

function pretty(json) {
  try {
    return JSON.stringify(JSON.parse(json), null, 2);
  } catch {
    return json;
  }
}

function at(time) {
  const found = /T?(\d{2}:\d{2}:\d{2})/.exec(time ?? "");
  return found ? h("time", { title: line(time, 40) }, found[1]) : null;
}

/** Text of any length: its beginning, and the rest when it is wanted. */
export function text(value, label, mono = false) {
  const whole = clean(value, WHOLE_CHARS).replace(/\n+$/, "");
  const all = whole.split("\n");
  let part = all.slice(0, PREVIEW_LINES).join("\n");
  if (part.length > PREVIEW_CHARS) part = part.slice(0, PREVIEW_CHARS);
  const body = mono ? h("pre", { class: "text", dir: "ltr" }) : h("div", { class: "text prose", dir: "auto" });
  const fits = whole.length <= part.length || (all.length <= PREVIEW_LINES + 3 && whole.length <= PREVIEW_CHARS);
  body.textContent = fits ? whole : part;
  if (fits) return body;
  const left = all.length - PREVIEW_LINES;
  const closed = left > 0 ? `Show all ${plural(all.length, "line")}` : "Show the rest";
  const fold = button(closed, () => {
    const open = fold.getAttribute("aria-expanded") === "true";
    body.textContent = open ? part : whole;
    body.classList.toggle("cut", open);
    set(fold, "aria-expanded", String(!open));
    say(fold, open ? closed : "Show less");
  }, { class: "unfold", "aria-expanded": "false", "aria-label": `${label}: ${closed.toLowerCase()}` });
  body.classList.add("cut");
  return h("div", { class: "folded" }, body, fold);
}
