// The words of the claim page, in Korean and English.

/** @typedef {typeof ENGLISH} Texts */

const ENGLISH = {
  lang: "en",
  loading: "One moment…",
  opensIn: "Opens in",
  opensAt: (/** @type {string} */ when) => `Opens on ${when}`,
  before: "The button turns on at that moment.",
  open: "It is open. Press the button to claim your coupon.",
  signInFirst: "Sign in to claim a coupon.",
  signInBefore: "Sign in now, so that you are ready when it opens.",
  supply: (/** @type {string} */ left, /** @type {string} */ all) => `${left} of ${all} coupons left`,
  claim: "Claim my coupon",
  signIn: "Sign in",
  signInToSee: "Sign in to see my coupon",
  copy: "Copy the code",
  copied: "Copied",
  asking: "Asking for your coupon…",
  again: "It is very busy. Your request is repeated automatically; stay on this page. Reloading does not get anybody ahead.",
  offline: "There is no connection. This page continues automatically as soon as there is one.",
  unavailable: "The service cannot answer right now. This page continues automatically.",
  yours: "It is yours. The same code is shown whenever you come back.",
  ticket: "Your coupon",
  place: (/** @type {string} */ place) => `Claimed as number ${place}`,
  soldOut: "All coupons are gone. Sorry, you didn't get one this time.",
  soldOutForAll: "All coupons are gone.",
  closed: "This campaign has ended.",
  paused: "The campaign is paused. This page continues automatically when it is resumed.",
  notFound: "There is no such campaign. Please check the address.",
  noAccount: "This account cannot claim a coupon. Please sign in with another one.",
  expired: "Your session has ended. Please sign in again; nothing you have is lost.",
  who: (/** @type {string} */ user) => `Signed in as ${user}`,
  notYou: "Not you?",
  signInFailed: "Signing in is not possible right now. Please try again.",
  days: (/** @type {number} */ days) => (days === 1 ? "1 day" : `${days} days`),
};

/** @type {Texts} */
const KOREAN = {
  lang: "ko",
  loading: "잠시만 기다려 주세요…",
  opensIn: "시작까지",
  opensAt: (when) => `시작: ${when}`,
  before: "시간이 되면 버튼을 누를 수 있습니다.",
  open: "지금 신청할 수 있습니다. 버튼을 눌러 쿠폰을 받으세요.",
  signInFirst: "쿠폰을 받으려면 로그인해 주세요.",
  signInBefore: "시작할 때 바로 신청할 수 있도록 미리 로그인해 주세요.",
  supply: (left, all) => `쿠폰 ${all}장 중 ${left}장 남음`,
  claim: "쿠폰 받기",
  signIn: "로그인",
  signInToSee: "로그인하고 내 쿠폰 보기",
  copy: "코드 복사",
  copied: "복사했습니다",
  asking: "쿠폰을 신청하고 있습니다…",
  again: "접속자가 많아 지연되고 있습니다. 새로고침하지 않아도 자동으로 다시 신청합니다.",
  offline: "인터넷에 연결되어 있지 않습니다. 연결되면 자동으로 이어집니다.",
  unavailable: "지금은 서비스가 응답하지 않습니다. 자동으로 다시 시도합니다.",
  yours: "쿠폰을 받았습니다. 언제 다시 와도 같은 코드가 보입니다.",
  ticket: "내 쿠폰",
  place: (place) => `${place}번째로 받았습니다`,
  soldOut: "쿠폰이 모두 소진되었습니다. 아쉽지만 받지 못하셨습니다.",
  soldOutForAll: "쿠폰이 모두 소진되었습니다.",
  closed: "종료된 이벤트입니다.",
  paused: "이벤트가 잠시 멈췄습니다. 다시 시작되면 자동으로 이어집니다.",
  notFound: "없는 이벤트입니다. 주소를 확인해 주세요.",
  noAccount: "이 계정으로는 쿠폰을 받을 수 없습니다. 다른 계정으로 로그인해 주세요.",
  expired: "로그인이 만료되었습니다. 다시 로그인해 주세요. 받은 쿠폰은 그대로 있습니다.",
  who: (user) => `${user} 님으로 로그인 중`,
  notYou: "본인이 아닌가요?",
  signInFailed: "지금은 로그인할 수 없습니다. 다시 시도해 주세요.",
  days: (days) => `${days}일`,
};

/**
 * @param {readonly string[]} languages what the browser prefers, best first
 * @returns {Texts}
 */
export function textsFor(languages) {
  const first = languages.map((language) => language.toLowerCase().split("-")[0]).find((name) => name === "ko" || name === "en");
  return first === "ko" ? KOREAN : ENGLISH;
}
