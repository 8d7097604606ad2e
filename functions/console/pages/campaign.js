// One campaign: its figures, its chart, its newest coupons, and what an operator can do.
import { BASE, call } from "./api.js";
import { Chart } from "./chart.js";
import { ServerClock, countdownText } from "./clock.js";
import { confirmed, confirmedByTyping, tell } from "./dialogs.js";
import { make, say, sleep } from "./dom.js";
import { differences, editCampaign } from "./edit.js";
import { STATES, badge, grouped, shortTime } from "./list.js";
import { operate } from "./poller.js";
import { refusalOf } from "./refusals.js";
import { Series } from "./series.js";
import { auditTool, csvTool, lookupTool } from "./tools.js";
import { alertsOf, refusalsText, verdictOf } from "./verdict.js";

/** @typedef {import("./api.js").Answer} Answer */
/** @typedef {import("./poller.js").Reading} Reading */

const NEWEST = 10;
const EARLY_MS = 35_000;
const SHOWN_MS = 300;
const HISTORY_ROWS = 12;
const CAPACITY_MAX = 10_000_000;

/** @type {Record<string, string>} what an operator did, by the audit trail's name of it */
const DONE = { create: "created", change: "changed", pause: "paused", resume: "resumed" };

/** @type {Map<string, Series>} what was seen of each campaign, for as long as the page is open */
const histories = new Map();

export class CampaignView {
  /**
   * @param {string} id
   * @param {string} runbook where the operators' document is; empty when nobody said
   * @param {() => void} refresh reads at once
   */
  constructor(id, runbook, refresh) {
    this.id = id;
    this.path = `campaigns/${id}`;
    this.runbook = runbook;
    this.refresh = refresh;
    this.clock = new ServerClock();
    this.series = histories.get(id) ?? new Series();
    histories.set(id, this.series);
    /** @type {any} */ this.campaign = null;
    /** @type {any} */ this.stats = null;
    this.state = "";
    /** @type {Promise<Answer> | null} */ this.showing = null;
    this.shownIssued = -1;
    // What is on the page; it is made anew only when that changes.
    this.headKey = "";
    this.alertKey = "";
    this.working = "";
    this.notedVersion = 0;
    this.isStopped = false;
    this.build();
    this.chart = new Chart(this.canvas);
  }

  build() {
    this.title = make("h1", {}, this.id);
    this.facts = make("p", { class: "soft" });
    this.verdict = make("p", { id: "verdict", class: "verdict", role: "status" });
    this.countdown = make("p", { class: "opening", role: "timer", "aria-live": "off", hidden: true });
    this.refusals = make("p", { id: "refusals", class: "soft" });
    this.alerts = make("div", { role: "status" });
    this.result = make("p", { role: "status" });
    this.canvas = make("canvas", { role: "img" });
    this.rows = make("tbody", {});
    this.big = figures(["remaining", "Remaining"], ["accepted", "Accepted"], ["issued", "Issued"]);
    this.small = figures(["queued", "In the queue"], ["outbox", "Not queued yet"], ["lag", "Lag to MySQL"],
      ["overflow", "Overflow"], ["dead_letters", "Dead letters"]);
    this.small.classList.add("small");
    this.buttons = this.actionButtons();
    this.actions = make("div", { class: "row", role: "group", "aria-label": "Actions" }, ...this.buttons.values());
    this.parts = make("div", { hidden: true }, this.countdown, this.verdict, this.big, this.small, this.refusals, this.alerts, this.actions,
      this.result, make("h2", {}, "Over time"), legend(), this.canvas, this.historyTable(), make("h2", {}, "Newest coupons in MySQL"), this.table(),
      csvTool(this.path, `${this.id}.csv`, () => this.stats?.issued ?? 0), lookupTool(this.path), auditTool(this.path));
    this.element = make("div", {}, this.title, this.facts, this.parts);
  }

  /** @returns {Map<string, HTMLButtonElement>} made once: who has the focus on one keeps it */
  actionButtons() {
    /** @type {[string, string, () => Promise<void>][]} */
    const all = [
      ["open", "Open now", () => this.openNow()],
      ["change", "Change…", () => this.change()],
      ["resume", "Resume", () => this.resume()],
      ["pause", "Pause", () => this.pause()],
      ["tenth", "+10 %", () => this.raise(Math.ceil(this.campaign.capacity / 10), "tenth")],
      ["hundred", "+100", () => this.raise(100, "hundred")],
      ["archive", "Archive…", () => this.archive()],
      ["rebuild", "Rebuild the gate", () => this.rebuild()],
    ];
    return new Map(all.map(([name, label, run]) => {
      const click = () => void (this.working || run());
      return [name, make("button", { type: "button", "data-label": label, click }, label)];
    }));
  }

  table() {
    const names = ["Number", "User", "Code", "Accepted", "Issued"];
    const head = make("tr", {}, ...names.map((name) => make("th", { scope: "col" }, name)));
    const table = make("table", { "aria-label": "Newest coupons in MySQL" }, make("thead", {}, head), this.rows);
    return make("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Newest coupons" }, table);
  }

  /** The chart, for whoever cannot see it: a dozen of its points. */
  historyTable() {
    const head = make("tr", {}, ...["Time", "Accepted", "Issued", "In the queue"].map((name) => make("th", { scope: "col" }, name)));
    this.history = make("tbody", {});
    this.historyDetails = make("details", { toggle: () => this.paintHistory() }, make("summary", {}, "The chart as a table"),
      make("table", { "aria-label": "The chart as a table" }, make("thead", {}, head), this.history));
    return this.historyDetails;
  }

  paintHistory() {
    const { points } = this.series;
    const step = Math.max(1, Math.ceil(points.length / HISTORY_ROWS));
    const sampled = points.filter((_, index) => (points.length - 1 - index) % step === 0).reverse();
    const row = (/** @type {import("./series.js").Point} */ { at, accepted, issued, queued }) =>
      make("tr", {}, ...[new Date(at).toLocaleTimeString(), ...[accepted, issued, queued].map(grouped)].map((cell) => make("td", {}, cell)));
    this.history.replaceChildren(...(this.historyDetails.open ? sampled.map(row) : []));
  }

  /** @returns {Promise<Reading>} */
  async read() {
    this.showing ??= call("GET", this.path, { clock: this.clock });
    const counted = await operate("GET", `${this.path}/stats`);
    // The function that shows the campaign also admits users, and in a rush they come first: the counts do not wait for it.
    const shown = await (this.campaign ? Promise.race([this.showing, sleep(SHOWN_MS).then(() => null)]) : this.showing);
    if (shown) {
      this.showing = null;
      this.takeShown(shown);
    }
    const failure = [counted, shown].find((answer) => answer && answer.status !== 200) ?? null;
    const hasChanged = (counted.status === 200 && this.take(counted.body)) || this.isUrgent();
    this.paint();
    if (!failure && this.stats.issued !== this.shownIssued) {
      await this.readNewest();
    }
    return { failure, hasChanged };
  }

  /** @param {Answer} shown */
  takeShown(shown) {
    this.parts.hidden = [400, 404, 410].includes(shown.status);
    this.state = shown.body.state ?? "";
    if (shown.status === 200) {
      this.learn(shown.body);
    } else if (shown.status === 503 && this.campaign) {
      this.campaign = { ...this.campaign, state: "unavailable" };
    }
  }

  /** @param {any} campaign as an answer describes it; one from before a change that is known is passed over */
  learn(campaign) {
    if ((campaign.name === null && !this.campaign) || (campaign.version ?? Infinity) < (this.campaign?.version ?? 0)) {
      return;
    }
    const isKnown = ([, value]) => value !== null; // A gate that is lost knows little of its campaign.
    this.campaign = { ...this.campaign, ...Object.fromEntries(Object.entries(campaign).filter(isKnown)) };
    if (this.notedVersion && this.campaign.version > this.notedVersion) {
      tell(this.result, "good", ""); // What it says is no longer so.
    }
  }

  /** @returns {boolean} whether each second counts: from shortly before the opening until nothing is left */
  isUrgent() {
    const { state, opens_at } = this.campaign ?? {};
    return state === "open" || (state === "not_open" && Date.parse(opens_at) - this.clock.now() < EARLY_MS);
  }

  /** Say each second what time makes of the figures. @param {number} oldSeconds their age, if they are old, or 0 */
  tick(oldSeconds) {
    const { state, opens_at } = this.campaign ?? {};
    this.countdown.hidden = state !== "not_open";
    if (state === "not_open") {
      const left = Date.parse(opens_at) - this.clock.now();
      say(this.countdown, `Opens in ${countdownText(left, (days) => (days === 1 ? "1 day" : `${days} days`))}`);
    }
    if (this.stats) {
      /** @type {ReturnType<typeof verdictOf>} */
      const unknown = { tone: "bad", text: "NOT KNOWN: the figures are old" };
      const { tone, text } = oldSeconds && state !== "unavailable" ? unknown : verdictOf(this.stats, state);
      this.verdict.className = `verdict ${tone}`;
      say(this.verdict, text);
    }
  }

  /** @param {any} stats @returns {boolean} whether a figure has changed */
  take(stats) {
    const hasChanged = JSON.stringify(stats) !== JSON.stringify(this.stats);
    this.stats = stats;
    this.series.add({ at: Date.now(), capacity: stats.capacity, accepted: stats.accepted, issued: stats.issued, queued: stats.queued });
    return hasChanged || stats.issued < stats.accepted;
  }

  async readNewest() {
    const { issued, accepted } = this.stats;
    const answer = await operate("GET", `${this.path}/coupons?after=${Math.max(0, accepted - NEWEST)}&limit=${NEWEST}`);
    if (answer.status === 200) {
      this.shownIssued = issued;
      this.rows.replaceChildren(...answer.body.coupons.reverse().map(couponRow));
    }
  }

  paint() {
    if (this.campaign) {
      this.paintHead();
    }
    if (this.stats) {
      this.paintFigures();
      this.paintAlerts();
      this.chart.show(this.series.points);
      this.paintHistory();
    }
    this.paintActions();
  }

  paintHead() {
    const { name, state, capacity, opens_at, closes_at } = this.campaign;
    const key = JSON.stringify(this.campaign) + (this.stats?.capacity ?? "");
    if (this.headKey === key) {
      return; // Not made anew each second: whoever is reading or tabbing would be thrown out.
    }
    this.headKey = key;
    document.title = `${name} · Firstcome console`;
    this.title.replaceChildren(make("bdi", {}, name), " ", badge(state));
    const claim = make("a", { href: new URL(`${this.path}/claim`, BASE).href, target: "_blank", rel: "noopener" }, "Claim page");
    const text = `${this.id} · ${grouped(capacity)} coupons · opens ${shortTime(opens_at)} · closes ${shortTime(closes_at)} · `;
    const hadFocus = this.facts.contains(document.activeElement);
    this.facts.replaceChildren(text, claim);
    if (hadFocus) {
      claim.focus();
    }
  }

  paintFigures() {
    const { capacity, accepted, issued, queued, outbox, overflow, dead_letters } = this.stats;
    const counts = { remaining: Math.max(0, capacity - accepted), accepted, issued, queued, outbox, overflow, dead_letters };
    for (const [name, count] of Object.entries(counts)) {
      say(this.element.querySelector(`#${name}`), grouped(count));
    }
    say(this.element.querySelector("#lag"), lagText(this.series.lag()));
    this.canvas.setAttribute("aria-label", `Chart over time; now ${accepted} accepted, ${issued} issued, ${queued} in the queue`);
  }

  paintAlerts() {
    say(this.refusals, refusalsText(this.stats, STATES));
    const found = alertsOf(this.stats, this.campaign?.state ?? "");
    const key = JSON.stringify(found);
    if (key !== this.alertKey) {
      this.alertKey = key;
      this.alerts.replaceChildren(...found.map(([tone, anchor, text]) => make("p", { class: `note ${tone}` }, text, " ", this.help(anchor))));
    }
  }

  /** @param {string} anchor @returns {Node} */
  help(anchor) {
    const name = "What to do: docs/operations.md";
    return this.runbook ? make("a", { href: `${this.runbook}#${anchor}`, target: "_blank", rel: "noopener" }, name) : make("em", {}, `${name}.`);
  }

  paintActions() {
    const state = this.campaign?.state ?? this.state;
    const isOnSale = state === "open" || state === "sold_out";
    const offered = {
      open: state === "not_open", change: this.campaign !== null, resume: state === "paused",
      pause: ["open", "not_open", "sold_out"].includes(state), rebuild: state === "unavailable",
      tenth: isOnSale, hundred: isOnSale, archive: state === "closed" || state === "paused",
    };
    const focused = document.activeElement;
    for (const [name, button] of this.buttons) {
      const isWorking = this.working === name;
      button.hidden = !isWorking && !offered[/** @type {keyof typeof offered} */ (name)];
      button.setAttribute("aria-disabled", String(this.working !== ""));
      button.classList.toggle("asking", isWorking);
      say(button, isWorking ? "Working…" : String(button.dataset.label));
    }
    const isLost = focused instanceof HTMLButtonElement && focused.hidden && this.actions.contains(focused);
    if (isLost) {
      ["resume", "pause", "change"].map((name) => this.buttons.get(name)).find((button) => !button?.hidden)?.focus();
    }
  }

  /**
   * @template T
   * @param {string} name of the button that works meanwhile
   * @param {() => Promise<T>} work
   */
  async during(name, work) {
    this.working = name;
    this.paintActions();
    try {
      return await work();
    } finally {
      this.working = "";
    }
  }

  async openNow() {
    // By the server's clock, which is known to half a second: a moment ago.
    const opens_at = new Date(this.clock.now() - 1000).toISOString();
    if (await confirmed("Open the campaign now?", "Users can claim from this moment on.", "Open now")) {
      const refusal = await this.during("open", () => this.save({ ...this.campaign, opens_at }));
      this.conclude(refusal ? `Not done. ${refusal.problem}` : "The campaign was opened.", !refusal);
    }
  }

  async change() {
    const task = { title: "Change the campaign", verb: "Change", given: this.campaign, accepted: this.stats?.accepted ?? 0 };
    const changed = await editCampaign({ ...task, save: (fields) => this.save(fields) });
    if (changed) {
      this.conclude(`The campaign was changed. ${differences(changed.before, changed.after).join("; ")}`, true);
    }
  }

  /** @param {number} more coupons @param {string} name of the button */
  async raise(more, name) {
    const capacity = Math.min(CAPACITY_MAX, this.campaign.capacity + more);
    const change = differences(this.campaign, { ...this.campaign, capacity }).join();
    if (change && (await confirmed("Raise the capacity?", change, "Raise"))) {
      const refusal = await this.during(name, () => this.save({ ...this.campaign, capacity }));
      this.conclude(refusal ? `Not done. ${refusal.problem}` : `The capacity was raised. ${change}`, !refusal);
    }
  }

  async archive() {
    const text = "For good: nobody can claim or see a coupon any more. The rows in MySQL stay. Type the campaign's id to go on:";
    if (await confirmedByTyping("Archive the campaign?", text, "Archive", this.id)) {
      const answer = await this.during("archive", () => operate("DELETE", this.path));
      this.report(answer, "The campaign was archived.");
      if (!refusalOf(answer)) {
        location.hash = "#/";
      }
    }
  }

  /** @param {any} fields @returns {Promise<import("./edit.js").Refusal | null>} */
  async save(fields) {
    const { name, capacity, opens_at, closes_at, version } = fields;
    const answer = await operate("PUT", this.path, { name, capacity, opens_at, closes_at }, { "If-Match": `"${version}"` });
    const { current } = answer.body;
    if (answer.code !== "version_conflict" || !current) {
      const refusal = refusalOf(answer);
      if (!refusal) {
        this.learn(answer.body);
      }
      return refusal;
    }
    const problem = await this.changeSince(version);
    this.learn(current);
    return { problem, current };
  }

  /** @param {number} version @returns {Promise<string>} what others did to the campaign after that version */
  async changeSince(version) {
    const answer = await operate("GET", `${this.path}/events?limit=20`);
    const later = (answer.body.events ?? []).filter((/** @type {any} */ event) => event.after?.version > version).reverse();
    const told = later.map((/** @type {any} */ { actor, action, at, before, after }) => {
      const changes = before ? differences(before, after).join("; ") : "";
      const seconds = Math.max(0, Math.round((this.clock.now() - Date.parse(at)) / 1000));
      return `${actor} ${DONE[action] ?? "changed"} it ${agoText(seconds)}${changes && `: ${changes}`}.`;
    });
    return told.join(" ") || "Another operator has changed it.";
  }

  async pause() {
    const text = "Nobody is admitted until it is resumed. Coupons that were accepted stay, and are issued.";
    if (await confirmed("Pause the campaign?", text, "Pause")) {
      this.report(await this.during("pause", () => operate("POST", `${this.path}/pause`)), "The campaign is paused.");
    }
  }

  async resume() {
    if (await confirmed("Resume the campaign?", "Users are admitted again, at once.", "Resume")) {
      this.report(await this.during("resume", () => operate("POST", `${this.path}/resume`)), "The campaign was resumed.");
    }
  }

  async rebuild() {
    const text = "Makes a lost gate anew from MySQL, once all accepted claims have arrived there; until then users are told to " +
      "wait. A healthy gate is left as it is.";
    if (await confirmed("Rebuild the gate?", text, "Rebuild")) {
      const answer = await this.during("rebuild", () => this.rebuildOnceEmpty());
      this.report(answer, answer.body.rebuilt ? "The gate was rebuilt." : "The gate is whole; nothing had to be done.");
    }
  }

  async rebuildOnceEmpty() {
    let answer = await operate("POST", `${this.path}/rebuild`);
    while (answer.code === "queue_not_empty" && !this.isStopped) {
      tell(this.result, "warn", "Waiting until all accepted claims are in MySQL; then the gate is rebuilt. This takes seconds to minutes.");
      await sleep(Math.max(1, answer.retryAfter) * 1000);
      answer = await operate("POST", `${this.path}/rebuild`);
    }
    return answer;
  }

  /** @param {Answer} answer @param {string} success */
  report(answer, success) {
    const refusal = refusalOf(answer);
    if (!refusal && answer.body.version) {
      this.learn(answer.body);
    }
    this.conclude(refusal?.problem ?? success, !refusal);
  }

  /** @param {string} text @param {boolean} isDone */
  conclude(text, isDone) {
    tell(this.result, isDone ? "good" : "bad", text);
    this.notedVersion = isDone ? this.campaign?.version ?? 0 : 0;
    this.paint();
    this.refresh();
  }

  stop() {
    this.isStopped = true;
    this.chart.stop();
  }
}

/** @param {number} seconds */
const agoText = (seconds) => (seconds < 120 ? `${seconds} s ago` : `${Math.round(seconds / 60)} min ago`);

/** @param {ReturnType<Series["lag"]>} lag */
function lagText(lag) {
  if (!lag) return "?";
  if (lag.seconds === 0 && !lag.isAtLeast) return "none";
  if (lag.isAtLeast && lag.seconds < 1) return "some";
  return `${lag.isAtLeast ? "over " : ""}${lag.seconds < 120 ? `${Math.round(lag.seconds)} s` : `${Math.round(lag.seconds / 60)} min`}`;
}

/** @param {...[string, string]} shown id and label */
function figures(...shown) {
  return make("dl", { class: "figures" }, ...shown.map(([id, label]) => make("div", {}, make("dt", {}, label), make("dd", { id }, "–"))));
}

function legend() {
  const items = [["accepted", "accepted"], ["issued", "issued: a row in MySQL"], ["queued", "in the queue"]];
  return make("ul", { class: "legend" }, ...items.map(([name, text]) => make("li", { class: name }, make("span", {}, text))));
}

/** @param {any} coupon */
function couponRow({ sequence, user_id, coupon_code, accepted_at, issued_at }) {
  const cells = [grouped(sequence), make("bdi", {}, user_id), make("code", {}, coupon_code), shortTime(accepted_at), shortTime(issued_at)];
  return make("tr", {}, ...cells.map((cell) => make("td", {}, cell)));
}
