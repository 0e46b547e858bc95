// Replays: started here from a log or a time range, with their progress; and two runs held against each other.
import { h, say } from "./dom.js";
import * as feed from "./feed.js";
import { capital, count, cut, date, epoch, hour, known, percent, plural, span } from "./format.js";
import { ask, canSignIn, showsTexts, signedIn } from "./session.js";

const again = () => window.dispatchEvent(new Event("redraw"));
const TONES = { done: "good", failed: "bad", stopped: "warning" };
let wrong = null;
let comparison = null;
// What was compared, and whether words were shown then.
let compared = null;
let words = false;
let failed = null;
let kind = "log";

const orderWords = (order) => order.log ?? `scenes from ${order.since ? date(epoch(order.since)) : "the beginning"} to ${order.until ? hour(epoch(order.until)) : "now"}`;

const jobCard = (job) => {
  const open = ["waiting", "exporting", "running"].includes(job.state);
  const took = job.started_at ? span((job.ended_at ? epoch(job.ended_at) : feed.now()) - epoch(job.started_at)) : null;
  return h("article", { class: "panel job", "data-key": job.id, "data-state": job.state },
    h("div", { class: "bar" }, h("h3", null, orderWords(job.order)), h("span", { class: "tag", "data-tone": TONES[job.state] }, job.state)),
    open && h("progress", { max: 1, value: known(job.share) ? job.share : null, "aria-label": `Progress of the replay of ${orderWords(job.order)}` }),
    h("p", { class: "note" }, `${plural(job.scenes, "scene")}${known(job.share) && open ? `, ${percent(job.share, 0)} of the log` : ""}${took ? `, ${took}` : ""}. `,
      job.run && job.state === "done" && h("a", { href: `/runs/${encodeURIComponent(job.run)}/report.html` }, "Its report"), job.error && h("span", { class: "bigger" }, job.error)),
    open && signedIn() && h("div", null, h("button", { type: "button", class: "do second", "data-do": "stop", "data-id": job.id }, "Stop")));
};

const start = (document) => {
  if (feed.get("about")?.source === "run") return null;
  if (!canSignIn()) return h("p", { class: "note", "data-key": "start" }, "Read-only: start the dashboard with SCENESTREAM_DASHBOARD__TOKEN to start replays here, or use ", h("code", null, "scenestream replay"), ".");
  if (!signedIn()) return h("p", { class: "note", "data-key": "start" }, "Sign in to start a replay.");
  return h("form", { class: "form panel job", "data-do": "start", "data-key": "start" },
    h("label", { class: "field" }, "Replay", h("select", { name: "kind", "data-keep": "kind" }, h("option", { value: "log" }, "a log"), h("option", { value: "range" }, "scenes of a time range"))),
    kind === "log"
      ? h("label", { class: "field", "data-key": "log" }, "Log", document.logs.length ? h("select", { name: "log", "data-keep": `logs-${document.logs.length}` }, document.logs.map((log) => h("option", { value: log }, log))) : h("span", { class: "note" }, "none: name their folder in SCENESTREAM_OPS__LOGS_FOLDER"))
      : [["since", "From"], ["until", "To"]].map(([name, label]) => h("label", { class: "field", "data-key": name }, label, h("input", { type: "datetime-local", name, step: "1", "data-keep": name }))),
    h("label", { class: "field", "data-key": "limit" }, "Scenes at most", h("input", { type: "number", name: "limit", min: "1", placeholder: "all", "data-keep": "limit" })),
    h("button", { type: "submit", class: "do" }, "Start"), wrong && h("p", { class: "wrong", role: "alert" }, wrong));
};

const compareForm = (runs) => h("form", { class: "form", "data-do": "compare", "data-key": "compare" },
  [["run", "Run"], ["baseline", "Against"]].map(([name, label], place) => h("label", { class: "field" }, label, h("select", { name, "data-keep": `${name}-${runs.length}-${runs[0]?.name}` }, runs.map((one, index) => h("option", { value: one.name, selected: index === Math.min(place, runs.length - 1) }, cut(`${one.name} · ${plural(one.scenes, "scene")}`, 60)))))),
  h("button", { type: "submit", class: "do second" }, "Compare"), failed && h("p", { class: "wrong", role: "alert" }, failed));

const factRow = (name, run, baseline) => {
  const delta = run - baseline;
  return h("tr", null, h("th", { scope: "row", class: "left" }, name), h("td", null, count(baseline)), h("td", null, count(run)), h("td", null, delta === 0 ? h("span", { class: "quiet" }, "same") : `${delta > 0 ? "+" : "−"}${count(Math.abs(delta))}`));
};

const verdictNames = ["ready", "withheld", "reasoning"];
const cell = (table, before, after) => table.find((one) => one.before === before && one.after === after);
const compareView = (one) => h("div", { "data-key": "comparison" },
  h("p", { class: "notice" }, one.same_digest ? "Both decided the same in every respect: the digests are equal." : `${count(one.changed)} of ${plural(one.compared, "scene")} ended with another verdict (${percent(one.changed_share)}); ${count(one.moved)} more kept their verdict and differ in rule, register, codes or a score.${one.only_run || one.only_baseline ? ` ${count(one.only_run)} are in the run alone, ${count(one.only_baseline)} in the baseline alone.` : ""}`),
  h("div", { class: "columns" },
    h("section", { "aria-labelledby": "facts-title" }, h("h3", { id: "facts-title" }, "In brief"), h("div", { class: "scroll" }, h("table", null,
      h("thead", null, h("tr", null, h("th", { scope: "col" }, ""), ["Baseline", "Run", "Change"].map((name) => h("th", { scope: "col" }, name)))),
      h("tbody", null, ["scenes", "ready", "healed", "withheld", "reasoning", "dead"].map((name) => factRow(capital(name), one.run[name], one.baseline[name])))))),
    h("section", { "aria-labelledby": "moves-title" }, h("h3", { id: "moves-title" }, "From verdict to verdict"), h("div", { class: "scroll" }, h("table", null,
      h("thead", null, h("tr", null, h("th", { scope: "col", class: "left" }, "Baseline ↓  run →"), verdictNames.map((name) => h("th", { scope: "col" }, name)))),
      h("tbody", null, verdictNames.map((before) => h("tr", null, h("th", { scope: "row", class: "left" }, before), verdictNames.map((after) => h("td", { class: before === after ? "quiet" : null }, count(cell(one.table, before, after)?.scenes ?? 0)))))))))),
  one.changes.length > 0 && h("section", { "aria-labelledby": "changes-title" }, h("h3", { id: "changes-title" }, "Examples"), h("div", { class: "scroll" }, h("table", null, h("tbody", null, one.changes.map((change) => h("tr", null, h("th", { scope: "row", class: "left" }, `${change.before} → ${change.after}`), h("td", null, count(change.scenes)), h("td", { class: "left wrap mono" }, change.examples.join("  ")))))))),
  h("div", { class: "columns" },
    one.rules.length > 0 && h("section", { "aria-labelledby": "rule-title" }, h("h3", { id: "rule-title" }, "By rule"), h("div", { class: "scroll" }, h("table", null, h("thead", null, h("tr", null, h("th", { scope: "col", class: "left" }, "Rule"), h("th", { scope: "col" }, "Baseline"), h("th", { scope: "col" }, "Run"))), h("tbody", null, one.rules.map((rule) => h("tr", null, h("th", { scope: "row", class: "left wrap mono" }, rule.rule), h("td", null, count(rule.before)), h("td", null, count(rule.after)))))))),
    one.settings.length > 0 && h("section", { "aria-labelledby": "setting-title" }, h("h3", { id: "setting-title" }, "What differed"), h("div", { class: "scroll" }, h("table", null, h("thead", null, h("tr", null, h("th", { scope: "col", class: "left" }, "Setting"), h("th", { scope: "col", class: "left" }, "Baseline"), h("th", { scope: "col", class: "left" }, "Run"))), h("tbody", null, one.settings.map((each) => h("tr", null, h("th", { scope: "row", class: "left wrap" }, each.name), h("td", { class: "left wrap mono" }, cut(each.before, 80)), h("td", { class: "left wrap mono" }, cut(each.after, 80))))))))));

const compare = async () => {
  const [asked, shown] = [compared, showsTexts()];
  [comparison, failed, words] = [null, null, shown];
  try {
    const found = await ask(`/api/compare?${asked}${shown ? "&texts=1" : ""}`);
    if (asked !== compared || shown !== showsTexts()) return;
    comparison = found;
    say(found.same_digest ? "the same in every respect" : `${found.changed} scenes changed`);
  } catch (error) {
    failed = error.message;
  }
  again();
};

export const draw = () => {
  const document = feed.get("replays");
  if (compared && words !== showsTexts()) compare();
  const heading = h("h1", { "data-key": "h1" }, "Replays");
  if (!document) return [heading, h("p", { class: "empty", "data-key": "empty" }, "The folder of runs is being looked at.")];
  const { jobs, runs } = document;
  return [heading, start(document),
    jobs.length > 0 ? h("section", { "data-key": "jobs", "aria-labelledby": "jobs-title" }, h("h2", { id: "jobs-title" }, "Started here"), h("div", { class: "jobs" }, jobs.map(jobCard))) : null,
    h("section", { "data-key": "runs", "aria-labelledby": "runs-title" }, h("h2", { id: "runs-title" }, "Runs"),
      runs.length ? h("div", { class: "panel scroll", tabindex: "0", role: "region", "aria-label": "Runs" }, h("table", null,
        h("thead", null, h("tr", null, h("th", { scope: "col", class: "left" }, "Run"), h("th", { scope: "col" }, "Scenes"), h("th", { scope: "col", class: "optional" }, "Ended"), h("th", { scope: "col", class: "left optional" }, "Digest"), h("th", { scope: "col", class: "left" }, "Report"))),
        h("tbody", null, runs.map((one) => h("tr", { "data-key": one.name }, h("th", { scope: "row", class: "left wrap" }, feed.runs().length ? h("button", { type: "button", class: "plain", "data-do": "show", "data-run": one.name, "aria-pressed": String(one.name === feed.shownRun()) }, one.name === feed.shownRun() ? `${one.name} (shown)` : one.name) : one.name, h("div", { class: "note" }, one.logs.join(", "), one.interrupted ? " · interrupted" : "")), h("td", null, count(one.scenes)), h("td", { class: "optional" }, date(epoch(one.at))), h("td", { class: "left mono optional" }, one.digest.slice(0, 12)), h("td", { class: "left" }, h("a", { href: `/runs/${encodeURIComponent(one.name)}/report.html` }, "Report")))))))
        : h("p", { class: "empty" }, "No finished run is there yet.")),
    runs.length > 1 ? h("section", { "data-key": "against", "aria-labelledby": "against-title" }, h("h2", { id: "against-title" }, "Hold a run against a baseline"), compareForm(runs), comparison ? compareView(comparison) : null) : null].filter(Boolean);
};

const iso = (value) => (value ? new Date(value).toISOString() : null);
export const act = async (what, data, on) => {
  try {
    if (what === "start") {
      const said = new FormData(on);
      const limit = said.get("limit") ? Number(said.get("limit")) : null;
      const order = kind === "log" ? { log: said.get("log"), limit } : { since: iso(said.get("since")), until: iso(said.get("until")), limit };
      wrong = null;
      await ask("/api/replays", { method: "POST", body: order });
      say("the replay was asked for");
    } else if (what === "show") {
      feed.showRun(data.run);
      say(`${data.run} is shown`);
    } else if (what === "stop") await ask(`/api/replays/${encodeURIComponent(data.id)}`, { method: "DELETE" });
    else if (what === "compare") {
      const said = new FormData(on);
      compared = `run=${encodeURIComponent(said.get("run"))}&baseline=${encodeURIComponent(said.get("baseline"))}`;
      await compare();
    }
  } catch (error) {
    wrong = error.message;
  }
  again();
};
document.addEventListener("change", (event) => {
  if (event.target.name === "kind" && event.target.closest("[data-do=start]")) {
    kind = event.target.value;
    again();
  }
});
