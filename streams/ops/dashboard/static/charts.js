// Charts by plotly.js, loaded when the first one is wanted. Colours are names of the palette until they are drawn.
import { h } from "./dom.js";
import { colour } from "./spark.js";

let loading = null;
const load = () => {
  loading ??= new Promise((resolve, reject) => {
    const script = document.createElement("script");
    script.src = new URL("./plotly.min.js", import.meta.url).href;
    script.onload = () => resolve(window.Plotly);
    script.onerror = () => {
      loading = null;
      reject(new Error("plotly.js did not load"));
    };
    document.head.append(script);
  });
  return loading;
};

const resolved = (value) => {
  if (typeof value === "string") return value.startsWith("--") ? colour(value.slice(2)) : value;
  if (Array.isArray(value)) return value.map(resolved);
  if (value !== null && typeof value === "object") return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, resolved(item)]));
  return value;
};

const axis = { gridcolor: "--line", zeroline: false, linecolor: "--line", automargin: true, fixedrange: true, showspikes: false };
const base = () => {
  const family = getComputedStyle(document.body).fontFamily;
  return {
    font: { family, size: 12, color: "--ink-2" }, paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", margin: { l: 40, r: 8, t: 8, b: 34 }, showlegend: false, dragmode: false,
    hoverlabel: { bgcolor: "--surface", bordercolor: "--line", font: { color: "--ink", size: 12, family }, align: "left" },
  };
};

export const chart = (name, label, height) => h("div", { class: "plot", "data-keep": name, "data-chart": name, role: "img", "aria-label": label, style: { height: `${height}px` } });

// Draw a figure into its place; the same figure in the same colours is not drawn again.
// One drawing of a place at a time: plotly mixes up two that overlap.
const last = new WeakMap();
const busy = new WeakSet();
const next = new WeakMap();
export const draw = async (place, data, layout) => {
  if (!place) return;
  if (busy.has(place)) {
    next.set(place, [data, layout]);
    return;
  }
  const wanted = JSON.stringify([data, layout, colour("ink")]);
  if (last.get(place) === wanted) return;
  last.set(place, wanted);
  busy.add(place);
  try {
    const plotly = await load();
    const full = { ...base(), ...layout, xaxis: { ...axis, ...layout.xaxis }, yaxis: { ...axis, ...layout.yaxis } };
    await plotly.react(place, resolved(data), resolved(full), { displayModeBar: false, responsive: true, showTips: false });
    place.dataset.drawn = "yes";
  } catch (error) {
    last.delete(place);
    place.textContent = `This chart could not be drawn (${error.message}); its numbers are below.`;
  }
  busy.delete(place);
  if (next.has(place)) {
    const [latest, shape] = next.get(place);
    next.delete(place);
    await draw(place, latest, shape);
  }
};
