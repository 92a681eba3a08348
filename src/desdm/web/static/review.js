// Keys of the review pages: each presses a button that is there, so that all of it also works without this script.
const picture = document.getElementById("picture");
const toggle = document.getElementById("mask");
const kept = new Map();

/** Whether keys belong to a field that a person types in. */
function typing(target) {
  return target.closest("input:not([type=checkbox]), textarea, select, [contenteditable]") !== null;
}

/** Press a button of the page, once. */
let pressed = false;
function press(id) {
  const button = document.getElementById(id);
  if (!button || pressed) return;
  if (button.form && !button.form.reportValidity()) return;
  pressed = true;
  button.click();
}

/** Show the picture with or without its mask. */
async function mask() {
  if (!picture || !toggle) return;
  const to = picture.dataset.mask === "1" ? "0" : "1";
  if (!kept.has(picture.dataset.mask)) kept.set(picture.dataset.mask, picture.src);
  if (!kept.has(to)) {
    toggle.textContent = "drawing …";
    const answer = await fetch(picture.dataset.address + (to === "1" ? (picture.dataset.address.includes("?") ? "&" : "?") + "mask=1" : ""));
    if (!answer.ok) {
      toggle.textContent = "the picture cannot be drawn";
      return;
    }
    kept.set(to, URL.createObjectURL(await answer.blob()));
  }
  picture.src = kept.get(to);
  picture.dataset.mask = to;
  toggle.textContent = to === "1" ? "without mask" : "with mask";
  document.body.dataset.mask = to;
}

/** Open the form for a defect, and go to its first field. */
function defect() {
  const details = document.querySelector("#defective details");
  if (!details) return;
  details.open = true;
  document.getElementById("code").focus();
}

const keys = {
  j: () => press("next"),
  k: () => press("previous"),
  b: () => press("bless"),
  u: () => press("undo"),
  d: defect,
  m: mask,
  "?": () => {
    const help = document.getElementById("help");
    if (!help) return;
    help.open = !help.open;
    if (help.open) help.scrollIntoView({ block: "nearest" });
  },
};

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.altKey || event.metaKey || event.isComposing) return;
  if (event.key === "Escape") {
    document.activeElement?.blur();
    return;
  }
  if (event.repeat || typing(event.target)) return;
  const act = keys[event.key];
  if (!act) return;
  event.preventDefault();
  act();
});
toggle?.addEventListener("click", (event) => {
  event.preventDefault();
  mask();
});
// A page that comes back from the browser's memory can be used again.
window.addEventListener("pageshow", () => { pressed = false; });
document.body.dataset.keys = "ready";
