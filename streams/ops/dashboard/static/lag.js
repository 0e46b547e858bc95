// Lag: every group, and of one group every partition, over time.
import { h, say } from "./dom.js";
import * as feed from "./feed.js";
import { DASH, atMost, capital, count, cut, known, plural, rate, span, time } from "./format.js";
import * as heat from "./heat.js";
import { ask } from "./session.js";
import { spark } from "./spark.js";
import { toneOf } from "./topology.js";

const FIRST_ROWS = 24;
const LOOKS = 450;
const WORST = ["STOP", "STALL", "REWIND", "WARN", "UNKNOWN", "OK"];
let opened = null;
let history = null;
let asked = null;
let all = false;
let cursor = null;
let order = "worst";

const again = () => window.dispatchEvent(new Event("redraw"));
const verdict = (health) => h("span", { class: "tag", "data-tone": toneOf(health) }, health);

// A group's history is asked for once; after that every look adds its column here.
const follow = async (group) => {
  if (asked === group) return;
  asked = group;
  history = null;
  try {
    const found = await ask(`/api/lag/history?group=${encodeURIComponent(group)}`);
    if (asked !== group) return;
    history = { ...found, rows: new Map(found.rows.map((row) => [`${row.topic} ${row.partition}`, row])) };
    extend();
    again();
  } catch {
    asked = null;
  }
};
const extend = () => {
  const document = feed.get("lag");
  if (!history || !document || document.error || document.at <= (history.at.at(-1) ?? 0)) return;
  const group = document.groups.find((one) => one.group === history.group);
  if (!group) return;
  history.at.push(document.at);
  const fresh = new Map();
  for (const topic of group.topics) topic.partition.forEach((partition, index) => fresh.set(`${topic.topic} ${partition}`, { topic: topic.topic, partition, value: topic.lag[index] }));
  for (const [key, { topic, partition }] of fresh) if (!history.rows.has(key)) history.rows.set(key, { topic, partition, lag: history.at.slice(1).map(() => null) });
  for (const [key, row] of history.rows) {
    row.lag.push(fresh.get(key)?.value ?? null);
    // A topic that is gone stays for as long as the picture has looks of it.
    if (!fresh.has(key) && !row.lag.slice(-LOOKS).some(known)) history.rows.delete(key);
  }
  if (history.at.length > LOOKS) {
    history.at.shift();
    for (const row of history.rows.values()) row.lag.shift();
  }
};
feed.listen((name) => name === "lag" && extend());

// A group that keeps up has a few on their way at every look, and rates that say nothing of an end; where nothing goes
// out, what is on its way is too young to tell.
const catchUp = (one) => {
  if (one.health !== "OK" || (one.age ?? 0) >= 10 || !(one.catch_up === "never" || one.catch_up > 60)) return span(one.catch_up);
  return one.out > 0 ? h("span", { class: "quiet" }, "keeping up") : DASH;
};

const MEANT = {
  Verdict: "OK, WARN (falls behind), STOP (nothing is read), STALL (read, and not got on with), REWIND (went back), UNKNOWN",
  Lag: "Messages that wait to be read",
  Oldest: "How long the oldest of them has waited: its timestamp to now",
  In: "Messages that came, a second",
  Out: "Messages that were read, a second",
  "Caught up in": "At the present rates; of a group that of its worst partition",
  "Kept for": "Until Kafka deletes the oldest message that waits; a dash where none waits or none is deleted",
  "Read by": "The member of the group that has this partition",
};
// A topic's name stays as it is.
const sentence = (evidence) => `${/^\S+\[/.test(evidence) ? evidence : capital(evidence)}.`;
const column = (name, kind) => h("th", { scope: "col", class: kind, title: MEANT[name] }, name);

const groupRow = (group, sums) => h("tr", { "data-key": group.group, "aria-selected": String(group.group === opened) },
  h("th", { scope: "row", class: "left" }, h("button", { type: "button", class: "open", "data-do": "open", "data-group": group.group, "aria-expanded": String(group.group === opened) }, group.group), group.ours && h("span", { class: "quiet" }, " ours")),
  h("td", { "data-name": "Verdict" }, verdict(group.health), !group.error && group.members === 0 && group.lag > 0 && h("div", { class: "note" }, "nobody reads")),
  h("td", { "data-figure": "lag", "data-name": "Lag" }, atMost(group.lag, group.upper)),
  h("td", { "data-figure": "age", "data-name": "Oldest" }, span(group.age)),
  h("td", { class: "optional", "data-figure": "in" }, rate(group.in)),
  h("td", { class: "optional", "data-figure": "out" }, rate(group.out)),
  h("td", { "data-figure": "end", "data-name": "Caught up in" }, catchUp(group)),
  h("td", { class: "optional", "data-figure": "members" }, h("span", { title: group.state }, count(group.members))),
  h("td", { class: "strip optional" }, h("canvas", { "data-keep": "strip", "data-strip": group.group, height: 1, role: "img", "aria-label": `Lag of ${group.group} by partition` })),
  h("td", { class: "optional" }, sums && spark(sums, { tone: toneOf(group.health), top: 10, label: `Lag of ${group.group} over time` })));

const groupsPart = (document) => {
  const sums = feed.get("sums")?.groups ?? {};
  return h("div", { class: "panel groups scroll cards", "data-key": "groups", "data-at": document.at, tabindex: "0", role: "region", "aria-label": "Consumer groups" }, h("table", null,
    h("thead", null, h("tr", null, h("th", { scope: "col", class: "left" }, "Group"), ["Verdict", "Lag", "Oldest"].map((name) => column(name)), ["In", "Out"].map((name) => column(name, "optional")), column("Caught up in"), h("th", { scope: "col", class: "optional" }, "Members"), h("th", { scope: "col", class: "optional left" }, "Partitions"), h("th", { scope: "col", class: "optional left" }, `Last ${span(sumsSpan())}`))),
    h("tbody", null, document.groups.map((group) => groupRow(group, sums[group.group])))));
};
const sumsSpan = () => {
  const at = feed.get("sums")?.at ?? [];
  return at.length > 1 ? Math.round(at.at(-1) - at[0]) : 0;
};

const partitionsOf = (group) => group.topics.flatMap((topic) => topic.partition.map((partition, index) => ({
  key: `${topic.topic} ${partition}`, topic: topic.topic, partition, lag: topic.lag[index], age: topic.age[index], in: topic.in[index], out: topic.out[index],
  catch_up: topic.catch_up[index], horizon: topic.horizon[index], lost: topic.lost[index], committed: topic.committed[index], latest: topic.latest[index],
  member: known(topic.member[index]) ? group.names[topic.member[index]] : null, health: topic.health[index], evidence: topic.evidence[partition] ?? "",
})));
const worstFirst = (a, b) => WORST.indexOf(a.health) - WORST.indexOf(b.health) || (b.age ?? 0) - (a.age ?? 0) || (b.lag ?? 0) - (a.lag ?? 0) || byPlace(a, b);
const byPlace = (a, b) => a.topic.localeCompare(b.topic) || a.partition - b.partition;

// The scenes of a partition and its heaviest keys are known of our own entry topic alone.
const skewOf = (one) => {
  const [pulse, topology] = [feed.get("pulse"), feed.get("topology")];
  if (!pulse || !topology || one.topic !== topology.names[topology.agents[0].reads]) return null;
  return pulse.partitions.find((each) => each.partition === one.partition) ?? null;
};
const isSkewed = (skew) => {
  const partitions = feed.get("pulse")?.partitions.length ?? 0;
  return Boolean(skew) && partitions > 1 && skew.scenes >= 20 && skew.share * partitions >= 1.5;
};

const heatPart = (group) => {
  const rows = [...(history?.group === group.group ? history.rows.values() : [])];
  const events = (feed.get("events")?.events ?? []).filter((one) => one.group === group.group && one.kind !== "verdict");
  const [from, to] = history ? [history.at[0], history.at.at(-1)] : [0, 1];
  // What one look found is one mark; partitions that changed hands tell the most.
  const marks = new Map();
  for (const one of events.filter((each) => each.at >= from && each.at <= to)) {
    const mark = marks.get(one.at) ?? { at: one.at, words: [], kinds: new Set() };
    mark.words.push(one.words);
    marks.set(one.at, { ...mark, kinds: mark.kinds.add(one.kind) });
  }
  const sign = ({ kinds }) => (kinds.has("moved") ? "⇄" : kinds.has("members") ? "●" : "◆");
  const told = (mark) => `${time(mark.at)}: ${mark.words.join("; ")}`;
  const high = Math.max(72, Math.min(420, rows.length * (rows.length > 60 ? 3 : 11)));
  const topics = new Map();
  rows.forEach((row, index) => topics.has(row.topic) || topics.set(row.topic, index));
  return h("section", { "data-key": "heat", "aria-labelledby": "heat-title" },
    h("div", { class: "bar" }, h("h2", { id: "heat-title" }, `${plural(rows.length, "partition")} of ${group.group}, over time`),
      h("div", { class: "scale", "aria-label": "Colours: messages that wait" }, heat.STEPS.map((step, index) => h("span", null, h("i", { style: { background: `var(--heat-${index})` } }), index === heat.STEPS.length - 1 ? ` ${count(step)}+` : ` ${count(step)}`)))),
    h("div", { class: "panel heat" },
      rows.length
        ? h("div", { class: "field-of-heat" },
          h("span", null), h("div", { class: "marks", style: { "--high": `${high}px` } }, [...marks.values()].map((mark) => h("button", { type: "button", "data-key": String(mark.at), title: told(mark), "aria-label": told(mark), "data-do": "event", "data-words": told(mark), style: { left: `${(100 * (mark.at - from)) / Math.max(1, to - from)}%` } }, sign(mark)))),
          h("div", { class: "axis", "aria-hidden": "true" }, [...topics].map(([topic, index]) => h("span", { title: topic, style: { top: `${((index + 0.5) / rows.length) * high}px` } }, cut(topic.split(".").at(-1), 11)))),
          h("div", { class: "frame", tabindex: "0", role: "application", "aria-roledescription": "heat strip", "aria-label": "Lag of each partition over time; arrow keys move, and say what is there", "data-keep": `field-${group.group}`, style: { height: `${high}px` } }, h("canvas", { style: { height: "100%" } })),
          h("div", { class: "times" }, h("span", null, time(from)), h("span", { class: "optional" }, "● members  ◆ state  ⇄ partitions changed hands"), h("span", null, time(to))))
        : h("p", { class: "note" }, "The first looks are on their way."),
      h("p", { class: "note", "data-told": "cell" }, "Point at the picture, or move in it with the arrow keys, to read a partition at a moment.")));
};

const partitionRow = (group, one) => {
  const row = history?.group === group.group ? history.rows.get(one.key) : null;
  const skew = skewOf(one);
  return h("tr", { "data-key": one.key, "data-topic": one.topic, "data-partition": one.partition },
    h("th", { scope: "row", class: "left" }, one.topic, " ", h("strong", null, String(one.partition)),
      isSkewed(skew) && h("span", { class: "tag", "data-tone": "warning", title: `${Math.round(100 * skew.share)}% of all scenes` }, "skewed"), h("div", { class: "only-narrow wrap" }, because(one, skew))),
    h("td", { "data-name": "Verdict" }, verdict(one.health)),
    h("td", { "data-figure": "lag", "data-name": "Lag" }, atMost(one.lag, group.upper), one.lost > 0 && h("span", { class: "bigger" }, ` ${count(one.lost)} lost`)),
    h("td", { class: "optional" }, row ? spark(row.lag.slice(-150), { tone: toneOf(one.health), top: 10, label: `Lag of ${one.key} over time` }) : DASH),
    h("td", { "data-figure": "age", "data-name": "Oldest" }, span(one.age)),
    h("td", { "data-figure": "in", "data-name": "In" }, rate(one.in)), h("td", { "data-figure": "out", "data-name": "Out" }, rate(one.out)), h("td", { "data-figure": "end", "data-name": "Caught up in" }, catchUp(one)),
    h("td", { class: "optional", "data-figure": "kept" }, span(one.horizon)),
    h("td", { class: "optional left", "data-figure": "reader", title: one.member?.[0] ?? "" }, one.member ? `${cut(one.member[0].replace(/^faust-[\d.]+-/, ""), 13)}` : h("span", { class: "quiet" }, "nobody")),
    h("td", { class: "left wrap because optional" }, because(one, skew)));
};
const because = (one, skew) => [h("span", { class: "quiet" }, one.evidence), isSkewed(skew) && h("div", { class: "note" }, `${Math.round(100 * skew.share)}% of all scenes; heaviest keys: `, skew.heaviest.slice(0, 3).map((key) => `user·${key.key} ${Math.round(100 * key.share)}%`).join(", "))];

const partitionsPart = (group) => {
  const rows = partitionsOf(group).sort(order === "worst" ? worstFirst : byPlace);
  const shown = all ? rows : rows.slice(0, FIRST_ROWS);
  return h("section", { "data-key": "partitions", "aria-labelledby": "partitions-title" },
    h("div", { class: "bar" }, h("h2", { id: "partitions-title" }, order === "worst" ? "Partitions, the worst first" : "Partitions in order"),
      h("div", null, h("button", { type: "button", class: "plain", "data-do": "order" }, order === "worst" ? "In order" : "Worst first"), rows.length > FIRST_ROWS && h("button", { type: "button", class: "plain", "data-do": "all", "aria-expanded": String(all) }, all ? `Only ${FIRST_ROWS}` : `All ${count(rows.length)}`))),
    h("p", { class: "note section-note" }, sentence(group.evidence)),
    h("div", { class: "panel scroll cards", tabindex: "0", role: "region", "aria-label": "Partitions" }, h("table", null,
      h("thead", null, h("tr", null, h("th", { scope: "col", class: "left" }, "Partition"), column("Verdict"), column("Lag"), column("Over time", "optional"), ["Oldest", "In", "Out", "Caught up in"].map((name) => column(name)), column("Kept for", "optional"), column("Read by", "optional left"), column("Because", "optional left"))),
      h("tbody", null, shown.map((one) => partitionRow(group, one))))));
};

export const draw = ([wanted]) => {
  const document = feed.get("lag");
  const heading = h("h1", { "data-key": "h1" }, "Lag");
  if (!document) return [heading, h("p", { class: "empty", "data-key": "empty" }, "The first look at the cluster is on its way.")];
  if (!document.groups.length) return [heading, h("p", { class: "empty", "data-key": "empty" }, document.error ?? "This Kafka has no consumer groups yet. ", document.error ? null : [h("code", null, "scenestream worker"), " makes one."])];
  // The address names a group, or a topic that ours reads.
  const ours = document.groups.find((one) => one.ours);
  const named = wanted && (document.groups.find((one) => one.group === wanted) ?? (ours?.topics.some((one) => one.topic === wanted) ? ours : null));
  const group = named || document.groups.find((one) => one.group === opened) || document.groups[0];
  if (group.group !== opened) {
    opened = group.group;
    all = false;
    cursor = null;
  }
  follow(opened);
  const upper = document.groups.some((one) => one.upper);
  return [heading,
    h("p", { class: "note section-note", "data-key": "how" }, `${plural(document.groups.length, "group")} on cluster ${document.cluster || "…"}, looked at every ${span(document.every)}; the last look took ${span(document.took)}.${upper ? " ≤ is an upper bound: markers of transactions may be part of it." : ""}`),
    groupsPart(document),
    group.error ? h("p", { class: "empty", "data-key": "denied" }, `${group.group} cannot be looked at: ${group.error}`) : null,
    group.error ? null : heatPart(group),
    group.error ? null : partitionsPart(group)].filter(Boolean);
};

export const drawn = (place) => {
  const document = feed.get("lag");
  for (const canvas of place.querySelectorAll("[data-strip]")) {
    const group = document.groups.find((one) => one.group === canvas.dataset.strip);
    if (group) heat.paint(canvas, group.topics.flatMap((topic) => topic.lag.map((value) => [value])));
  }
  const frame = place.querySelector(".frame");
  if (!frame || !history) return;
  const rows = [...history.rows.values()];
  frame.style.height = `${Math.max(72, Math.min(420, rows.length * (rows.length > 60 ? 3 : 11)))}px`;
  heat.paint(frame.querySelector("canvas"), history.at.map((_, column) => rows.map((row) => row.lag[column] ?? null)));
  if (!wired.has(frame)) wire(frame);
  if (cursor) point(frame);
};

const wired = new WeakSet();
const wire = (frame) => {
  wired.add(frame);
  frame.addEventListener("pointermove", (event) => {
    const box = frame.getBoundingClientRect();
    cursor = { row: Math.floor(((event.clientY - box.top) / box.height) * history.rows.size), column: Math.floor(((event.clientX - box.left) / box.width) * history.at.length) };
    point(frame);
  });
  frame.addEventListener("pointerleave", () => {
    cursor = null;
    frame.querySelector(".tip")?.remove();
  });
  frame.addEventListener("keydown", (event) => {
    const move = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[event.key];
    if (!move) return;
    event.preventDefault();
    cursor ??= { row: 0, column: history.at.length - 1 };
    cursor = { row: cursor.row + move[0], column: cursor.column + move[1] };
    say(point(frame));
  });
};

const point = (frame) => {
  const rows = [...history.rows.values()];
  cursor.row = Math.max(0, Math.min(rows.length - 1, cursor.row));
  cursor.column = Math.max(0, Math.min(history.at.length - 1, cursor.column));
  const row = rows[cursor.row];
  const value = row.lag[cursor.column];
  const words = `${row.topic} ${row.partition} at ${time(history.at[cursor.column])}: ${known(value) ? `${count(value)} waiting` : "unknown"}`;
  let tip = frame.querySelector(".tip");
  if (!tip) frame.append((tip = h("div", { class: "tip" })));
  tip.textContent = words;
  const [x, y] = [(cursor.column + 0.5) / history.at.length, (cursor.row + 0.5) / rows.length];
  tip.style.left = x > 0.6 ? "auto" : `calc(${100 * x}% + 12px)`;
  tip.style.right = x > 0.6 ? `calc(${100 * (1 - x)}% + 12px)` : "auto";
  tip.style.top = y > 0.6 ? "auto" : `${100 * y}%`;
  tip.style.bottom = y > 0.6 ? `${100 * (1 - y)}%` : "auto";
  return words;
};

export const act = (what, data, on) => {
  if (what === "open") {
    opened = data.group;
    all = false;
    cursor = null;
    location.hash = `#/lag/${encodeURIComponent(data.group)}`;
  } else if (what === "all") all = !all;
  else if (what === "order") order = order === "worst" ? "place" : "worst";
  else if (what === "event") {
    const told = on.closest(".heat").querySelector("[data-told]");
    told.textContent = data.words;
    say(data.words);
    return;
  }
  again();
};
export const leave = () => {
  cursor = null;
};
export const recolour = () => heat.recolour();
