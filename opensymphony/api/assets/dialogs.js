// Dialogs that ask before something is done, and the short answers afterwards.

import { act, newRequestId, Refused } from "./api.js";
import { button, h } from "./dom.js";
import { clean, line } from "./format.js";

const TOAST_MS = 8000;
const TOASTS_MAX = 4;
const TEXT_MAX = 16_000;

let numbers = 0;

/** A modal dialog; resolves to what `read` gives when it is confirmed, to null when it is not. */
export function ask({ title, text, quote, fields = [], confirm, danger = false }) {
  return new Promise((resolve) => {
    const id = `dialog-${++numbers}`;
    const back = document.activeElement;
    const controls = fields.map((field) => made(field, id));
    const send = h("button", { type: "submit", class: danger ? "primary danger" : "primary" }, confirm);
    const dialog = h(
      "dialog",
      { "aria-labelledby": `${id}-title`, class: "dialog" },
      h(
        "form",
        {
          onsubmit: (event) => {
            event.preventDefault();
            const found = Object.fromEntries(controls.map((one) => [one.name, one.read()]));
            const empty = controls.find((one) => one.required && !String(one.read()).trim());
            if (empty) {
              empty.input.setCustomValidity("Write something first.");
              empty.input.reportValidity();
              return;
            }
            close(found);
          },
          novalidate: true,
        },
        h("h2", { id: `${id}-title` }, title),
        text ? h("p", {}, text) : null,
        quote ? h("pre", { class: "quote", tabindex: 0, role: "region", "aria-label": "The exact text" }, clean(quote, 20_000)) : null,
        controls.map((one) => one.element),
        h("div", { class: "dialog-foot" }, button("Cancel", () => close(null)), send),
      ),
    );
    dialog.addEventListener("cancel", (event) => {
      event.preventDefault();
      close(null);
    });
    dialog.addEventListener("click", (event) => event.target === dialog && close(null));
    document.body.append(dialog);
    dialog.showModal();
    (controls[0]?.input ?? send).focus();

    function close(result) {
      dialog.close();
      dialog.remove();
      back?.focus?.();
      resolve(result);
    }
  });
}

function made(field, id) {
  const name = field.name;
  if (field.kind === "check") {
    const input = h("input", { type: "checkbox", id: `${id}-${name}` });
    return { name, input, read: () => input.checked, element: h("label", { class: "check" }, input, h("span", {}, field.label)) };
  }
  const input = h("textarea", {
    id: `${id}-${name}`,
    rows: field.rows ?? 3,
    maxlength: TEXT_MAX,
    oninput: () => input.setCustomValidity(""),
    onkeydown: (event) => {
      if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) input.form.requestSubmit();
    },
  });
  input.value = field.value ?? "";
  const label = h("label", { for: input.id }, field.label);
  return { name, input, required: field.required, read: () => input.value, element: h("div", { class: "field" }, label, input) };
}

/** One line that goes away by itself; with `again` it stays until it is dealt with, or the same request (`about`) has other news. */
export function toast(text, { failed = false, again = null, about = null } = {}) {
  const stack = document.getElementById("toasts");
  for (const old of [...stack.children]) if (about !== null && old.about === about) old.remove();
  const one = h("div", { class: failed ? "toast failed" : "toast" }, h("p", {}, line(text, 600)));
  const gone = () => one.remove();
  if (again) one.append(button("Try again", () => (gone(), again())));
  one.append(button("×", gone, { class: "quiet", "aria-label": "Dismiss" }));
  one.about = about;
  one.stays = again !== null;
  const passing = [...stack.children].filter((old) => !old.stays);
  const many = stack.children.length - TOASTS_MAX + 1;
  if (many > 0) for (const old of passing.slice(0, many)) old.remove();
  stack.append(one);
  if (!again) setTimeout(gone, failed ? 2 * TOAST_MS : TOAST_MS);
}

const NOTHING = { objection: () => "", done: () => {}, refused: () => {} };

/**
 * Carry something out and tell how it went; with the same id again where nobody knows whether it was done. `hooks`: what stands
 * against it at each sending, and what follows when it was done, or was certainly not.
 */
export async function carryOut(action, identifier, fields = {}, hooks = NOTHING) {
  const requestId = fields.requestId ?? newRequestId();
  const where = identifier === null ? "" : `${line(identifier, 80)}: `;
  const objection = hooks.objection();
  if (objection) {
    toast(where + objection, { failed: true, about: requestId });
    hooks.refused();
    return;
  }
  try {
    const answer = await act(action, identifier, { ...fields, requestId });
    toast(where + answer.answer, { about: requestId });
    hooks.done();
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    const unsure = error.status === 0 || error.status === 503;
    const again = unsure ? () => carryOut(action, identifier, { ...fields, requestId }, hooks) : null;
    toast(where + error.message, { failed: true, again, about: requestId });
    if (!unsure) hooks.refused();
  }
}

/** By ticket: what was written and not taken yet, to which question, and the id under which nobody knows whether it was done. */
const drafts = new Map();

export const draftOf = (view) => drafts.get(view.id)?.text ?? "";

/** Whether what an agent wants is longer than what is shown of it; the digest is over all of it. */
export const isShortened = (text) => text.endsWith("(shortened; the digest is over all of it)");

/** The digest of the question that a ticket asks, null without one. */
export const questionOf = (view) => (view?.asked?.kind === "question" ? view.asked.digest : null);

/** Send what was written while `question` (a digest, or null) was shown. What is not taken is kept for the next opening. */
export function sendMessage(app, view, question, text, done = () => {}) {
  const kept = drafts.get(view.id);
  const same = kept?.text === text && kept.question === question;
  const draft = { text, question, requestId: (same && kept.requestId) || newRequestId() };
  drafts.set(view.id, draft);
  return carryOut("message", view.identifier, { text, requestId: draft.requestId }, {
    objection() {
      const now = questionOf(app.snapshot?.tickets.find((one) => one.id === view.id));
      if (now === question) return "";
      return `${now === null ? "it does not ask this any more" : "it asks something else by now"}: your text was not sent, and is kept.`;
    },
    done() {
      if (drafts.get(view.id) === draft) drafts.delete(view.id);
      done();
    },
    refused: () => (draft.requestId = null),
  });
}

const REASON = { name: "text", label: "Why (shown with the ticket)" };

/** What can be done about a ticket: the question that comes before it, and the request. */
export const ACTIONS = {
  async stop(view) {
    const given = await ask({
      title: `Stop ${line(view.identifier, 80)}?`,
      text: "The agent is interrupted. What it has committed stays; the ticket waits for a person afterwards.",
      fields: [REASON],
      confirm: "Stop the run",
      danger: true,
    });
    return given && carryOut("stop", view.identifier, given);
  },
  async retry(view) {
    const given = await ask({
      title: `Try ${line(view.identifier, 80)} again?`,
      text: "It is started again as soon as it may.",
      confirm: "Try again now",
    });
    return given && carryOut("retry", view.identifier);
  },
  async pause(view) {
    const given = await ask({
      title: `Pause ${line(view.identifier, 80)}?`,
      text: "It is not worked on until you resume it.",
      fields: [{ name: "finish", kind: "check", label: "Let the agent finish what it is doing" }, REASON],
      confirm: "Pause",
    });
    return given && carryOut("pause", view.identifier, given);
  },
  async resume(view) {
    const given = await ask({
      title: `Resume ${line(view.identifier, 80)}?`,
      text: "It is worked on again as soon as it may.",
      confirm: "Resume it",
    });
    return given && carryOut("resume", view.identifier);
  },
  async message(view, app) {
    const question = view.asked?.kind === "question" ? view.asked.text : null;
    const given = await ask({
      title: question ? `Answer ${line(view.identifier, 80)}` : `Message to the agent of ${line(view.identifier, 80)}`,
      text: question ? null : "It reads this with its next turn. A ticket that waits or is in review is started again.",
      quote: question,
      fields: [{ name: "text", label: question ? "Your answer" : "Message", rows: 5, required: true, value: draftOf(view) }],
      confirm: question ? "Send the answer" : "Send",
    });
    return given && sendMessage(app, view, questionOf(view), given.text);
  },
  async rehydrate(view) {
    const given = await ask({
      title: `Go on with ${line(view.identifier, 80)} in another conversation?`,
      text: "The new one is told what was done. A run that is at work is stopped and goes on in it; the old one is kept.",
      fields: [REASON],
      confirm: "Begin another conversation",
    });
    return given && carryOut("rehydrate", view.identifier, given);
  },
  async budget(view) {
    const given = await ask({
      title: `Let ${line(view.identifier, 80)} spend its budget once more?`,
      text: "Its own budget then counts once more for it, and it goes on.",
      fields: [REASON],
      confirm: "Let it spend",
    });
    return given && carryOut("budget", view.identifier, given);
  },
  async approve(view) {
    const { text, digest } = view.asked;
    const given = await ask({
      title: `Let ${line(view.identifier, 80)} do this?`,
      text: isShortened(text)
        ? `Only the beginning is shown. All of it is approved, once (digest ${digest.slice(0, 12)}):`
        : `Exactly this is approved, once (digest ${digest.slice(0, 12)}):`,
      quote: text,
      confirm: isShortened(text) ? "Approve all of it" : "Approve exactly this",
    });
    return given && carryOut("approve", view.identifier, { digest });
  },
  async reject(view) {
    const { text, digest } = view.asked;
    const given = await ask({
      title: `Refuse what ${line(view.identifier, 80)} wants?`,
      text: "The agent is told that it may not, and why.",
      quote: text,
      fields: [{ name: "text", label: "Why (the agent reads it)" }],
      confirm: "Refuse",
      danger: true,
    });
    return given && carryOut("reject", view.identifier, { ...given, digest });
  },
};

export async function pauseAll() {
  const given = await ask({
    title: "Pause everything?",
    text: "Nothing new starts until you resume. Agents that are at work are interrupted, unless you let them finish.",
    fields: [{ name: "finish", kind: "check", label: "Let agents finish what they are doing" }, REASON],
    confirm: "Pause everything",
    danger: true,
  });
  return given && carryOut("pause", null, given);
}

export async function resumeAll() {
  const given = await ask({
    title: "Resume everything?",
    text: "Tickets start again, up to the limits. Those that are paused by themselves stay paused.",
    confirm: "Resume everything",
  });
  return given && carryOut("resume", null);
}

const KEYS = [
  ["/", "filter"],
  ["j k", "next, previous"],
  ["Enter", "open"],
  ["Esc", "back"],
  ["g b", "board"],
  ["g w", "waiting for you"],
  ["g f", "figures"],
  ["g e", "incoming events"],
  ["g h", "health"],
  ["1 – 4", "parts of a ticket"],
  ["m", "message to the agent"],
  ["r", "look at the tracker now"],
  ["t", "light or dark"],
  ["?", "this help"],
];

export function help() {
  if (document.querySelector("dialog[open]")) return;
  const back = document.activeElement;
  const dialog = h(
    "dialog",
    { class: "dialog", "aria-labelledby": "help-title" },
    h("h2", { id: "help-title" }, "Keys"),
    h(
      "dl",
      { class: "keys" },
      KEYS.map(([keys, text]) => h("div", {}, h("dt", {}, keys.split(" ").map((key) => (key === "–" ? "–" : h("kbd", {}, key)))), h("dd", {}, text))),
    ),
    h("div", { class: "dialog-foot" }, button("Close", () => dialog.close(), { class: "primary", autofocus: true })),
  );
  dialog.addEventListener("close", () => (dialog.remove(), back?.focus?.()));
  dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
  document.body.append(dialog);
  dialog.showModal();
}
