// One dialogue followed across topics: what was said of it where, with its chain at each step.
import { h, say } from "./dom.js";
import * as feed from "./feed.js";
import { DASH, capital, count, epoch, known, number, plural, span, time } from "./format.js";
import { ask, canSignIn, events, listen, maskedWords, mayName, showsTexts, signedIn } from "./session.js";

const again = () => window.dispatchEvent(new Event("redraw"));
const HUES = { ready: "ready", withheld: "withheld-line", reasoning: "reasoning", regenerate: "regenerate", analogue: "analogue" };
let wanted = null;
let found = null;
let wrong = null;
let scanning = null;
let beat = null;
let asking = false;
let texts = false;
let all = false;
// Who has signed in meanwhile may be told what they were not.
let as = false;
// The latest dialogues by their ids, for those who may see them.
let named = null;
let naming = null;
const MOST_TURNS = 50;

const query = () => `${feed.shownRun() ? `run=${encodeURIComponent(feed.shownRun())}&` : ""}${wanted.by}=${encodeURIComponent(wanted.id)}${showsTexts() ? "&texts=1" : ""}`;

const refresh = async () => {
  if (asking || !wanted) return;
  asking = true;
  const [asked, words] = [wanted, showsTexts()];
  try {
    const next = await ask(`/api/dialogue?${query()}`);
    // Who signed out, or masked them, while it was on its way sees no words; it is asked for again.
    if (asked === wanted && words === showsTexts()) {
      // A scan of whole topics knows more than memory does.
      if (!found || next.steps.length >= found.steps.length || texts !== words) found = next;
      texts = words;
      wrong = null;
    }
  } catch (error) {
    if (asked === wanted) wrong = error.message;
  }
  asking = false;
  again();
};

const stop = () => {
  scanning?.going.abort();
  scanning = null;
};
const scan = async () => {
  const mine = { going: new AbortController(), share: 0, records: 0, found: 0 };
  const words = showsTexts();
  [scanning, wrong] = [mine, null];
  again();
  try {
    for await (const [name, document] of events(`/api/dialogue/scan?${query()}`, mine.going.signal)) {
      if (scanning !== mine) return;
      if (words !== showsTexts()) throw new Error("words were masked or shown meanwhile; look again");
      if (name === "progress") Object.assign(mine, document);
      else if (name === "failed") throw new Error(document.error);
      else {
        [found, texts, scanning] = [document, words, null];
        say(`${found.steps.length} steps found`);
      }
      again();
    }
    if (scanning === mine) throw new Error("the search was cut off");
  } catch (error) {
    if (scanning !== mine) return;
    mine.going.abort();
    [wrong, scanning] = [error.message, null];
    again();
  }
};

export const chips = (chain, hue, gone = []) => {
  const most = Math.max(0.01, ...chain.map((code) => code.weight));
  return h("ul", { class: "chain", style: { "--key": `var(--${hue})` } },
    gone.map((code) => h("li", { class: "gone" }, h("span", { class: "hidden" }, "given up: "), h("bdi", null, code))),
    chain.map((code) => h("li", null, h("bdi", null, code.code), h("span", { class: "quiet" }, ` ${number(code.weight)}`), h("span", { class: "weight", style: { width: `${(100 * code.weight) / most}%` } }))));
};

const where = (step) => h("span", { class: "quiet mono" }, step.topic ? `${step.topic}:${step.partition}:${step.offset}` : "", step.topic && step.at ? ` · ${time(epoch(step.at))}` : "");

const partsOf = (parts) => parts && h("details", { class: "numbers" }, h("summary", null, "Parts"), h("dl", { class: "pairs" }, Object.entries(parts).filter(([, value]) => known(value)).map(([name, value]) => [h("dt", null, name), h("dd", null, number(value))])));

const talk = (step) => {
  if (!step.context.length && step.draft === null) return null;
  return h("ul", { class: "talk" }, step.context.slice(-3).map((said) => h("li", null, h("span", { class: "role" }, said.role), h("span", { class: "bubble" }, said.text))),
    step.draft !== null && h("li", { class: "draft" }, h("span", { class: "role" }, "draft"), h("span", { class: "bubble" }, step.draft)));
};

const healed = (step) => {
  const { healing } = step;
  if (!healing) return null;
  const swaps = healing.swaps.map((swap) => `${swap.old} → ${swap.new} (${number(swap.closeness)})`);
  return h("p", { class: "note" }, `${capital(healing.route)}${healing.strength ? `, ${healing.strength}` : ""}${healing.source ? `, from the ${healing.source}` : ""}: fidelity ${number(healing.fidelity)}${known(healing.gain) ? `, gain ${number(healing.gain)}` : ""}, risk ${number(healing.risk)}.${swaps.length ? ` ${swaps.join(", ")}.` : ""}`);
};

const KINDS = {
  scene: (step) => [`${step.attempt ? `Back from ${step.stage}` : "The scene arrives"}`, "tuned"],
  decision: (step) => [`${capital(step.stage || "resonance")} says ${step.verdict}`, HUES[step.verdict] ?? "tuned"],
  feedback: (step) => [`Feedback: ${step.outcome ?? "?"}`, step.outcome === "rejected" ? "bad" : "good"],
  row: (step) => [`The row was tuned: ${step.outcome ?? "?"}`, "tuned"],
  "dead letter": () => ["Put aside as a dead letter", "bad"],
};

const stepItem = (step, index, steps) => {
  const [title, hue] = (KINDS[step.kind] ?? (() => [step.kind, "tuned"]))(step);
  const kept = new Set(step.chain.map((code) => code.code));
  const gone = step.kind === "scene" && step.healing ? step.healing.before.map((code) => code.code).filter((code) => !kept.has(code)) : [];
  return h("li", { class: "step", style: { "--key": `var(--${hue})` }, "data-kind": step.kind, "data-verdict": step.verdict },
    h("p", { class: "what" }, h("strong", null, title), step.final && h("span", { class: "tag" }, "final"), step.register && h("span", { class: "quiet" }, `in ${step.register}`), where(step)),
    step.kind === "decision" && h("p", { class: "note" }, step.reason ?? "", h("span", { class: "mono" }, ` ${step.rule ?? ""}`), `; risk ${number(step.risk)}`),
    step.kind === "dead letter" && h("p", { class: "note" }, step.reason ?? step.rule ?? ""),
    // What was said stands once, with whatever brought it.
    !step.attempt && !steps.slice(0, index).some((one) => !one.attempt && (one.context.length || one.draft !== null)) && talk(step),
    step.chain.length > 0 && chips(step.chain, hue, gone),
    step.kind === "scene" && healed(step),
    step.cue && h("p", { class: "note" }, "Cue: ", step.cue),
    step.ledger && step.kind !== "scene" && h("p", { class: "note" }, `Ledger, ${step.ledger.account}: ${plural(step.ledger.E ?? step.ledger.errors, "error")} and ${number(step.ledger.expected)} expected, of at most ${number(step.ledger.bound)}`),
    partsOf(step.parts));
};

const turns = (steps) => {
  const groups = new Map();
  for (const step of steps) {
    const key = step.scene_id;
    if (!groups.has(key)) groups.set(key, []);
    groups.get(key).push(step);
  }
  const last = [...groups].slice(all ? 0 : -MOST_TURNS);
  const before = groups.size - last.length;
  const earlier = before > 0 && h("p", { class: "note", "data-key": "earlier" }, h("button", { type: "button", class: "do second", "data-do": "all" }, `Show ${before} earlier ${before === 1 ? "turn" : "turns"}`));
  return [earlier, ...last.map(([scene, some]) => {
    const final = some.find((one) => one.final);
    return h("section", { class: "panel turn", "data-key": `turn-${scene}`, "aria-label": `Scene ${scene}` },
      h("header", null, h("h2", null, known(some[0].turn) ? `Turn ${some[0].turn} ` : "", h("span", { class: "quiet" }, h("bdi", null, scene))), final ? h("strong", null, h("span", { class: "key", style: { "--key": `var(--${HUES[final.verdict]})` } }), ` ${capital(final.verdict)}`) : h("span", { class: "quiet" }, found.whole ? "not final yet" : "no verdict among the latest records")),
      h("ol", { class: "steps" }, some.map(stepItem)));
  })].filter(Boolean);
};

const form = () => !mayName() ? h("p", { class: "note section-note", "data-key": "how-named" }, `${canSignIn() ? "Sign in" : "Start the dashboard with SCENESTREAM_DASHBOARD__TOKEN and sign in"} to follow a dialogue or a user by id. Until then ids are masked, and the latest dialogues can be followed by their masks.`) : h("form", { class: "form", "data-do": "find", role: "search", "data-key": "form" },
  h("label", { class: "field" }, "Dialogue or user", h("input", { id: "find-dialogue", name: "id", required: true, autocomplete: "off", spellcheck: "false", "data-keep": "find" })),
  h("label", { class: "field" }, "Which of these", h("select", { name: "by", "data-keep": "by" }, h("option", { value: "dialogue" }, "a dialogue's id"), h("option", { value: "user" }, "a user's id"))),
  h("button", { type: "submit", class: "do" }, "Follow"));

const withNames = async (listed) => {
  naming = listed;
  try {
    const { dialogues } = await ask(`/api/latest?texts=1${feed.shownRun() ? `&run=${encodeURIComponent(feed.shownRun())}` : ""}`);
    named = showsTexts() ? dialogues : null;
  } catch (error) {
    named = null;
    say(error.message);
  }
  again();
};
const latest = () => {
  const listed = feed.get("latest")?.dialogues ?? [];
  if (!showsTexts()) [named, naming] = [null, null];
  else if (naming !== listed) withNames(listed);
  const some = named ?? listed;
  // A run's directory does not say when.
  const isRun = feed.get("about")?.source === "run";
  return h("section", { "data-key": "latest", "aria-labelledby": "latest-title" }, h("h2", { id: "latest-title" }, "Latest dialogues"),
    some.length ? h("div", { class: "scroll" }, h("table", { class: "narrow" }, h("thead", null, h("tr", null, h("th", { scope: "col", class: "left" }, "Dialogue"), h("th", { scope: "col" }, "Records"), !isRun && h("th", { scope: "col" }, "Last heard of"))),
      h("tbody", null, some.map((one) => h("tr", { "data-key": one.id }, h("th", { scope: "row", class: "left wrap" }, h("a", { href: `#/dialogue/dialogue/${encodeURIComponent(one.id)}` }, one.id)), h("td", null, count(one.records)), !isRun && h("td", null, one.at ? `${span(Math.max(0, Math.round(feed.now() - one.at)))} ago` : DASH))))))
      : h("p", { class: "empty" }, "None was seen yet."));
};

export const draw = ([by, id]) => {
  const next = id ? { by: by === "user" ? "user" : "dialogue", id } : null;
  if (next?.id !== wanted?.id || next?.by !== wanted?.by) {
    stop();
    [wanted, found, wrong, all] = [next, null, null, false];
  }
  if (texts && !showsTexts()) [found, texts] = [null, false];
  if (as !== signedIn()) [as, wrong] = [signedIn(), null];
  const records = feed.get("pulse")?.records;
  if (wanted && (beat !== records || !found || texts !== showsTexts()) && !asking && !wrong) {
    beat = records;
    refresh();
  }
  const heading = h("h1", { "data-key": "h1" }, wanted ? h("bdi", null, wanted.id) : "Dialogue");
  if (!wanted) return [heading, h("p", { class: "note section-note", "data-key": "how" }, "Follow one dialogue across all topics: what was said of it where, and its chain at each step."), form(), latest()];
  const parts = [heading, form()];
  if (wrong) parts.push(h("p", { class: "notice", role: "alert", "data-key": "wrong" }, capital(wrong), "."));
  const refused = [...new Set([...(feed.get("tail")?.refused ?? []), ...(found?.refused ?? [])])];
  for (const told of refused) parts.push(h("p", { class: "notice", "data-key": told }, told, ". What it holds is missing here."));
  if (scanning) parts.push(h("div", { class: "panel job", "data-key": "scan" }, h("p", null, `Looking through the topics: ${count(scanning.records)} records read, ${count(scanning.found)} found`), h("progress", { max: 1, value: scanning.share, "aria-label": "How far the search is" }), h("div", null, h("button", { type: "button", class: "do second", "data-do": "stop" }, "Stop"))));
  if (!found) return parts;
  const steps = found.steps;
  const users = [...new Set(steps.map((step) => step.user_id).filter(known))];
  const who = wanted.by === "dialogue" && users.length === 1 && [" All of ", h("a", { href: `#/dialogue/user/${encodeURIComponent(users[0])}` }, h("bdi", null, users[0])), ". "];
  const source = feed.get("about")?.source;
  parts.push(h("p", { class: "note section-note", "data-key": "told" }, steps.length ? `${plural(steps.length, "step")}${found.cut ? `, and ${count(found.cut)} older ones` : ""}. ${maskedWords(found.texts_shown)} ` : "Nothing of it among the latest records. ", who,
    !found.whole && source !== "run" && !scanning ? h("button", { type: "button", class: "do second", "data-do": "scan" }, "Look through the whole topics") : ""));
  if (!steps.length && found.whole) parts.push(h("p", { class: "empty", "data-key": "none" }, `No record of ${wanted.by} ${wanted.id} is there.`));
  return [...parts, ...turns(steps)];
};

export const act = (what, data, on) => {
  if (what === "find") {
    const said = new FormData(on);
    wrong = null;
    location.hash = `#/dialogue/${said.get("by")}/${encodeURIComponent(said.get("id").trim())}`;
  } else if (what === "scan") scan();
  else if (what === "stop") {
    stop();
    again();
  } else if (what === "all") {
    all = true;
    again();
  }
};
export const leave = stop;
// An id that somebody typed is theirs: whoever comes after them finds it neither here nor in the address.
let wasSignedIn = false;
listen(() => {
  if (wasSignedIn && !mayName() && location.hash.startsWith("#/dialogue/")) location.replace("#/dialogue");
  wasSignedIn = signedIn();
});
