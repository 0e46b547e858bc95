// Signing in, and asking the server for things. What changes something repeats the session's own word.
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
