// All campaigns, the newest first.
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

export class ListView {
  /** @param {() => void} create what the button for a new campaign does */
  constructor(create) {
    this.pages = 1;
    this.seen = "";
    this.rows = make("tbody", {});
    this.table = make("table", { "aria-label": "Campaigns" }, make("thead", {}, headings()), this.rows);
    this.empty = make("p", { hidden: true }, "There is no campaign yet.");
    this.more = make("button", { type: "button", hidden: true, click: () => (this.pages += 1) }, "Show more");
    // Offered once the list was answered: to an operator, then.
    this.create = make("button", { type: "button", class: "main", hidden: true, click: create }, "New campaign");
    this.element = make("div", {},
      make("h1", {}, "Campaigns"), make("div", { class: "row" }, this.create),
      make("div", { class: "scroll" }, this.table), this.empty, make("div", { class: "row" }, this.more));
  }

  /** @returns {Promise<Reading>} */
  async read() {
    const campaigns = [];
    let after = "";
    for (let page = 0; page < this.pages; page += 1) {
      const answer = await operate("GET", `campaigns?limit=20${after ? `&after=${after}` : ""}`);
      if (answer.status !== 200) {
        return { failure: answer, hasChanged: false };
      }
      campaigns.push(...answer.body.campaigns);
      after = answer.body.next_after ?? "";
      if (!after) {
        break;
      }
    }
    this.create.hidden = false;
    const seen = JSON.stringify(campaigns);
    const hasChanged = seen !== this.seen;
    if (hasChanged) {
      this.paint(campaigns);
    }
    this.seen = seen;
    this.more.hidden = !after;
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
    make("td", {}, shortTime(campaign.opens_at)),
    make("td", {}, shortTime(campaign.closes_at)));
}
