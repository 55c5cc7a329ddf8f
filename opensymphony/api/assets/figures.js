// Figures of the past: what it costs, how runs end, how long they take and how long tickets wait.

import { Refused, request } from "./api.js";
import { bars, chart, columns, median } from "./charts.js";
import { h, say, show } from "./dom.js";
import { count, date, duration, line, money, plural, short, tokens } from "./format.js";

const LOOK_MS = 60_000;
const SPANS = [7, 30, 90];
const TOP_TICKETS = 7;
const WAITS = [60_000, 300_000, 900_000, 3_600_000, 14_400_000, Infinity];
const TAKES = [60_000, 300_000, 900_000, 1_800_000, 3_600_000, Infinity];

const remembered = { days: 30 };

export function figures(app) {
  const note = h("p", { class: "empty" }, "Loading…");
  const tiles = h("dl", { class: "tiles" });
  const charts = h("div", { class: "charts" });
  const span = h("fieldset", { class: "spans" }, h("legend", { class: "unseen" }, "How far back"), SPANS.map(choice));
  const element = h(
    "section",
    { class: "figures", "aria-labelledby": "view-title" },
    h("div", { class: "view-head" }, h("h1", { id: "view-title" }, "Figures"), h("div", { class: "view-tools" }, span)),
    note,
    tiles,
    charts,
  );
  let [busy, last, sign] = [false, 0, ""];

  function choice(days) {
    const input = h("input", { type: "radio", name: "days", value: days, checked: days === remembered.days, onchange: () => ((remembered.days = days), look()) });
    return h("label", {}, input, h("span", {}, `${days} days`));
  }

  async function look() {
    if (document.hidden || app.lostSince !== null) return;
    const wanted = remembered.days;
    [busy, last] = [true, Date.now()];
    try {
      const found = await request(`/api/v1/statistics?days=${wanted}`);
      if (wanted !== remembered.days) return;
      show(note, false);
      const now = JSON.stringify(found);
      if (now !== sign) draw(found);
      sign = now;
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      show(note, true);
      say(note, error.message);
    } finally {
      busy = false;
    }
  }

  function draw(found) {
    tiles.replaceChildren(...summary(found, app).map(([name, value, more]) => h("div", {}, h("dt", {}, name), h("dd", {}, value), h("dd", { class: "muted" }, more))));
    charts.replaceChildren(...all(found, app));
  }

  look();
  return { element, title: "Figures", update: () => !sign && !busy && look(), tick: () => Date.now() - last > LOOK_MS && look() };
}

function total(days, read) {
  return days.reduce((sum, one) => sum + read(one), 0);
}

const spent = (one) => one.usage.cost_micros;
const took = (run) => run.ended_ms - run.started_ms;
const succeeded = (run) => run.outcome === "succeeded";

function summary(found, app) {
  const { days, runs } = found;
  const [number, good] = [total(days, (one) => one.runs), total(days, (one) => one.succeeded)];
  const all = total(days, (one) => tokens(one.usage));
  const queue = (app.snapshot?.tickets ?? []).filter((one) => one.ready_ms);
  const oldest = Math.max(0, ...queue.map((one) => app.now() - one.ready_ms));
  const middle = (values) => (values.length ? duration(median(values)) : "–");
  return [
    ["Cost", money(total(days, spent)), number ? `${money(total(days, spent) / number)} a run` : "no run yet"],
    ["Tokens", short(all), number ? `${short(Math.round(all / number))} a run` : ""],
    ["Runs", count(number), number ? `${good} succeeded` : ""],
    ["Success", number ? `${Math.round((100 * good) / number)}%` : "–", number ? `${number - good} did not` : ""],
    ["A run takes", middle(runs.map(took)), runs.length ? "half take less" : ""],
    ["A ticket waits", middle(runs.map((one) => one.waited_ms)), queue.length ? `${queue.length} queued, longest ${duration(oldest)}` : "none is queued"],
  ];
}

function all(found, app) {
  const { days, runs } = found;
  const names = days.map((one) => date(one.day));
  const daily = { names, labels: names };
  const [number, good] = [total(days, (one) => one.runs), total(days, (one) => one.succeeded)];
  const cost = days.map((one) => spent(one) / 1e6);
  const [prompt, answer] = [days.map((one) => one.usage.prompt_tokens), days.map((one) => one.usage.completion_tokens)];
  const [well, ill] = [days.map((one) => one.succeeded), days.map((one) => one.runs - one.succeeded)];
  const price = (value) => (value >= 100 ? count(Math.round(value)) : value.toFixed(2));
  const top = byTicket(runs);
  const allTokens = total(days, (one) => tokens(one.usage));
  return [
    chart({
      title: "Cost per day",
      sum: money(total(days, spent)),
      draw: columns({ ...daily, title: "Cost per day", text: `${money(total(days, spent))} in ${plural(days.length, "day")}.`, series: [["one", cost]], format: price }),
      columns: ["Day", "Cost"],
      rows: days.map((one, at) => [names[at], money(spent(one))]),
    }),
    chart({
      title: "Tokens per day",
      sum: short(allTokens),
      draw: columns({ ...daily, title: "Tokens per day", text: `${count(allTokens)} in ${plural(days.length, "day")}.`, series: [["one", prompt, "in"], ["two", answer, "out"]], format: short }),
      legend: [["one", "in"], ["two", "out"]],
      columns: ["Day", "In", "Out"],
      rows: days.map((one, at) => [names[at], count(prompt[at]), count(answer[at])]),
    }),
    chart({
      title: "Runs per day",
      sum: number ? `${Math.round((100 * good) / number)}% succeeded` : "",
      draw: columns({ ...daily, title: "Runs per day", text: `${count(number)}, of which ${count(good)} succeeded.`, series: [["good", well, "succeeded"], ["bad", ill, "not"]], format: (value) => String(Math.round(value * 10) / 10) }),
      legend: [["good", "succeeded"], ["bad", "did not"]],
      columns: ["Day", "Runs", "Succeeded", "Rate"],
      rows: days.map((one, at) => [names[at], one.runs, one.succeeded, one.runs ? `${Math.round((100 * one.succeeded) / one.runs)}%` : "–"]),
    }),
    chart({
      title: "Cost per ticket",
      sum: top.length ? `the ${top.length} most expensive` : "",
      draw: bars({ title: "Cost per ticket", text: `The most expensive is ${top[0]?.name ?? "none"}.`, items: top.map((one) => [one.name, one.cost / 1e6]), format: price }),
      columns: ["Ticket", "Cost", "Tokens", "Runs"],
      rows: top.map((one) => [one.name, money(one.cost), count(one.tokens), one.runs]),
    }),
    histogram("How long runs take", runs.map(took), TAKES, runs.map(succeeded)),
    histogram("How long tickets wait for a place", runs.map((one) => one.waited_ms), WAITS, null),
  ];
}

function byTicket(runs) {
  const found = new Map();
  for (const run of runs) {
    const name = line(run.identifier, 60);
    const one = found.get(name) ?? { name, cost: 0, tokens: 0, runs: 0 };
    found.set(name, { name, cost: one.cost + run.usage.cost_micros, tokens: one.tokens + tokens(run.usage), runs: one.runs + 1 });
  }
  return [...found.values()].sort((a, b) => b.cost - a.cost || b.tokens - a.tokens).slice(0, TOP_TICKETS);
}

function histogram(title, values, limits, good) {
  const names = limits.map((limit, at) => (limit === Infinity ? `over ${duration(limits[at - 1])}` : `up to ${duration(limit)}`));
  const labels = limits.map((limit, at) => (limit === Infinity ? `>${duration(limits[at - 1])}` : `≤${duration(limit)}`));
  const [well, ill] = [limits.map(() => 0), limits.map(() => 0)];
  values.forEach((value, at) => {
    const bin = limits.findIndex((limit) => value <= limit);
    (good && !good[at] ? ill : well)[bin] += 1;
  });
  const series = good ? [["good", well, "succeeded"], ["bad", ill, "not"]] : [["one", well, ""]];
  const middle = median(values);
  return chart({
    title,
    sum: middle === null ? "" : `half up to ${duration(middle)}`,
    draw: columns({ title, text: `${plural(values.length, "run")}${middle === null ? "" : `, half of them up to ${duration(middle)}`}.`, names, labels, series, format: (value) => String(Math.round(value * 10) / 10) }),
    legend: good ? [["good", "succeeded"], ["bad", "did not"]] : [],
    columns: good ? ["Time", "Succeeded", "Did not"] : ["Time", "Runs"],
    rows: names.map((name, at) => (good ? [name, well[at], ill[at]] : [name, well[at]])),
  });
}
