// Questions to the operator. Every action is confirmed by a button that says what it does.
import { make, say } from "./dom.js";

/**
 * @param {string} question
 * @param {string} explanation
 * @param {string} verb
 * @returns {Promise<boolean>}
 */
export function confirmed(question, explanation, verb) {
  const content = make("form", { method: "dialog" }, make("h2", { id: "dialog-title" }, question), make("p", {}, explanation));
  const dialog = make("dialog", { "aria-labelledby": "dialog-title" }, content);
  content.append(buttons(verb, () => dialog.close("no")));
  return dialogOf(dialog).then((value) => value === "yes");
}

/**
 * For what cannot be undone: the verb works once `expected` has been typed.
 * @param {string} question
 * @param {string} explanation
 * @param {string} verb
 * @param {string} expected
 * @returns {Promise<boolean>}
 */
export function confirmedByTyping(question, explanation, verb, expected) {
  const typed = make("input", { required: true, autocomplete: "off", autofocus: true, dir: "auto" });
  const content = make("form", { method: "dialog" }, make("h2", { id: "dialog-title" }, question),
    make("label", {}, explanation, " ", make("bdi", {}, expected), typed));
  const dialog = make("dialog", { "aria-labelledby": "dialog-title" }, content);
  const check = () => typed.setCustomValidity(typed.value === expected ? "" : `Type ${expected}.`);
  typed.addEventListener("input", check);
  check();
  content.append(buttons(verb, () => dialog.close("no")));
  return dialogOf(dialog).then((value) => value === "yes");
}

/**
 * The way back stands first and so has the focus, but Enter in a field presses the verb: it alone submits.
 * @param {string} verb
 * @param {() => void} leave
 * @param {string} [back]
 */
export function buttons(verb, leave, back = "Cancel") {
  return make("div", { class: "row" },
    make("button", { type: "button", click: leave }, back),
    make("button", { value: "yes", class: "main" }, verb));
}

/** @param {HTMLDialogElement} dialog @returns {Promise<string>} what it was closed with */
export function dialogOf(dialog) {
  document.body.append(dialog);
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => {
      dialog.remove();
      resolve(dialog.returnValue);
    });
  });
}

const GOOD_MS = 20_000;

/** @type {WeakMap<Element, number>} */
const leaving = new WeakMap();

/**
 * Say how an action went, and when. Good news go by themselves; the rest stays until there is other news.
 * @param {Element} place
 * @param {"good" | "warn" | "bad"} tone
 * @param {string} text empty: nothing any more
 */
export function tell(place, tone, text) {
  clearTimeout(leaving.get(place));
  place.className = text ? `note ${tone}` : "";
  say(place, text && `${new Date().toLocaleTimeString()} ${text}`);
  if (text && tone === "good") {
    leaving.set(place, setTimeout(() => tell(place, tone, ""), GOOD_MS));
  }
}
