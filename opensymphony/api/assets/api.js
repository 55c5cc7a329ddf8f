// The daemon's interface. The token lives in this tab only and travels as a header.

const KEY = "opensymphony.token";

export const token = sessionStorage.getItem(KEY) ?? "";

/** What the daemon says is wrong, with its code; `status` 0 when there was no answer. */
export class Refused extends Error {
  constructor(status, code, message, answer = null) {
    super(message);
    this.status = status;
    this.code = code;
    this.answer = answer;
  }
}

let refusedToken = () => {};

/** Called once the token is no good any more. */
export function onRefusedToken(listener) {
  refusedToken = listener;
}

export async function request(path, { method = "GET", body, signal } = {}) {
  const headers = { Authorization: `Bearer ${token}` };
  if (body !== undefined) headers["Content-Type"] = "application/json";
  let answer;
  let text;
  try {
    answer = await fetch(path, { method, headers, signal, body: body === undefined ? undefined : JSON.stringify(body), cache: "no-store" });
    text = await answer.text();
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Refused(0, "no_answer", "The daemon does not answer.");
  }
  let content = null;
  try {
    content = JSON.parse(text);
  } catch {
    // Another program answers, or a part of this release is missing: the status tells.
  }
  if (answer.ok && content !== null) return content;
  if (answer.status === 401) refusedToken();
  const told = content?.error;
  throw new Refused(answer.status, told?.code ?? "", told?.message ?? `The daemon answers ${method} ${path} with status ${answer.status}.`, content);
}

/** The path of a ticket, whatever stands in its name. Browsers fold `.` and `..`: the request would be about something else. */
export function ticketPath(identifier, rest = "") {
  if (identifier === "." || identifier === "..") {
    throw new Refused(400, "unreachable_name", `A browser cannot ask for a ticket with the name “${identifier}”: use the command line.`);
  }
  return `/api/v1/issues/${encodeURIComponent(identifier)}${rest}`;
}

export function newRequestId() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** Ask for something about a ticket, or about everything (`identifier` null). Asked again with the same id it is done once. */
export async function act(action, identifier, { requestId = newRequestId(), ...fields } = {}) {
  const place = identifier === null ? "/api/v1" : ticketPath(identifier);
  return request(`${place}/actions/${action}`, {
    method: "POST",
    body: { request_id: requestId, author: "dashboard", ...fields },
  });
}
