// Lines and strips a word wide.
import { s } from "./dom.js";

// A line of numbers (null is a gap) over 100 x 24; `top` is what the height stands for.
export const spark = (values, { label, tone, top } = {}) => {
  const known = values.filter((value) => value !== null && value !== undefined);
  const most = Math.max(top ?? 0, ...known, 1e-9);
  const step = values.length > 1 ? 100 / (values.length - 1) : 0;
  let path = "";
  let pen = false;
  const points = [];
  values.forEach((value, index) => {
    if (value === null || value === undefined) {
      pen = false;
      return;
    }
    const x = (index * step).toFixed(1);
    const y = (23 - 22 * (value / most)).toFixed(1);
    path += `${pen ? "L" : "M"}${x} ${y}`;
    points.push([x, y]);
    pen = true;
  });
  const whole = points.length === values.length && points.length > 1;
  return s("svg", { class: "spark", viewBox: "0 0 100 24", preserveAspectRatio: "none", role: label ? "img" : null, "aria-label": label, "aria-hidden": label ? null : "true", "data-tone": tone },
    whole && s("path", { class: "under", d: `${path}L100 24L0 24Z` }),
    s("path", { d: path }));
};

// Resolve a colour of the palette as it is now, light or dark.
const probe = document.createElement("span");
probe.hidden = true;
export const colour = (name) => {
  if (!probe.isConnected) document.body.append(probe);
  probe.style.color = `var(--${name})`;
  return getComputedStyle(probe).color;
};
