// The campaigns: searched, filtered and sorted by the API, a page at a time.
import { make } from "./dom.js";
import { operate } from "./poller.js";

/** @typedef {import("./poller.js").Reading} Reading */

/** The states, in words. */
export const STATES = {
  open: "open", not_open: "not open yet", closed: "closed", paused: "paused", sold_out: "sold out", unavailable: "gate unavailable",
  archived: "archived",
};

/** @param {number | null} count */
export const grouped = (count) => (count === null ? "?" : count.toLocaleString("en"));

/** @param {string} instant */
export function shortTime(instant) {
  return new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" }).format(new Date(instant));
}

/** @param {string} instant @returns {string} with its zone: for what an operator is about to do */
export function longTime(instant) {
  return `${shortTime(instant)} (${timeZone()})`;
}

/** @returns {string} this computer's */
export const timeZone = () => Intl.DateTimeFormat().resolvedOptions().timeZone;

/** @param {keyof typeof STATES} state */
export function badge(state) {
  return make("span", { class: `badge ${state}` }, STATES[state]);
}

const PAGE = 50;

export class ListView {
  /**
   * @param {() => void} create what the button for a new campaign does
   * @param {() => void} refresh reads at once
   */
  constructor(create, refresh) {
    this.refresh = refresh;
    /** @type {string[]} where each page begins, up to the one that is shown: no other is read */
    this.afters = [""];
    this.next = "";
    this.seen = "";
    this.rows = make("tbody", {});
    this.table = make("table", { "aria-label": "Campaigns" }, make("thead", {}, headings()), this.rows);
    this.empty = make("p", { role: "status", hidden: true }, "There is no such campaign.");
    this.earlier = make("button", { type: "button", hidden: true, click: () => this.turn(this.afters.slice(0, -1)) }, "Previous page");
    this.later = make("button", { type: "button", hidden: true, click: () => this.turn([...this.afters, this.next]) }, "Next page");
    // Offered once the list was answered: to an operator, then.
    this.create = make("button", { type: "button", class: "main", hidden: true, click: create }, "New campaign");
    this.element = make("div", {},
      make("h1", {}, "Campaigns"), make("div", { class: "row" }, this.create, ...this.filters()),
      make("div", { class: "scroll" }, this.table), this.empty, make("div", { class: "row" }, this.earlier, this.later));
  }

  filters() {
    const restart = () => this.turn([""]);
    this.q = make("input", { type: "search", maxlength: "200", "aria-label": "Search by id or name", placeholder: "Search", input: restart });
    this.state = choice("State", { "": "All states", active: "Active", paused: "Paused", archived: "Archived" }, restart);
    this.sort = choice("Sort", { created: "Newest first", opens_at: "Next opening first" }, restart);
    return [this.q, this.state, this.sort];
  }

  /** @param {string[]} afters */
  turn(afters) {
    this.afters = afters;
    this.refresh();
  }

  query() {
    const wanted = { limit: String(PAGE), after: this.afters.at(-1) ?? "", q: this.q.value.trim(), state: this.state.value, sort: this.sort.value };
    return String(new URLSearchParams(Object.entries(wanted).filter(([, value]) => value)));
  }

  /** @returns {Promise<Reading>} */
  async read() {
    const query = this.query();
    const answer = await operate("GET", `campaigns?${query}`);
    if (answer.status !== 200) {
      return { failure: answer, hasChanged: false };
    }
    this.create.hidden = false;
    if (query !== this.query()) {
      return { failure: null, hasChanged: true }; // Somebody went on typing; the answer to that is on its way.
    }
    const seen = JSON.stringify(answer.body);
    const hasChanged = seen !== this.seen;
    if (hasChanged) {
      this.seen = seen;
      this.next = answer.body.next_after ?? "";
      this.paint(answer.body.campaigns);
    }
    this.later.hidden = !this.next;
    this.earlier.hidden = this.afters.length === 1;
    const [other] = [[this.earlier, this.later], [this.later, this.earlier]].filter(([, button]) => button.hidden && button === document.activeElement);
    other?.[0].focus();
    return { failure: null, hasChanged };
  }

  /** @param {any[]} campaigns */
  paint(campaigns) {
    const focused = document.activeElement?.getAttribute("href");
    this.rows.replaceChildren(...campaigns.map(row));
    this.table.hidden = campaigns.length === 0;
    this.empty.hidden = campaigns.length > 0;
    if (focused) {
      this.rows.querySelector(`a[href="${CSS.escape(focused)}"]`)?.focus();
    }
  }

  isUrgent() {
    return false;
  }

  tick() {}

  stop() {}
}

/** @param {string} label @param {Record<string, string>} options text by value @param {() => void} change */
function choice(label, options, change) {
  return make("select", { "aria-label": label, change }, ...Object.entries(options).map(([value, text]) => make("option", { value }, text)));
}

function headings() {
  const names = ["Campaign", "State", "Remaining", "Capacity", "Opens", "Closes"];
  return make("tr", {}, ...names.map((name) => make("th", { scope: "col", ...numeric(name) }, name)));
}

/** @param {string} name @returns {Record<string, string>} */
function numeric(name) {
  return name === "Remaining" || name === "Capacity" ? { class: "number" } : {};
}

/** @param {any} campaign */
function row(campaign) {
  const link = make("a", { href: `#/campaigns/${campaign.campaign_id}`, dir: "auto" }, campaign.name);
  return make("tr", {},
    make("td", {}, link, make("div", { class: "soft" }, campaign.campaign_id)),
    make("td", {}, badge(campaign.state)),
    make("td", { class: "number" }, grouped(campaign.remaining)),
    make("td", { class: "number" }, grouped(campaign.capacity)),
    make("td", { class: "time" }, shortTime(campaign.opens_at)),
    make("td", { class: "time" }, shortTime(campaign.closes_at)));
}
