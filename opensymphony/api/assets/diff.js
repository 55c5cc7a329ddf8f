// A unified diff, as files with numbered lines.

import { button, h, icon } from "./dom.js";
import { clean, line, plural } from "./format.js";

const LINES_MAX = 2000;
const LINE_CHARS_MAX = 2000;

/** The files of a diff: path, lines added and deleted, and its lines with their numbers. */
export function parse(text) {
  const files = [];
  let file = null;
  let [old, now, olds, news] = [0, 0, 0, 0]; // the next numbers, and how many lines the hunk still has
  const begin = (path) => files.push((file = { path, added: 0, deleted: 0, lines: [] }));
  for (const raw of text.split("\n")) {
    // What begins otherwise is no line of a hunk, whatever its head has counted.
    if (raw && !/^[ +\-\\]/.test(raw)) [olds, news] = [0, 0];
    const inside = olds > 0 || news > 0;
    const git = inside ? null : raw.match(/^diff --git (?:"?a\/)?(.*?)"? "?b\/(.*?)"?$/);
    const hunk = inside ? null : raw.match(/^@@ -(\d+)(?:,(\d+))? \+(\d+)(?:,(\d+))? @@(.*)/);
    if (git) begin(git[2]);
    else if (hunk) {
      if (!file) begin("");
      [old, now] = [Number(hunk[1]), Number(hunk[3])];
      [olds, news] = [Number(hunk[2] ?? 1), Number(hunk[4] ?? 1)];
      file.lines.push({ kind: "hunk", text: hunk[5].trim() });
    } else if (!inside && /^(---|\+\+\+) /.test(raw)) {
      const path = raw.slice(4).replace(/^"?[ab]\//, "").replace(/[\t"].*$/, "");
      // Without git's own line a file begins here.
      if (raw.startsWith("---") && (!file || file.lines.some((one) => one.kind !== "note"))) begin("");
      if (file && !file.path && path !== "/dev/null") file.path = path;
    } else if (raw.startsWith("\\")) {
      file?.lines.push({ kind: "note", text: raw.slice(2) });
    } else if (inside || /^[-+]/.test(raw)) {
      if (!file) begin("");
      const [mark, rest] = [raw[0], raw.slice(1)];
      if (mark !== "+") olds--;
      if (mark !== "-") news--;
      if (mark === "+") {
        file.added++;
        file.lines.push({ kind: "added", now: now++, text: rest });
      } else if (mark === "-") {
        file.deleted++;
        file.lines.push({ kind: "deleted", old: old++, text: rest });
      } else {
        file.lines.push({ kind: "same", old: old++, now: now++, text: rest });
      }
    } else if (raw && !/^index /.test(raw)) {
      if (!file) begin("");
      file.lines.push({ kind: "note", text: raw });
    }
  }
  return files;
}

/** One file's lines; long ones in parts. */
export function lines(file, label) {
  const body = h("tbody");
  const more = h("div", { class: "more", hidden: true });
  let shown = 0;
  const grow = () => {
    const next = file.lines.slice(shown, shown + LINES_MAX);
    shown += next.length;
    body.append(...next.map(row));
    const left = file.lines.length - shown;
    more.hidden = left === 0;
    more.replaceChildren(left ? button(`Show ${plural(Math.min(left, LINES_MAX), "more line")}`, grow) : "");
  };
  grow();
  const table = h("table", { class: "diff" }, h("caption", { class: "unseen" }, label), body);
  return h("div", { class: "diff-scroll", tabindex: 0, role: "region", "aria-label": label }, table, more);
}

const MARKS = { added: "+", deleted: "−" };

function row(one) {
  const text = clean(one.text, LINE_CHARS_MAX);
  if (one.kind === "hunk" || one.kind === "note") {
    return h("tr", { class: one.kind }, h("td", { colspan: 3 }), h("td", {}, one.kind === "hunk" ? `⋯ ${text}` : text));
  }
  return h(
    "tr",
    { class: one.kind },
    h("td", { class: "at" }, one.old ?? ""),
    h("td", { class: "at" }, one.now ?? ""),
    h("td", { class: "mark" }, MARKS[one.kind] ?? ""),
    h("td", { class: "code", dir: "ltr" }, text || " "),
  );
}

/** All files, each to be folded, with what was added and deleted. */
export function files(text) {
  const found = parse(text);
  const [added, deleted] = [sum(found, "added"), sum(found, "deleted")];
  const large = found.reduce((total, one) => total + one.lines.length, 0) > LINES_MAX;
  return h(
    "div",
    { class: "files" },
    h("p", { class: "files-sum" }, `${plural(found.length, "file")} changed `, delta(added, deleted)),
    found.map((file, at) => {
      const body = h("div", { class: "file-body" });
      const path = line(file.path || "changes", 400);
      const fill = () => body.firstChild || body.append(lines(file, `Changes of ${path}`));
      const open = !large || at === 0;
      if (open) fill();
      return h(
        "details",
        { class: "file", open, ontoggle: (event) => event.target.open && fill() },
        h("summary", { "data-row": true }, icon("fold"), h("span", { class: "path", dir: "ltr" }, path), delta(file.added, file.deleted)),
        body,
      );
    }),
  );
}

function sum(found, key) {
  return found.reduce((total, one) => total + one[key], 0);
}

export function delta(added, deleted) {
  return h("span", { class: "delta" }, h("span", { class: "plus" }, `+${added}`), " ", h("span", { class: "minus" }, `−${deleted}`));
}
