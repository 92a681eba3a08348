// The map: Aladin Lite with this server's pictures and coverage only; a click asks the footprint.
import A from "/static/aladin/aladin.js?3.8.2";
import { ask, element, trouble } from "./vo.js";

const place = document.getElementById("sky");
const here = document.getElementById("here");
const release = place.dataset.release;
const layer = document.getElementById("layer");
// Told apart also by those who see red and green alike (Okabe & Ito 2008, without black).
const COLOURS = ["#56b4e9", "#e69f00", "#009e73", "#f0e442", "#cc79a7", "#d55e00", "#0072b2"];

try {
  await A.init;
  begin();
} catch (err) {
  console.error(err);
  place.replaceChildren(element("p", { class: "note warn" }, "This browser does not draw the map (it needs WebGL 2); the plain picture is below."));
  document.querySelector("details")?.setAttribute("open", "");
}

/** The HiPS that is chosen, at this server. */
function picture() {
  return A.HiPS(new URL(layer.value, location.href).href, { name: layer.selectedOptions[0].textContent });
}

function begin() {
  const map = A.aladin(place, {
    // Its own list of surveys, its log and its name resolver are at other sites: none of them is asked.
    hipsList: [], log: false, survey: layer.value ? [picture()] : [],
    target: `${place.dataset.ra} ${place.dataset.dec}`, fov: Number(place.dataset.fov), cooFrame: "ICRSd",
    projection: "TAN", backgroundColor: "#10141b", reticleColor: "#f2f2f2", reticleSize: 18,
    showLayersControl: false, showSimbadPointerControl: false, showProjectionControl: false, showShareControl: false,
    showContextMenu: false, showSettingsControl: false, showCooGrid: true, showStatusBar: false, showFullscreenControl: true, showFrame: false,
    gridOptions: { color: "#c4cedd", opacity: 0.65, thickness: 0.6, showLabels: true, labelSize: 14 },
  });
  layer.addEventListener("change", () => {
    if (layer.value) map.setBaseImageLayer(picture());
    else map.getBaseImageLayer()?.setOpacity(0);
  });

  const drawn = new Map();
  const boxes = [...document.querySelectorAll("#outlines input[value]:not(#tiles)")];
  boxes.forEach((box, number) => {
    const draw = () => {
      if (!drawn.has(box.value)) {
        const moc = A.MOCFromURL(`/footprint/${release}/${box.value}.moc.fits`, { name: `coverage ${box.value}`, color: COLOURS[number % COLOURS.length], fillColor: COLOURS[number % COLOURS.length], fill: true, perimeter: false, edge: false, opacity: 0.3 });
        drawn.set(box.value, moc);
        map.addMOC(moc);
      } else if (box.checked) drawn.get(box.value).show();
      else drawn.get(box.value).hide();
    };
    box.parentElement.style.setProperty("--band", COLOURS[number % COLOURS.length]);
    box.addEventListener("change", draw);
    if (box.checked) draw();
  });

  let outlines = null;
  document.getElementById("tiles").addEventListener("change", async (event) => {
    if (outlines === null) {
      outlines = A.graphicOverlay({ color: "#f2f2f2", lineWidth: 1 });
      map.addOverlay(outlines);
      const answer = await ask(`/footprint/${release}/tiles.stcs`);
      if (!answer.ok) return;
      for (const line of (await answer.text()).split("\n")) {
        const numbers = (/POLYGON(.*)/i.exec(line)?.[1].match(/[-+.\deE]+/g) ?? []).map(Number).filter(Number.isFinite);
        const corners = [];
        for (let i = 0; i + 1 < numbers.length; i += 2) corners.push([numbers[i], numbers[i + 1]]);
        if (corners.length > 2) outlines.add(A.polygon(corners));
      }
    }
    if (event.target.checked) outlines.show();
    else outlines.hide();
  });

  map.on("click", (event) => {
    if (Number.isFinite(event?.ra) && Number.isFinite(event?.dec)) tell(event.ra, event.dec);
  });
  document.body.dataset.map = "ready";
}

if (document.getElementById("pos").value) tell(Number(place.dataset.ra), Number(place.dataset.dec));

async function tell(ra, dec) {
  const at = `${ra.toFixed(5)} ${dec.toFixed(5)}`;
  here.replaceChildren(element("p", { class: "soft" }, `${at} …`));
  if (!place.dataset.footprint) {
    here.replaceChildren(element("p", {}, `${at}. This release has no footprint map.`));
    return;
  }
  const answer = await ask(`/footprint?${new URLSearchParams({ ra, dec, release })}`);
  if (!answer.ok) {
    here.replaceChildren(element("div", { class: "note bad" }, element("p", {}, await trouble(answer))));
    return;
  }
  const found = await answer.json();
  const bands = Object.entries(found.bands ?? {});
  const rows = bands.map(([band, b]) => element("tr", {},
    element("td", {}, band), element("td", { class: "n" }, b.inside ? b.depth?.toFixed(2) ?? "" : "–"),
    element("td", { class: "n" }, b.inside ? String(b.nexp ?? "") : "–"), element("td", { class: "n" }, b.inside ? b.fraction?.toFixed(2) ?? "" : "–")));
  here.replaceChildren(
    element("p", {}, element("strong", {}, found.inside ? "Inside" : "Outside the footprint"), ` at ${at}`),
    bands.length ? element("div", { class: "scroll" }, element("table", {},
      element("thead", {}, element("tr", {}, element("th", {}, "Band"), element("th", { class: "n" }, "Depth", element("span", {}, "mag, S/N 10")), element("th", { class: "n" }, "Exp."), element("th", { class: "n" }, "Fraction"))),
      element("tbody", {}, ...rows))) : "",
    ...(found.tiles ?? []).map((tile) => element("p", { class: "small" }, "Tile ", element("a", { href: `/pick?${new URLSearchParams({ release, tilename: tile })}` }, tile))),
    element("p", { class: "small" }, element("a", { href: `/cutout?${new URLSearchParams({ release, pos: at })}` }, "Cut out this place")));
}
