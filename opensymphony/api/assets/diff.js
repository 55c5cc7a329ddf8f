// A unified diff, as files with numbered lines.

import { button, h, icon } from "./dom.js";
import { clean, line, plural } from "./format.js";

const LINES_MAX = 2000;
const LINE_CHARS_MAX = 2000;

/** The files of a diff: path, lines added and deleted, and its lines with their numbers. */
export function parse(text) {
  const files = [];
  let file = null;
  let [old, now, hunk] = [0, 0, false];
  const begin = (path) => files.push((file = { path, added: 0, deleted: 0, lines: [] }));
  for (const raw of text.split("\n")) {
    const git = raw.match(/^diff --git (?:"?a\/)?(.*?)"? "?b\/(.*?)"?$/);
    if (git) {
      begin(git[2]);
      hunk = false;
    } else if (/^@@ /.test(raw)) {
      if (!file) begin("");
      const found = raw.match(/^@@ -(\d+)(?:,\d+)? \+(\d+)(?:,\d+)? @@(.*)/);
      [old, now] = found ? [Number(found[1]), Number(found[2])] : [1, 1];
      hunk = true;
      file.lines.push({ kind: "hunk", text: found ? found[3].trim() : raw });
    } else if (!hunk && /^(---|\+\+\+) /.test(raw)) {
      const path = raw.slice(4).replace(/^"?[ab]\//, "").replace(/"$/, "");
      if (!file || (raw.startsWith("---") && file.lines.some((one) => one.kind !== "note"))) begin(path);
      else if (path !== "/dev/null" && !file.path) file.path = path;
    } else if (!hunk && file && raw) {
      if (!/^index /.test(raw)) file.lines.push({ kind: "note", text: raw });
    } else if (hunk || raw) {
      if (!file) begin("");
      hunk = true;
      const mark = raw[0];
      if (mark === "+") file.lines.push({ kind: "added", now: now++, text: raw.slice(1) }), file.added++;
      else if (mark === "-") file.lines.push({ kind: "deleted", old: old++, text: raw.slice(1) }), file.deleted++;
      else if (mark === "\\") file.lines.push({ kind: "note", text: raw.slice(2) });
      else if (raw) file.lines.push({ kind: "same", old: old++, now: now++, text: raw.slice(1) });
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
