// Draws the figures of a page with plotly, in the colours of the page. Without it, each figure's table remains.
"use strict";
(() => {
  const figures = [...document.querySelectorAll("figure.chart")];
  const dark = matchMedia("(prefers-color-scheme: dark)");

  const colours = () => {
    const style = getComputedStyle(document.documentElement);
    const of = (name) => style.getPropertyValue(name).trim();
    return { ink: of("--ink"), quiet: of("--quiet"), grid: of("--grid"), zero: of("--zero"), panel: of("--panel") };
  };

  const NARROW = 420;
  const short = (text, most) => (text.length > most ? `${text.slice(0, most - 1)}…` : text);

  // Names that would take the width of a small screen are cut; touching a point shows them whole.
  const narrowed = (data, layout) => {
    const names = [...new Set(data.flatMap((trace) => (trace.y || []).filter((each) => typeof each === "string")))];
    if (names.length) Object.assign(layout.yaxis, { tickvals: names, ticktext: names.map((name) => short(name, 18)) });
    return data.map((trace) => ({ ...trace, name: short(trace.name || "", 24) }));
  };

  const layoutOf = (given, height, width) => {
    const { ink, quiet, grid, zero, panel } = colours();
    const axis = { gridcolor: grid, linecolor: grid, zerolinecolor: zero, tickfont: { color: quiet }, automargin: true };
    const layout = {
      ...given,
      height,
      paper_bgcolor: "rgba(0,0,0,0)",
      plot_bgcolor: "rgba(0,0,0,0)",
      font: { color: ink, size: 12, family: getComputedStyle(document.body).fontFamily },
      margin: { l: 48, r: 12, t: 12, b: 40 },
      hoverlabel: { bgcolor: panel, bordercolor: zero, font: { color: ink } },
      legend: { ...given.legend, orientation: "h", y: 1.02, yanchor: "bottom", x: 0, title: { text: "" } },
      dragmode: width < NARROW ? false : "zoom",
      width,
    };
    for (const name of new Set([...Object.keys(given).filter((key) => /^[xy]axis\d*$/.test(key)), "xaxis", "yaxis"])) {
      layout[name] = { ...axis, ...given[name] };
      const title = (given[name] || {}).title;
      if (title) layout[name].title = { ...title, font: { color: quiet, size: 12 }, standoff: 8 };
    }
    return layout;
  };

  // Goes to the row of the table that a point stands for, and opens what may be done with it.
  const show = (id) => {
    const row = typeof id === "string" && document.getElementById(id);
    if (!row) return;
    row.querySelectorAll("details").forEach((each) => { each.open = true; });
    row.scrollIntoView({ block: "center" });
    (row.querySelector("input[name=why]") || row.querySelector("summary, a"))?.focus({ preventScroll: true });
    row.classList.add("pointed");
    setTimeout(() => row.classList.remove("pointed"), 2000);
  };

  const draw = (figure) => {
    const box = figure.querySelector(".canvas");
    const { data, layout } = JSON.parse(figure.querySelector('script[type="application/json"]').textContent);
    const height = Number(figure.dataset.height) || 340;
    const width = box.clientWidth;
    const options = { displaylogo: false, displayModeBar: false, scrollZoom: false };
    box.replaceChildren();
    box.classList.add("drawn");
    box.style.minHeight = `${height}px`;
    const shown = layoutOf(layout, height, width);
    Plotly.newPlot(box, width < NARROW ? narrowed(data, shown) : data, shown, options);
    box.on("plotly_click", ({ points }) => show((points[0].customdata || [])[2]));
  };

  const drawAll = () => figures.forEach(draw);
  if (figures.length && typeof Plotly !== "undefined") {
    const widths = new Map();
    const watch = new ResizeObserver((changed) => {
      for (const { target, contentRect } of changed) {
        const width = Math.round(contentRect.width);
        if (width && widths.get(target) !== width) {
          widths.set(target, width);
          requestAnimationFrame(() => draw(target.closest("figure")));
        }
      }
    });
    figures.forEach((figure) => watch.observe(figure.querySelector(".canvas")));
    dark.addEventListener("change", drawAll);
  }
  addEventListener("beforeprint", () => document.querySelectorAll("details").forEach((each) => { each.open = true; }));
})();
