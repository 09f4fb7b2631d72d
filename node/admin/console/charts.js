// What the console draws: lines over the last minutes, and the ring. Nothing here knows what the figures mean.

const svgSpace = "http://www.w3.org/2000/svg";

// make gives an element with attributes and children; svg elements are made by "svg:circle".
export function make(name, attributes = {}, ...children) {
  const e = name.startsWith("svg:") ? document.createElementNS(svgSpace, name.slice(4)) : document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value !== undefined && value !== null) e.setAttribute(key, value);
  }
  e.append(...children);
  return e;
}

const left = 60, right = 6, top = 8, bottom = 18; // of a chart's area, in pixels

// A LineChart shows one figure over time: series are [{name, color, points: [value or null, one for each time]}].
export class LineChart {
  // format writes a value; the axis ends at most, if given, else at a round number of units of step (1000, or 1024 for bytes), not below least.
  constructor(title, { name, format, most, step = 1000, least = 10 }) {
    Object.assign(this, { format, most, step, least });
    this.now = make("span", { class: "now", "data-figure": name });
    this.beside = make("span", { class: "beside" });
    this.svg = make("svg:svg", { role: "img", "aria-label": title });
    this.tip = make("div", { class: "tip", hidden: "" });
    this.element = make("article", { class: "chart" }, make("h3", {}, title), make("div", {}, this.now, this.beside), this.svg, this.tip);
    this.svg.addEventListener("pointermove", (e) => { this.at = e.offsetX; this.draw(); });
    this.svg.addEventListener("pointerleave", () => { this.at = undefined; this.draw(); });
    new ResizeObserver(() => this.draw()).observe(this.element);
  }

  show(times, span, series, value, beside) {
    Object.assign(this, { times, span, series });
    this.now.textContent = value === null ? "–" : this.format(value);
    this.now.dataset.value = value ?? "";
    this.beside.textContent = beside ?? "";
    this.draw();
  }

  draw() {
    if (!this.times) return;
    const width = this.svg.clientWidth, height = this.svg.clientHeight, end = this.times.at(-1);
    let highest = 0;
    for (const s of this.series) for (const v of s.points) highest = Math.max(highest, v ?? 0);
    const ceiling = this.most ?? roundAbove(Math.max(highest, this.least), this.step);
    const x = (t) => left + (width - left - right) * (1 - (end - t) / this.span);
    const y = (v) => top + (height - top - bottom) * (1 - v / ceiling);
    const drawn = [];
    for (const part of [0, 0.5, 1]) {
      const at = y(ceiling * part);
      drawn.push(make("svg:line", { class: "grid", x1: left, x2: width - right, y1: at, y2: at }));
      drawn.push(make("svg:text", { class: "axis", x: left - 6, y: at + 4, "text-anchor": "end" }, this.format(ceiling * part)));
    }
    for (const [part, text, anchor] of [[0, `${Math.round(this.span / 60)} min ago`, "start"], [1, "now", "end"]]) {
      drawn.push(make("svg:text", { class: "axis", x: left + (width - left - right) * part, y: height - 4, "text-anchor": anchor }, text));
    }
    for (const s of this.series) {
      const runs = this.runs(s.points);
      if (this.series.length === 1) {
        for (const run of runs) {
          const path = run.map((i) => `${x(this.times[i])},${y(s.points[i])}`).join("L");
          drawn.push(make("svg:path", { class: `area c${s.color}`, d: `M${x(this.times[run[0]])},${y(0)}L${path}L${x(this.times[run.at(-1)])},${y(0)}Z` }));
        }
      }
      const d = runs.map((run) => "M" + run.map((i) => `${x(this.times[i])},${y(s.points[i])}`).join("L")).join("");
      drawn.push(make("svg:path", { class: `line c${s.color}`, d }));
    }
    this.svg.replaceChildren(...drawn, ...this.pointed(x, y, height));
  }

  // runs gives the indices of points that are there and stand beside each other.
  runs(points) {
    const runs = [];
    points.forEach((v, i) => {
      if (v === null) return;
      if (i > 0 && points[i - 1] !== null && runs.length) runs.at(-1).push(i);
      else runs.push([i]);
    });
    return runs;
  }

  // pointed gives what shows the values under the pointer.
  pointed(x, y, height) {
    this.tip.hidden = this.at === undefined;
    if (this.tip.hidden) return [];
    let near = 0;
    this.times.forEach((t, i) => { if (Math.abs(x(t) - this.at) < Math.abs(x(this.times[near]) - this.at)) near = i; });
    const marks = [make("svg:line", { class: "cross", x1: x(this.times[near]), x2: x(this.times[near]), y1: top, y2: height - bottom })];
    const rows = [make("div", { class: "muted" }, new Date(this.times[near] * 1000).toLocaleTimeString())];
    for (const s of this.series) {
      const v = s.points[near];
      if (v !== null) marks.push(make("svg:circle", { class: `dot c${s.color}`, cx: x(this.times[near]), cy: y(v), r: 4 }));
      rows.push(make("div", { class: `key c${s.color}` }, `${s.name} ${v === null ? "–" : this.format(v)}`));
    }
    this.tip.replaceChildren(...rows);
    const room = this.element.clientWidth - this.tip.offsetWidth - 8;
    this.tip.style.left = `${Math.max(8, Math.min(this.at + 24, room))}px`;
    return marks;
  }
}

// roundAbove gives a number that is not below n and reads well: 1, 2 or 5 times a power of ten, of a power of step.
function roundAbove(n, step) {
  let unit = 1;
  while (n > unit * step) unit *= step;
  const power = 10 ** Math.floor(Math.log10(n / unit));
  return Math.min([1, 2, 5, 10].map((k) => k * power).find((k) => k >= n / unit), step) * unit;
}

// drawRing gives the ring: members are [{id, owned, color, away}], moves [{from, to}] by id.
export function drawRing(members, moves, partitions, copies) {
  const middle = 150, outer = 108, inner = 82;
  const point = (turn, radius) => [middle + radius * Math.sin(2 * Math.PI * turn), middle - radius * Math.cos(2 * Math.PI * turn)];
  const drawn = [], centre = new Map();
  const total = members.reduce((sum, m) => sum + m.owned, 0);
  let from = 0;
  members.forEach((m, place) => {
    const share = total ? m.owned / total : 0, to = from + share;
    centre.set(m.id, total && m.owned ? from + share / 2 : (place + 0.5) / members.length);
    if (share > 0) {
      const end = share === 1 ? from + 0.99999 : to, large = share > 0.5 ? 1 : 0;
      const [a, b, c, d] = [point(from, outer), point(end, outer), point(end, inner), point(from, inner)];
      drawn.push(make("svg:path", {
        class: `arc c${m.color}${m.away ? " away" : ""}`,
        d: `M${a}A${outer},${outer} 0 ${large} 1 ${b}L${c}A${inner},${inner} 0 ${large} 0 ${d}Z`,
      }, make("svg:title", {}, `${m.id}: ${m.owned} partitions, ${(100 * share).toFixed(1)} %`)));
    }
    const [x, y] = point(centre.get(m.id), outer + 12), side = x - middle;
    if (members.length <= 24) {
      const anchor = Math.abs(side) < 30 ? "middle" : side > 0 ? "start" : "end";
      const name = m.id.length > 12 ? m.id.slice(0, 11) + "…" : m.id;
      drawn.push(make("svg:text", { class: "name", x: Math.max(2, Math.min(298, x)), y: y + 4, "text-anchor": anchor }, name));
    }
    from = to;
  });
  const color = new Map(members.map((m) => [m.id, m.color]));
  for (const move of moves) {
    if (!centre.has(move.from) || !centre.has(move.to)) continue;
    const a = point(centre.get(move.from), inner - 6), b = point(centre.get(move.to), inner - 6);
    drawn.push(make("svg:path", { class: `move c${color.get(move.from)}`, d: `M${a}Q${middle},${middle} ${b}` }, make("svg:title", {}, `${move.from} to ${move.to}`)));
  }
  drawn.push(make("svg:text", { class: "middle", x: middle, y: middle + 2, "text-anchor": "middle" }, String(members.length)));
  drawn.push(make("svg:text", { class: "below", x: middle, y: middle + 18, "text-anchor": "middle" }, members.length === 1 ? "member" : "members"));
  const label = `The ring of ${partitions} partitions, ${copies} ${copies === 1 ? "copy" : "copies"} of each, among ${members.length} members`;
  return make("svg:svg", { viewBox: "-40 20 380 260", role: "img", "aria-label": label }, ...drawn);
}
