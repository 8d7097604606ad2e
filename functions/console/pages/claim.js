// The page on which a user claims a coupon. It asks until it knows, and then says one thing.
import { backoff, call, isPassing } from "./api.js";
import { ServerClock, countdownText } from "./clock.js";
import { byId, make, say, sleep } from "./dom.js";
import { renew, session, signIn, signOut, token } from "./oidc.js";
import { textsFor } from "./texts.js";

/** @typedef {import("./api.js").Answer} Answer */
/** @typedef {{coupon_code: string, sequence: number}} Coupon */
/** @typedef {"" | "sold_out" | "closed" | "not_found" | "no_account"} Refusal */

const ROLE = "user";
const CAMPAIGN = location.pathname.split("/").at(-2) ?? "";
const PATH = `campaigns/${CAMPAIGN}`;
const TEXTS = textsFor(navigator.languages);
const SOON_MS = 5000;
const REFUSED_MS = 5000;
const COPIED_MS = 3000;

/** Where the tab keeps, over a reload, that its user has pressed the button and was not answered yet. */
const WISH = `firstcome.wish.${CAMPAIGN}`;

/** Seconds between two looks at the campaign, by its state: few, because everybody who waits looks. */
const LOOK_SECONDS = { not_open: 60, open: 15, paused: 4, sold_out: 30, closed: 120 };

const clock = new ServerClock();

/** What the page knows. A coupon is final; a refusal is until the campaign itself says otherwise. */
const known = {
  /** @type {any} */ campaign: null,
  /** @type {Coupon | null} */ coupon: null,
  /** @type {Refusal} */ refusal: "",
  refusedAt: 0,
  isRestoring: false,
  isAsking: false,
  isExpired: false,
  isCopied: false,
  isSignInBroken: false,
  /** @type {Answer | null} the last answer, when it was none that settles anything */ trouble: null,
};

/**
 * Call as the user; a session that ended is renewed once.
 * @param {string} method
 * @param {string} path
 */
async function callAsUser(method, path) {
  const answer = await call(method, path, { token: await token(ROLE), clock });
  if (answer.status !== 401 || !(await renew(ROLE))) {
    return answer;
  }
  return call(method, path, { token: await token(ROLE), clock });
}

/**
 * Ask until the answer settles something. What passes by itself is asked again, later each time.
 * @param {string} method
 * @param {string} path
 */
async function askUntilSettled(method, path) {
  for (let attempt = 0; ; attempt += 1) {
    const answer = await callAsUser(method, path);
    if (!isPassing(answer) && !opensAnyMoment(answer)) {
      known.trouble = null;
      return answer;
    }
    known.trouble = isPassing(answer) ? answer : null;
    paint();
    await pause(backoff(attempt, answer.retryAfter));
  }
}

/**
 * The device's clock may be a little early; then the wish stands, and is repeated.
 * @param {Answer} answer
 */
function opensAnyMoment(answer) {
  return answer.code === "not_open" && Date.parse(answer.body.opens_at) - clock.now() < SOON_MS;
}

/**
 * Wait; a connection that comes back ends it.
 * @param {number} milliseconds
 */
async function pause(milliseconds) {
  if (navigator.onLine) {
    await sleep(milliseconds);
    return;
  }
  await Promise.race([sleep(milliseconds), new Promise((resolve) => addEventListener("online", resolve, { once: true }))]);
}

/** @param {Answer} answer to a claim, or to the question for one's own coupon */
function settle(answer) {
  if (known.coupon) {
    return; // Never a second answer.
  }
  if (answer.status === 200 || answer.status === 202) {
    known.coupon = answer.body;
    known.refusal = "";
  } else if (answer.status === 401) {
    known.isExpired = true;
    signOut(ROLE);
  } else if (answer.code === "sold_out" || answer.code === "closed") {
    known.refusal = answer.code;
    known.refusedAt = Date.now();
  } else if (answer.code === "campaign_not_found" || answer.code === "invalid_campaign_id") {
    known.refusal = "not_found";
  } else if (answer.status === 403) {
    known.refusal = "no_account";
    signOut(ROLE);
  } else if (answer.code === "paused" && known.campaign) {
    known.campaign.state = "paused";
  }
}

async function claim() {
  known.isAsking = true;
  sessionStorage.setItem(WISH, session(ROLE)?.user ?? "");
  paint();
  settle(await askUntilSettled("POST", `${PATH}/coupons`));
  sessionStorage.removeItem(WISH);
  known.isAsking = false;
  paint();
  void look();
}

/** Whoever has a coupon sees it before anything else. */
async function restore() {
  known.isRestoring = true;
  paint();
  const answer = await askUntilSettled("GET", `${PATH}/coupons/mine`);
  if (answer.code !== "no_coupon") {
    settle(answer);
  }
  known.isRestoring = false;
  paint();
}

async function look() {
  const answer = await call("GET", PATH, { clock });
  if (answer.body.state === "unavailable") {
    answer.status = 503; // What an application would be answered.
  }
  if (answer.status === 200) {
    known.campaign = answer.body;
    known.trouble = known.isAsking || known.isRestoring ? known.trouble : null;
    reopen(answer.body.state);
  } else if (isPassing(answer)) {
    known.trouble = answer;
  } else {
    settle(answer);
  }
  paint();
  return answer;
}

/**
 * A raised capacity or a moved closing time makes a refusal untrue. Not at once: a cache may have kept what was before.
 * @param {string} state
 */
function reopen(state) {
  const isOfThePast = (known.refusal === "sold_out" || known.refusal === "closed") && state !== known.refusal;
  if (isOfThePast && !known.isAsking && Date.now() - known.refusedAt > REFUSED_MS) {
    known.refusal = "";
  }
}

/** Look at the campaign again and again, as often as its state wants. */
async function watch() {
  for (let attempt = 0; !known.coupon && known.refusal !== "not_found"; ) {
    const answer = await look();
    attempt = isPassing(answer) ? attempt + 1 : 0;
    await pause(attempt ? backoff(attempt, answer.retryAfter) : untilNextLook());
  }
}

function untilNextLook() {
  const state = /** @type {keyof typeof LOOK_SECONDS} */ (known.campaign?.state ?? "closed");
  const usual = LOOK_SECONDS[state] * 1000 * (0.75 + Math.random() / 2);
  const opening = state === "not_open" ? untilOpening() : Infinity;
  // Once more half a minute before the opening, for the clock; and soon after it.
  return opening > 40_000 ? Math.min(usual, opening - 30_000 * Math.random()) : Math.min(usual, opening + 2000 * Math.random());
}

function untilOpening() {
  return Math.max(0, Date.parse(known.campaign.opens_at) - clock.now());
}

/** @returns {"not_open" | "open" | "paused" | "sold_out" | "closed" | ""} the state as it is by now */
function stateNow() {
  const state = known.campaign?.state ?? "";
  return state === "not_open" && untilOpening() === 0 ? "open" : state;
}

/** @returns {string} the one thing to say */
function message() {
  const isSignedIn = session(ROLE) !== null;
  const state = stateNow();
  const refusals = { sold_out: TEXTS.soldOut, closed: TEXTS.closed, not_found: TEXTS.notFound, no_account: TEXTS.noAccount };
  if (known.coupon) return TEXTS.yours;
  if (known.refusal) return refusals[known.refusal];
  if (known.trouble) return troubleText(known.trouble);
  if (known.isAsking) return TEXTS.asking;
  if (known.isRestoring || !state) return TEXTS.loading;
  if (known.isSignInBroken) return TEXTS.signInFailed;
  if (known.isExpired) return TEXTS.expired;
  if (state === "not_open") return isSignedIn ? TEXTS.before : TEXTS.signInBefore;
  if (state === "open") return isSignedIn ? TEXTS.open : TEXTS.signInFirst;
  return { paused: TEXTS.paused, sold_out: TEXTS.soldOutForAll, closed: TEXTS.closed }[state];
}

/** @param {Answer} answer */
function troubleText(answer) {
  if (answer.status === 0) return TEXTS.offline;
  return known.isAsking ? TEXTS.again : TEXTS.unavailable;
}

/** @returns {string} with the name of its time zone */
function openingText() {
  const format = new Intl.DateTimeFormat(TEXTS.lang, { dateStyle: "long", timeStyle: "full" });
  return TEXTS.opensAt(format.format(new Date(known.campaign.opens_at)));
}

/** @typedef {{label: string, isReady: boolean, run: () => unknown}} Action */

/** @returns {Action | null} what the one button does */
function action() {
  const state = stateNow();
  if (known.coupon) return { label: known.isCopied ? TEXTS.copied : TEXTS.copy, isReady: true, run: copy };
  if (known.refusal === "no_account") return { label: TEXTS.signIn, isReady: true, run: () => enter() };
  if (known.refusal || !state || state === "closed") return null;
  if (!session(ROLE)) return { label: state === "sold_out" ? TEXTS.signInToSee : TEXTS.signIn, isReady: true, run: () => enter() };
  if (state === "sold_out") return null;
  const isReady = state === "open" && !known.isAsking && !known.isRestoring;
  return { label: TEXTS.claim, isReady, run: claim };
}

/** @param {Record<string, string>} [parameters] */
async function enter(parameters) {
  try {
    await signIn(ROLE, parameters);
  } catch {
    known.isSignInBroken = true;
    paint();
  }
}

/** Somebody else takes the device: the issuer must not sign the same user in again unasked. @param {Event} event */
function leave(event) {
  event.preventDefault();
  signOut(ROLE);
  sessionStorage.removeItem(WISH);
  Object.assign(known, { coupon: null, refusal: "" });
  void enter({ prompt: "login" });
}

async function copy() {
  try {
    await navigator.clipboard.writeText(known.coupon?.coupon_code ?? "");
    known.isCopied = true;
    setTimeout(() => {
      known.isCopied = false;
      paint();
    }, COPIED_MS);
  } catch {
    getSelection()?.selectAllChildren(byId("code"));
  }
  paint();
}

function paint() {
  const { campaign, coupon } = known;
  if (campaign) {
    document.title = campaign.name;
    say(byId("name"), campaign.name);
  }
  paintBefore();
  byId("ticket").hidden = !coupon;
  if (coupon) {
    paintTicket(coupon);
  }
  say(byId("message"), message());
  byId("message").classList.toggle("asking", (known.isAsking || known.isRestoring) && !coupon);
  paintButton(action());
  say(byId("who"), session(ROLE) ? TEXTS.who(session(ROLE)?.user ?? "") : "");
  say(byId("leave"), TEXTS.notYou);
  byId("leave").hidden = !session(ROLE);
}

function paintBefore() {
  const { campaign } = known;
  const state = known.coupon || known.refusal ? "" : stateNow();
  const isWaiting = state === "not_open";
  const isWorthSaying = state === "open" && campaign.remaining > 0;
  byId("before").hidden = !isWaiting && state !== "open";
  say(byId("countdown-label"), isWaiting ? TEXTS.opensIn : "");
  say(byId("countdown"), isWaiting ? countdownText(untilOpening(), TEXTS.days) : "");
  say(byId("when"), isWaiting ? openingText() : "");
  const [left, all] = [campaign?.remaining, campaign?.capacity].map((count) => Number(count).toLocaleString(TEXTS.lang));
  say(byId("supply"), isWorthSaying ? TEXTS.supply(left, all) : "");
}

/** @param {Coupon} coupon */
function paintTicket(coupon) {
  say(byId("ticket-label"), TEXTS.ticket);
  if (byId("code").textContent !== coupon.coupon_code) {
    byId("code").replaceChildren(...(coupon.coupon_code.match(/.{1,4}/g) ?? []).map((part) => make("span", {}, part)));
  }
  say(byId("place"), TEXTS.place(coupon.sequence.toLocaleString(TEXTS.lang)));
}

/** @param {Action | null} shown */
function paintButton(shown) {
  const button = byId("action");
  button.hidden = !shown;
  if (shown) {
    say(button, shown.label);
    // Not `disabled`: whoever waits with the keyboard on it would lose the focus.
    button.setAttribute("aria-disabled", String(!shown.isReady));
  }
}

function press() {
  const shown = action();
  if (shown?.isReady) {
    known.isExpired = false;
    known.isSignInBroken = false;
    void shown.run();
  }
}

/** Paint each second, and at the very instant of the opening. */
function tick() {
  paint();
  const left = known.campaign ? untilOpening() : 0;
  setTimeout(tick, left % 1000 || 1000);
}

document.documentElement.lang = TEXTS.lang;
byId("action").addEventListener("click", press);
byId("leave").addEventListener("click", leave);
paint();
if (session(ROLE)) {
  const isWished = sessionStorage.getItem(WISH) === session(ROLE)?.user;
  void (isWished ? claim() : restore());
}
void watch();
tick();
