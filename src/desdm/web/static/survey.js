// The survey page: the plain picture is there at once; Aladin Lite, which is large, comes when a person asks for it.
const button = document.getElementById("aladin");
const place = document.getElementById("survey-map");

button?.addEventListener("click", async () => {
  button.disabled = true;
  button.textContent = "loading …";
  const plain = [...place.childNodes];
  try {
    const { default: A } = await import("/static/aladin/aladin.js?3.8.2");
    await A.init;
    const sky = document.createElement("div");
    sky.id = "sky";
    sky.setAttribute("role", "application");
    sky.setAttribute("aria-label", "Coverage of the survey on the sky");
    place.replaceChildren(sky);
    const map = A.aladin(sky, {
      // Its own list of surveys, its log and its name resolver are at other sites: none of them is asked.
      hipsList: [], log: false, survey: [], target: `${place.dataset.ra} ${place.dataset.dec}`, fov: Number(place.dataset.fov),
      cooFrame: "ICRSd", projection: "TAN", backgroundColor: "#10141b", reticleColor: "#f2f2f2", reticleSize: 18,
      showLayersControl: false, showSimbadPointerControl: false, showProjectionControl: false, showShareControl: false,
      showContextMenu: false, showSettingsControl: false, showCooGrid: true, showStatusBar: false, showFullscreenControl: true,
      showFrame: false, gridOptions: { color: "#c4cedd", opacity: 0.65, thickness: 0.6, showLabels: true, labelSize: 14 },
    });
    map.addMOC(A.MOCFromURL(place.dataset.moc, { name: "accepted exposures", color: "#56b4e9", fillColor: "#56b4e9", fill: true, perimeter: false, edge: false, opacity: 0.35 }));
    button.remove();
    document.body.dataset.map = "ready";
  } catch (err) {
    console.error(err);
    place.replaceChildren(...plain);
    button.textContent = "this browser does not draw the map (it needs WebGL 2)";
  }
});
