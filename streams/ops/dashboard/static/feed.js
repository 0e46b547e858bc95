// What the server publishes, live. However many tabs are open, one of them listens and tells the others.
const documents = new Map();
const listeners = new Set();
let state = "waiting";
// Why there is no stream, where the server says so.
let refusal = null;
// Seconds that the server's clock is ahead of this machine's.
let ahead = 0;

// Which of several runs is shown, where there is no live pipeline but runs.
let run = null;
const OF_A_RUN = new Set(["pulse", "headline", "letters", "latest"]);
export const runs = () => Object.keys(documents.get("shown")?.runs ?? {});
export const shownRun = () => run ?? runs()[0];
export const showRun = (name) => {
  run = name;
  tell("about");
};
export const get = (name) => (OF_A_RUN.has(name) && documents.has("shown") ? documents.get("shown").runs[shownRun()]?.[name] : documents.get(name));
export const now = () => Date.now() / 1000 + ahead;
export const connection = () => state;
export const refused = () => refusal;
export const listen = (listener) => listeners.add(listener);

const tell = (name) => listeners.forEach((listener) => listener(name));
const take = (name, text) => {
  const document = JSON.parse(text);
  if (name === "clock") ahead = document.now - Date.now() / 1000;
  documents.set(name, document);
  tell(name);
};
const become = (next, why = null) => {
  if (next === state && why === refusal) return;
  [state, refusal] = [next, why];
  tell(null);
};

const NAMES = ["about", "clock", "headline", "topology", "lag", "sums", "events", "pulse", "now", "tail", "letters", "replays", "latest", "shown"];

// An answer that was no stream: a restart behind a proxy, say, or too many pages. It is asked why, and not all at once.
const again = async (said, tries) => {
  const wait = Math.min(30, 2 ** Math.min(tries, 5));
  const { seconds, why } = await whyNot();
  said("state", `away ${why ?? ""}`.trim());
  setTimeout(() => open(said, tries + 1), 1000 * Math.max(wait, seconds) * (1 + Math.random() / 2));
};
const whyNot = async () => {
  const gone = new AbortController();
  try {
    const response = await fetch("/api/events", { signal: gone.signal });
    const why = response.status === 503 ? (await response.json()).error : null;
    return { seconds: Number(response.headers.get("Retry-After")) || 0, why };
  } catch {
    return { seconds: 0, why: null };
  } finally {
    gone.abort();
  }
};

const open = (said, tries = 0) => {
  const source = new EventSource("/api/events");
  source.onopen = () => {
    tries = 0;
    said("state", "live");
  };
  // The browser comes back by itself, except after an answer that was no stream.
  source.onerror = () => {
    if (source.readyState === EventSource.CLOSED) again(said, tries);
    else said("state", "away");
  };
  for (const name of NAMES) source.addEventListener(name, (event) => said(name, event.data));
};

const receive = (name, text) => {
  if (name !== "state") take(name, text);
  else if (text.startsWith("away")) become("away", text.slice(5) || null);
  else become(text);
};

export const connect = () => {
  // A browser opens six connections to a server; a stream a tab would leave none for a seventh tab.
  if (!navigator.locks || !window.BroadcastChannel) {
    open(receive);
    return;
  }
  const channel = new BroadcastChannel("scenestream-feed");
  const latest = new Map();
  let leads = false;
  channel.onmessage = ({ data: [name, text] }) => {
    if (name === "hello") {
      if (leads) for (const [known, said] of latest) channel.postMessage([known, said]);
      return;
    }
    if (!leads) receive(name, text);
  };
  channel.postMessage(["hello", ""]);
  navigator.locks.request("scenestream-feed", () => {
    leads = true;
    open((name, text) => {
      latest.set(name, text);
      channel.postMessage([name, text]);
      receive(name, text);
    });
    return new Promise(() => {});
  });
};
