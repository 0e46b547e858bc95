// Elements out of values. Whatever a log or a message said becomes text nodes and attributes, never markup.
const SVG = "http://www.w3.org/2000/svg";

const fill = (element, properties, children) => {
  for (const [name, value] of Object.entries(properties ?? {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name === "style") for (const [key, said] of Object.entries(value)) element.style.setProperty(key, said);
    else element.setAttribute(name, value === true ? "" : String(value));
  }
  for (const child of children.flat(Infinity)) {
    if (child === null || child === undefined || child === false) continue;
    element.append(child instanceof Node ? child : document.createTextNode(String(child)));
  }
  return element;
};

export const h = (name, properties, ...children) => fill(document.createElement(name), properties, children);
export const s = (name, properties, ...children) => fill(document.createElementNS(SVG, name), properties, children);

// What a person set, the browser keeps; a picture that draws itself (data-keep) is left alone.
const THEIRS = new Set(["open"]);

const same = (a, b) =>
  a.nodeType === b.nodeType && a.nodeName === b.nodeName &&
  (a.nodeType !== Node.ELEMENT_NODE || a.getAttribute("data-key") === b.getAttribute("data-key"));

const sync = (old, now) => {
  if (old.nodeType === Node.TEXT_NODE) {
    if (old.data !== now.data) old.data = now.data;
    return;
  }
  // Who draws itself marks itself, too: plotly finds its charts again by a class.
  const draws = old.hasAttribute("data-keep");
  for (const { name, value } of now.attributes) if (old.getAttribute(name) !== value && !(draws && name === "class")) old.setAttribute(name, value);
  if (draws) return;
  for (const { name } of [...old.attributes]) {
    if (!now.hasAttribute(name) && !(THEIRS.has(name) && /^(DETAILS|DIALOG)$/.test(old.nodeName))) old.removeAttribute(name);
  }
  morph(old, [...now.childNodes]);
};

// Make the children of `parent` look like `nodes`, touching only what differs: focus, scrolling and animations stay.
export const morph = (parent, nodes) => {
  const keyed = new Map();
  for (const child of parent.children) {
    const key = child.getAttribute("data-key");
    if (key !== null) keyed.set(key, child);
  }
  let at = parent.firstChild;
  for (const now of nodes) {
    const key = now.nodeType === Node.ELEMENT_NODE ? now.getAttribute("data-key") : null;
    const moved = key === null ? null : keyed.get(key);
    if (moved && moved !== at && same(moved, now)) parent.insertBefore(moved, at);
    const old = moved && same(moved, now) ? moved : at;
    if (old && same(old, now) && (key !== null || !old.getAttribute?.("data-key"))) {
      sync(old, now);
      at = old.nextSibling;
    } else {
      parent.insertBefore(now, at);
    }
  }
  while (at) {
    const next = at.nextSibling;
    at.remove();
    at = next;
  }
};

export const render = (parent, ...nodes) => morph(parent, nodes.flat(Infinity).filter((node) => node instanceof Node));

// Tell whoever listens rather than looks; the same twice is said once.
export const say = (words) => {
  const place = document.getElementById("said");
  if (place.textContent !== words) place.textContent = words;
};
