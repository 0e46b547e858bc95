// Is it keeping up, and if not, where, why, and when will it have caught up?
import { h, s } from "./dom.js";
import * as feed from "./feed.js";
import { DASH, capital, count, epoch, hour, known, number, percent, plural, rate, span, time } from "./format.js";
import { spark } from "./spark.js";
import { drawMap, drawTree, stagesNow } from "./topology.js";

export const FINAL = [["ready", "Said as drafted"], ["healed", "Said, healed"], ["withheld", "Silence"], ["reasoning", "Back to reasoning"]];
export const SHADES = { ready: "ready", healed: "regenerate", withheld: "withheld", reasoning: "reasoning" };

// Keeping up is half of it: what is put aside as dead was read in time, too.
const [WORTH_A_WORD, FEWEST] = [0.05, 3];
const failures = (stages, window) => stages.filter((one) => one.failureShare >= WORTH_A_WORD && one.failed >= FEWEST).map((one) =>
  h("p", { class: "trouble", "data-trouble": one.stage }, `${capital(one.stage)} failed on ${percent(one.failureShare, 0)} of what it read ${window}: ${plural(one.failed, "record")} put aside as `, h("a", { href: "#/dead" }, "dead letters"), "."));

const overdrawn = (pulse) => {
  const worst = tightest(pulse);
  return worst && worst.headroom_worst < 0 ? [h("p", { class: "trouble", "data-trouble": "promise" }, `The promise is broken for somebody: ${number(-worst.headroom_worst)} errors more than it allows; ${worst.account}, ${worst.task ?? "no task"}. `, h("a", { href: "#/verdicts" }, "What is left of it"), ".")] : [];
};
const tightest = (pulse) => {
  const some = (pulse?.ledgers ?? []).filter((one) => one.users);
  return some.length ? some.reduce((a, b) => (a.headroom_worst <= b.headroom_worst ? a : b)) : null;
};

const unread = () => (feed.get("tail")?.refused ?? []).map((told) => h("p", { class: "trouble", "data-trouble": told }, `${told}.`));

const headlinePart = (troubles = []) => {
  const said = feed.get("headline") ?? { tone: "unknown", title: "Connecting", words: "" };
  const done = said.done_at ? ` That is at about ${hour(said.done_at)}.` : "";
  const tone = troubles.length && said.tone === "good" ? "warning" : said.tone;
  return h("div", { class: "headline", "data-tone": tone, "data-key": "headline" }, h("span", { class: "mark", "aria-hidden": "true" }), h("h1", { tabindex: "-1" }, said.title), h("p", null, said.words, done), troubles, feed.shownRun() && h("p", null, `Run ${feed.shownRun()}. `, h("a", { href: `/runs/${encodeURIComponent(feed.shownRun())}/report.html` }, "Its report"), feed.runs().length > 1 && [" · ", h("a", { href: "#/replays" }, "other runs")]));
};

const tile = (name, value, under, picture) => h("div", null, h("dt", null, name), h("dd", null, value), h("dd", { class: "sub" }, under), picture);

// Bars of what was decided, moment by moment.
export const momentsPicture = (moments, label) => {
  const kinds = (one) => [one.verdicts.ready - one.healed, one.healed, one.verdicts.withheld, one.verdicts.reasoning];
  const most = Math.max(1, ...moments.map((one) => kinds(one).reduce((sum, each) => sum + each, 0)));
  const wide = 600 / Math.max(1, moments.length);
  return s("svg", { class: "moments", viewBox: "0 0 600 70", preserveAspectRatio: "none", role: "img", "aria-label": label },
    moments.map((one, index) => {
      let y = 70;
      return kinds(one).map((value, kind) => {
        const high = (68 * value) / most;
        y -= high;
        return value ? s("rect", { x: (index * wide).toFixed(2), y: y.toFixed(2), width: Math.max(0.6, wide - (wide > 3 ? 0.8 : 0)).toFixed(2), height: high.toFixed(2), fill: `var(--${SHADES[FINAL[kind][0]]})` }) : null;
      });
    }));
};

export const split = (pulse) => {
  const { verdicts, healed } = pulse;
  const values = { ready: verdicts.ready - healed, healed, withheld: verdicts.withheld, reasoning: verdicts.reasoning };
  if (!verdicts.final) return null;
  return [
    h("div", { class: "split", "aria-hidden": "true", "data-key": "split" }, FINAL.map(([kind]) => values[kind] > 0 && h("span", { style: { "--key": `var(--${SHADES[kind]})`, "flex-grow": values[kind] } }))),
    h("ul", { class: "legend", "data-key": "legend" }, FINAL.map(([kind, name]) => h("li", null, h("span", { class: "key", style: { "--key": `var(--${SHADES[kind]})` } }), `${name} `, h("strong", null, count(values[kind])), h("span", { class: "quiet" }, percent(values[kind] / verdicts.final))))),
  ];
};

// What lies before the first record of a window says nothing; a fifth of the window is shown at least.
export const lived = (pulse) => {
  const first = pulse.moments.findIndex((one) => one.verdicts.final || one.failed || one.accepted || one.rejected);
  const most = pulse.moments.length - Math.ceil(pulse.moments.length / 5);
  return pulse.source === "run" || first < 1 ? pulse.moments : pulse.moments.slice(Math.min(first - 1, most));
};

export const windowWords = (pulse) => (pulse.source === "run" ? "in this run" : `in the last ${span(pulse.seconds)}`);

const caughtUp = (group) => {
  if (!group.members && group.lag) return "nobody reads";
  if (group.health === "OK") return group.lag ? "being read" : "nothing to catch up";
  if (group.catch_up === "never") return "never caught up, at these rates";
  return known(group.catch_up) ? `caught up in ${span(group.catch_up)}` : "no telling when it is caught up";
};

const tiles = (topology, lag, pulse, now) => {
  const ours = lag?.groups.find((one) => one.ours);
  const sums = feed.get("sums");
  const line = ours && sums?.groups[ours.group];
  const stages = stagesNow(topology, lag, now);
  const shown = [];
  if (lag) {
    shown.push(tile("Waiting", ours ? count(ours.lag) : DASH, ours ? `${ours.upper && ours.lag ? "at most; " : ""}${plural(ours.members, "worker")}` : "no group yet", line && spark(line, { top: 10 })));
    shown.push(tile("Oldest waiting", ours ? span(ours.age) : DASH, ours ? caughtUp(ours) : "no worker has been here yet"));
  }
  if (pulse) {
    const first = stages[0];
    if (pulse.source === "live") shown.push(tile("Scenes judged", rate(first.rate), "over the last minute"));
    else shown.push(tile("Scenes", count(pulse.verdicts.final), "came to a final decision"));
    shown.push(tile("Said", percent(pulse.verdicts.final ? pulse.verdicts.ready / pulse.verdicts.final : null), `of ${count(pulse.verdicts.final)} ${windowWords(pulse)}`));
    shown.push(tile("Silence", percent(pulse.verdicts.silence_share), `${count(pulse.verdicts.withheld)} withheld`));
    const worst = tightest(pulse);
    const over = worst && worst.headroom_worst < 0;
    shown.push(tile("Tightest budget", worst ? `${number(Math.abs(worst.headroom_worst))}${over ? " over" : ""}` : DASH, worst ? `${over ? "errors beyond the promise" : "errors left"}; ${worst.account}, ${worst.task ?? "no task"}` : "no promise on record yet"));
  }
  const letters = feed.get("letters");
  if (letters) shown.push(tile("Dead letters", count(letters.letters), letters.letters ? h("a", { href: "#/dead" }, plural(letters.groups.length, "reason")) : "none open"));
  return h("dl", { class: "tiles", "data-key": "tiles" }, shown);
};

const happened = () => {
  // What one look found of a group is one line.
  const lines = new Map();
  for (const one of feed.get("events")?.events ?? []) {
    const key = `${one.at} ${one.group}`;
    lines.set(key, { ...one, words: lines.has(key) ? `${lines.get(key).words}; ${one.words}` : one.words });
  }
  const events = [...lines.values()].slice(-7).reverse();
  return h("section", { "data-key": "happened", "aria-labelledby": "happened-title" },
    h("h2", { id: "happened-title" }, "What changed"),
    events.length
      ? h("ol", { class: "timeline" }, events.map((one) => h("li", null, h("time", { datetime: new Date(one.at * 1000).toISOString() }, time(one.at)), h("span", null, h("strong", null, one.group), " ", one.words))))
      : h("p", { class: "empty" }, "Nothing since the dashboard was started: no worker came or went, no verdict changed."));
};

const decided = (pulse) => {
  if (!pulse) return null;
  const moments = lived(pulse);
  return h("section", { "data-key": "decided", "aria-labelledby": "decided-title" },
    h("div", { class: "bar" }, h("h2", { id: "decided-title" }, `What was decided ${windowWords(pulse)}`), h("a", { href: "#/verdicts" }, "More on verdicts")),
    pulse.verdicts.final ? [split(pulse), momentsPicture(moments, `Final verdicts over time: ${pulse.verdicts.ready} said, ${pulse.verdicts.withheld} withheld, ${pulse.verdicts.reasoning} back to reasoning`),
      h("p", { class: "note bar ends" }, pulse.source === "live" ? [h("span", null, hour(epoch(moments[0].at))), h("span", null, hour(epoch(pulse.at)))] : "In the order the log was read.")]
      : h("p", { class: "empty" }, "No scene came to a final verdict yet. ", h("code", null, "scenestream replay LOG --target kafka"), " sends some."));
};

const table = (topology, lag, pulse) =>
  h("details", { class: "numbers", "data-key": "numbers" }, h("summary", null, pulse?.source === "live" ? "The numbers of each stage, over the last minute" : "The numbers of each stage"),
    h("div", { class: "scroll" }, h("table", null,
      h("thead", null, h("tr", null, ["Stage", "Waiting", "Oldest", "Rate", "Done", "Failed", "Failure share", "Verdict"].map((name) => h("th", { scope: "col" }, name)))),
      h("tbody", null, stagesNow(topology, lag, pulse).map((now) => h("tr", { "data-stage": now.stage }, h("th", { scope: "row" }, now.stage), h("td", null, count(now.waiting)), h("td", null, span(now.age)), h("td", null, rate(now.rate)), h("td", null, count(now.done)), h("td", null, count(now.failed)), h("td", null, percent(now.failureShare)), h("td", null, now.health)))))));

export const draw = () => {
  const topology = feed.get("topology");
  if (!topology) return [headlinePart()];
  const [lag, pulse] = [feed.get("lag"), feed.get("pulse")];
  const now = feed.get("now") ?? pulse;
  const width = document.getElementById("view").clientWidth;
  const picture = width >= 690 ? drawMap(topology, lag, now, width) : drawTree(topology, lag, now);
  const troubles = [...unread(), ...overdrawn(pulse), ...failures(stagesNow(topology, lag, now), now?.source === "run" ? "in this run" : "in the last minute")];
  return [headlinePart(troubles), picture, table(topology, lag, now), tiles(topology, lag, pulse, now), h("div", { class: "columns wide-first", "data-key": "below" }, decided(pulse) ?? h("div", { "data-key": "decided-none" }), feed.get("about")?.source === "run" ? null : happened())].filter(Boolean);
};
