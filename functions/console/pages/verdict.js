// One line for the big screen: is it exact, is it on time, does anything go wrong? And what is wrong, in words.
import { grouped } from "./list.js";

const LATE_SECONDS = 60;

/** @typedef {"good" | "warn" | "bad" | ""} Tone empty: claims are on their way, as they should be */

/**
 * @param {any} stats
 * @param {string} state the campaign's
 * @returns {{tone: Tone, text: string}}
 */
export function verdictOf(stats, state) {
  if (state === "unavailable") {
    return { tone: "bad", text: "NOT ADMITTING: the gate is unavailable" };
  }
  const { exact, overflow, dead_letters, unavailable } = stats;
  const errors = overflow + dead_letters + (unavailable ?? 0);
  const words = [
    exact ? "EXACT" : exact === false ? "NOT EXACT" : "COUNTING",
    isLate(stats) ? "LATE" : "ON TIME",
    errors === 1 ? "1 error" : `${grouped(errors)} errors`,
  ];
  const isBad = exact === false || isLate(stats) || overflow > 0;
  return { tone: isBad ? "bad" : errors ? "warn" : exact ? "good" : "", text: words.join(" · ") };
}

/** @param {any} stats */
const isOverdue = ({ exact, issued, overflow, accepted }) => exact === false && issued + overflow < accepted;

/** @param {any} stats */
const isLate = (stats) => isOverdue(stats) || isWaiting(stats);

/** @param {any} stats */
const isWaiting = ({ outbox, oldest_outbox_seconds }) => outbox > 0 && oldest_outbox_seconds > LATE_SECONDS;

/** @param {number} count */
const claims = (count) => (count === 1 ? "1 claim was" : `${grouped(count)} claims were`);

/**
 * @param {any} stats
 * @param {string} state the campaign's
 * @returns {[tone: Tone, anchor: string, text: string][]} with the runbook's anchor
 */
export function alertsOf(stats, state) {
  const { overflow, dead_letters, outbox, oldest_outbox_seconds, accepted, issued, exact } = stats;
  /** @type {[boolean, Tone, string, string][]} */
  const all = [
    [state === "unavailable", "bad", "gate-lost", "The gate is lost or closed, and nobody is admitted: users are told to wait. The relay " +
      "rebuilds it automatically within minutes; the button does it now."],
    [overflow > 0, "bad", "overflow", `${claims(overflow)} accepted but found no seat in MySQL. It takes a Redis that went back in ` +
      "time. Each is kept in the table overflow: raise the capacity and send them again, or tell the users."],
    [isOverdue(stats), "bad", "claimslate", `${claims(accepted - issued - overflow)} accepted and should be in MySQL by now.`],
    [exact === false && !isOverdue(stats) && overflow === 0, "bad", "claimsmissing", "The coupons in MySQL are not those that were accepted."],
    [dead_letters > 0, "warn", "deadletters", `${dead_letters === 1 ? "1 message" : `${grouped(dead_letters)} messages`} in the ` +
      "dead-letter queue, of all campaigns together. They could not be read as claims; each says why in its attribute reason."],
    [isWaiting(stats), "warn", "relaynotrunning", `${claims(outbox)} accepted and not in the queue yet, the oldest for ` +
      `${Math.round(oldest_outbox_seconds)} s. The relay sends them every minute; if this grows, SQS or the relay is in trouble.`],
  ];
  return all.filter(([isSo]) => isSo).map(([, ...alert]) => alert);
}

/** @param {any} stats @param {Record<string, string>} states in words @returns {string} what users were refused, or empty */
export function refusalsText({ refused = {}, unavailable = 0 }, states) {
  const counts = Object.entries(refused).map(([code, count]) => `${grouped(count)} ${states[code] ?? code}`);
  const all = unavailable ? [...counts, `${grouped(unavailable)} answered 503`] : counts;
  return all.length ? `Refused, at least: ${all.join(", ")}.` : "";
}
