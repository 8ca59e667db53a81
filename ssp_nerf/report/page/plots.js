// Plots over frames or steps, as SVG of their own size, so that text is never scaled.
const HEIGHT = 150, LEFT = 44, RIGHT = 8, TOP = 8, BOTTOM = 22;

// An HTML element: text is always text. `more`: properties, or attributes where it has a hyphen.
function make(tag, more = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(more)) {
    if (name.includes("-") || name === "role" || name === "for") element.setAttribute(name, value);
    else element[name] = value;
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

function draw(tag, attributes, parent) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  if (parent) parent.append(element);
  return element;
}

function tidy(value, digits = 3) {
  if (value === null || value === undefined || !Number.isFinite(value)) return "–";
  const size = Math.abs(value);
  if (size >= 1000) return Math.round(value).toLocaleString("en").replaceAll(",", "\u2009");
  if (size >= 100) return value.toFixed(0);
  if (size >= 10) return value.toFixed(digits - 2);
  if (size >= 1 || size === 0) return value.toFixed(digits - 1);
  if (size >= 0.01) return value.toFixed(digits);
  return value.toPrecision(2);
}

// Round numbers between two ends, about so many.
function ticks(low, high, about = 4) {
  const rough = (high - low) / about || 1;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = power * [1, 2, 5, 10].find((n) => n * power >= rough);
  const found = [];
  for (let i = Math.ceil(low / step - 1e-9); i * step <= high + step * 1e-9; i++) found.push(i * step);
  return found;
}

// What every plot has: a frame with axes, a readout, a line where one is, and one where one points.
class Plot {
  // options: title, note, x (numbers), xName, series [{ name, values, tint or colour }], log, zero,
  // top, stacked, shade [[from, to]], pick (called with a place in x), wide, digits, label
  constructor(options) {
    this.o = { log: false, zero: false, stacked: false, shade: [], wide: false, digits: 3, ...options };
    this.place = this.o.pick ? 0 : this.o.x.length - 1;
    this.pointed = null;
    this.svg = draw("svg", { role: "img", "aria-label": this.describe() });
    this.readout = make("div", { className: "readout" });
    this.values = this.o.series.map((series) => {
      const value = make("b");
      const mark = make("i", { className: this.o.stacked ? "block" : `tint-${series.tint}` });
      if (series.colour) mark.style.background = series.colour;
      this.readout.append(make("span", {}, mark, series.name, value));
      return value;
    });
    this.element = make("div", { className: `plot${this.o.wide ? " wide" : ""}${this.o.pick ? " picks" : ""}` },
      make("header", {}, make("h3", {}, this.o.title, " ", make("em", {}, this.o.note ?? ""))), this.readout, this.svg);
    this.svg.addEventListener("pointermove", (event) => this.point(event));
    this.svg.addEventListener("pointerleave", () => { this.pointed = null; this.mark(); });
    if (this.o.pick) {
      this.svg.addEventListener("click", (event) => this.o.pick(this.placeAt(event)));
    }
    new ResizeObserver(() => this.render()).observe(this.svg);
  }

  describe() {
    const parts = this.o.series.map(({ name, values }) => {
      const known = values.filter((v) => v !== null);
      if (!known.length) return `${name}: no values`;
      const mean = known.reduce((a, b) => a + b, 0) / known.length;
      return `${name}: mean ${tidy(mean)}, from ${tidy(Math.min(...known))} to ${tidy(Math.max(...known))}`;
    });
    return `${this.o.title} over ${this.o.xName}. ${parts.join("; ")}`;
  }

  // What is drawn of a series at a place: sums where areas lie on one another.
  bounds() {
    if (this.o.stacked) return [0, 1];
    let low = Infinity, high = -Infinity;
    for (const { values } of this.o.series) {
      for (const v of values) {
        if (v === null || (this.o.log && v <= 0)) continue;
        low = Math.min(low, v);
        high = Math.max(high, v);
      }
    }
    if (!Number.isFinite(low)) return [0, 1];
    if (this.o.log) return [Math.log10(low) - 0.05, Math.log10(high) + 0.05];
    if (this.o.zero) low = Math.min(0, low);
    const room = (high - low) * 0.06 || 1;
    return [this.o.zero && low === 0 ? 0 : low - room, high + room];
  }

  render() {
    const width = this.svg.clientWidth;
    if (!width) return;
    const height = this.o.wide ? HEIGHT + 50 : HEIGHT;
    const { x, series } = this.o;
    this.svg.replaceChildren();
    this.svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
    this.svg.style.height = `${height}px`;
    const [low, high] = this.bounds();
    const [first, last] = [x[0], x[x.length - 1]];
    const right = width - RIGHT, bottom = height - BOTTOM;
    this.toX = (value) => LEFT + ((value - first) / (last - first || 1)) * (right - LEFT);
    const toY = (value) => bottom - (((this.o.log ? Math.log10(value) : value) - low) / (high - low)) * (bottom - TOP);
    this.scale = { first, last, right };

    for (const [from, to] of this.o.shade) {
      const start = this.toX(from);
      draw("rect", { class: "shade", x: start, y: TOP, width: Math.max(1, this.toX(to) - start), height: bottom - TOP }, this.svg);
    }
    const marks = this.o.log
      ? this.powers(low, high)
      : ticks(low, high).map((v) => [v, this.o.stacked ? `${Math.round(100 * v)} %` : String(Number(v.toPrecision(6)))]);
    for (const [value, text] of marks) {
      const y = toY(value);
      draw("line", { class: "grid", x1: LEFT, x2: right, y1: y, y2: y }, this.svg);
      draw("text", { x: LEFT - 6, y: y + 4, "text-anchor": "end" }, this.svg).textContent = text;
    }
    for (const value of ticks(first, last, Math.max(2, Math.floor(width / 110)))) {
      draw("text", { x: this.toX(value), y: height - 6, "text-anchor": "middle" }, this.svg).textContent =
        Number(value.toPrecision(6)).toLocaleString("en").replaceAll(",", "\u2009");
    }
    if (this.o.stacked) this.areas(toY); else for (const one of series) this.line(one, toY);
    this.hover = draw("line", { class: "hover", y1: TOP, y2: bottom, visibility: "hidden" }, this.svg);
    this.cursor = draw("line", { class: "cursor", y1: TOP, y2: bottom, visibility: this.o.pick ? "visible" : "hidden" }, this.svg);
    this.mark();
  }

  powers(low, high) {
    const found = [];
    for (let power = Math.floor(low); power <= high; power++) {
      for (const n of high - low < 2.2 ? [1, 2, 5] : [1]) {
        const value = n * 10 ** power;
        if (Math.log10(value) >= low && Math.log10(value) <= high) found.push([value, String(Number(value.toPrecision(3)))]);
      }
    }
    return found;
  }

  line({ values, tint, colour }, toY) {
    let path = "", pen = false;
    values.forEach((value, i) => {
      if (value === null || (this.o.log && value <= 0)) { pen = false; return; }
      path += `${pen ? "L" : "M"}${this.toX(this.o.x[i]).toFixed(1)} ${toY(value).toFixed(1)}`;
      pen = true;
    });
    if (colour) draw("path", { class: "line halo", d: path, "stroke-width": 2.2 }, this.svg);
    const line = draw("path", { class: `line ${tint ? `tint-${tint}` : ""}`, d: path, "stroke-width": tint === "ours" || tint === "truth" ? 1.8 : 1.3 }, this.svg);
    if (colour) line.style.stroke = colour;
  }

  areas(toY) {
    const { x, series } = this.o;
    let below = x.map(() => 0);
    for (const { values, colour } of series) {
      const above = below.map((b, i) => b + (values[i] ?? 0));
      const edge = (heights, order) => order.map((i) => `${this.toX(x[i]).toFixed(1)} ${toY(heights[i]).toFixed(1)}`);
      const forth = x.map((_, i) => i);
      const points = [...edge(above, forth), ...edge(below, forth.toReversed?.() ?? [...forth].reverse())];
      draw("path", { d: `M${points.join("L")}Z`, fill: colour, class: "area" }, this.svg);
      below = above;
    }
  }

  placeAt(event) {
    const box = this.svg.getBoundingClientRect();
    const { first, last, right } = this.scale;
    const value = first + ((event.clientX - box.left - LEFT) / (right - LEFT)) * (last - first);
    const { x } = this.o;
    let nearest = 0;
    for (let i = 1; i < x.length; i++) if (Math.abs(x[i] - value) < Math.abs(x[nearest] - value)) nearest = i;
    return nearest;
  }

  point(event) {
    if (!this.scale) return;
    this.pointed = this.placeAt(event);
    this.mark();
  }

  // The place that the page is at.
  at(place) {
    this.place = place;
    this.mark();
  }

  mark() {
    if (!this.hover) return;
    const { x, series } = this.o;
    const shown = this.pointed ?? this.place;
    series.forEach(({ values }, i) => {
      const value = values[shown];
      this.values[i].textContent = this.o.stacked && value !== null ? `${(100 * value).toFixed(1)} %` : tidy(value, this.o.digits);
    });
    this.cursor.setAttribute("x1", this.toX(x[this.place]));
    this.cursor.setAttribute("x2", this.toX(x[this.place]));
    this.hover.setAttribute("visibility", this.pointed === null ? "hidden" : "visible");
    if (this.pointed !== null) {
      this.hover.setAttribute("x1", this.toX(x[this.pointed]));
      this.hover.setAttribute("x2", this.toX(x[this.pointed]));
    }
  }
}
