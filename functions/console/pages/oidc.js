// Signing in: OpenID Connect's code flow with PKCE. Tokens stay in this tab's sessionStorage.
import { BASE } from "./api.js";

/** @typedef {"user" | "operator"} Role */
/** @typedef {{access_token: string, refresh_token: string, expires_at: number, user: string}} Session */
/** @typedef {{issuer: string, client_id: string, operator_issuer: string, operator_client_id: string, audience: string, scopes: string, runbook_url: string, operator_scope: string}} Config */

const SIGNED_IN = new URL("console/signed-in.html", BASE).href;
const UNDER_WAY = "firstcome.signing-in";
const EARLY_MS = 20_000;

/** @param {Role} role */
const key = (role) => `firstcome.session.${role}`;

/** @type {Promise<Config> | null} */
let reading = null;

/** @returns {Promise<Config>} */
export function config() {
  reading ??= fetchJson(new URL("console/config.json", BASE)).catch((error) => {
    reading = null;
    throw error;
  });
  return reading;
}

/**
 * Whom to sign in at, and as which client: operators may have an issuer of their own.
 * @param {Role} role
 */
async function provider(role) {
  const { issuer, client_id, operator_issuer, operator_client_id } = await config();
  return role === "operator" ? { issuer: operator_issuer, client_id: operator_client_id } : { issuer, client_id };
}

/**
 * @param {Role} role
 * @returns {Session | null}
 */
export function session(role) {
  try {
    return JSON.parse(sessionStorage.getItem(key(role)) ?? "null");
  } catch {
    return null;
  }
}

/** @param {Role} role */
export function signOut(role) {
  sessionStorage.removeItem(key(role));
}

/**
 * The token to send; empty when there is no session, or it has ended and cannot be renewed.
 * @param {Role} role
 */
export async function token(role) {
  const found = session(role);
  if (!found) {
    return "";
  }
  const isFresh = Date.now() < found.expires_at - EARLY_MS;
  if (isFresh || !found.refresh_token) {
    return found.access_token;
  }
  return (await renew(role)) ? (session(role)?.access_token ?? "") : found.access_token;
}

/** @type {Map<Role, Promise<boolean>>} */
const renewals = new Map();

/**
 * Renew a session that ends or has ended; one request, however many ask.
 * @param {Role} role
 * @returns {Promise<boolean>}
 */
export function renew(role) {
  const found = renewals.get(role) ?? refresh(role).finally(() => renewals.delete(role));
  renewals.set(role, found);
  return found;
}

/** @param {Role} role */
async function refresh(role) {
  const old = session(role);
  if (!old?.refresh_token) {
    return false;
  }
  try {
    const { issuer, client_id } = await provider(role);
    const tokens = await exchange(issuer, { grant_type: "refresh_token", refresh_token: old.refresh_token, client_id });
    keep(role, { refresh_token: old.refresh_token, ...tokens });
    return true;
  } catch {
    return false;
  }
}

/**
 * Leave for the issuer; it sends the user back to `finish`, and that to here.
 * @param {Role} role
 * @param {Record<string, string>} [parameters] more for the issuer: `prompt`
 */
export async function signIn(role, parameters = {}) {
  const settings = await config();
  const { issuer, client_id } = await provider(role);
  const { authorization_endpoint } = await discovered(issuer);
  const [state, verifier] = [randomText(), randomText()];
  const challenge = base64url(await crypto.subtle.digest("SHA-256", new TextEncoder().encode(verifier)));
  sessionStorage.setItem(UNDER_WAY, JSON.stringify({ state, verifier, role, back: location.href }));
  const address = new URL(authorization_endpoint);
  const query = {
    response_type: "code",
    client_id,
    redirect_uri: SIGNED_IN,
    scope: role === "operator" ? `${settings.scopes} ${settings.operator_scope}` : settings.scopes,
    state,
    code_challenge: challenge,
    code_challenge_method: "S256",
    ...(settings.audience === client_id ? {} : { audience: settings.audience }),
    ...parameters,
  };
  Object.entries(query).forEach(([name, value]) => address.searchParams.set(name, value));
  location.assign(address);
}

/** @returns {string} where a sign-in that was begun in this tab came from; the console when there was none */
export function whereFrom() {
  return underWay()?.back ?? new URL("console", BASE).href;
}

/**
 * Take the issuer's answer, which is in this page's address. Throws an Error that says what is wrong.
 * @returns {Promise<string>} the page to go back to
 */
export async function finish() {
  const answer = new URLSearchParams(location.search);
  const begun = underWay();
  if (answer.has("error")) {
    throw new Error(answer.get("error_description") ?? answer.get("error") ?? "");
  }
  if (!begun || !answer.get("code") || answer.get("state") !== begun.state) {
    throw new Error("This sign-in was not begun in this tab, or it was finished before.");
  }
  const { issuer, client_id } = await provider(begun.role);
  if (answer.has("iss") && answer.get("iss") !== issuer) {
    throw new Error("Another issuer answered.");
  }
  const tokens = await exchange(issuer, {
    grant_type: "authorization_code",
    code: answer.get("code") ?? "",
    redirect_uri: SIGNED_IN,
    client_id,
    code_verifier: begun.verifier,
  });
  keep(begun.role, tokens);
  sessionStorage.removeItem(UNDER_WAY);
  return begun.back;
}

/** @returns {{state: string, verifier: string, role: Role, back: string} | null} */
function underWay() {
  return JSON.parse(sessionStorage.getItem(UNDER_WAY) ?? "null");
}

/**
 * @param {Role} role
 * @param {any} tokens
 */
function keep(role, tokens) {
  /** @type {Session} */
  const kept = {
    access_token: String(tokens.access_token),
    refresh_token: String(tokens.refresh_token ?? ""),
    expires_at: Date.now() + Number(tokens.expires_in ?? 3600) * 1000,
    user: nameIn(tokens.id_token) || nameIn(tokens.access_token),
  };
  sessionStorage.setItem(key(role), JSON.stringify(kept));
}

/**
 * The name to show; the service itself goes by the verified token only.
 * @param {unknown} jwt
 */
function nameIn(jwt) {
  try {
    const bytes = Uint8Array.from(atob(String(jwt).split(".")[1].replace(/-/g, "+").replace(/_/g, "/")), (letter) =>
      letter.charCodeAt(0),
    );
    const claims = JSON.parse(new TextDecoder().decode(bytes));
    return String(claims.name ?? claims.email ?? claims.preferred_username ?? claims.sub ?? "");
  } catch {
    return "";
  }
}

/** @param {string} issuer */
async function discovered(issuer) {
  const found = await fetchJson(new URL(`${issuer.replace(/\/$/, "")}/.well-known/openid-configuration`));
  if (found.issuer !== issuer) {
    throw new Error("The issuer's configuration names another issuer.");
  }
  return found;
}

/**
 * @param {string} issuer
 * @param {Record<string, string>} form
 */
async function exchange(issuer, form) {
  const { token_endpoint } = await discovered(issuer);
  return fetchJson(token_endpoint, { method: "POST", body: new URLSearchParams(form) });
}

/**
 * @param {URL | string} address
 * @param {RequestInit} [init]
 */
async function fetchJson(address, init = {}) {
  const reply = await fetch(address, { credentials: "omit", ...init });
  if (!reply.ok) {
    throw new Error(`${new URL(address).pathname} answered ${reply.status}.`);
  }
  return reply.json();
}

function randomText() {
  return base64url(crypto.getRandomValues(new Uint8Array(32)).buffer);
}

/** @param {ArrayBuffer} bytes */
function base64url(bytes) {
  return btoa(String.fromCharCode(...new Uint8Array(bytes)))
    .replace(/\+/g, "-")
    .replace(/\//g, "_")
    .replace(/=+$/, "");
}
