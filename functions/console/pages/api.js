// Calls of the API, and how long to wait before the next one.

/** Where the API is: this file is at `console/api.js` below it, whatever stands before that. */
export const BASE = new URL("../", import.meta.url);

const PATIENCE_MS = 20_000;

/**
 * @typedef {object} Answer
 * @property {number} status 0: no answer came
 * @property {any} body the JSON, or an empty object
 * @property {string} text the body as it came
 * @property {string} link the header Link, or empty
 * @property {string} code the problem's, or empty
 * @property {number} retryAfter seconds, 0 when nothing was said
 */

/** @typedef {import("./clock.js").ServerClock} ServerClock */

/**
 * Send one request. It never throws: no answer is an answer too.
 * @param {string} method
 * @param {string} path relative to the API
 * @param {{token?: string, body?: unknown, clock?: ServerClock, headers?: Record<string, string>}} [options]
 * @returns {Promise<Answer>}
 */
export async function call(method, path, { token, body, clock, headers: more } = {}) {
  /** @type {Record<string, string>} */
  const headers = { ...more };
  if (token) {
    headers.Authorization = `Bearer ${token}`;
  }
  if (body !== undefined) {
    headers["Content-Type"] = "application/json";
  }
  const init = { method, headers, body: body === undefined ? undefined : JSON.stringify(body) };
  const sentAt = Date.now();
  try {
    const signal = AbortSignal.timeout(PATIENCE_MS);
    const reply = await fetch(new URL(path, BASE), { ...init, signal, cache: "no-store", credentials: "omit" });
    const receivedAt = Date.now();
    const date = Date.parse(reply.headers.get("Date") ?? "");
    clock?.learn({ date, age: seconds(reply, "Age"), sentAt, receivedAt });
    const text = await reply.text(); // An answer cut off in the middle throws here: it is none.
    const read = json(text);
    const link = reply.headers.get("Link") ?? "";
    return { status: reply.status, body: read, text, link, code: String(read.code ?? ""), retryAfter: seconds(reply, "Retry-After") };
  } catch {
    return { status: 0, body: {}, text: "", link: "", code: "", retryAfter: 0 };
  }
}

/**
 * @param {Response} reply
 * @param {string} name
 */
function seconds(reply, name) {
  const value = Number(reply.headers.get(name) ?? 0);
  return Number.isFinite(value) && value > 0 ? value : 0;
}

/** @param {string} text */
function json(text) {
  try {
    return JSON.parse(text) ?? {};
  } catch {
    return {};
  }
}

/** @param {Answer} answer */
export function isPassing(answer) {
  return answer.status === 0 || answer.status === 429 || answer.status >= 500;
}

/**
 * How long to wait before asking again: longer each time, never in step with the others, never before Retry-After.
 * @param {number} attempt from 0 on
 * @param {number} retryAfter seconds
 * @param {() => number} [random]
 * @returns {number} milliseconds
 */
export function backoff(attempt, retryAfter, random = Math.random) {
  const most = Math.min(20_000, 500 * 2 ** Math.min(attempt, 10));
  return retryAfter * 1000 + most * (0.5 + random() / 2);
}
