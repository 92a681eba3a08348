// Plots of a night with uPlot: a point for each exposure, a series for each band; the cursor tells exposure and value.

const BANDS = ["u", "g", "r", "i", "z", "Y", "VR"];
let drawn = [];

/** Times of ticks with as many digits as tell them apart. */
function times(u, splits) {
  const step = splits.length > 1 ? splits[1] - splits[0] : 60;
  return splits.map((at) => new Date(at * 1000).toISOString().slice(11, step < 1 ? 23 : step < 60 ? 19 : 16));
}

/** The colour that the style sheet gives a band. */
function colour(band) {
  const probe = document.createElement("i");
  probe.className = `dot b-${BANDS.includes(band) ? band : "none"}`;
  document.body.append(probe);
  const value = getComputedStyle(probe).backgroundColor;
  probe.remove();
  return value;
}

function ink(name) { return getComputedStyle(document.documentElement).getPropertyValue(name).trim(); }

/** Draw points: full ones of accepted exposures, small ones of others. */
function points(plot, series, indices, night) {
  const { ctx } = plot;
  const scale = devicePixelRatio;
  ctx.save();
  ctx.fillStyle = plot.series[series].stroke(plot, series);
  const values = plot.data[series];
  for (let i = 0; i < values.length; i++) {
    if (values[i] == null) continue;
    const x = plot.valToPos(plot.data[0][i], "x", true), y = plot.valToPos(values[i], "y", true);
    ctx.beginPath();
    ctx.arc(x, y, (night.accepted[i] ? 3.2 : 1.8) * scale, 0, 2 * Math.PI);
    ctx.fill();
  }
  ctx.restore();
}

function draw() {
  for (const plot of drawn) plot.destroy();
  drawn = [];
  const block = document.getElementById("night-data");
  if (!uPlot || !block) return;
  const night = JSON.parse(block.textContent);
  const bands = [...new Set(night.band)].sort((a, b) => BANDS.indexOf(a) - BANDS.indexOf(b));
  const axis = { stroke: ink("--soft"), grid: { stroke: ink("--hair"), width: 1 }, ticks: { stroke: ink("--line"), width: 1 }, font: "12px system-ui" };
  for (const place of document.querySelectorAll("[data-plot]")) {
    const values = night[place.dataset.plot];
    const data = [night.time, ...bands.map((band) => values.map((v, i) => (night.band[i] === band ? v : null)))];
    const legend = document.createElement("p");
    legend.className = "small soft value";
    legend.textContent = "\u00a0";
    const options = {
      width: place.clientWidth, height: 230, legend: { show: false },
      cursor: { x: true, y: true, drag: { x: true, y: false }, points: { show: false }, sync: { key: "night" } },
      tzDate: (at) => uPlot.tzDate(new Date(at * 1000), "UTC"),
      scales: { x: { time: true } },
      axes: [{ ...axis, values: times }, { ...axis, size: 56 }],
      series: [{}, ...bands.map((band) => ({ label: band, stroke: colour(band), paths: () => null, points: { show: (u, series) => { points(u, series, null, night); return false; } } }))],
      hooks: { setCursor: [(u) => {
        const i = u.cursor.idx;
        legend.textContent = i == null || values[i] == null ? "\u00a0"
          : `${night.expnum[i]}, ${night.band[i]}: ${values[i]} ${place.dataset.unit}${night.accepted[i] ? "" : ", not accepted"}`;
      }] },
    };
    place.replaceChildren();
    drawn.push(new uPlot(options, data, place));
    place.append(legend);
  }
}

draw();
document.addEventListener("desk:fresh", (event) => { if (event.target.id === "plots") draw(); });
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
let resized = 0;
addEventListener("resize", () => { clearTimeout(resized); resized = setTimeout(draw, 200); });
