// The page: which view is shown, how the connection is, and what keys do.
import { h, render, say } from "./dom.js";
import * as feed from "./feed.js";
import { capital, span, time } from "./format.js";
import * as session from "./session.js";
import * as dead from "./dead.js";
import * as dialogue from "./dialogue.js";
import * as lag from "./lag.js";
import * as overview from "./overview.js";
import * as replays from "./replays.js";
import * as verdicts from "./verdicts.js";

const VIEWS = [
  { path: "", name: "Overview", view: overview, live: true, run: true },
  { path: "lag", name: "Lag", view: lag, live: true },
  { path: "verdicts", name: "Verdicts", view: verdicts, live: true, run: true },
  { path: "dead", name: "Dead letters", view: dead, live: true, run: true },
  { path: "dialogue", name: "Dialogue", view: dialogue, live: true, run: true },
  { path: "replays", name: "Replays", view: replays, live: true, run: true },
];
const root = document.documentElement;
const main = document.getElementById("main");
const place = document.getElementById("view");
const dialog = document.getElementById("dialog");
let shown = null;
let queued = false;
// Whoever pressed / wants to write.
let seeking = false;

const shownViews = () => {
  const source = feed.get("about")?.source ?? "live";
  return VIEWS.filter((one) => one[source]);
};
// A hash may be typed by hand, and `%` in it stand for itself.
const decoded = (text) => {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
};
const where = () => {
  const [path, ...rest] = location.hash.replace(/^#\/?/, "").split("/");
  return { view: shownViews().find((one) => one.path === path) ?? VIEWS[0], rest: rest.map(decoded) };
};

const draw = () => {
  queued = false;
  const { view, rest } = where();
  if (shown !== view) {
    place.replaceChildren();
    shown?.view.leave?.();
    shown = view;
  }
  render(place, view.view.draw(rest));
  view.view.drawn?.(place, rest);
  const headline = feed.get("headline");
  document.title = `${view.path ? view.name : headline?.title ?? view.name} · scenestream`;
  if (!view.path && headline) say(`${headline.title}. ${headline.words}`);
};
// At most a drawing a frame, and none while nobody looks.
const later = () => {
  if (queued) return;
  queued = true;
  requestAnimationFrame(draw);
};

const drawRail = () => {
  const { view } = where();
  const letters = feed.get("letters")?.letters;
  const badges = { dead: letters ? String(letters) : null };
  render(document.getElementById("views"), shownViews().map((one, index) =>
    h("li", { "data-key": one.path }, h("a", { href: `#/${one.path}`, "aria-current": one === view ? "page" : null, "aria-keyshortcuts": String(index + 1) },
      h("span", null, one.name), badges[one.path] && h("span", { class: "badge" }, badges[one.path], h("span", { class: "hidden" }, " letters"))))));
};

const drawLive = () => {
  const about = feed.get("about");
  const lagDocument = feed.get("lag");
  const words = document.getElementById("live-words");
  const lamp = document.getElementById("live");
  const trouble = document.getElementById("trouble");
  const away = feed.connection() === "away";
  const error = lagDocument?.error ?? feed.get("tail")?.error;
  let told = "connecting";
  let state = "waiting";
  if (away) [told, state] = ["dashboard away", "away"];
  else if (about?.source === "run") [told, state] = ["a finished run", "waiting"];
  else if (error) [told, state] = [lagDocument ? `last look ${span(Math.max(0, feed.now() - lagDocument.at))} ago` : "Kafka away", "away"];
  else if (lagDocument) [told, state] = [`live · ${span(Math.max(0, Math.round(feed.now() - lagDocument.at)))} ago`, "live"];
  words.textContent = told;
  lamp.dataset.state = state;
  const alarm = away
    ? `${feed.refused() ? `The dashboard says: ${feed.refused()}.` : "The dashboard itself does not answer."} What you see is as it was; the page comes back by itself.`
    : error && shown?.path ? `Kafka does not answer at ${lagDocument?.bootstrap ?? "its address"}. What you see is as of ${lagDocument ? time(lagDocument.at) : "before"}.` : "";
  trouble.hidden = !alarm;
  trouble.dataset.tone = "bad";
  if (trouble.textContent !== alarm) trouble.textContent = alarm;
};

// Theme: as the system has it, or as chosen here.
const THEMES = ["system", "light", "dark"];
const themed = () => root.dataset.theme ?? "system";
const turn = () => {
  const next = THEMES[(THEMES.indexOf(themed()) + 1) % THEMES.length];
  if (next === "system") delete root.dataset.theme;
  else root.dataset.theme = next;
  localStorage.setItem("scenestream-theme", next);
  recolour();
};
const recolour = () => {
  document.getElementById("theme").textContent = `Theme: ${themed()}`;
  shown?.view.recolour?.(place);
  later();
};

export const openDialog = (title, ...children) => {
  dialog.replaceChildren(h("h2", { id: "dialog-title" }, title), ...children);
  dialog.showModal();
  return dialog;
};

const signInDialog = () => {
  if (session.signedIn()) {
    session.signOut().then(() => say("signed out"), () => {});
    return;
  }
  const wrong = h("p", { class: "wrong", role: "alert" });
  const input = h("input", { type: "password", name: "token", required: true, autocomplete: "current-password" });
  const form = h("form", { method: "dialog" },
    h("p", { class: "note" }, "The token that this dashboard was started with. Signed in, you can send dead letters back, start replays, and show words and ids."),
    // Password managers keep a token under a name.
    h("input", { type: "text", name: "username", autocomplete: "username", value: "scenestream", hidden: true }),
    h("label", { class: "field" }, "Token", input), wrong,
    h("div", { class: "row" }, h("button", { type: "button", class: "do second", value: "cancel" }, "Cancel"), h("button", { type: "submit", class: "do" }, "Sign in")));
  form.querySelector("[value=cancel]").addEventListener("click", () => dialog.close());
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    try {
      await session.signIn(input.value);
      dialog.close();
      say("signed in");
    } catch (error) {
      wrong.textContent = `${capital(error.message)}.`;
      input.select();
    }
  });
  openDialog("Sign in", form);
  input.focus();
};

const keysOn = () => localStorage.getItem("scenestream-keys") !== "off";
const keysDialog = () => {
  const on = h("input", { type: "checkbox", checked: keysOn() });
  on.addEventListener("change", () => localStorage.setItem("scenestream-keys", on.checked ? "on" : "off"));
  const close = h("button", { type: "button", class: "do" }, "Close");
  close.addEventListener("click", () => dialog.close());
  const keys = [...shownViews().map((one, index) => [String(index + 1), one.name]), ["/", "Find a dialogue"], ["t", "Light, dark, or as the system"], ["?", "These keys"], ["Esc", "Close"]];
  openDialog("Keys", h("div", { class: "stack" },
    h("dl", { class: "pairs" }, keys.map(([key, does]) => [h("dt", null, h("kbd", null, key)), h("dd", null, does)])),
    h("label", null, on, " Single keys do this"),
    h("div", { class: "row" }, close)));
};

const onKey = (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || !keysOn() || dialog.open) return;
  if (event.target.closest("input, textarea, select, [contenteditable]")) return;
  const views = shownViews();
  if (event.key === "?") keysDialog();
  else if (event.key === "t") turn();
  else if (event.key === "/") {
    seeking = location.hash !== "#/dialogue";
    if (seeking) location.hash = "#/dialogue";
    else place.querySelector("#find-dialogue")?.focus();
  } else if (/^[1-9]$/.test(event.key) && views[event.key - 1]) location.hash = `#/${views[event.key - 1].path}`;
  else return;
  event.preventDefault();
};

const drawSession = () => {
  const sign = document.getElementById("sign");
  const texts = document.getElementById("texts");
  sign.hidden = !session.canSignIn();
  sign.textContent = session.signedIn() ? "Sign out" : "Sign in";
  texts.hidden = !session.signedIn();
  texts.setAttribute("aria-checked", String(session.showsTexts()));
  texts.textContent = session.showsTexts() ? "Words and ids shown" : "Words and ids masked";
  later();
};

// A click on anything with data-do belongs to the view that drew it.
place.addEventListener("click", (event) => {
  const on = event.target.closest("[data-do]");
  if (on && place.contains(on) && on.nodeName !== "FORM") shown?.view.act?.(on.dataset.do, on.dataset, on);
});
place.addEventListener("submit", (event) => {
  event.preventDefault();
  shown?.view.act?.(event.target.dataset.do, event.target.dataset, event.target);
});
document.addEventListener("keydown", onKey);
document.getElementById("theme").addEventListener("click", turn);
document.getElementById("sign").addEventListener("click", signInDialog);
document.getElementById("texts").addEventListener("click", session.switchTexts);
document.getElementById("keys").addEventListener("click", keysDialog);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", recolour);
window.addEventListener("resize", later);
window.addEventListener("redraw", later);
window.addEventListener("hashchange", () => {
  drawRail();
  draw();
  drawLive();
  const field = seeking ? place.querySelector("#find-dialogue") : null;
  seeking = false;
  (field ?? main).focus({ preventScroll: true });
  window.scrollTo(0, 0);
  say(where().view.name);
});
feed.listen((name) => {
  if (name === "about" || name === "letters") drawRail();
  drawLive();
  later();
});
session.listen(drawSession);
setInterval(drawLive, 1000);
recolour();
drawRail();
session.refresh().catch(() => {});
feed.connect();
