// The server's clock, from the Date headers of its answers; and the time that is left, in words.

/**
 * A Date header is cut to the second, so an answer tells that the server's time lay in [date, date + 1 s) at some moment
 * between sending and receiving. Each answer narrows the offset between the two clocks.
 */
export class ServerClock {
  constructor() {
    this.least = -Infinity;
    this.most = Infinity;
  }

  /** @param {{date: number, age: number, sentAt: number, receivedAt: number}} answer date in ms; age in s, by a cache */
  learn({ date, age, sentAt, receivedAt }) {
    if (Number.isNaN(date)) {
      return;
    }
    const least = date - receivedAt;
    // A cache may have kept the answer for up to `age` + 1 s.
    const most = date + 1000 + (age > 0 ? (age + 1) * 1000 : 0) - sentAt;
    if (least > this.most || most < this.least) {
      [this.least, this.most] = [-Infinity, Infinity]; // One of the clocks was set.
    }
    this.least = Math.max(this.least, least);
    this.most = Math.min(this.most, most);
  }

  /** @returns {number} the server's time in ms; this device's until an answer came */
  now() {
    return Date.now() + (Number.isFinite(this.least) && Number.isFinite(this.most) ? (this.least + this.most) / 2 : 0);
  }
}

/**
 * @param {number} milliseconds
 * @param {(days: number) => string} daysText
 * @returns {string} "2 days 01:02:03"
 */
export function countdownText(milliseconds, daysText) {
  const all = Math.max(0, Math.ceil(milliseconds / 1000));
  const days = Math.floor(all / 86_400);
  const parts = [Math.floor(all / 3600) % 24, Math.floor(all / 60) % 60, all % 60];
  const time = parts.map((part) => String(part).padStart(2, "0")).join(":");
  return days ? `${daysText(days)} ${time}` : time;
}
