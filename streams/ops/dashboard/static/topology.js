// The map, drawn from the map's own data: columns by how far a topic is from the entry, arrows as wide as their traffic.
import { h, s } from "./dom.js";
import { DASH, capital, count, known, percent, rate, span } from "./format.js";

const TONES = { OK: "good", WARN: "warning", REWIND: "warning", STALL: "bad", STOP: "bad", UNKNOWN: "unknown" };
export const toneOf = (health) => TONES[health] ?? "unknown";

// Everything that is known of a stage now: what waits, from lag; what it did, from the pulse.
export const stagesNow = (topology, lag, pulse) => {
  const ours = lag?.groups.find((one) => one.ours);
  return topology.agents.map(({ stage, reads }) => {
    const topic = ours?.topics.find((one) => one.topic === topology.names[reads]);
    const beat = pulse?.stages.find((one) => one.stage === stage);
    const lags = topic?.lag.filter(known) ?? [];
    const ages = topic?.age.filter(known) ?? [];
    const healths = topic?.health ?? [];
    const order = ["STOP", "STALL", "REWIND", "WARN", "UNKNOWN", "OK"];
    // While Kafka is away nothing that was well then is said to be well now.
    const health = lag?.error ? "UNKNOWN" : order.find((one) => healths.includes(one)) ?? (beat && pulse.source === "run" ? "OK" : "UNKNOWN");
    const rates = topic?.out.filter(known) ?? [];
    const waiting = lags.length ? lags.reduce((sum, one) => sum + one, 0) : null;
    // Nobody reads: known at once, where a verdict takes its time.
    const alone = ours && !ours.error && !ours.members;
    return {
      stage, reads, waiting, topic: topology.names[reads],
      health: alone && health === "OK" ? (waiting ? "STOP" : "UNKNOWN") : health,
      upper: Boolean(ours?.upper),
      age: ages.length ? Math.max(...ages) : null,
      took: beat?.age.p50_seconds ?? null,
      rate: beat ? beat.rate_out : rates.length ? rates.reduce((sum, one) => sum + one, 0) : null,
      done: beat?.done ?? null,
      failed: beat?.failed ?? null,
      failureShare: beat?.failure_share ?? null,
    };
  });
};

// Heights, in the picture's own pixels: of a topic that leads nowhere, of a stage, and between entries.
const [LEAF, STAGE, GAP] = [49, 102, 18];

const layout = (topology, width) => {
  const readers = new Map(topology.agents.map((one) => [one.reads, one.stage]));
  const hopsOf = (stage) => topology.hops.filter((hop) => hop.stage === stage);
  const places = new Map();
  const back = [];
  const place = (name, column, kind, row) => places.set(name, { column, kind, row });
  // From each entry outwards; an arrow to what is placed already goes back.
  const visit = (topic, column, row) => {
    const stage = readers.get(topic);
    place(topic, column, "topic", row + LEAF / 2);
    if (!stage) return LEAF;
    place(stage, column + 1, "stage", row);
    const hops = hopsOf(stage);
    const onward = hops.filter((hop) => !places.has(hop.to));
    back.push(...hops.filter((hop) => places.has(hop.to)));
    let rows = 0;
    const needed = onward.length * LEAF;
    const spare = Math.max(0, STAGE - needed) / 2;
    for (const hop of onward.sort((a, b) => readers.has(b.to) - readers.has(a.to))) rows += visit(hop.to, column + 2, row + spare + rows);
    const taken = Math.max(STAGE, rows);
    place(topic, column, "topic", row + taken / 2);
    place(stage, column + 1, "stage", row + taken / 2);
    return taken;
  };
  const entered = new Set(topology.hops.map((hop) => hop.to));
  const isEntry = (one) => !entered.has(one.reads) || one === topology.agents[0];
  let row = 0;
  for (const agent of topology.agents) {
    if (isEntry(agent) && !places.has(agent.reads)) {
      row += visit(agent.reads, 0, row) + GAP;
    }
  }
  const columns = 1 + Math.max(...[...places.values()].map((one) => one.column));
  const sizes = [];
  for (let column = 0; column < columns; column += 1) {
    const stages = [...places.values()].some((one) => one.column === column && one.kind === "stage");
    sizes.push(stages ? (width > 900 ? 168 : 150) : column === 0 ? 96 : width > 900 ? 180 : 150);
  }
  const gap = Math.max(24, (width - sizes.reduce((sum, one) => sum + one, 0) - 4 - 12 - 9 * back.length) / (columns - 1));
  const top = 46;
  let x = 2;
  const lefts = sizes.map((size) => {
    const left = x;
    x += size + gap;
    return left;
  });
  for (const one of places.values()) {
    one.w = sizes[one.column];
    one.h = one.kind === "stage" ? 92 : 42;
    one.x = lefts[one.column];
    one.y = top + one.row - one.h / 2;
  }
  return { places, back, height: top + row - GAP + 2 };
};

const curve = (from, to) => {
  const [x1, y1, x2, y2] = [from.x + from.w, from.y + from.h / 2, to.x, to.y + to.h / 2];
  const bend = Math.max(14, (x2 - x1) / 2);
  return `M${x1} ${y1}C${x1 + bend} ${y1} ${x2 - bend} ${y2} ${x2} ${y2}`;
};
// Out at the right, up to a lane above everything, and down into the top of where it all began.
const home = (from, to, lane) => {
  const [x1, y1, x2, y2] = [from.x + from.w, from.y + from.h / 2, to.x + to.w / 2 + lane * 10, to.y];
  const y = 24 - lane * 13;
  const out = x1 + 12 + lane * 9;
  return `M${x1} ${y1}H${out - 8}Q${out} ${y1} ${out} ${y1 - 8}V${y + 8}Q${out} ${y} ${out - 8} ${y}H${x2 + 8}Q${x2} ${y} ${x2} ${y + 8}V${y2}`;
};
const paceOf = (value) => (!value ? null : value < 2 ? "1" : value < 40 ? "2" : "3");
const hue = (outcome) => (outcome === "healed" ? "regenerate" : outcome);

const edge = (key, path, outcome, value, most, still) => {
  const width = value ? 1.6 + 7 * Math.sqrt(value / most) : 1.4;
  const style = { "--key": `var(--${hue(outcome)})`, "--key-line": `var(--${hue(outcome)}-line, var(--${hue(outcome)}))` };
  return [
    s("path", { class: "edge", d: path, style, "stroke-width": width.toFixed(1), "data-key": `${key}-edge` }),
    s("path", { class: "flow", d: path, style, "data-pace": still ? null : paceOf(value), "data-key": `${key}-flow` }),
  ];
};

const stageLink = (now) => `#/lag/${encodeURIComponent(now.topic)}`;
// One in a hundred is worth a colour.
const failing = (now) => now.failureShare >= 0.01;
const spoken = (now) =>
  `${now.stage}: ${known(now.waiting) ? `${now.waiting} waiting` : "unknown how much waits"}, oldest ${span(now.age)}, ${rate(now.rate)}, ` +
  `${percent(now.failureShare)} failed; ${now.health}`;

// What took each way. A run keeps no rows on their way: what its threshold did went its only way.
const hopsNow = (topology, stages, pulse) => {
  const hops = new Map((pulse?.hops ?? []).map((one) => [`${one.stage}>${one.outcome}`, one]));
  if (pulse?.source !== "run") return hops;
  for (const now of stages) {
    const ways = topology.hops.filter((hop) => hop.stage === now.stage);
    const only = ways.length === 1 && hops.get(`${now.stage}>${ways[0].outcome}`);
    if (only && !only.count) hops.set(`${now.stage}>${ways[0].outcome}`, { ...only, count: now.done ?? 0 });
  }
  return hops;
};

export const drawMap = (topology, lag, pulse, width) => {
  const stages = stagesNow(topology, lag, pulse);
  const { places, back, height } = layout(topology, width - 26);
  const hops = hopsNow(topology, stages, pulse);
  const isRun = pulse?.source === "run";
  const amount = (hop) => (hop ? (isRun ? hop.count : hop.rate) : 0);
  const most = Math.max(1e-9, ...[...hops.values()].map(amount), ...stages.map((one) => (isRun ? one.done : one.rate) ?? 0));
  const edges = [];
  const nodes = [];
  for (const now of stages) edges.push(edge(now.reads, curve(places.get(now.reads), places.get(now.stage)), "tuned", (isRun ? now.done : now.rate) ?? 0, most, isRun));
  for (const hop of topology.hops) {
    const known = hops.get(`${hop.stage}>${hop.outcome}`);
    const [from, to] = [places.get(hop.stage), places.get(hop.to)];
    const lane = back.indexOf(hop);
    edges.push(edge(`${hop.stage}>${hop.outcome}`, lane < 0 ? curve(from, to) : home(from, to, lane), hop.stage === "bridge" ? "analogue" : hop.outcome, amount(known), most, isRun));
    if (lane >= 0) continue;
    const { x, y, w, h: high } = to;
    const told = !known ? DASH : isRun ? count(known.count) : known.rate || !known.count ? rate(known.rate) : rate(0);
    const side = readersSide(hop, topology);
    nodes.push(s("g", { "data-key": `topic-${hop.to}` },
      s("title", null, `${topology.names[hop.to]}: ${hop.meaning}${known ? `; ${count(known.count)} in the window` : ""}`),
      s("rect", { class: "topic", x, y, width: w, height: high, rx: 8 }),
      s("rect", { class: "side", x, y: y + 6, width: 3.5, height: high - 12, rx: 1.7, style: { "--key": `var(--${hue(hop.outcome)})` } }),
      s("text", { class: "mono", x: x + 12, y: y + 17 }, hop.to),
      s("text", { class: "small", x: x + 12, y: y + 33 }, told, side || width < 900 ? "" : ` · ${hop.meaning}`)));
  }
  for (const table of topology.tables) {
    const [from, to] = [places.get(table.topic), places.get(table.read_by)];
    if (from && to) edges.push(s("path", { class: "edge dotted", style: { "--key": "var(--line-2)" }, "stroke-width": 1.4, "data-key": "table", d: `M${from.x + 18} ${from.y}v-26q0 -8 -8 -8H${to.x + to.w - 22}q-8 0 -8 -8V${to.y + to.h}` }));
  }
  for (const now of stages) {
    const topic = places.get(now.reads);
    if (!topology.hops.some((hop) => hop.to === now.reads && !back.includes(hop))) {
      nodes.push(s("g", { "data-key": `topic-${now.reads}` }, s("title", null, now.topic),
        s("rect", { class: "topic", x: topic.x, y: topic.y, width: topic.w, height: topic.h, rx: 8 }),
        s("text", { class: "mono", x: topic.x + 12, y: topic.y + 17 }, now.reads),
        s("text", { class: "small", x: topic.x + 12, y: topic.y + 33 }, known(now.waiting) ? `${count(now.waiting)} waiting` : isRun ? "from a log" : DASH)));
    }
    const { x, y, w, h: high } = places.get(now.stage);
    const big = isRun ? span(now.took) : span(now.age);
    nodes.push(s("a", { href: isRun ? null : stageLink(now), "aria-label": spoken(now), "data-key": `stage-${now.stage}` },
      s("rect", { class: "stage", x, y, width: w, height: high, rx: 11, "data-tone": toneOf(now.health) }),
      s("circle", { class: "lamp", cx: x + w - 16, cy: y + 18, r: 4.5, "data-tone": toneOf(now.health) }),
      s("text", { class: "name", x: x + 13, y: y + 22 }, capital(now.stage)),
      s("text", { class: "figure", x: x + 13, y: y + 47 }, big, s("tspan", { class: "small", dx: 6 }, isRun ? "a call" : "oldest waiting")),
      s("text", { class: "small", x: x + 13, y: y + 65 }, isRun ? `${count(now.done)} done` : `${rate(now.rate)} · ${count(now.waiting)} waiting`),
      s("text", { class: failing(now) ? "small alarm" : "small", x: x + 13, y: y + 81 }, known(now.failureShare) ? `${percent(now.failureShare)} failed` : isRun ? "nothing done" : "idle in the last minute")));
  }
  return h("div", { class: "panel map", "data-key": "map" },
    s("svg", { viewBox: `0 0 ${Math.round(width - 26)} ${Math.round(height)}`, role: "group", "aria-label": "The pipeline as it is now: topics, stages, and how much takes each way" }, edges, nodes));
};
const readersSide = (hop, topology) => topology.agents.some((one) => one.reads === hop.to);

// The same for a narrow page: a card a stage, with the ways that lead out of it.
export const drawTree = (topology, lag, pulse) => {
  const stages = stagesNow(topology, lag, pulse);
  const hops = hopsNow(topology, stages, pulse);
  const isRun = pulse?.source === "run";
  return h("ul", { class: "tree", "data-key": "tree" }, stages.map((now) =>
    h("li", { class: "panel", "data-tone": toneOf(now.health), "data-key": now.stage },
      h("div", { class: "top" }, h("h2", null, isRun ? capital(now.stage) : h("a", { href: stageLink(now) }, capital(now.stage))), h("span", { class: "quiet mono" }, `reads ${now.reads}`)),
      h("dl", null,
        h("div", null, h("dt", null, isRun ? "A call" : "Oldest waiting"), h("dd", null, isRun ? span(now.took) : span(now.age))),
        h("div", null, h("dt", null, isRun ? "Done" : "Rate"), h("dd", null, isRun ? count(now.done) : rate(now.rate))),
        h("div", null, h("dt", null, "Failed"), h("dd", null, percent(now.failureShare)))),
      h("ul", null, topology.hops.filter((hop) => hop.stage === now.stage).map((hop) => {
        const known = hops.get(`${hop.stage}>${hop.outcome}`);
        return h("li", null, h("span", { class: "key", style: { "--key": `var(--${hue(hop.outcome)})` } }), h("span", null, hop.outcome, h("span", { class: "quiet" }, ` · ${hop.meaning}`)), h("span", null, !known ? DASH : isRun ? count(known.count) : rate(known.rate)));
      })))));
};
