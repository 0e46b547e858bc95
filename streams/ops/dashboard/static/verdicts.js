// What was decided, how healing did, when it was silent, and what is left of the promise.
import { draw as drawChart, chart } from "./charts.js";
import { h, s } from "./dom.js";
import * as feed from "./feed.js";
import { DASH, capital, count, epoch, known, number, percent, plural, span, time } from "./format.js";
import { FINAL, SHADES, lived, split, windowWords } from "./overview.js";

const numbers = (label, head, rows) => h("details", { class: "numbers", "data-key": `numbers-${label}` }, h("summary", null, "The numbers", h("span", { class: "hidden" }, `: ${label}`)),
  h("div", { class: "scroll" }, h("table", null, h("thead", null, h("tr", null, head.map((name) => h("th", { scope: "col" }, name)))), h("tbody", null, rows.map((row) => h("tr", null, row.map((cell, index) => h(index ? "td" : "th", index ? null : { scope: "row" }, cell))))))));

// Several buckets of the pulse to a bar, so that bars stay wide enough to point at.
const grouped = (moments, most = 90) => {
  const by = Math.max(1, Math.ceil(moments.length / most));
  const groups = [];
  for (let at = 0; at < moments.length; at += by) {
    const some = moments.slice(at, at + by);
    const sum = (of) => some.reduce((total, one) => total + of(one), 0);
    const final = sum((one) => one.verdicts.final);
    groups.push({ at: some[0].at, ready: sum((one) => one.verdicts.ready - one.healed), healed: sum((one) => one.healed), withheld: sum((one) => one.verdicts.withheld), reasoning: sum((one) => one.verdicts.reasoning), final, failed: sum((one) => one.failed), error: some.map((one) => one.error_rate).filter(known).at(-1) ?? null });
  }
  return groups;
};

const overTime = (pulse) => {
  const groups = grouped(lived(pulse));
  const isRun = pulse.source === "run";
  const when = (one, index) => (isRun ? index + 1 : time(epoch(one.at)));
  return h("section", { "data-key": "time", "aria-labelledby": "time-title" }, h("h2", { id: "time-title" }, isRun ? "In the order of the log" : "Over time"),
    split(pulse) ?? h("p", { class: "empty" }, "No scene came to a final verdict in this window."),
    chart("verdicts", `Final verdicts over time: ${pulse.verdicts.ready} said, ${pulse.verdicts.withheld} withheld, ${pulse.verdicts.reasoning} back to reasoning`, 230),
    numbers("verdicts over time", [isRun ? "Stretch" : "From", "As drafted", "Healed", "Silence", "Reasoning", "Dead"], groups.map((one, index) => [String(when(one, index)), ...[one.ready, one.healed, one.withheld, one.reasoning, one.failed].map(count)])));
};

const silence = (pulse) => h("section", { "data-key": "silence", "aria-labelledby": "silence-title" }, h("h2", { id: "silence-title" }, `Silence: ${percent(pulse.verdicts.silence_share)}`),
  h("p", { class: "note" }, `${count(pulse.verdicts.withheld)} of ${plural(pulse.verdicts.final, "final verdict")}. To say nothing is an outcome, not an error.`),
  chart("silence", `Share of silence over time, now ${percent(pulse.verdicts.silence_share)}`, 170));

const returnWords = (one, isRun) => {
  if (isRun) return `${one.errors} of ${plural(one.labels, "label")} were rejections${known(one.rate) ? ` (${percent(one.rate)})` : ""}. A run's directory does not say when.`;
  if (one.standing === "unknown") return `Too few labels (${one.labels}) to say how often what was said was rejected.`;
  const now = `${one.errors} of ${plural(one.labels, "label")} were rejections (${percent(one.rate)}; at most ${percent(one.target, 0)} were promised).`;
  if (one.standing === "over") return `${now} It has been over its target since ${time(epoch(one.over_since))}.`;
  if (one.standing === "returned") return `${now} It was over its target and came back${one.returned_at ? ` at ${time(epoch(one.returned_at))}` : ""}.`;
  return `${now} It was never over its target.`;
};
const errors = (pulse) => h("section", { "data-key": "errors", "aria-labelledby": "errors-title" },
  h("h2", { id: "errors-title" }, "Errors, by feedback ", pulse.source !== "run" && h("span", { class: "tag", "data-tone": { over: "bad", returned: "warning", steady: "good" }[pulse.metastability.standing] ?? "unknown" }, pulse.metastability.standing)),
  h("p", { class: "note" }, returnWords(pulse.metastability, pulse.source === "run")),
  pulse.source !== "run" && chart("errors", `Error rate of labelled scenes over time, against its target of ${percent(pulse.metastability.target, 0)}`, 170));

const dumbbell = (before, after) => {
  if (!known(before) || !known(after)) return DASH;
  const x = (value) => 6 + 188 * value;
  return s("svg", { class: "dumbbell", viewBox: "0 0 200 20", role: "img", "aria-label": `from ${number(before)} to ${number(after)}` },
    s("line", { x1: 6, x2: 194, y1: 10, y2: 10, "stroke-opacity": 0.35 }), s("line", { x1: x(before), x2: x(after), y1: 10, y2: 10 }),
    s("circle", { cx: x(before), cy: 10, r: 4.5, fill: "var(--withheld-line)" }), s("circle", { cx: x(after), cy: 10, r: 5.5, fill: "var(--regenerate-line)" }));
};

const healing = (pulse) => {
  const some = pulse.healing.filter((one) => one.judged);
  return h("section", { "data-key": "healing", "aria-labelledby": "healing-title" }, h("h2", { id: "healing-title" }, "Healing, before and after"),
    some.length ? [
      h("div", { class: "panel scroll", tabindex: "0", role: "region", "aria-label": "Healings by route" }, h("table", null,
        h("thead", null, h("tr", null, h("th", { scope: "col", class: "left" }, "Route"), ["Judged", "Said", "Resonance before", "P(holds) after"].map((name) => h("th", { scope: "col" }, name)), h("th", { scope: "col", class: "left" }, "0 to 1"), ["Fidelity", "Gain", "Amplified", "Partial", "Full"].map((name) => h("th", { scope: "col" }, name)))),
        h("tbody", null, some.map((one) => h("tr", { "data-route": one.route },
          h("th", { scope: "row", class: "left" }, h("span", { class: "key", style: { "--key": `var(--${one.route === "bridge" ? "analogue" : "regenerate"})` } }), " ", capital(one.route)),
          h("td", null, count(one.judged)), h("td", null, `${count(one.ready)} `, h("span", { class: "quiet" }, percent(one.ready_share))), h("td", null, number(one.resonance_before)), h("td", null, number(one.resonance_after)), h("td", null, dumbbell(one.resonance_before, one.resonance_after)), h("td", null, number(one.fidelity)), h("td", null, number(one.gain)),
          ...(one.route === "bridge" ? [one.amplified, one.partial, one.full].map((value) => h("td", null, count(value))) : [DASH, DASH, DASH].map((dash) => h("td", { class: "quiet" }, dash)))))))),
      h("p", { class: "note" }, "Means. P(holds) is the calibrated chance that the healed chain comes close to what should have been said: another event than being accepted, and an easier one, so the two do not add up to progress."),
    ] : h("p", { class: "empty" }, `No healed scene was judged ${windowWords(pulse)}.`));
};

const ledgers = (pulse) => {
  const some = pulse.ledgers.filter((one) => one.users);
  const most = Math.max(1, ...some.map((one) => one.headroom_median));
  return h("section", { "data-key": "ledgers", "aria-labelledby": "ledgers-title" }, h("h2", { id: "ledgers-title" }, "What is left of the promise, per task"),
    some.length ? [
      h("div", { class: "panel scroll", tabindex: "0", role: "region", "aria-label": "Ledger budgets by task" }, h("table", null,
        h("thead", null, h("tr", null, h("th", { scope: "col", class: "left" }, "Task"), h("th", { scope: "col", class: "left" }, "Account"), ["Users", "At the limit", "Worst", "1 in 10", "Median"].map((name) => h("th", { scope: "col" }, name)), h("th", { scope: "col", class: "left" }, "Errors left, worst in the median"), h("th", { scope: "col", class: "left" }, "Tightest user"))),
        h("tbody", null, some.map((one) => h("tr", { "data-task": one.task ?? "", "data-account": one.account },
          h("th", { scope: "row", class: "left" }, one.other ? "all other tasks" : one.task ?? h("span", { class: "quiet" }, "no task")), h("td", { class: "left" }, one.account), h("td", null, count(one.users)), h("td", { class: one.at_limit ? "bigger" : null }, count(one.at_limit)), ...[one.headroom_worst, one.headroom_p10, one.headroom_median].map((value) => h("td", null, number(value))),
          h("td", null, h("div", { class: "meter", role: "img", "aria-label": `worst ${number(one.headroom_worst)}, median ${number(one.headroom_median)} errors left`, "data-tone": one.at_limit ? "warning" : "good" },
            h("span", { style: { width: `${Math.max(0, (100 * one.headroom_median) / most)}%`, opacity: ".3" } }), h("span", { style: { width: `${Math.max(0, (100 * one.headroom_worst) / most)}%` } }))),
          h("td", { class: "left mono" }, `user·${one.worst_user}`)))))),
      h("p", { class: "note" }, "Headroom in errors: what the promise allows, less the errors known, less what unlabelled scenes may still cost. A user at the limit hears less until labels come. Users are masked."),
    ] : h("p", { class: "empty" }, "No user's account was seen yet."));
};

const tasksAndRules = (pulse) => h("div", { class: "columns", "data-key": "tasks" },
  h("section", { "aria-labelledby": "tasks-title" }, h("h2", { id: "tasks-title" }, "By task"), pulse.tasks.length ? h("div", { class: "scroll" }, h("table", null,
    h("thead", null, h("tr", null, h("th", { scope: "col", class: "left" }, "Task"), ["Final", "Said", "Healed", "Silence"].map((name) => h("th", { scope: "col" }, name)))),
    h("tbody", null, pulse.tasks.map((one) => h("tr", null, h("th", { scope: "row", class: "left wrap" }, one.other ? "all others" : one.task ?? "no task"), h("td", null, count(one.verdicts.final)), h("td", null, percent(one.verdicts.final ? one.verdicts.ready / one.verdicts.final : null)), h("td", null, count(one.healed)), h("td", null, percent(one.verdicts.silence_share))))))) : h("p", { class: "empty" }, "Nothing yet.")),
  h("section", { "aria-labelledby": "rules-title" }, h("h2", { id: "rules-title" }, "By rule"), pulse.rules.length ? h("div", { class: "scroll" }, h("table", null,
    h("thead", null, h("tr", null, h("th", { scope: "col", class: "left" }, "Rule"), ["Verdicts", "Share"].map((name) => h("th", { scope: "col" }, name)))),
    h("tbody", null, pulse.rules.map((one) => h("tr", null, h("th", { scope: "row", class: "left wrap mono" }, one.rule), h("td", null, count(one.count)), h("td", null, percent(one.share))))))) : h("p", { class: "empty" }, "Nothing yet.")));

const refused = () => (feed.get("tail")?.refused ?? []).map((told) => h("p", { class: "notice", "data-key": told }, told, ". What it holds is missing here."));
const reading = () => {
  const tail = feed.get("tail");
  if (!tail || tail.caught_up || tail.error || (tail.behind_records < 500 && tail.behind_seconds < 30)) return null;
  return h("p", { class: "notice", "data-key": "reading" }, `The dashboard itself is still reading: ${known(tail.behind_records) ? `${count(tail.behind_records)} records` : "an unknown number"} to go, so what stands here is not yet the whole window.`);
};

export const draw = () => {
  const pulse = feed.get("pulse");
  const heading = h("h1", { "data-key": "h1" }, "Verdicts");
  if (!pulse) return [heading, h("p", { class: "empty", "data-key": "empty" }, "The dashboard is reading the topics; what was decided appears in a moment.")];
  const frame = pulse.source === "run" ? `${plural(pulse.verdicts.final, "scene")} of this run` : `The last ${span(pulse.seconds)}, ${plural(pulse.verdicts.final, "final verdict")}, ${plural(pulse.records, "record")} read`;
  return [heading, h("p", { class: "note", "data-key": "frame" }, `${frame}.`), refused(), reading(), overTime(pulse), h("div", { class: "columns", "data-key": "pair" }, silence(pulse), errors(pulse)), healing(pulse), ledgers(pulse), tasksAndRules(pulse)].flat().filter(Boolean);
};

export const drawn = (place) => {
  const pulse = feed.get("pulse");
  if (!pulse) return;
  const groups = grouped(lived(pulse));
  const isRun = pulse.source === "run";
  // In a few minutes several ticks share a minute.
  const brief = !isRun && epoch(groups.at(-1).at) - epoch(groups[0].at) < 480;
  const xaxis = isRun ? { title: { text: "stretches of the log, in order", font: { size: 11 } } } : { type: "date", tickformat: brief ? "%H:%M:%S" : "%H:%M", nticks: brief ? 5 : 8, hoverformat: "%H:%M:%S" };
  // Plotly shows moments of a date axis as they are written: here in local time.
  const local = isRun ? groups.map((_, index) => index + 1) : groups.map((one) => new Date(epoch(one.at) * 1000 - new Date().getTimezoneOffset() * 60000).toISOString().slice(0, 19));
  drawChart(place.querySelector("[data-chart=verdicts]"), FINAL.map(([kind, name]) => ({ type: "bar", x: local, y: groups.map((one) => one[kind]), name, marker: { color: `--${SHADES[kind]}` }, hovertemplate: "%{y}" })), { barmode: "stack", bargap: 0.08, hovermode: "x unified", xaxis, yaxis: { tickformat: ",d", rangemode: "tozero" } });
  drawChart(place.querySelector("[data-chart=silence]"), [{ type: "scatter", mode: "lines+markers", marker: { size: 3 }, x: local, y: groups.map((one) => (one.final ? one.withheld / one.final : null)), line: { color: "--withheld-line", width: 2, shape: "linear" }, hovertemplate: "%{y:.0%} silent<extra></extra>" }], { hovermode: "x", xaxis, yaxis: { tickformat: ".0%", range: [0, 1] } });
  const target = pulse.metastability.target;
  drawChart(place.querySelector("[data-chart=errors]"), [
    { type: "scatter", mode: "lines+text", x: [local[0], local.at(-1)], y: [target, target], text: ["target", ""], textposition: "top right", textfont: { size: 11, color: "--ink-2" }, line: { color: "--ink-2", width: 1.5, dash: "4px,3px" }, hoverinfo: "skip" },
    { type: "scatter", mode: "lines+markers", marker: { size: 4 }, x: local, y: groups.map((one) => (one.final ? one.error : null)), line: { color: "--bad", width: 2 }, hovertemplate: "%{y:.1%} rejected<extra></extra>" },
  ], { hovermode: "x", xaxis: { ...xaxis, range: [local[0], local.at(-1)] }, yaxis: { tickformat: ".0%", range: [0, Math.max(2 * target, 0.05, ...groups.map((one) => one.error ?? 0)) * 1.1] } });
};
