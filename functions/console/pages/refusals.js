// Why an action was not done, in words.
import { kindOf } from "./poller.js";

/** @param {import("./api.js").Answer} answer to an action @returns {{problem: string, field?: string} | null} null: it was done */
export function refusalOf(answer) {
  if (answer.status === 200 || answer.status === 201) {
    return null;
  }
  const texts = {
    network: "No answer came, so it is not known whether it was done. Repeating it does no harm.",
    busy: "Too many requests at the moment. Nothing was changed; try again.",
    unavailable: "The service answers 503: Redis, MySQL or the queue did not answer, or the gate is lost. Repeating it does no harm.",
    expired: "The session has ended. Sign in again; nothing was changed.",
    forbidden: "This account is not an operator.",
    missing: "There is no such campaign.",
    failed: "",
  };
  const detail = answer.body.detail ?? answer.body.message ?? `The service answered ${answer.status}.`;
  const field = answer.code === "capacity_below_accepted" ? "capacity" : answer.body.errors?.[0]?.field;
  return { problem: texts[kindOf(answer)] || `Not done: ${detail}`, field };
}
