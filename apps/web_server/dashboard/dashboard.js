"use strict";

// The page is a picture of what /debug/events tells: "history" once after connecting, "sample" every second.

const kept = 300;  // samples, as the server keeps
const byId = (id) => document.getElementById(id);
const color = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

const counted = (n) => n.toLocaleString("en-US");
function rounded(n) {
  if (n === null || n === undefined) return "–";
  if (n >= 100 || Number.isInteger(n)) return counted(Math.round(n));
  return n.toFixed(n >= 10 ? 1 : 2);
}
function duration(ms) {
  if (ms === null || ms === undefined) return "–";
  if (ms >= 60000) return Math.floor(ms / 60000) + " min " + Math.floor(ms / 1000) % 60 + " s";
  if (ms >= 1000) return (ms / 1000).toFixed(2) + " s";
  return ms >= 1 ? ms.toFixed(1) + " ms" : Math.round(ms * 1000) + " µs";
}

/** Writes only what has changed, so that nothing flickers and screen readers are not told twice. */
function put(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

// ---- Charts

const charts = {
  rate: [{ field: "rate", label: "answers", color: "--one", fill: true }],
  latency: [
    { field: "p50", label: "50%", color: "--one" },
    { field: "p90", label: "90%", color: "--three" },
    { field: "p99", label: "99%", color: "--two" },
  ],
  pool: [
    { field: "workers", label: "workers", color: "--one" },
    { field: "busy", label: "busy", color: "--three" },
    { field: "queued", label: "queued →", color: "--two", fill: true, scale: "right" },
  ],
  distributed: [
    { field: "far_rate", label: "finished a second", color: "--one" },
    { field: "far_running", label: "running", color: "--three" },
    { field: "far_queued", label: "queued →", color: "--two", fill: true, scale: "right" },
    { field: "far_dead", label: "dead →", color: "--quiet", scale: "right" },
  ],
  fibers: [
    { field: "parked", label: "waiting", color: "--one", fill: true },
    { field: "runnable", label: "ready", color: "--two" },
    { field: "running", label: "running", color: "--three" },
  ],
  processors: [
    { field: "load", label: "busy", color: "--one", fill: true },
    { field: "processors", label: "there are", color: "--three" },
  ],
  errors: [
    { field: "failed", label: "500 and above", color: "--two", fill: true },
    { field: "refused", label: "rejected", color: "--three" },
  ],
};

/** Of a series that has gaps: the values without a neighbour, which no line would show. */
function alone(plot, series) {
  const values = plot.data[series];
  return values.flatMap((v, i) => v !== null && (values[i - 1] ?? null) === null && (values[i + 1] ?? null) === null ? [i] : []);
}

class Chart {
  constructor(figure) {
    this.figure = figure;
    this.name = figure.dataset.chart;
    this.series = charts[this.name];
    this.place = figure.querySelector("div");
    const legend = figure.querySelector("ul");
    this.values = this.series.map((s) => {
      const item = document.createElement("li");
      item.style.setProperty("--key", "var(" + s.color + ")");
      const value = document.createElement("b");
      item.append(s.label + " ", value);
      legend.append(item);
      return value;
    });
    this.draw();
  }

  draw() {
    if (this.plot) this.plot.destroy();
    const axis = { stroke: color("--quiet"), grid: { stroke: color("--line"), width: 1 }, ticks: { show: false }, font: "12px system-ui" };
    const numbers = { ...axis, size: 50, values: (_, ticks) => ticks.map((t) => t >= 1e6 ? t / 1e6 + "M" : t >= 1e4 ? t / 1e3 + "k" : String(t)) };
    const fromZero = { range: (_, low, high) => [0, Math.max(high * 1.1, 1)] };
    const right = this.series.find((s) => s.scale === "right");
    this.plot = new uPlot({
      width: Math.max(this.place.clientWidth, 100),
      height: 170,
      legend: { show: false },
      cursor: { y: false, drag: { setScale: false } },
      scales: { x: { time: true }, y: fromZero, right: fromZero },
      axes: [
        { ...axis, size: 26, space: 70, values: [[60, "{HH}:{mm}"], [1, "{HH}:{mm}:{ss}"]].map(([step, form]) => [step, form, null, null, null, null, null, null, 1]) },
        numbers,
      ].concat(right ? [{ ...numbers, scale: "right", side: 1, grid: { show: false }, stroke: color(right.color) }] : []),
      series: [{}].concat(this.series.map((s) => ({
        label: s.label,
        scale: s.scale ?? "y",
        stroke: color(s.color),
        width: 1.75,
        fill: s.fill ? color(s.color) + "22" : undefined,
        points: { size: 4, fill: color(s.color), show: true, filter: alone },
        spanGaps: false,
      }))),
      hooks: { setCursor: [() => this.tell()] },
    }, this.data(), this.place);
    this.tell();
  }

  data() {
    return [samples.map((s) => s.time / 1000)].concat(this.series.map((s) => samples.map((each) => each[s.field] ?? null)));
  }

  update() {
    this.plot.setData(this.data());
    this.tell();
  }

  /** The legend shows what the cursor is at, or the newest. */
  tell() {
    if (!this.plot) return;
    const at = this.plot.cursor.idx ?? samples.length - 1;
    this.values.forEach((value, i) => put(value, rounded(samples[at]?.[this.series[i].field])));
  }

  resize() {
    this.plot.setSize({ width: Math.max(this.place.clientWidth, 100), height: 170 });
  }
}

let samples = [];
let drawn = [];

// ---- Tables

/** Makes the body's rows those of `rows`, an array of [key, cells], by changing as little as possible. */
function fill(table, rows, nothing) {
  const body = table.tBodies[0];
  const before = new Map([...body.rows].map((r) => [r.dataset.key, r]));
  if (rows.length === 0) rows = [["none", [nothing]]];
  rows.forEach(([key, cells], i) => {
    key = String(key);
    let row = before.get(key);
    before.delete(key);
    if (!row) {
      row = document.createElement("tr");
      row.dataset.key = key;
      cells.forEach(() => row.append(document.createElement("td")));
      if (key === "none") Object.assign(row.cells[0], { colSpan: table.tHead.rows[0].cells.length, className: "none" });
    }
    cells.forEach((text, k) => put(row.cells[k], text));
    if (body.rows[i] !== row) body.insertBefore(row, body.rows[i] ?? null);
  });
  for (const row of before.values()) row.remove();
}

function showRoutes(routes) {
  fill(byId("routes"), routes.map((r) => [r.route,
    [r.route, counted(r.answers), counted(r.errors), duration(r.p50_ms), duration(r.p99_ms), duration(r.most_ms)]]),
    "nothing has been answered yet");
}

let searching = null;
async function showFibers() {
  if (searching) searching.abort();
  searching = new AbortController();
  const text = byId("search-text").value;
  try {
    const answer = await fetch("fibers.json?most=200&search=" + encodeURIComponent(text), { signal: searching.signal });
    if (!answer.ok) return;
    const found = await answer.json();
    found.fibers.sort((a, b) => a.id - b.id);
    fill(byId("fibers"), found.fibers.map((f) => [f.id,
      [String(f.id), f.name, f.state, f.operation, f.state === "waiting" ? duration(f.since_ms) : "", f.started_at]]),
      "no fiber has that");
    put(byId("fibers-count"), found.fibers.length < found.found
      ? counted(found.fibers.length) + " of " + counted(found.found) + " found"
      : counted(found.found) + (text ? " found" : " fibers"));
  } catch (error) {
    if (error.name !== "AbortError") put(byId("fibers-count"), "cannot be asked for now");
  }
}

// ---- The load

function showLoad(load) {
  const answered = load.answered ?? 0;
  const wanted = load.requests ?? 0;
  const possible = load.possible;
  byId("play").disabled = load.playing || !possible;
  byId("stop").disabled = !load.playing;
  byId("load-progress").value = wanted === 0 ? 0 : answered / wanted;
  const done = counted(answered) + " of " + counted(wanted) + " answered, " + counted(load.errors ?? 0) + " errors, " +
    counted(load.rejected ?? 0) + " rejected";
  put(byId("load-state"), !possible ? "can only be played over plain HTTP"
    : load.playing ? done : wanted === 0 ? "not played yet" : "played: " + done + (load.failure ? "; " + load.failure : ""));
}

async function command(method, query) {
  try {
    const answer = await fetch("load" + query, { method });
    if (!answer.ok) put(byId("load-state"), (await answer.text()).trim());
  } catch {
    put(byId("load-state"), "the server cannot be reached");
  }
}

/** The pool of several machines, where one is watched. */
function showDistributed(pool) {
  const chart = drawn.find((c) => c.name === "distributed");
  if (!pool) return;
  put(byId("distributed-title"), "Distributed pool " + pool.name + (pool.error ? ": no answer" : pool.paused ? ": paused" : ""));
  byId("distributed-title").title = pool.error;
  if (!chart.figure.hidden) return;
  chart.figure.hidden = false;
  chart.resize();
}

// ---- Live

let paused = false;
let latest = null;

function show() {
  if (!latest || paused) return;
  const { stats, server } = latest;
  put(byId("requests"), counted(stats.requests));
  put(byId("active"), counted(stats.active));
  put(byId("errors"), counted(stats.errors));
  put(byId("rejected"), counted(stats.rejected));
  put(byId("average"), duration(stats.average_latency_ms));
  put(byId("connections"), counted(server.connections));
  showRoutes(latest.routes);
  showDistributed(latest.distributed);
  drawn.forEach((c) => c.update());
  if (!document.hidden) showFibers();
}

function connect() {
  const link = byId("link");
  const state = (what, text) => { link.dataset.state = what; put(link, text); };
  const events = new EventSource("events");
  events.addEventListener("open", () => state("live", "live from " + location.host));
  events.addEventListener("error", () => state("lost", "connection lost, trying again"));
  events.addEventListener("history", (e) => { samples = JSON.parse(e.data); });
  events.addEventListener("sample", (e) => {
    latest = JSON.parse(e.data);
    samples = samples.concat(latest.sample).slice(-kept);
    showLoad(latest.load);
    show();
  });
}

byId("pause").addEventListener("click", () => {
  paused = !paused;
  byId("pause").setAttribute("aria-pressed", String(paused));
  show();
});
byId("load").addEventListener("submit", (e) => {
  e.preventDefault();
  byId("play").disabled = true;
  command("POST", "?requests=" + byId("load-requests").value);
});
byId("stop").addEventListener("click", () => command("DELETE", ""));
byId("search").addEventListener("submit", (e) => { e.preventDefault(); showFibers(); });
byId("search-text").addEventListener("input", showFibers);
drawn = [...document.querySelectorAll("[data-chart]")].map((figure) => new Chart(figure));
new ResizeObserver(() => drawn.forEach((c) => c.resize())).observe(document.querySelector(".charts"));
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => drawn.forEach((c) => c.draw()));
connect();
