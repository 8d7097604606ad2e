// What operators look up and take away: the claim of one user, the audit trail, all coupons as CSV.
import { confirmedByTyping, tell } from "./dialogs.js";
import { make } from "./dom.js";
import { differences } from "./edit.js";
import { grouped, shortTime } from "./list.js";
import { operate } from "./poller.js";
import { refusalOf } from "./refusals.js";

const CODE = /^[0-9A-HJKMNP-TV-Z]{16}$/;
const CSV_ROWS = 1000;

/**
 * Look up a claim by user id or coupon code, and erase the user's id.
 * @param {string} path of the campaign
 * @returns {HTMLElement}
 */
export function lookupTool(path) {
  const wanted = make("input", { required: true, maxlength: "128", autocomplete: "off", "aria-label": "User id or coupon code", dir: "auto" });
  const note = make("p", { role: "status" });
  const found = make("div", {});
  const look = async () => {
    const name = CODE.test(wanted.value) ? "coupon_code" : "user_id";
    const answer = await operate("GET", `${path}/coupons/lookup?${new URLSearchParams({ [name]: wanted.value })}`);
    const refusal = refusalOf(answer);
    const claims = Object.entries(answer.body).filter(([, claim]) => claim);
    tell(note, refusal ? "bad" : "warn", refusal?.problem ?? (claims.length ? "" : `Nothing was found for ${wanted.value}.`));
    found.replaceChildren(...(refusal || !claims.length ? [] : [claimTable(claims), eraseButton(claims[0][1].user_id)]));
  };
  const eraseButton = (/** @type {string} */ user) => make("button", { type: "button", click: () => erase(user) }, "Erase the user's id…");
  const erase = async (/** @type {string} */ user) => {
    const text = "Their id is replaced by a random pseudonym, for good. Their coupon stays taken. Type the id to go on:";
    if (await confirmedByTyping("Erase the user's id?", text, "Erase", user)) {
      const refusal = refusalOf(await operate("POST", `${path}/erase`, { user_id: user }));
      tell(note, refusal ? "bad" : "good", refusal?.problem ?? "The user's id was erased.");
      found.replaceChildren(...(refusal ? [...found.childNodes] : []));
      wanted.focus();
    }
  };
  const form = make("form", { class: "row", submit: (/** @type {Event} */ event) => { event.preventDefault(); void look(); } },
    wanted, make("button", {}, "Look up"));
  return make("details", {}, make("summary", {}, "Look up a user or a code"), form, note, found);
}

/** @param {[string, any][]} claims by place */
function claimTable(claims) {
  const places = { gate: "Gate", ledger: "MySQL", overflow: "Overflow" };
  const row = ([/** @type {string} */ place, /** @type {any} */ claim]) => [places[/** @type {keyof typeof places} */ (place)],
    grouped(claim.sequence), make("bdi", {}, claim.user_id), make("code", {}, claim.coupon_code), claim.reason ?? claim.status,
    shortTime(claim.accepted_at), claim.issued_at ? shortTime(claim.issued_at) : "–"];
  return table("Claim", ["Where", "Number", "User", "Code", "Status", "Accepted", "Issued"], claims.map(row));
}

/**
 * Who changed what; read when it is opened.
 * @param {string} path
 * @returns {HTMLElement}
 */
export function auditTool(path) {
  const note = make("p", { role: "status" });
  const shown = make("div", {});
  const read = async () => {
    const answer = await operate("GET", `${path}/events?limit=100`);
    const refusal = refusalOf(answer);
    tell(note, "bad", refusal?.problem ?? "");
    if (!refusal) {
      const rows = answer.body.events.map(({ at, actor, action, before, after }) =>
        [shortTime(at), make("bdi", {}, actor), action, before ? differences(before, after).join("; ") : ""]);
      shown.replaceChildren(table("Audit trail", ["When", "Operator", "Action", "What"], rows));
    }
  };
  const details = make("details", { toggle: () => void (details.open && read()) }, make("summary", {}, "Audit trail"), note, shown);
  return details;
}

/**
 * All coupons in one file, page by page, with progress.
 * @param {string} path
 * @param {string} name of the file
 * @param {() => number} total coupons, about
 * @returns {HTMLElement}
 */
export function csvTool(path, name, total) {
  const note = make("p", { role: "status" });
  let isRunning = false;
  const run = async () => {
    if (isRunning) {
      return;
    }
    isRunning = true;
    button.setAttribute("aria-disabled", "true");
    const refusal = await save();
    isRunning = false;
    button.setAttribute("aria-disabled", "false");
    if (refusal) {
      tell(note, "bad", `The export has stopped; no file was saved. ${refusal}`);
    }
  };
  const save = async () => {
    /** @type {Blob[]} */
    const pages = [];
    let rows = 0;
    for (let after = "0"; after; ) {
      const answer = await operate("GET", `${path}/coupons?after=${after}&limit=${CSV_ROWS}`, undefined, { Accept: "text/csv" });
      const { text, link } = answer;
      const refusal = refusalOf(answer);
      if (refusal) {
        return refusal.problem;
      }
      const lines = text.trimEnd().split("\n").length - 1;
      // Each page names its columns; the file does once.
      pages.push(new Blob([pages.length ? text.slice(text.indexOf("\n") + 1) : text]));
      rows += lines;
      after = /after=(\d+)/.exec(link)?.[1] ?? "";
      note.textContent = `${grouped(rows)} of about ${grouped(Math.max(rows, total()))} coupons read.`;
    }
    download(new Blob(pages, { type: "text/csv" }), name);
    tell(note, "good", `${grouped(rows)} coupons were saved in ${name}.`);
    return "";
  };
  const button = make("button", { type: "button", click: () => void run() }, "Export as CSV");
  return make("div", {}, make("div", { class: "row" }, button), note);
}

/** @param {Blob} content @param {string} name */
function download(content, name) {
  const link = make("a", { href: URL.createObjectURL(content), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}

/** @param {string} label @param {string[]} names @param {(string | Node)[][]} rows */
function table(label, names, rows) {
  const head = make("tr", {}, ...names.map((name) => make("th", { scope: "col" }, name)));
  const body = rows.map((cells) => make("tr", {}, ...cells.map((cell) => make("td", {}, cell))));
  return make("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": label },
    make("table", { "aria-label": label }, make("thead", {}, head), make("tbody", {}, ...body)));
}
