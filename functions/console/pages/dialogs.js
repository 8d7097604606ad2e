// Questions to the operator. Every action is confirmed by a button that says what it does.
import { make, say } from "./dom.js";

/** @typedef {{campaign_id: string, name: string, capacity: number, opens_at: string, closes_at: string}} Fields */

/**
 * @param {string} question
 * @param {string} explanation
 * @param {string} verb
 * @returns {Promise<boolean>}
 */
export function confirmed(question, explanation, verb) {
  const content = make("form", { method: "dialog" }, make("h2", { id: "dialog-title" }, question), make("p", {}, explanation));
  content.append(buttons(verb));
  return opened(content).then((value) => value === "yes");
}

/**
 * Ask for a campaign's fields.
 * @param {string} title
 * @param {string} verb
 * @param {Partial<Fields>} given an id is not asked for again
 * @returns {Promise<Fields | null>}
 */
export function askForCampaign(title, verb, given) {
  const id = field("Id", "in the address: a-z, 0-9 and -", {
    name: "campaign_id", required: true, pattern: "[a-z0-9][a-z0-9\\-]{0,62}", maxlength: "63", autocomplete: "off",
    value: given.campaign_id ?? "", readonly: Boolean(given.campaign_id),
  });
  const name = field("Name", "users see it", { name: "name", required: true, maxlength: "200", value: given.name ?? "" });
  const capacity = field("Capacity", "coupons, 1 to 10,000,000", {
    name: "capacity", type: "number", required: true, min: "1", max: "10000000", step: "1", value: String(given.capacity ?? 100),
  });
  const opens = timeField("Opens", "opens_at", given.opens_at ?? new Date().toISOString());
  const closes = timeField("Closes", "closes_at", given.closes_at ?? new Date(Date.now() + 7 * 86_400_000).toISOString());
  const form = make("form", { method: "dialog" }, make("h2", { id: "dialog-title" }, title), id, name, capacity, opens, closes);
  form.append(make("p", { class: "soft" }, `Times are this computer's: ${Intl.DateTimeFormat().resolvedOptions().timeZone}.`));
  form.append(buttons(verb));
  form.addEventListener("submit", (/** @type {SubmitEvent} */ event) => checkTimes(form, event));
  return opened(form).then((value) => (value === "yes" ? fieldsOf(form) : null));
}

/** @param {HTMLFormElement} form @param {SubmitEvent} event */
function checkTimes(form, event) {
  if (/** @type {HTMLButtonElement} */ (event.submitter)?.value !== "yes") {
    return;
  }
  const { opens_at, closes_at } = fieldsOf(form);
  if (closes_at <= opens_at) {
    const closes = /** @type {HTMLInputElement} */ (form.elements.namedItem("closes_at"));
    closes.setCustomValidity("The campaign must close after it opens.");
    form.addEventListener("input", () => closes.setCustomValidity(""), { once: true });
    closes.reportValidity();
    event.preventDefault();
  }
}

/** @param {HTMLFormElement} form @returns {Fields} */
function fieldsOf(form) {
  const values = new FormData(form);
  const text = (/** @type {string} */ name) => String(values.get(name) ?? "").trim();
  return {
    campaign_id: text("campaign_id"),
    name: text("name"),
    capacity: Number(text("capacity")),
    opens_at: new Date(text("opens_at")).toISOString(),
    closes_at: new Date(text("closes_at")).toISOString(),
  };
}

/** @param {string} label @param {string} hint @param {Record<string, string | boolean>} attributes */
function field(label, hint, attributes) {
  return make("label", {}, label, " ", make("span", { class: "soft" }, hint), make("input", attributes));
}

/** @param {string} label @param {string} name @param {string} instant */
function timeField(label, name, instant) {
  return field(label, "", { name, type: "datetime-local", required: true, step: "1", value: localText(instant) });
}

/** @param {string} instant RFC 3339 @returns {string} the same in this computer's time, to the second */
function localText(instant) {
  const time = new Date(instant);
  return new Date(time.getTime() - time.getTimezoneOffset() * 60_000).toISOString().slice(0, 19);
}

/** @param {string} verb */
function buttons(verb) {
  return make("div", { class: "row" },
    make("button", { value: "no", formnovalidate: true }, "Cancel"),
    make("button", { value: "yes", class: "main" }, verb));
}

/** @param {HTMLFormElement} content @returns {Promise<string>} the value of the button that closed it */
function opened(content) {
  const dialog = make("dialog", { "aria-labelledby": "dialog-title" }, content);
  document.body.append(dialog);
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => {
      dialog.remove();
      resolve(dialog.returnValue);
    });
  });
}

/**
 * @param {Element} place
 * @param {"good" | "warn" | "bad"} tone
 * @param {string} text
 */
export function tell(place, tone, text) {
  place.className = text ? `note ${tone}` : "";
  say(place, text);
}
