// The console: which view is shown, whether what it shows is fresh, and who is signed in.
import { CampaignView } from "./campaign.js";
import { byId, make, say } from "./dom.js";
import { differences, editCampaign } from "./edit.js";
import { ListView } from "./list.js";
import { config, session, signIn, signOut } from "./oidc.js";
import { Poller, kindOf, operate } from "./poller.js";
import { refusalOf } from "./refusals.js";

/** @typedef {import("./api.js").Answer} Answer */

const ROLE = "operator";
const OLD_MS = 8000;
const OLD_URGENT_MS = 3000;

const shown = {
  /** @type {ListView | CampaignView | null} */ view: null,
  /** @type {Poller | null} */ poller: null,
  /** @type {Answer | null} */ failure: null,
  freshAt: 0,
  nextAt: 0,
  troubleKey: "",
  turn: 0,
};

/** @param {Answer | null} failure @param {number} nextAt */
function report(failure, nextAt) {
  shown.failure = failure;
  shown.nextAt = nextAt;
  if (!failure) {
    shown.freshAt = Date.now();
  }
  paintStatus();
}

function paintStatus() {
  const age = shown.freshAt ? Math.round((Date.now() - shown.freshAt) / 1000) : 0;
  const isOld = shown.failure !== null || Date.now() - shown.freshAt > (shown.view?.isUrgent() ? OLD_URGENT_MS : OLD_MS);
  const text = !shown.freshAt ? "" : isOld ? `Old data: ${age} s` : age < 2 ? "Live" : `Live, ${age} s ago`;
  say(byId("freshness"), text);
  byId("freshness").className = isOld ? "bad" : "good";
  byId("main").classList.toggle("stale", isOld && shown.freshAt > 0);
  shown.view?.tick(isOld ? Math.max(1, age) : 0);
  paintTrouble();
  say(byId("user"), session(ROLE)?.user ?? "");
  byId("sign-out").hidden = !session(ROLE);
}

/** Made anew only when it says something else: it is read aloud. The countdown in it is not. */
function paintTrouble() {
  const place = byId("trouble");
  const kind = shown.failure ? kindOf(shown.failure) : "";
  if (kind !== shown.troubleKey) {
    shown.troubleKey = kind;
    const hadFocus = place.contains(document.activeElement);
    place.replaceChildren(...(kind && shown.failure ? [troubleNote(kind, shown.failure)] : []));
    if (hadFocus) {
      byId("main").focus();
    }
  }
  const wait = place.querySelector(".wait");
  if (wait) {
    const seconds = Math.ceil((shown.nextAt - Date.now()) / 1000);
    say(wait, seconds > 0 ? `Next try in ${seconds} s.` : "Trying now…");
  }
}

/** @param {string} kind @param {Answer} failure */
function troubleNote(kind, failure) {
  const isPassing = ["network", "busy", "unavailable", "failed"].includes(kind);
  const wait = isPassing ? make("span", { class: "wait", "aria-live": "off" }) : null;
  const again = make("button", { type: "button", click: enter }, "Sign in again");
  const needsSignIn = kind === "expired" || kind === "forbidden";
  return make("div", { class: `note ${isPassing ? "warn" : "bad"}` }, troubleText(kind, failure), " ", wait,
    needsSignIn ? make("div", { class: "row" }, again) : null);
}

/** @param {string} kind @param {Answer} failure */
function troubleText(kind, failure) {
  const texts = {
    network: "The network is lost: no answer comes. What you see is old; it continues automatically.",
    busy: "The service throttles (429). It continues automatically.",
    unavailable: "The service answers 503: Redis, MySQL or the queue does not answer, or the gate of this campaign is lost. " +
      "Nothing accepted is lost. It continues automatically.",
    expired: "Your session has ended. What you see is old.",
    forbidden: "This account is not an operator: its token does not have the scope firstcome/operator.",
    missing: "There is no such campaign.",
  };
  return texts[/** @type {keyof typeof texts} */ (kind)] ?? `The service answered ${failure.status}. It is tried again.`;
}

async function enter() {
  try {
    await signIn(ROLE);
  } catch (error) {
    const reason = error instanceof Error ? error.message : "";
    byId("trouble").replaceChildren(make("div", { class: "note bad" }, `Signing in is not possible right now. ${reason}`));
  }
}

function leave() {
  signOut(ROLE);
  void show();
}

async function create() {
  const made = await editCampaign({ title: "New campaign", verb: "Create", given: null, accepted: 0, save: saveNew });
  if (made) {
    location.hash = `#/campaigns/${made.after.campaign_id}`;
  }
}

/** @param {import("./edit.js").Fields} fields */
async function saveNew(fields) {
  const { campaign_id, name, capacity, opens_at, closes_at } = fields;
  const body = { name, capacity, opens_at, closes_at };
  const answer = await operate("PUT", `campaigns/${campaign_id}`, body, { "If-None-Match": "*" });
  if (answer.code !== "version_conflict") {
    return refusalOf(answer);
  }
  // The answer to the first try may have been lost: then this very campaign is there.
  const isThisOne = answer.body.current && differences(fields, answer.body.current).length === 0;
  return isThisOne ? null : { problem: `There is a campaign ${campaign_id} already.`, field: "campaign_id" };
}

/** @returns {Promise<ListView | CampaignView>} the view that the address names */
async function viewOfAddress() {
  const id = /^#\/campaigns\/([a-z0-9][a-z0-9-]{0,62})$/.exec(location.hash)?.[1];
  if (!id) {
    document.title = "Firstcome console";
    return new ListView(() => void create(), () => shown.poller?.now());
  }
  const runbook = await config().then((settings) => settings.runbook_url, () => "");
  return new CampaignView(id, runbook, () => shown.poller?.now());
}

async function show() {
  shown.poller?.stop();
  shown.view?.stop();
  const turn = shown.turn + 1;
  Object.assign(shown, { view: null, poller: null, failure: null, freshAt: 0, turn });
  if (!session(ROLE)) {
    byId("main").replaceChildren(welcome());
    paintStatus();
    return;
  }
  const view = await viewOfAddress();
  if (turn !== shown.turn) {
    view.stop();
    return; // The address has changed again meanwhile.
  }
  shown.view = view;
  shown.poller = new Poller(() => view.read(), report);
  byId("main").replaceChildren(view.element);
  paintStatus();
  shown.poller.start();
}

function welcome() {
  const button = make("button", { type: "button", class: "main", click: () => void enter() }, "Sign in");
  return make("div", {}, make("h1", {}, "Firstcome console"),
    make("p", {}, "Make campaigns, and watch coupons being issued. For operators."), make("div", { class: "row" }, button));
}

byId("sign-out").addEventListener("click", leave);
byId("skip").addEventListener("click", (/** @type {Event} */ event) => {
  event.preventDefault(); // The address names the view.
  byId("main").focus();
});
addEventListener("hashchange", () => {
  void show();
  byId("main").focus();
});
setInterval(paintStatus, 1000);
await show();
