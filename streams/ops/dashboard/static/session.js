// Signing in, and asking the server for things. What changes something repeats the session's own word.
import * as feed from "./feed.js";

let session = { can_sign_in: false, signed_in: false, csrf: null };
let shows = false;
const listeners = new Set();

export class Failed extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

export const signedIn = () => session.signed_in;
export const canSignIn = () => session.can_sign_in;
export const showsTexts = () => session.signed_in && shows;
// Whether ids are shown to whoever looks: those of a run that is served to this machine alone are.
const veiled = () => feed.get("about")?.veiled !== false;
export const mayName = () => session.signed_in || !veiled();
export const maskedWords = (shown) => {
  if (shown) return "Words and ids are shown as they are.";
  return veiled() ? "Words and ids are masked." : "Words are masked; ids are those of the run.";
};
export const listen = (listener) => listeners.add(listener);
const tell = () => listeners.forEach((listener) => listener());

export const ask = async (path, { method = "GET", body, signal } = {}) => {
  const headers = {};
  if (body !== undefined) headers["Content-Type"] = "application/json";
  if (method !== "GET" && session.csrf) headers["X-CSRF-Token"] = session.csrf;
  let response;
  try {
    response = await fetch(path, { method, headers, body: body === undefined ? undefined : JSON.stringify(body), signal });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Failed(0, "the dashboard does not answer");
  }
  const said = await response.json().catch(() => ({}));
  if (response.status === 401 && path !== "/api/session" && session.signed_in) {
    take({ ...session, signed_in: false, csrf: null });
  }
  if (!response.ok) throw new Failed(response.status, said.error ?? `the dashboard answers ${response.status}`);
  return said;
};

// Events of a stream that ends, one after the other; unlike EventSource it hears why there is none, and never comes back.
export async function* events(path, signal) {
  const response = await fetch(path, { signal }).catch((error) => {
    throw error.name === "AbortError" ? error : new Failed(0, "the dashboard does not answer");
  });
  if (!response.ok) throw new Failed(response.status, (await response.json().catch(() => ({}))).error ?? `the dashboard answers ${response.status}`);
  let said = "";
  for (const reader = response.body.pipeThrough(new TextDecoderStream()).getReader(); ;) {
    const { done, value } = await reader.read();
    if (done) return;
    const parts = (said + value).split("\n\n");
    said = parts.pop();
    for (const part of parts) {
      const [name, data] = ["event: ", "data: "].map((field) => part.split("\n").find((line) => line.startsWith(field))?.slice(field.length));
      if (name) yield [name, JSON.parse(data)];
    }
  }
}

const take = (next) => {
  session = next;
  if (!next.signed_in) shows = false;
  tell();
};

export const refresh = async () => take(await ask("/api/session"));
export const signIn = async (token) => take(await ask("/api/session", { method: "POST", body: { token } }));
export const signOut = async () => take(await ask("/api/session", { method: "DELETE" }));
export const switchTexts = () => {
  shows = session.signed_in && !shows;
  tell();
};
