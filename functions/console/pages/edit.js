// The form for a campaign. What was typed stays until it is saved or given up, even when another operator was quicker.
import { make } from "./dom.js";
import { buttons, dialogOf } from "./dialogs.js";
import { grouped, longTime, timeZone } from "./list.js";

/** @typedef {{campaign_id: string, name: string, capacity: number, opens_at: string, closes_at: string, version?: number}} Fields */
/** @typedef {{problem: string, field?: string, current?: Fields}} Refusal `current`: the campaign as somebody else has left it */

/**
 * @typedef {object} Task
 * @property {string} title
 * @property {string} verb
 * @property {Fields | null} given null: a new campaign
 * @property {number} accepted coupons, which the capacity cannot be below
 * @property {(fields: Fields) => Promise<Refusal | null>} save with the version that `fields` starts from; null: done
 */

/** @type {Record<string, string>} */
const LABELS = { name: "Name", capacity: "Capacity", opens_at: "Opens", closes_at: "Closes" };
const WEEK_MS = 7 * 86_400_000;
const NOTHING = { campaign_id: "", name: "", capacity: 100, opens_at: "", closes_at: "" };

/** @param {any} before @param {any} after @returns {string[]} "Capacity 450 → 900", for each field that differs */
export function differences(before, after) {
  const text = (/** @type {string} */ name, /** @type {any} */ value) =>
    name === "capacity" ? grouped(value) : name.endsWith("_at") ? longTime(value) : value;
  return Object.keys(LABELS).filter((name) => before[name] !== after[name])
    .map((name) => `${LABELS[name]} ${text(name, before[name])} → ${text(name, after[name])}`);
}

/**
 * Ask for a campaign's fields, show what would change, and save it.
 * @param {Task} task
 * @returns {Promise<{before: Fields | null, after: Fields} | null>} null: given up
 */
export function editCampaign(task) {
  const editor = new Editor(task);
  return dialogOf(editor.dialog).then((value) => (value === "yes" ? { before: editor.given, after: editor.fields() } : null));
}

class Editor {
  /** @param {Task} task */
  constructor(task) {
    this.task = task;
    this.given = task.given;
    this.isSaving = false;
    /** @type {Map<string, string>} what each input shows of the campaign, as long as nobody types */
    this.shown = new Map();
    this.note = make("p", { role: "alert" });
    this.form = make("form", {}, make("h2", { id: "dialog-title" }, task.title), this.note, ...this.inputs(),
      make("p", { class: "soft" }, `Times are in this computer's time zone, ${timeZone()}.`),
      buttons("Continue", () => this.dialog.close("no")));
    this.text = make("div", {});
    this.review = make("form", { hidden: true }, make("h2", { id: "review-title" }, `${task.verb} the campaign?`), this.text,
      buttons(task.verb, () => this.show(this.form), "Back"));
    this.dialog = make("dialog", {}, this.form, this.review);
    this.form.addEventListener("submit", (/** @type {Event} */ event) => this.proceed(event));
    this.review.addEventListener("submit", (/** @type {Event} */ event) => void this.save(event));
    this.form.addEventListener("input", (/** @type {Event} */ event) => this.edited(event.target));
    this.dialog.addEventListener("cancel", (/** @type {Event} */ event) => this.escape(event));
    this.fill(this.given ?? startingPoint());
    this.show(this.form);
  }

  inputs() {
    const { given, accepted } = this.task;
    const id = field("Id", "in the address: a-z, 0-9 and -", {
      name: "campaign_id", required: true, pattern: "[a-z0-9][a-z0-9\\-]{0,62}", maxlength: "63", autocomplete: "off",
    });
    return [
      field("Name", "users see it", { name: "name", required: true, maxlength: "200", dir: "auto", autofocus: true }),
      ...(given ? [] : [id]),
      field("Capacity", accepted > 0 ? `coupons; ${grouped(accepted)} have been accepted` : "coupons, 1 to 10,000,000", {
        name: "capacity", type: "number", required: true, min: String(Math.max(1, accepted)), max: "10000000", step: "1",
      }),
      field("Opens", "", { name: "opens_at", type: "datetime-local", required: true, step: "1" }),
      field("Closes", "", { name: "closes_at", type: "datetime-local", required: true, step: "1" }),
    ];
  }

  /** @param {string} name @returns {HTMLInputElement | null} */
  input(name) {
    return /** @type {HTMLInputElement | null} */ (this.form.elements.namedItem(name));
  }

  /** Fill in what the operator has not touched. @param {Fields} fields */
  fill(fields) {
    for (const [name, value] of Object.entries({ ...NOTHING, ...fields })) {
      const input = this.input(name);
      if (input) {
        const typed = input.value;
        const isTouched = typed !== (this.shown.get(name) ?? typed);
        input.value = name.endsWith("_at") ? localText(String(value)) : String(value);
        this.shown.set(name, input.value);
        if (isTouched) {
          input.value = typed;
        }
      }
    }
  }

  /** @returns {Fields} */
  fields() {
    const value = (/** @type {string} */ name) => this.input(name)?.value.trim() ?? "";
    // An instant that was not touched keeps its milliseconds, which the input does not show.
    const instant = (/** @type {"opens_at" | "closes_at"} */ name) =>
      this.given && value(name) === this.shown.get(name) ? this.given[name] : new Date(value(name)).toISOString();
    return {
      ...this.given, campaign_id: this.given?.campaign_id ?? value("campaign_id"), name: value("name"), capacity: Number(value("capacity")),
      opens_at: instant("opens_at"), closes_at: instant("closes_at"),
    };
  }

  /** @param {any} input */
  edited(input) {
    for (const each of this.form.elements) {
      each.setCustomValidity?.("");
    }
    const id = this.input("campaign_id");
    if (input.name === "campaign_id") {
      input.toggleAttribute("data-touched", input.value !== "");
    } else if (input.name === "name" && id && !id.hasAttribute("data-touched")) {
      id.value = idFrom(input.value);
    }
  }

  /** @param {Event} event */
  proceed(event) {
    event.preventDefault();
    if (!this.areTimesRight()) {
      return;
    }
    const changes = this.given ? differences(this.given, this.fields()) : creation(this.fields());
    if (changes.length === 0) {
      this.complain("Nothing is different from how the campaign is now.");
      return;
    }
    this.text.replaceChildren(...changes.map((change) => make("p", { dir: "auto" }, change)));
    this.complain("");
    this.show(this.review);
  }

  areTimesRight() {
    const [opens, closes] = [this.input("opens_at"), this.input("closes_at")].filter((input) => input !== null);
    const skipped = [opens, closes].find((input) => localText(input.value) !== withSeconds(input.value));
    if (skipped) {
      skipped.setCustomValidity(`There is no such time in ${timeZone()}: the clocks go forward then.`);
    } else if (new Date(closes.value) <= new Date(opens.value)) {
      closes.setCustomValidity("The campaign must close after it opens.");
    }
    return this.form.reportValidity();
  }

  /** @param {Event} event */
  async save(event) {
    event.preventDefault();
    if (this.isSaving) {
      return;
    }
    this.setSaving(true);
    const refusal = await this.task.save(this.fields());
    this.setSaving(false);
    if (refusal) {
      this.back(refusal);
    } else {
      this.dialog.close("yes");
    }
  }

  /** @param {Refusal} refusal */
  back({ problem, field: name, current }) {
    if (current) {
      this.fill(current);
      this.given = current;
    }
    this.show(this.form);
    this.complain(current ? `${problem} What you typed is kept; all else is shown as it is now.` : problem);
    (this.input(name ?? "") ?? this.form.querySelector("button.main")).focus();
  }

  /** @param {boolean} isSaving */
  setSaving(isSaving) {
    this.isSaving = isSaving;
    const button = this.review.querySelector("button.main");
    button.setAttribute("aria-disabled", String(isSaving));
    button.textContent = isSaving ? "Saving…" : this.task.verb;
  }

  /** @param {string} text */
  complain(text) {
    this.note.className = text ? "note bad" : "";
    this.note.textContent = text;
  }

  /** @param {HTMLFormElement} part */
  show(part) {
    this.form.hidden = part !== this.form;
    this.review.hidden = part !== this.review;
    this.dialog.setAttribute("aria-labelledby", part.querySelector("h2")?.id ?? "");
    const first = part === this.form ? this.input("name") : part.querySelector("button");
    first?.focus();
  }

  /** Escape leads from the question back to the form. @param {Event} event */
  escape(event) {
    if (!this.review.hidden) {
      event.preventDefault();
      if (!this.isSaving) {
        this.show(this.form);
      }
    }
  }
}

/** @returns {Fields} a new campaign opens at the next full hour, and for a week */
function startingPoint() {
  const opens = new Date();
  opens.setHours(opens.getHours() + 1, 0, 0, 0);
  return { ...NOTHING, opens_at: opens.toISOString(), closes_at: new Date(opens.getTime() + WEEK_MS).toISOString() };
}

/** @param {Fields} fields */
function creation({ campaign_id, name, capacity, opens_at, closes_at }) {
  const opens = new Date(opens_at) <= new Date() ? "It opens immediately" : `It opens on ${longTime(opens_at)}`;
  return [`${name}: ${grouped(capacity)} coupons, with the id ${campaign_id}.`, `${opens} and closes on ${longTime(closes_at)}.`];
}

/** @param {string} name */
function idFrom(name) {
  const plain = name.normalize("NFKD").toLowerCase().replace(/\p{M}/gu, "");
  return plain.replace(/[^a-z0-9]+/g, "-").replace(/^-+/, "").slice(0, 63).replace(/-+$/, "");
}

/** @param {string} label @param {string} hint @param {Record<string, string | boolean>} attributes */
function field(label, hint, attributes) {
  return make("label", {}, label, " ", make("span", { class: "soft" }, hint), make("input", attributes));
}

/** @param {string} text as `datetime-local` has it @returns {string} */
const withSeconds = (text) => (text.length === 16 ? `${text}:00` : text.slice(0, 19));

/** @param {string} instant @returns {string} the same in this computer's time, to the second */
function localText(instant) {
  const time = new Date(instant);
  return new Date(time.getTime() - time.getTimezoneOffset() * 60_000).toISOString().slice(0, 19);
}
