// What was read of a campaign over time.

/** @typedef {{at: number, capacity: number, accepted: number, issued: number, queued: number}} Point */

export const POINTS_MAX = 10_000;

export class Series {
  constructor() {
    /** @type {Point[]} */
    this.points = [];
  }

  /** @param {Point} point */
  add(point) {
    this.points.push(point);
    if (this.points.length > POINTS_MAX) {
      // Every second point of the older half: the past gets coarser, and nothing of it is cut off.
      const middle = POINTS_MAX / 2;
      this.points = this.points.filter((_, index) => index >= middle || index % 2 === 0);
    }
  }

  /** @returns {Point | undefined} */
  get last() {
    return this.points.at(-1);
  }

  /**
   * How long the oldest claim that is not issued yet has been waiting, as far as was seen.
   * @returns {{seconds: number, isAtLeast: boolean} | null} null before anything was read
   */
  lag() {
    const last = this.last;
    if (!last) {
      return null;
    }
    if (last.issued >= last.accepted) {
      return { seconds: 0, isAtLeast: false };
    }
    // The next coupon to be issued is number issued + 1; it had been accepted by the first point that counts it.
    const first = firstWhere(this.points, (point) => point.accepted > last.issued);
    return { seconds: (last.at - this.points[first].at) / 1000, isAtLeast: first === 0 };
  }
}

/**
 * The first index whose point fulfils a condition that, once true, stays so; the last index if none does.
 * @param {Point[]} points
 * @param {(point: Point) => boolean} isThere
 */
function firstWhere(points, isThere) {
  let [low, high] = [0, points.length - 1];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (isThere(points[middle])) {
      high = middle;
    } else {
      low = middle + 1;
    }
  }
  return low;
}
