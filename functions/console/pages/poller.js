// Reads again and again: soon while something changes, later while nothing does, later still while nothing answers.
import { backoff, call, isPassing } from "./api.js";
import { renew, session, token } from "./oidc.js";

/** @typedef {import("./api.js").Answer} Answer */
/** @typedef {"network" | "busy" | "unavailable" | "expired" | "forbidden" | "missing" | "failed"} Kind */

const SOON_MS = 1000;
const LATE_MS = 5000;
const LEAST_MS = 200;

/**
 * Call as the operator; a session that ended is renewed once.
 * @param {string} method
 * @param {string} path
 * @param {unknown} [body]
 * @param {Record<string, string>} [headers]
 * @returns {Promise<Answer>}
 */
export async function operate(method, path, body, headers) {
  const answer = await call(method, path, { token: await token("operator"), body, headers });
  if (answer.status !== 401 || !(await renew("operator"))) {
    return answer;
  }
  return call(method, path, { token: session("operator")?.access_token ?? "", body, headers });
}

/**
 * @param {Answer} answer that is no success
 * @returns {Kind}
 */
export function kindOf(answer) {
  /** @type {Record<number, Kind>} */
  const kinds = { 0: "network", 401: "expired", 403: "forbidden", 404: "missing", 429: "busy", 503: "unavailable" };
  return kinds[answer.status] ?? "failed";
}

/**
 * @typedef {object} Reading
 * @property {Answer | null} failure the first answer that is no success
 * @property {boolean} hasChanged or is about to: it is read again soon
 */

export class Poller {
  /**
   * @param {() => Promise<Reading>} read
   * @param {(failure: Answer | null, nextAt: number) => void} report
   */
  constructor(read, report) {
    this.read = read;
    this.report = report;
    this.isRunning = false;
    this.isReading = false;
    this.isDue = false;
    this.failures = 0;
    this.pause = SOON_MS;
    this.timer = 0;
    this.wake = () => this.now();
  }

  start() {
    this.isRunning = true;
    addEventListener("online", this.wake);
    addEventListener("offline", this.wake);
    document.addEventListener("visibilitychange", this.wake);
    this.now();
  }

  stop() {
    this.isRunning = false;
    clearTimeout(this.timer);
    removeEventListener("online", this.wake);
    removeEventListener("offline", this.wake);
    document.removeEventListener("visibilitychange", this.wake);
  }

  /** Read at once, and go on from there. A page that nobody sees does not read. */
  now() {
    clearTimeout(this.timer);
    this.isDue = this.isReading; // What is being read may be from before what somebody has just done.
    if (this.isRunning && !this.isReading && !document.hidden) {
      void this.once();
    }
  }

  async once() {
    const begunAt = Date.now();
    this.isReading = true;
    const { failure, hasChanged } = await this.read();
    this.isReading = false;
    if (!this.isRunning) {
      return;
    }
    const wait = failure ? this.afterFailure(failure) : this.afterSuccess(hasChanged) - (Date.now() - begunAt);
    this.report(failure, Date.now() + wait);
    if (this.isDue) {
      this.now();
    } else if (Number.isFinite(wait)) {
      this.timer = setTimeout(() => this.now(), Math.max(LEAST_MS, wait));
    }
  }

  /** @param {boolean} hasChanged */
  afterSuccess(hasChanged) {
    this.failures = 0;
    this.pause = hasChanged ? SOON_MS : Math.min(LATE_MS, this.pause * 1.3);
    return this.pause;
  }

  /** @param {Answer} failure */
  afterFailure(failure) {
    this.pause = SOON_MS;
    this.failures += 1;
    return isPassing(failure) ? backoff(this.failures, failure.retryAfter) : Infinity;
  }
}
