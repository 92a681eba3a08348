// Pages of the desk keep up with the record: one stream of events for all tabs of a browser, closed while they are hidden.
// What changed is read by loading the page again; elements with `data-live` are replaced, and a form that somebody fills stays.

const QUIET = 1500; // ms between a change and the reload, so that many changes are one
const LEAST = 4000; // ms between two reloads
const POLL = 20000; // ms, where no stream can be had
const live = [...document.querySelectorAll("[data-live]")];
const channel = "BroadcastChannel" in window ? new BroadcastChannel("desdm-desk") : null;
/** A number or text of the head of a document; empty: it has none. */
const meta = (page, name) => page.querySelector(`meta[name="${name}"]`)?.content ?? "";
// A page that answers a form has an address of its own, at which it is loaded again.
const address = meta(document, "desk-address") || location.href;
// Newest event before the content that is shown was read; later ones are told by the stream, whenever it is opened.
let known = Number(meta(document, "desk-newest") || Infinity);
let timer = 0, loaded = Date.now(), source = null, release = null, poll = 0;

/** Whether somebody works in an element: a field has the focus, or was changed; a detail is open that the server sends closed. */
function busy(element) {
  if (element.contains(document.activeElement) && document.activeElement !== document.body) return true;
  if (!document.getSelection().isCollapsed && element.contains(document.getSelection().anchorNode)) return true;
  for (const field of element.querySelectorAll("input, textarea, select")) {
    if (field.type === "hidden") continue;
    if (field.type === "checkbox" || field.type === "radio" ? field.checked !== field.defaultChecked
      : field.tagName === "SELECT" ? [...field.options].some((o) => o.selected !== o.defaultSelected) && field.selectedIndex > 0
      : field.value !== field.defaultValue) return true;
  }
  return false;
}

/** Load this page again and replace what changed. */
async function reload() {
  timer = 0;
  if (document.hidden) return;
  loaded = Date.now();
  let text;
  try {
    const answer = await fetch(address, { headers: { accept: "text/html" } });
    if (answer.redirected || answer.status === 401 || answer.status === 403) return stop("You are logged out; load the page again to log in.");
    if (!answer.ok) return;
    text = await answer.text();
  } catch { return; }
  const fresh = new DOMParser().parseFromString(text, "text/html");
  known = Number(meta(fresh, "desk-newest") || Infinity);
  let changed = false;
  for (const element of live) {
    const other = fresh.getElementById(element.id);
    if (other) element.toggleAttribute("data-tick", other.hasAttribute("data-tick"));
    if (!other || busy(element) || element.dataset.seen === other.innerHTML) continue;
    const open = new Set([...element.querySelectorAll("details[open][id]")].map((one) => one.id));
    const places = [...element.querySelectorAll(".scroll")].map((one) => [one.scrollTop, one.scrollLeft]);
    element.dataset.seen = other.innerHTML;
    element.replaceChildren(...other.childNodes);
    for (const one of element.querySelectorAll("details[id]")) if (open.has(one.id)) one.open = true;
    element.querySelectorAll(".scroll").forEach((one, i) => { if (places[i]) [one.scrollTop, one.scrollLeft] = places[i]; });
    element.dispatchEvent(new CustomEvent("desk:fresh", { bubbles: true }));
    changed = true;
  }
  if (changed) for (const log of document.querySelectorAll("pre.live")) log.scrollTop = log.scrollHeight;
}

/** Reload soon; many calls are one. */
function soon() {
  if (!timer) timer = setTimeout(reload, Math.max(QUIET, LEAST - (Date.now() - loaded)));
}

function heard({ kind, number }) {
  if (number > known || kind === "change" || (kind === "tick" && document.querySelector("[data-live][data-tick]"))) soon();
}

function stop(text) {
  close();
  const note = document.getElementById("desk-note") ?? document.createElement("p");
  note.id = "desk-note";
  note.className = "note warn";
  note.setAttribute("role", "status");
  note.textContent = text;
  document.getElementById("main").prepend(note);
}

/** Open the stream; resolves when this tab gives it up. */
function open() {
  source = new EventSource(Number.isFinite(known) ? `/ops/stream?after=${known}` : "/ops/stream");
  for (const kind of ["change", "tick"]) {
    source.addEventListener(kind, (event) => {
      const message = { kind, number: Number(event.data) };
      heard(message);
      channel?.postMessage(message);
    });
  }
  source.addEventListener("end", () => stop("Your session has ended; load the page again to log in."));
  source.addEventListener("error", () => {
    // A refusal (too many streams) is not tried again by the browser.
    if (source?.readyState === EventSource.CLOSED && !poll) poll = setInterval(soon, POLL);
  });
}

function close() {
  source?.close();
  source = null;
  clearInterval(poll);
  poll = 0;
  release?.();
  release = null;
}

/** Have events while this tab is visible: the tab with the lock has the stream, and tells the others. */
function begin() {
  if (document.hidden || source || release || !live.length) return;
  if (!navigator.locks || !channel) return open();
  const giving = new AbortController();
  release = () => giving.abort();
  navigator.locks.request("desdm-desk", { signal: giving.signal }, () => new Promise((done) => {
    release = done;
    open();
  })).catch(() => {});
}

if (channel) channel.onmessage = (message) => heard(message.data);
for (const element of live) element.dataset.seen = element.innerHTML;
document.addEventListener("visibilitychange", () => {
  if (document.hidden) return close();
  begin();
  if (Date.now() - loaded > LEAST) soon();
});
addEventListener("pagehide", close);
// Who only passes through opens no stream.
addEventListener("pageshow", () => setTimeout(begin, 2000));
for (const log of document.querySelectorAll("pre.live")) log.scrollTop = log.scrollHeight;
// A form is sent once; a page that comes back from the browser's memory can send it again.
const sent = new Set();
document.addEventListener("submit", (event) => {
  if (sent.has(event.target)) event.preventDefault();
  sent.add(event.target);
});
addEventListener("pageshow", () => sent.clear());
