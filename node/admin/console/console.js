// The console: asks /cluster every two seconds and draws what it says. Nothing is kept but in this page.

import { LineChart, drawRing, make } from "./charts.js";

const every = 2000; // milliseconds between two questions
const span = 300; // seconds that the charts show when there are so many
const colors = 8;

const $ = (id) => document.getElementById(id);

const whole = (n) => Math.round(n).toLocaleString("en");
const percent = (n) => `${(100 * n).toFixed(n > 0 && n < 1 ? 1 : 0)} %`;
const short = (n) => scaled(n, 1000, ["", " k", " M", " G", " T"]);
const bytes = (n) => scaled(n, 1024, [" B", " KB", " MB", " GB", " TB"]);

function scaled(n, step, units) {
  let unit = 0;
  while (n >= step && unit < units.length - 1) {
    n /= step;
    unit++;
  }
  const digits = n >= 100 || Number.isInteger(n) ? 0 : n >= 1 ? 1 : 2;
  return n.toFixed(digits) + units[unit];
}

const sum = (list) => list.reduce((total, n) => total + n, 0);
const of = (stats, ...names) => sum(names.map((name) => stats[name] ?? 0));

// What is counted of a node, and goes up.
const counters = {
  gets: (s) => of(s, "cmd_get"),
  hits: (s) => of(s, "get_hits"),
  evictions: (s) => of(s, "evictions"),
  requests: (s) => of(s, "cmd_get", "cmd_set", "cmd_touch", "cmd_meta", "delete_hits", "delete_misses", "incr_hits", "incr_misses", "decr_hits", "decr_misses"),
};

const rate = (name) => (sample) => sample.rates && sample.rates[name];

// The charts: what each shows of a node's sample, and of the samples of all nodes. null: it is not known.
const figures = [
  {
    title: "Hit ratio", name: "hit_ratio", format: percent, most: 1,
    each: (s) => (s.rates && s.rates.gets > 0 ? s.rates.hits / s.rates.gets : null),
    all: (list) => {
      const known = list.filter((s) => s.rates);
      const gets = sum(known.map((s) => s.rates.gets));
      return gets > 0 ? sum(known.map((s) => s.rates.hits)) / gets : null;
    },
  },
  { title: "Requests a second", name: "requests", format: short, each: rate("requests") },
  { title: "Evictions a second", name: "evictions", format: short, each: rate("evictions") },
  {
    title: "Memory of items", name: "memory", format: bytes, step: 1024, least: 1024, each: (s) => s.stats.bytes,
    beside: (c) => `of ${bytes(sum(c.members.map((m) => m.stats?.limit_maxbytes ?? 0)))}`,
  },
  {
    title: "Items", name: "items", format: short, each: (s) => s.stats.curr_items,
    beside: (c) => (c.table.copies > 1 ? "copies included" : ""),
  },
  { title: "Connections of clients", name: "connections", format: short, each: (s) => s.stats.curr_connections },
];

// add adds up what is known of each node.
function add(figure, samples) {
  if (figure.all) return figure.all(samples);
  const known = samples.map(figure.each).filter((v) => v !== null && v !== undefined);
  return known.length ? sum(known) : null;
}

const history = []; // of {time, samples: by member}, for as long as the charts show
const paint = new Map(); // a member's colour, for good
let byNode = false;

function colorOf(id) {
  if (!paint.has(id)) paint.set(id, paint.size % colors);
  return paint.get(id);
}

// sampleOf gives what is known of a member, and its rates since the sample before: none if that is missing, or if it has begun anew.
function sampleOf(member, before, seconds) {
  const sample = { stats: member.stats, counted: {}, rates: null };
  for (const [name, count] of Object.entries(counters)) sample.counted[name] = count(member.stats);
  if (before && seconds > 0) {
    const rates = {};
    for (const name of Object.keys(counters)) rates[name] = (sample.counted[name] - before.counted[name]) / seconds;
    if (Object.values(rates).every((r) => r >= 0)) sample.rates = rates;
  }
  return sample;
}

function take(cluster) {
  const time = Date.parse(cluster.time) / 1000, last = history.at(-1);
  if (time === last?.time) return;
  if (time < last?.time) history.length = 0; // the node's clock was set back: what was before stands nowhere any more
  const samples = new Map();
  for (const m of cluster.members) {
    if (m.stats) samples.set(m.id, sampleOf(m, last?.samples.get(m.id), time - last?.time));
  }
  history.push({ time, samples });
  while (history[0].time < time - span) history.shift();
}

const charts = figures.map((f) => new LineChart(f.title, f));
$("charts").append(...charts.map((c) => c.element));

function drawCharts(cluster) {
  const times = history.map((h) => h.time), ids = cluster.members.map((m) => m.id), now = history.at(-1);
  const minutes = Math.min(Math.max(Math.ceil((now.time - times[0]) / 60), 1), span / 60);
  figures.forEach((figure, i) => {
    const value = (h, id) => (h.samples.has(id) ? figure.each(h.samples.get(id)) ?? null : null);
    const series = byNode
      ? ids.map((id) => ({ name: id, color: colorOf(id), points: history.map((h) => value(h, id)) }))
      : [{ name: "cluster", color: 0, points: history.map((h) => add(figure, [...h.samples.values()])) }];
    charts[i].show(times, 60 * minutes, series, add(figure, [...now.samples.values()]), figure.beside?.(cluster));
  });
  $("legend").hidden = !byNode;
  $("legend").replaceChildren(...ids.map((id) => make("li", { class: `key c${colorOf(id)}` }, id)));
}

// cell gives a number of a member, with its exact value beside what is shown.
function cell(member, figure, value, format) {
  const known = value !== null && value !== undefined;
  return make("td", { class: "number", "data-member": member.id, "data-figure": figure, "data-value": known ? value : "" }, known ? format(value) : "–");
}

function memberRow(member, total) {
  const s = member.stats, sample = history.at(-1).samples.get(member.id);
  const state = member.silent ? `${member.state}, silent: ${member.silent}` : member.state;
  const share = total ? ` (${percent(member.owned / total)})` : "";
  const memory = make("td", { "data-member": member.id, "data-figure": "bytes", "data-value": s ? s.bytes : "" });
  if (s) {
    const used = `${bytes(s.bytes)} of ${bytes(s.limit_maxbytes)}`;
    memory.append(make("meter", { min: 0, max: s.limit_maxbytes, value: s.bytes, "aria-label": used }), used);
  } else {
    memory.append("–");
  }
  return make("tr", {},
    make("th", { scope: "row", title: `clients ${member.client}, members ${member.peer}, gossip ${member.gossip}${member.zone ? `, zone ${member.zone}` : ""}` },
      make("span", { class: `key c${colorOf(member.id)}` }, member.id)),
    make("td", { class: member.state, "data-member": member.id, "data-figure": "state" }, state),
    cell(member, "owned", member.owned, (n) => whole(n) + share),
    cell(member, "curr_items", s?.curr_items, whole),
    memory,
    cell(member, "hit_ratio", sample && figures[0].each(sample), percent),
    cell(member, "requests", sample?.rates?.requests, short),
    cell(member, "evictions", sample?.rates?.evictions, short),
    cell(member, "curr_connections", s?.curr_connections, whole),
    cell(member, "cluster_copies_missing", s?.cluster_copies_missing, whole),
    cell(member, "cluster_hottest_rate", s?.cluster_hottest_rate, short));
}

function drawMoves(moves) {
  $("moves").hidden = moves.length === 0;
  $("still").hidden = moves.length > 0;
  $("moves").tBodies[0].replaceChildren(...moves.map((m) => make("tr", { "data-move": m.name },
    make("td", {}, make("span", { class: `key c${colorOf(m.from)}` }, m.from)),
    make("td", {}, make("span", { class: `key c${colorOf(m.to)}` }, m.to)),
    make("td", { class: "number", "data-figure": "partitions", "data-value": m.partitions }, whole(m.partitions)),
    make("td", { class: "number", "data-figure": "items", "data-value": m.items }, whole(m.items)),
    make("td", { class: "number", "data-figure": "bytes", "data-value": m.bytes }, bytes(m.bytes)))));
}

function drawStatus(cluster) {
  const count = cluster.members.length, active = cluster.members.filter((m) => m.state === "active" && !m.silent).length;
  const missing = sum(cluster.members.map((m) => m.stats?.cluster_copies_missing ?? 0));
  const parts = [make("b", { class: active === count ? "active" : "down" }, `${active} of ${count} members active`)];
  if (cluster.moves.length) parts.push(" · ", make("b", { class: "draining" }, "items are moving"));
  if (missing) parts.push(" · ", make("b", { class: "draining" }, `${whole(missing)} copies missing`));
  const differ = cluster.differ.map((d) => `${d.member} has ${d.name} ${d.says}, ${cluster.self} ${d.here}`);
  if (differ.length) parts.push(" · ", make("b", { class: "down", title: differ.join("\n"), "data-differ": differ.length }, `settings differ: ${differ[0]}${differ.length > 1 ? " …" : ""}`));
  // What is told aloud changes only when the cluster does, and the time stands beside it.
  const told = make("span", {}, ...parts);
  if (told.innerHTML !== $("status").innerHTML) $("status").replaceChildren(...told.childNodes);
  $("seen").textContent = `· as ${cluster.self} saw it at ${new Date(cluster.time).toLocaleTimeString()}`;
}

function draw(cluster) {
  $("name").textContent = `cluster ${cluster.cluster}`;
  document.title = `${cluster.cluster} – memring`;
  for (const m of cluster.members) colorOf(m.id);
  drawStatus(cluster);
  drawCharts(cluster);
  const shown = cluster.members.map((m) => ({ id: m.id, owned: m.owned, color: colorOf(m.id), away: m.state === "down" }));
  $("ring").replaceChildren(drawRing(shown, cluster.moves, cluster.table.partitions, cluster.table.copies));
  $("table").textContent = `${whole(cluster.table.partitions)} partitions, ${cluster.table.copies} ${cluster.table.copies === 1 ? "copy" : "copies"} of each, table ${cluster.table.print}`;
  $("members").replaceChildren(...cluster.members.map((m) => memberRow(m, cluster.table.partitions)));
  drawMoves(cluster.moves);
  document.body.dataset.time = cluster.time; // of what is shown
}

let shown = null;

async function look() {
  try {
    const answer = await fetch("cluster", { signal: AbortSignal.timeout(10000) });
    if (!answer.ok) throw new Error(`HTTP ${answer.status}`);
    shown = await answer.json();
    take(shown);
    draw(shown);
    document.body.classList.remove("stale");
    $("trouble").hidden = true;
  } catch (reason) {
    document.body.classList.add("stale");
    $("trouble").textContent = `This node does not answer (${reason.message}). What is shown is from before; it is asked again.`;
    $("trouble").hidden = false;
  }
  setTimeout(look, every);
}

function choose(nodes) {
  byNode = nodes;
  $("whole").setAttribute("aria-pressed", String(!nodes));
  $("each").setAttribute("aria-pressed", String(nodes));
  if (shown) drawCharts(shown);
}

$("whole").addEventListener("click", () => choose(false));
$("each").addEventListener("click", () => choose(true));
look();
