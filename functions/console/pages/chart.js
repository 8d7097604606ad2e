// The chart of accepted, issued and queued over time, on a canvas.

/** @typedef {import("./series.js").Point} Point */
/** @typedef {"capacity" | "accepted" | "issued" | "queued"} Line */
/** @typedef {{colour: string, width: number, dashes: number[]}} Pen */
/** @typedef {{left: number, top: number, width: number, height: number, from: number, to: number, most: number}} Frame */

/** @type {Line[]} */
const LINES = ["capacity", "queued", "accepted", "issued"];
const MARGIN = { left: 58, right: 10, top: 10, bottom: 24 };
const SPAN_MIN_MS = 30_000;
const GAP_MS = 10_000;

export class Chart {
  /** @param {HTMLCanvasElement} canvas */
  constructor(canvas) {
    this.canvas = canvas;
    /** @type {Point[]} */
    this.points = [];
    this.isDue = false;
    this.observer = new ResizeObserver(() => this.request());
    this.observer.observe(canvas);
  }

  /** @param {Point[]} points */
  show(points) {
    this.points = points;
    this.request();
  }

  stop() {
    this.observer.disconnect();
  }

  /** Draw with the next frame, however often it is asked for. */
  request() {
    if (!this.isDue) {
      this.isDue = true;
      requestAnimationFrame(() => {
        this.isDue = false;
        this.draw();
      });
    }
  }

  draw() {
    const { width, height } = this.canvas.getBoundingClientRect();
    const context = this.canvas.getContext("2d");
    if (!context || !width || this.points.length === 0) {
      return;
    }
    const scale = devicePixelRatio || 1;
    this.canvas.width = Math.round(width * scale);
    this.canvas.height = Math.round(height * scale);
    context.scale(scale, scale);
    const frame = frameFor(this.points, width, height);
    const colours = coloursOf(this.canvas);
    drawAxes(context, frame, colours);
    context.beginPath();
    context.rect(frame.left, 0, frame.width, frame.top + frame.height);
    context.clip(); // The capacity may be far above.
    for (const line of LINES) {
      drawLine(context, frame, this.points, line, penFor(line, colours));
    }
  }
}

/**
 * @param {Point[]} points
 * @param {number} width
 * @param {number} height
 * @returns {Frame}
 */
function frameFor(points, width, height) {
  const to = points[points.length - 1].at;
  let [highest, capacity] = [1, 0];
  for (const point of points) {
    capacity = Math.max(capacity, point.capacity);
    highest = Math.max(highest, point.accepted, point.issued, point.queued);
  }
  // The capacity is worth its room once the claims come near it.
  const most = niceAbove(highest * 4 >= capacity ? Math.max(highest, capacity) : highest);
  return {
    left: MARGIN.left,
    top: MARGIN.top,
    width: width - MARGIN.left - MARGIN.right,
    height: height - MARGIN.top - MARGIN.bottom,
    from: Math.min(points[0].at, to - SPAN_MIN_MS),
    to,
    most,
  };
}

/** @param {number} value @returns {number} a round number above it, of which a quarter is whole */
function niceAbove(value) {
  const unit = 10 ** Math.floor(Math.log10(value));
  const steps = [1, 1.2, 1.6, 2, 4, 6, 8, 10, 12].map((step) => Math.round(step * unit));
  return steps.find((step) => step >= value && step % 4 === 0) ?? value;
}

/**
 * Issued runs within accepted while it keeps up: both are seen.
 * @param {Line} line
 * @param {Record<string, string>} colours
 * @returns {Pen}
 */
function penFor(line, colours) {
  const width = { capacity: 1, queued: 2, accepted: 6, issued: 2 }[line];
  return line === "capacity" ? { colour: colours.soft, width, dashes: [6, 4] } : { colour: colours[line], width, dashes: [] };
}

/** @param {Element} element @returns {Record<string, string>} */
function coloursOf(element) {
  const style = getComputedStyle(element);
  const names = ["accepted", "issued", "queued", "soft", "rule"];
  return Object.fromEntries(names.map((name) => [name, style.getPropertyValue(`--${name}`).trim()]));
}

/**
 * @param {CanvasRenderingContext2D} context
 * @param {Frame} frame
 * @param {Record<string, string>} colours
 */
function drawAxes(context, frame, colours) {
  context.font = "12px system-ui, sans-serif";
  context.lineWidth = 1;
  for (let step = 0; step <= 4; step += 1) {
    const y = frame.top + frame.height - (frame.height * step) / 4;
    stroke(context, colours.rule, [], [frame.left, y], [frame.left + frame.width, y]);
    context.fillStyle = colours.soft;
    context.textAlign = "right";
    context.textBaseline = "middle";
    context.fillText(((frame.most * step) / 4).toLocaleString("en"), frame.left - 8, y);
  }
  context.textBaseline = "top";
  context.textAlign = "left";
  context.fillText(clockText(frame.from), frame.left, frame.top + frame.height + 7);
  context.textAlign = "right";
  context.fillText(clockText(frame.to), frame.left + frame.width, frame.top + frame.height + 7);
}

/** @param {number} instant */
const clockText = (instant) => new Date(instant).toLocaleTimeString();

/**
 * @param {CanvasRenderingContext2D} context
 * @param {string} colour
 * @param {number[]} dashes
 * @param {...[number, number]} path
 */
function stroke(context, colour, dashes, ...path) {
  context.beginPath();
  context.setLineDash(dashes);
  context.strokeStyle = colour;
  path.forEach(([x, y], index) => (index ? context.lineTo(x, y) : context.moveTo(x, y)));
  context.stroke();
}

/**
 * A pixel column with many points is drawn from its least to its most: as exact as all of them, and a few strokes a pixel.
 * @param {CanvasRenderingContext2D} context
 * @param {Frame} frame
 * @param {Point[]} points
 * @param {Line} line
 * @param {Pen} pen
 */
function drawLine(context, frame, points, line, pen) {
  const across = frame.width / (frame.to - frame.from);
  const up = frame.height / frame.most;
  const bottom = frame.top + frame.height;
  context.beginPath();
  context.setLineDash(pen.dashes);
  context.lineWidth = pen.width;
  context.lineJoin = "round";
  context.strokeStyle = pen.colour;
  // Where nothing was read for long, nothing is drawn. Of hours, what is left of the points stands further apart.
  const gap = Math.max(GAP_MS, (frame.to - frame.from) / 100);
  let before = -Infinity;
  for (let index = 0; index < points.length; ) {
    const isAfterGap = points[index].at - before > gap;
    const x = Math.round(frame.left + (points[index].at - frame.from) * across);
    const first = points[index][line];
    let [least, most, last] = [first, first, first];
    for (; index < points.length && Math.round(frame.left + (points[index].at - frame.from) * across) === x; index += 1) {
      last = points[index][line];
      least = Math.min(least, last);
      most = Math.max(most, last);
    }
    before = points[index - 1].at;
    if (isAfterGap) {
      context.moveTo(x, bottom - first * up);
    }
    [first, least, most, last].forEach((value) => context.lineTo(x, bottom - value * up));
  }
  context.stroke();
}
