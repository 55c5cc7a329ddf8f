// How things are written for people, and what is done to text that strangers have written.

const ANSI = /\u001b(?:\[[0-?]*[ -/]*[@-~]|\][^\u0007\u001b]*(?:\u0007|\u001b\\)?|[@-Z\\-_])/g;
const DIRECTION = /[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/g;
const CONTROL = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/g;
const MARKS = /(\p{M}{2})\p{M}+/gu;

const SUSPECT = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]|\p{M}{3}/u;

/** Text without what a terminal obeys or what turns the order of letters around; other controls are shown. */
export function clean(text, most = 100_000) {
  const cut = text.length > most ? `${text.slice(0, most)}…` : text;
  if (!SUSPECT.test(cut)) return cut;
  return cut
    .replace(/\r\n?/g, "\n")
    .replace(ANSI, "")
    .replace(DIRECTION, "\ufffd")
    .replace(CONTROL, (char) => {
      const code = char.charCodeAt(0);
      return code < 32 ? String.fromCharCode(0x2400 + code) : code === 127 ? "\u2421" : "\ufffd";
    })
    .replace(MARKS, "$1");
}

/** The same on one line. */
export function line(text, most = 400) {
  return clean(text ?? "", most * 2)
    .replace(/\s+/g, " ")
    .trim()
    .slice(0, most);
}

/** `12s`, `3m`, `2h 5m`, `4d 1h`; never below zero. */
export function duration(ms) {
  const seconds = Math.max(0, Math.floor(ms / 1000));
  if (seconds < 60) return `${seconds}s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes}m`;
  const hours = Math.floor(minutes / 60);
  if (hours < 24) return minutes % 60 ? `${hours}h ${minutes % 60}m` : `${hours}h`;
  const days = Math.floor(hours / 24);
  return hours % 24 ? `${days}d ${hours % 24}h` : `${days}d`;
}

export function count(number) {
  return number.toLocaleString("en-US");
}

/** `834`, `12.4k`, `3.1M`. */
export function short(number) {
  if (number < 1000) return String(number);
  const [value, unit] = number < 999_500 ? [number / 1000, "k"] : number < 999_500_000 ? [number / 1e6, "M"] : [number / 1e9, "G"];
  return `${value < 9.95 ? value.toFixed(1) : Math.round(value)}${unit}`;
}

/** Micro-units in units of the policy's currency, which nobody tells us. */
export function money(micros) {
  if (micros > 0 && micros < 5000) return "<0.01";
  return (micros / 1e6).toLocaleString("en-US", { minimumFractionDigits: 2, maximumFractionDigits: 2 });
}

export function tokens(usage) {
  return usage.prompt_tokens + usage.completion_tokens;
}

export function plural(number, one, many = `${one}s`) {
  return `${count(number)} ${number === 1 ? one : many}`;
}

const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
const two = (number) => String(number).padStart(2, "0");

/** `14:03:59`, `9 Sep`, `9 Sep 2026, 14:03:59`: in the time zone of who looks. */
export function clock(ms) {
  const at = new Date(ms);
  return `${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}`;
}

export function day(ms) {
  const at = new Date(ms);
  return `${at.getDate()} ${MONTHS[at.getMonth()]}`;
}

export function moment(ms) {
  return `${day(ms)} ${new Date(ms).getFullYear()}, ${clock(ms)}`;
}

/** The name of a day such as `2026-01-31`, whatever the time zone. */
export function date(text) {
  const [, month, number] = text.split("-");
  return `${Number(number)} ${MONTHS[Number(month) - 1] ?? month}`;
}

export const PHASES = {
  running: "Running",
  needs_person: "Waiting for you",
  retrying: "Trying again",
  in_review: "In review",
  waiting_to_start: "Waiting to start",
  stopping: "Stopping",
  closed: "Closed",
};

const STAGES = {
  rereading: "starting",
  claiming: "claiming",
  announcing: "claiming",
  preparing: "workspace",
  before_run: "workspace",
  opening: "opening",
  sending: "sending",
  working: "working",
  collecting: "verifying",
  verifying: "verifying",
  pushing: "pushing",
  publishing: "publishing",
  after_run: "ending",
  transitioning: "ending",
  reporting: "reporting",
  cleaning: "ending",
  releasing: "ending",
};

export function stage(view) {
  if (view.stage) return STAGES[view.stage] ?? line(view.stage.replaceAll("_", " "), 40);
  return "";
}

/** Whether it waits for a person. */
export function waits(view) {
  return view.phase === "needs_person" || Boolean(view.asked);
}

/** The one sentence that says why a ticket is where it is. */
export function why(view) {
  if (view.asked) return view.asked.kind === "question" ? `Asks: ${view.asked.text}` : `Wants to: ${view.asked.text}`;
  if (view.phase === "running" && view.activity) return view.activity;
  return view.reason || view.error || view.activity || "";
}
