// Dead letters: what could not be read or handled, by reason and stage; sent back after a dry run.
import { h, say } from "./dom.js";
import * as feed from "./feed.js";
import { bytes, count, date, epoch, plural, span } from "./format.js";
import { ask, canSignIn, maskedWords, showsTexts, signedIn } from "./session.js";

const lookOf = (group) => `${group.count} ${epoch(group.newest)}`;
const keyOf = (name) => JSON.stringify([name.topic, name.stage, name.reason]);
const again = () => window.dispatchEvent(new Event("redraw"));
// Per group: what a dry run said, what was sent back, what went wrong.
const told = new Map();
// The letters with words, of which run, and what was published when they were asked for.
let unmasked = null;
let ofRun = null;
let asked = null;
let asking = false;

const withTexts = async (live) => {
  const run = feed.shownRun();
  [asking, asked] = [true, live];
  try {
    const found = await ask(`/api/letters?texts=1${run ? `&run=${encodeURIComponent(run)}` : ""}`);
    if (showsTexts() && run === feed.shownRun()) [unmasked, ofRun] = [found, run];
  } catch (error) {
    unmasked = null;
    say(error.message);
  }
  asking = false;
  again();
};

const current = () => {
  const live = feed.get("letters");
  if (!showsTexts()) [unmasked, asked] = [null, null];
  else if (live && asked !== live && !asking) withTexts(live);
  // What arrived meanwhile is on its way with its words; until then those that are known stay.
  return unmasked && live && ofRun === feed.shownRun() ? unmasked : live;
};

const sample = (one) => h("details", { class: "numbers", "data-key": one.place }, h("summary", null, h("span", { class: "mono" }, one.place), ` · ${date(epoch(one.failed_at))}${one.redrives ? ` · sent back ${one.redrives}×` : ""}`),
  h("p", { class: "note" }, one.message || "it does not say why"),
  h("p", { class: "note" }, "Key ", h("code", null, one.key ?? "none"), `, ${bytes(one.body_bytes)}${one.body_cut ? ", cut here" : ""}`),
  h("pre", { tabindex: "0", "aria-label": `Body of ${one.place}` }, one.body));

const outcome = (group) => {
  const said = told.get(keyOf(group.name));
  if (!said) return null;
  if (said.error) return h("p", { class: "wrong", role: "alert" }, said.error);
  // Large letters take their time.
  if (said.busy) return h("p", { class: "note", role: "status" }, "The dead topic is being read.");
  const { report } = said;
  return h("div", { role: "status" },
    h("p", null, report.dry_run ? `A dry run: ${plural(report.sent_back, "letter")} would be sent back` : `${plural(report.sent_back, "letter")} sent back`, report.held_back ? `, ${count(report.held_back)} held back for they came back dead too often` : "", "."),
    report.refused.length > 0 && h("div", { class: "wrong", role: "alert" }, `${plural(report.refused.length, "letter")} cannot be sent back: `, h("ul", null, report.refused.map((told) => h("li", { class: "mono" }, told)))),
    report.places.length > 0 && h("details", { class: "numbers" }, h("summary", null, "Which ones"), h("p", { class: "mono" }, report.places.join("  "))));
};

// Copied into a shell, a reason that somebody else wrote must stay one word.
const quoted = (word) => (/^[\w.]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`);
const buttons = (group) => {
  if (!canSignIn()) return h("p", { class: "note" }, "Read-only: start the dashboard with SCENESTREAM_DASHBOARD__TOKEN, or use ", h("code", null, `scenestream dead redrive --topic ${quoted(group.name.topic)} --reason ${quoted(group.name.reason)}`), ".");
  if (!signedIn()) return h("p", { class: "note" }, "Sign in to send letters back.");
  const said = told.get(keyOf(group.name));
  // What came since is in no dry run.
  const stale = said?.report?.dry_run && said.of !== lookOf(group);
  const ready = said?.report?.dry_run && said.report.sent_back > 0 && !stale;
  const data = { "data-topic": group.name.topic, "data-stage": group.name.stage, "data-reason": group.name.reason };
  return h("div", { class: "actions" },
    h("button", { type: "button", class: "do second", "data-do": "dry", ...data, disabled: said?.busy, "data-key": "dry" }, "Dry run"),
    h("button", { type: "button", class: "do", "data-do": "redrive", ...data, disabled: said?.busy || !ready, title: ready ? null : stale ? "Letters came or went since: a new dry run comes first" : "A dry run comes first", "data-key": "redrive" }, ready ? `Send ${count(said.report.sent_back)} back` : "Send back"));
};

const groupCard = (group) => h("article", { class: "panel letter-group", "data-key": keyOf(group.name), "data-reason": group.name.reason },
  h("header", null, h("h2", null, group.name.reason.replaceAll("_", " ") || "no reason given", h("span", { class: "quiet" }, ` at ${group.name.stage || "an unknown stage"}, on ${group.name.topic}`)), h("strong", { "data-figure": "letters" }, plural(group.count, "letter"))),
  h("p", { class: "facts" }, `First ${date(epoch(group.oldest))}, last ${span(Math.max(0, feed.now() - epoch(group.newest)))} ago; ${bytes(group.total_bytes)} in all${group.held_back ? `; ${count(group.held_back)} held back` : ""}`),
  group.samples.map(sample), outcome(group), feed.get("about")?.source === "run" ? null : buttons(group));

export const draw = () => {
  const letters = current();
  const heading = h("h1", { "data-key": "h1" }, "Dead letters");
  if (!letters) return [heading, h("p", { class: "empty", "data-key": "empty" }, "The dead topics are being read.")];
  const unread = (letters.refused ?? []).map((told) => h("p", { class: "notice", "data-key": told }, told, ". Its letters are not shown."));
  if (!letters.groups.length) return [heading, ...unread, h("p", { class: "empty", "data-key": "empty" }, unread.length ? "None in the topics that can be read." : "None: everything that came was read, or sent back.")];
  return [heading, ...unread,
    h("p", { class: "note section-note", "data-key": "how" }, `${plural(letters.letters, "letter")}${letters.cut ? " looked at; there are more" : ""}. ${maskedWords(letters === unmasked)}${letters === unmasked ? "" : " Of words there is how many characters there were, not which."}`),
    h("div", { class: "letters", "data-key": "letters" }, letters.groups.map(groupCard))];
};

export const act = async (what, data) => {
  const name = { topic: data.topic, stage: data.stage, reason: data.reason };
  const key = keyOf(name);
  const dry = what === "dry";
  const group = current()?.groups.find((one) => keyOf(one.name) === key);
  told.set(key, { ...told.get(key), busy: true, error: null });
  again();
  try {
    const report = await ask("/api/letters/redrive", { method: "POST", body: { name, dry_run: dry } });
    told.set(key, { report, of: group && lookOf(group) });
    say(dry ? `${report.sent_back} would be sent back` : `${report.sent_back} sent back`);
  } catch (error) {
    told.set(key, { error: error.message });
  }
  again();
};
