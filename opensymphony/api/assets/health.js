// How the daemon and everything that it needs stands.

import { Refused, request } from "./api.js";
import { h, keyed, say, set, show } from "./dom.js";
import { clock, count, duration, line, money, plural } from "./format.js";

const LOOK_MS = 10_000;

const SERVER = { ready: "good", external: "good", starting: "warn", restarting: "warn", stopped: "warn", failed: "bad" };

/** What is wrong right now: `[kind, sentence, name]`, `bad` for what keeps work from going on. */
export function troubles(seen, now) {
  const found = [];
  const since = (ms) => (ms ? ` since ${clock(ms)}` : "");
  if (seen.status === "draining" || seen.status === "stopped") found.push(["bad", `The daemon is ${seen.status === "draining" ? "stopping" : "stopped"}.`, "daemon"]);
  if (SERVER[seen.server.status] === "bad") found.push(["bad", `The agent-server has failed: ${seen.server.detail || "see the log"}`, "server"]);
  if (seen.storage_error) found.push(["bad", `Nothing new starts: ${seen.storage_error}`, "storage"]);
  if (seen.poll_error) found.push(["warn", `The tracker cannot be read${since(seen.poll_error_since_ms)}: ${seen.poll_error}`, "tracker"]);
  if (seen.policy_error) found.push(["warn", `The newest WORKFLOW.md is not in force${since(seen.policy_error_since_ms)}: ${seen.policy_error}`, "policy"]);
  if (seen.code_host_error) found.push(["warn", `Pull requests cannot be read: ${seen.code_host_error}`, "code host"]);
  for (const one of seen.budgets) if (one.spent >= one.limit) found.push(["warn", `The budget of the ${one.scope} is used up.`, "budget"]);
  if (seen.problems.length) found.push(["warn", `${plural(seen.problems.length, "ticket")} cannot be read.`, "problems"]);
  if (seen.tracker?.paused_until_ms > now) found.push(["warn", `The tracker asked for a pause of ${duration(seen.tracker.paused_until_ms - now)} more.`, "tracker pause"]);
  return found;
}

export function health(app) {
  const list = h("ul", { class: "checks" });
  const budgets = h("div", { class: "budgets" });
  const problems = h("ul", { class: "plain problems" });
  const overlaps = h("ul", { class: "plain" });
  const summary = h("p", { class: "summary" });
  const part = (title, place) => h("section", { class: "part", hidden: true }, h("h2", {}, title), place);
  const parts = [part("Budgets", budgets), part("Tickets that cannot be read", problems), part("Tickets that change the same files", overlaps)];
  const element = h(
    "section",
    { class: "health", "aria-labelledby": "view-title" },
    h("div", { class: "view-head" }, h("h1", { id: "view-title" }, "Health"), summary),
    list,
    parts,
  );
  let [seen, hooks, last] = [null, null, 0];

  async function look() {
    if (document.hidden || app.lostSince !== null) return;
    last = Date.now();
    try {
      // When the tracker was read last is no change that the stream tells of.
      const fresh = await request("/api/v1/snapshot");
      if (seen === null || fresh.sequence >= seen.sequence) seen = fresh;
      if (hooks?.code !== "no_webhooks") hooks = await request("/api/v1/deliveries");
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      hooks = { code: error.code || "unknown", deliveries: [], refused: {} };
    }
    draw();
  }

  function draw() {
    if (seen === null) return;
    const bad = troubles(seen, app.now()).length;
    say(summary, bad ? plural(bad, "thing needs a look", "things need a look") : "Everything is well");
    keyed(list, checks(seen, hooks, app.now()), (one) => one.name, check, (row, one) => row.update(one));
    show(parts[0], seen.budgets.length > 0);
    keyed(budgets, seen.budgets, (one) => `${one.scope} ${one.unit}`, budget, (row, one) => row.update(one));
    show(parts[1], seen.problems.length > 0);
    keyed(problems, seen.problems, (one) => one, (one) => h("li", { dir: "auto" }, line(one, 400)), () => {});
    show(parts[2], seen.overlaps.length > 0);
    keyed(overlaps, seen.overlaps, (one) => JSON.stringify(one), overlap, () => {});
  }

  look();
  return {
    element,
    title: "Health",
    update(snapshot) {
      seen = snapshot;
      draw();
      if (last === 0) look();
    },
    tick: () => (Date.now() - last > LOOK_MS ? look() : draw()),
  };
}

function checks(seen, hooks, now) {
  const ago = (ms) => `${duration(now - ms)} ago`;
  const found = [
    { name: "Daemon", kind: seen.status === "running" ? "good" : seen.status === "starting" ? "warn" : "bad", text: seen.paused ? `${seen.status}, everything is paused` : seen.status, more: `instance ${line(seen.instance, 80)}, up to ${plural(seen.max_concurrent_agents, "agent")} at a time` },
  ];
  const servers = seen.server.servers.length ? seen.server.servers : [seen.server];
  servers.forEach((one, at) => {
    const facts = [one.base_url, one.version && `version ${one.version}`, one.pid && `pid ${one.pid}`, one.restarts && plural(one.restarts, "restart"), one.detail];
    found.push({ name: servers.length > 1 ? `Agent-server ${at + 1}` : "Agent-server", kind: SERVER[one.status] ?? "warn", text: one.status, more: facts.filter(Boolean).join(", ") });
  });
  const next = seen.next_poll_ms && seen.next_poll_ms > now ? `, next look in ${duration(seen.next_poll_ms - now)}` : "";
  found.push({
    name: "Tracker",
    kind: seen.poll_error ? "bad" : seen.polled_ms ? "good" : "warn",
    text: seen.poll_error ? `cannot be read: ${seen.poll_error}` : seen.polled_ms ? `read ${ago(seen.polled_ms)}${next}` : "not read yet",
    more: traffic(seen.tracker, now),
  });
  if (seen.code_host || seen.code_host_error) {
    found.push({ name: "Code host", kind: seen.code_host_error ? "bad" : "good", text: seen.code_host_error ? `cannot be read: ${seen.code_host_error}` : "answers", more: traffic(seen.code_host, now) });
  }
  found.push(
    { name: "WORKFLOW.md", kind: seen.policy_error ? "bad" : "good", text: seen.policy_error ? `the newest one is not in force: ${seen.policy_error}` : "in force", more: seen.policy_error_since_ms ? `since ${clock(seen.policy_error_since_ms)}; the last good one is used` : "" },
    { name: "Storage", kind: seen.storage_error ? "bad" : "good", text: seen.storage_error ?? "room enough", more: "" },
    webhooks(hooks),
  );
  return found;
}

function webhooks(hooks) {
  const name = "Webhooks";
  if (hooks === null) return { name, kind: "off", text: "…", more: "" };
  if (hooks.code === "no_webhooks") return { name, kind: "off", text: "none are taken", more: "the tracker is looked at from time to time" };
  if (hooks.code) return { name, kind: "warn", text: "cannot be read", more: "" };
  const failed = hooks.deliveries.filter((one) => one.outcome === "failed").length;
  const refused = Object.entries(hooks.refused);
  const more = refused.map(([reason, number]) => `${number} ${reason.replaceAll("_", " ")}`).join(", ");
  return { name, kind: failed ? "warn" : "good", text: failed ? `${failed} of the newest failed` : "taken", more: more ? `turned away: ${more}` : "" };
}

function traffic(state, now) {
  if (!state) return "";
  const facts = [plural(state.requests, "request")];
  if (state.refused) facts.push(`${count(state.refused)} refused for being too many`);
  if (state.remaining !== null) facts.push(`${count(state.remaining)} left`);
  if (state.paused_until_ms > now) facts.push(`asked for a pause of ${duration(state.paused_until_ms - now)}`);
  return facts.join(", ");
}

const SPOKEN = { good: "well", warn: "needs a look", bad: "in trouble", off: "off" };

function check() {
  const mark = h("span", { class: "state" });
  const spoken = h("span", { class: "unseen" });
  const name = h("span", { class: "name" });
  const text = h("span", { class: "text", dir: "auto" });
  const more = h("span", { class: "muted", dir: "auto" });
  return {
    element: h("li", {}, mark, h("h2", {}, name, spoken), h("p", {}, text, more)),
    update(one) {
      set(mark, "class", `state ${one.kind}`);
      say(spoken, `: ${SPOKEN[one.kind]}`);
      say(name, one.name);
      say(text, line(one.text, 400));
      say(more, line(one.more, 400));
    },
  };
}

/** One limit as a bar: what is spent, and what calls in flight may still take. */
export function budget() {
  const name = h("span");
  const told = h("span", { class: "muted" });
  const meter = h("div", { class: "meter", role: "meter", "aria-valuemin": 0, "aria-valuemax": 100 }, h("span", { class: "spent-bar" }), h("span", { class: "reserved-bar" }));
  return {
    element: h("div", { class: "budget" }, h("p", {}, name, told), meter),
    update(one) {
      const [write, unit] = one.unit === "tokens" ? [count, " tokens"] : [money, ""];
      const part = (value) => Math.min(100, one.limit ? (100 * value) / one.limit : 100);
      say(name, line(`${one.scope}`, 120));
      say(told, `${write(one.spent)} of ${write(one.limit)}${unit}${one.reserved ? `, ${write(one.reserved)} held for calls` : ""}`);
      set(meter, "aria-label", line(`Budget of the ${one.scope}`, 140));
      set(meter, "aria-valuenow", Math.round(part(one.spent)));
      set(meter, "aria-valuetext", told.textContent);
      meter.firstChild.style.width = `${part(one.spent)}%`;
      meter.lastChild.style.width = `${Math.min(100 - part(one.spent), part(one.reserved))}%`;
      meter.classList.toggle("full", one.spent >= one.limit);
    },
  };
}

function overlap(one) {
  const tickets = one.tickets.map((name) => h("a", { href: `#/tickets/${encodeURIComponent(name)}` }, line(name, 80)));
  const files = one.files.map((path) => line(path, 200)).join(", ");
  return h("li", {}, tickets[0], " and ", tickets[1], " both change ", h("code", {}, files), one.more ? ` and ${one.more} more` : "");
}
