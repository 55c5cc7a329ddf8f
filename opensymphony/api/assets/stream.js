// The newest picture whenever something has changed, over one connection that is made again when it breaks.

import { token } from "./api.js";

const SILENCE_MS = 40_000; // the daemon says something every 15 s
const FIRST_MS = 500;
const LONGEST_MS = 15_000;
const HIDDEN_MS = 60_000; // a tab in the background costs nothing after this

export class Stream {
  /** `onPicture(snapshot)`; `onState(state, detail)`: `connecting`, `live`, `lost`, `full`, `refused` or `resting`. */
  constructor(onPicture, onState) {
    this.onPicture = onPicture;
    this.onState = onState;
    this.lastId = null;
    this.wait = FIRST_MS;
    this.running = false;
    this.timer = null;
    this.hiding = null;
    document.addEventListener("visibilitychange", () => this.#visibility());
    window.addEventListener("online", () => this.#again());
  }

  start() {
    this.running = true;
    this.#connect();
  }

  stop() {
    this.running = false;
    clearTimeout(this.timer);
    this.abort?.abort();
  }

  #visibility() {
    clearTimeout(this.hiding);
    if (document.hidden) {
      this.hiding = setTimeout(() => {
        if (!this.running) return;
        this.resting = true;
        this.onState("resting");
        clearTimeout(this.timer);
        this.abort?.abort();
      }, HIDDEN_MS);
    } else {
      this.resting = false;
      this.#again();
    }
  }

  #again() {
    if (!this.running || this.connected || this.resting) return;
    this.wait = FIRST_MS;
    this.#connect();
  }

  async #connect() {
    clearTimeout(this.timer);
    this.abort?.abort();
    const abort = (this.abort = new AbortController());
    this.onState("connecting");
    let state = "lost";
    try {
      state = await this.#read(abort);
    } catch {
      // Whatever broke it, the daemon is asked again.
    }
    if (this.abort !== abort) return;
    this.connected = false;
    if (state === "refused") this.running = false;
    if (!this.running || this.resting) {
      if (state === "refused") this.onState("refused");
      return;
    }
    this.onState(state);
    this.timer = setTimeout(() => this.#connect(), this.wait * (0.75 + Math.random() / 2));
    this.wait = Math.min(this.wait * 2, LONGEST_MS);
  }

  async #read(abort) {
    const headers = { Authorization: `Bearer ${token}`, Accept: "text/event-stream" };
    if (this.lastId !== null) headers["Last-Event-ID"] = this.lastId;
    let silence = setTimeout(() => abort.abort(), SILENCE_MS);
    try {
      const answer = await fetch("/api/v1/events", { headers, signal: abort.signal, cache: "no-store" });
      if (answer.status === 401) return "refused";
      if (answer.status === 429) return "full";
      if (!answer.ok || answer.body === null) return "lost";
      this.connected = true;
      this.wait = FIRST_MS;
      const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
      let waiting = [];
      let event = { data: "", id: null };
      for (;;) {
        const { done, value } = await reader.read();
        if (done) return "lost";
        clearTimeout(silence);
        silence = setTimeout(() => abort.abort(), SILENCE_MS);
        waiting.push(value);
        if (!value.includes("\n")) continue;
        const lines = waiting.join("").split("\n");
        waiting = [lines.pop()];
        for (const text of lines) event = this.#take(text, event);
      }
    } finally {
      clearTimeout(silence);
    }
  }

  #take(text, event) {
    if (text.startsWith("data:")) return { ...event, data: text.slice(5) };
    if (text.startsWith("id:")) return { ...event, id: text.slice(3).replace(/^ /, "") }; // means something to the daemon alone
    // A heartbeat, also the first one: the picture that is here is the newest.
    if (text.startsWith(":") && this.lastId !== null) this.onState("live");
    if (text !== "" || event.data === "") return event;
    const picture = JSON.parse(event.data);
    this.lastId = event.id;
    this.onPicture(picture);
    this.onState("live");
    return { data: "", id: null };
  }
}
