// Charts drawn as SVG, each with a title, a description and a table that says the same.

import { h, s } from "./dom.js";

const HEIGHT = 168;
const LEFT = 44;
const BOTTOM = 20;
const TOP = 8;

/** A chart in its frame: heading, drawing, legend, and the same as a table. `draw(width)` gives an SVG. */
export function chart({ title, sum = "", draw, legend = [], columns, rows }) {
  const place = h("div", { class: "chart-place" });
  const element = h(
    "figure",
    { class: "chart" },
    h("figcaption", {}, h("h2", {}, title), h("span", { class: "sum" }, sum)),
    place,
    h(
      "div",
      { class: "chart-foot" },
      legend.map(([kind, text]) => h("span", { class: "legend" }, h("span", { class: `swatch ${kind}`, "aria-hidden": "true" }), text)),
      h(
        "details",
        { class: "as-table" },
        h("summary", {}, "Table"),
        h(
          "div",
          { class: "table-scroll", tabindex: 0, role: "region", "aria-label": `${title}, as a table` },
          h(
            "table",
            {},
            h("caption", { class: "unseen" }, title),
            h("thead", {}, h("tr", {}, columns.map((name) => h("th", { scope: "col" }, name)))),
            h("tbody", {}, rows.map(([first, ...rest]) => h("tr", {}, h("th", { scope: "row" }, first), rest.map((value) => h("td", {}, value))))),
          ),
        ),
      ),
    ),
  );
  let drawn = 0;
  const observer = new ResizeObserver(() => {
    const width = Math.floor(place.clientWidth);
    if (!width || width === drawn) return;
    drawn = width;
    place.replaceChildren(draw(width));
  });
  observer.observe(place);
  return element;
}

/** Steps of an axis that people read easily: 1, 2 or 5 times a power of ten. */
export function steps(most, wanted = 4) {
  if (!(most > 0)) return [0];
  const rough = most / wanted;
  const power = 10 ** Math.floor(Math.log10(rough));
  const size = [1, 2, 5, 10].map((one) => one * power).find((one) => one >= rough - power * 1e-9);
  const found = [];
  for (let at = 0; at * size <= most * (1 + 1e-9); at++) found.push(Number((at * size).toPrecision(12)));
  return found;
}

function frame(width, title, text, ticks, format, y) {
  const svg = s("svg", { viewBox: `0 0 ${width} ${HEIGHT}`, width, height: HEIGHT, role: "img", "aria-label": `${title}. ${text}` });
  for (const tick of ticks) {
    svg.append(
      s("line", { class: tick === 0 ? "axis" : "grid", x1: LEFT, x2: width, y1: y(tick), y2: y(tick) }),
      s("text", { class: "tick", x: LEFT - 8, y: y(tick) + 3.5, "text-anchor": "end" }, format(tick)),
    );
  }
  return svg;
}

/** Columns, each a stack. `series`: `[kind, values]`; `names` are spoken, `labels` stand below. */
export function columns({ title, text, names, labels, series, format }) {
  return (width) => {
    const totals = names.map((_, at) => series.reduce((sum, [, values]) => sum + values[at], 0));
    const most = Math.max(...totals, 0);
    const ticks = steps(most);
    const y = (value) => TOP + (HEIGHT - TOP - BOTTOM) * (1 - value / (most || 1));
    const svg = frame(width, title, text, ticks, format, y);
    const each = (width - LEFT) / names.length;
    const bar = Math.max(1, Math.min(each - Math.max(1, each * 0.25), 28));
    const room = Math.max(1, Math.ceil((labels[0]?.length ?? 1) * 7.5 / each));
    names.forEach((name, at) => {
      const x = LEFT + each * at + (each - bar) / 2;
      const column = s("g", { class: "column" }, s("title", {}, `${name}: ${series.map(([, values, word]) => `${format(values[at])}${word ? ` ${word}` : ""}`).join(", ")}`));
      column.append(s("rect", { class: "hit", x: LEFT + each * at, y: TOP, width: each, height: HEIGHT - TOP - BOTTOM }));
      let below = 0;
      for (const [kind, values] of series) {
        if (!values[at]) continue;
        const top = y(below + values[at]);
        column.append(s("rect", { class: `bar ${kind}`, x, y: top, width: bar, height: Math.max(0.5, y(below) - top), rx: Math.min(2, bar / 4) }));
        below += values[at];
      }
      svg.append(column);
      if ((names.length - 1 - at) % room === 0) {
        svg.append(s("text", { class: "tick", x: Math.min(x + bar / 2, width - labels[at].length * 3.2), y: HEIGHT - 5, "text-anchor": "middle" }, labels[at]));
      }
    });
    return svg;
  };
}

/** Bars that lie, the longest first; `items`: `[name, value, spoken]`. */
export function bars({ title, text, items, format }) {
  return (width) => {
    const each = 22;
    const left = Math.min(110, width * 0.3);
    const most = Math.max(...items.map((one) => one[1]), 0) || 1;
    const svg = s("svg", { viewBox: `0 0 ${width} ${each * items.length || 1}`, width, height: each * items.length || 1, role: "img", "aria-label": `${title}. ${text}` });
    const room = width - left - 56;
    items.forEach(([name, value], at) => {
      const y = at * each;
      const long = Math.max(1, (room * value) / most);
      svg.append(
        s("text", { class: "bar-name", x: left - 8, y: y + 14.5, "text-anchor": "end" }, name.length > left / 7 ? `${name.slice(0, Math.floor(left / 7) - 1)}…` : name),
        s("rect", { class: "bar one", x: left, y: y + 4, width: long, height: each - 8, rx: 2 }, s("title", {}, `${name}: ${format(value)}`)),
        s("text", { class: "tick", x: left + long + 6, y: y + 14.5 }, format(value)),
      );
    });
    return svg;
  };
}

/** The value in the middle; null of nothing. */
export function median(values) {
  if (!values.length) return null;
  const sorted = [...values].sort((a, b) => a - b);
  const half = sorted.length >> 1;
  return sorted.length % 2 ? sorted[half] : (sorted[half - 1] + sorted[half]) / 2;
}
