// Numbers, spans of time and moments for a person. Unknown is a dash and never 0.
const whole = new Intl.NumberFormat("en-US");
const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit", hour12: false });
const short = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", hour12: false });
const day = new Intl.DateTimeFormat(undefined, { year: "numeric", month: "short", day: "numeric", hour: "2-digit", minute: "2-digit", hour12: false });

export const DASH = "–";
export const known = (value) => value !== null && value !== undefined;
export const count = (value) => (known(value) ? whole.format(value) : DASH);
export const atMost = (value, upper) => (known(value) && upper && value > 0 ? `≤ ${count(value)}` : count(value));
export const number = (value, digits = 2) => (known(value) ? value.toFixed(digits).replace(/^-/, "−") : DASH);
export const percent = (share, digits = 1) => {
  if (!known(share)) return DASH;
  if (share > 0 && share < 0.001) return "< 0.1%";
  return `${(100 * share).toFixed(share === 0 || share === 1 ? 0 : digits)}%`;
};
export const rate = (value) => {
  if (!known(value)) return DASH;
  if (value > 0 && value < 0.1) return `${(60 * value).toFixed(1)}/min`;
  return `${value >= 100 ? whole.format(Math.round(value)) : value.toFixed(value >= 10 || value === 0 ? 0 : 1)}/s`;
};
export const span = (seconds) => {
  if (!known(seconds)) return DASH;
  if (seconds === "never") return "never";
  if (seconds === 0) return "0 s";
  if (seconds < 1) return `${Math.max(1, Math.round(seconds * 1000))} ms`;
  if (seconds < 10) return `${Number.isInteger(seconds) ? seconds : seconds.toFixed(1)} s`;
  if (seconds < 90) return `${Math.round(seconds)} s`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min`;
  if (seconds < 129600) {
    const minutes = Math.round(seconds / 60);
    return `${Math.floor(minutes / 60)} h${minutes % 60 ? ` ${minutes % 60} min` : ""}`;
  }
  return `${Math.round(seconds / 86400)} days`;
};
export const bytes = (value) => (value < 1000 ? `${value} B` : value < 1e6 ? `${(value / 1000).toFixed(1)} kB` : `${(value / 1e6).toFixed(1)} MB`);
export const time = (epoch) => clock.format(new Date(epoch * 1000));
export const hour = (epoch) => short.format(new Date(epoch * 1000));
export const date = (epoch) => day.format(new Date(epoch * 1000));
// Moments come as epoch seconds or as ISO 8601.
export const epoch = (moment) => (typeof moment === "number" ? moment : Date.parse(moment) / 1000);
export const plural = (value, word, more = `${word}s`) => `${count(value)} ${value === 1 ? word : more}`;
export const capital = (text) => text.slice(0, 1).toUpperCase() + text.slice(1);
export const cut = (text, most) => (text.length <= most ? text : `${text.slice(0, most - 1)}…`);
