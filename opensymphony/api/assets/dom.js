// Elements from data. Text of tickets and agents is hostile: it goes in as text, never as markup.

const SVG = "http://www.w3.org/2000/svg";

/** An element with attributes and children; strings become text nodes, `on...` functions become listeners. */
export function h(name, attributes = {}, ...children) {
  return filled(document.createElement(name), attributes, children);
}

export function s(name, attributes = {}, ...children) {
  return filled(document.createElementNS(SVG, name), attributes, children);
}

function filled(element, attributes, children) {
  for (const [key, value] of Object.entries(attributes)) set(element, key, value);
  element.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

/** One attribute, touched only when it is another one; null and false take it away. */
export function set(element, key, value) {
  if (key.startsWith("on")) {
    element.addEventListener(key.slice(2), value);
  } else if (value === null || value === undefined || value === false) {
    if (element.hasAttribute(key)) element.removeAttribute(key);
  } else {
    const text = value === true ? "" : String(value);
    if (element.getAttribute(key) !== text) element.setAttribute(key, text);
  }
}

/** The text of an element, touched only when it is another one. Nobody else gives it any. */
export function say(element, text) {
  if (element.saidText === text) return;
  element.saidText = text;
  element.textContent = text;
}

/** Shown or not, without a touch when nothing changes. */
export function show(element, wanted) {
  if (element.hidden === Boolean(wanted)) element.hidden = !wanted;
}

/**
 * Make the children of `parent` one for each item, by key: what is there already is moved and updated, never made again, and
 * what has the focus keeps it.
 */
export function keyed(parent, items, key, create, update) {
  const rows = (parent.keyedRows ??= new Map());
  const wanted = new Map();
  for (const item of items) if (!wanted.has(key(item))) wanted.set(key(item), item);
  // What goes, goes first: else every row behind it would be moved.
  for (const [id, row] of rows) {
    if (wanted.has(id)) continue;
    (row.element ?? row).remove();
    rows.delete(id);
  }
  const active = document.activeElement;
  let place = parent.firstChild;
  for (const [id, item] of wanted) {
    let row = rows.get(id);
    if (row === undefined) {
      row = create(item);
      rows.set(id, row);
    }
    update(row, item);
    const element = row.element ?? row;
    if (element === place) place = place.nextSibling;
    else parent.insertBefore(element, place);
  }
  // An element that is moved loses the focus.
  if (active !== document.activeElement && parent.contains(active)) active.focus({ preventScroll: true });
}

/** A link to another place, only over HTTP: anything else of a ticket is shown as text. */
export function outside(url, text, attributes = {}) {
  const safe = safeUrl(url);
  if (safe === null) return h("span", attributes, text);
  return h("a", { ...attributes, href: safe, target: "_blank", rel: "noopener noreferrer" }, text);
}

export function safeUrl(url) {
  try {
    const parsed = new URL(url);
    return parsed.protocol === "https:" || parsed.protocol === "http:" ? parsed.href : null;
  } catch {
    return null;
  }
}

/** A button that can say why it cannot be used. */
export function button(text, onclick, attributes = {}) {
  return h("button", { type: "button", ...attributes, onclick }, text);
}

const ICONS = {
  board: "M2.5 3.5h11M2.5 8h11M2.5 12.5h7",
  waiting: "M14 8A6 6 0 1 1 2 8a6 6 0 0 1 12 0zM8 5v3.4M8 10.9v.2",
  deliveries: "M2.5 9.5l1.8-6h7.4l1.8 6v3.5h-11zM2.5 9.5h3.2l.8 1.5h3l.8-1.5h3.2",
  figures: "M3 13V8.5M6.4 13V3.5M9.7 13V6.5M13 13v-3",
  health: "M1.5 8.5h3l2-5 3 9 2-4h3",
  refresh: "M13 8a5 5 0 1 1-1.5-3.6M13 2.5v3h-3",
  pause: "M5.5 3.5v9M10.5 3.5v9",
  play: "M5 3.2v9.6l7.5-4.8z",
  theme: "M8 2.5a5.5 5.5 0 1 0 0 11zM8 2.5a5.5 5.5 0 0 1 0 11",
  help: "M5.8 6a2.2 2.2 0 1 1 3.2 2c-.7.4-1 .8-1 1.6M8 12.2v.5",
  out: "M6.5 3.5h-3v9h9v-3M9 3h4v4M13 3L7.5 8.5",
  back: "M9.5 3.5L5 8l4.5 4.5",
  fold: "M5.5 4l4 4-4 4",
};

export function icon(name) {
  return s(
    "svg",
    { viewBox: "0 0 16 16", width: 16, height: 16, class: "icon", "aria-hidden": "true" },
    s("path", { d: ICONS[name] }),
  );
}
