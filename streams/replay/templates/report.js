"use strict";
(() => {
  const figures = JSON.parse(document.getElementById("figures").textContent);
  const root = document.documentElement;
  const family = getComputedStyle(document.body).fontFamily;
  const base = () => ({
    font: { family, size: 12, color: "var(--ink-2)" },
    paper_bgcolor: "rgba(0,0,0,0)",
    plot_bgcolor: "rgba(0,0,0,0)",
    margin: { l: 46, r: 10, t: 22, b: 44 },
    showlegend: false,
    dragmode: false,
    hoverlabel: { bgcolor: "var(--surface)", bordercolor: "var(--line)", font: { color: "var(--ink)", size: 12, family }, align: "left" },
  });
  const axis = { gridcolor: "var(--line)", zeroline: false, linecolor: "var(--line)", automargin: true, fixedrange: true, showspikes: false };
  const config = { displayModeBar: false, responsive: true, showTips: false };

  // Colours are written as CSS variables, so that one figure serves light and dark.
  const resolved = (value, style) => {
    if (typeof value === "string") {
      const name = /^var\((--[\w-]+)\)$/.exec(value);
      return name ? style.getPropertyValue(name[1]).trim() : value;
    }
    if (Array.isArray(value)) return value.map((item) => resolved(item, style));
    if (value !== null && typeof value === "object") {
      return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, resolved(item, style)]));
    }
    return value;
  };

  const draw = async () => {
    const style = getComputedStyle(root);
    for (const plot of document.querySelectorAll("[data-chart]")) {
      const { data, layout } = figures[plot.dataset.chart];
      const full = { ...base(), ...layout };
      for (const name of ["xaxis", "yaxis"]) if (layout[name]) full[name] = { ...axis, ...layout[name] };
      try {
        await Plotly.react(plot, resolved(data, style), resolved(full, style), config);
      } catch (error) {
        console.error(error);
        plot.textContent = "This chart could not be drawn; its numbers are below.";
      }
    }
    root.dataset.charts = matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
  };

  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
  draw();
})();
