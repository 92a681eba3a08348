// The query page: run, stop, show rows, hand on as a file, keep an eye on jobs.
import { ask, element, trouble, votable } from "./vo.js";

const form = document.getElementById("ask");
const field = document.getElementById("query");
const told = document.getElementById("told");
const rows = document.getElementById("rows");
const stop = document.getElementById("stop");
const run = document.getElementById("run");
const most = Number(form.dataset.shown);
const NUMBERS = new Set(["short", "int", "long", "float", "double", "unsignedByte"]);
let under = null;

function say(kind, ...what) {
  told.replaceChildren(element("div", { class: `note ${kind}` }, ...what));
}

function parameters(extra) {
  return new URLSearchParams({ REQUEST: "doQuery", LANG: "ADQL", QUERY: field.value, ...extra });
}

async function runNow() {
  under?.abort();
  under = new AbortController();
  const mine = under;
  stop.hidden = false;
  run.disabled = true;
  say("", element("p", {}, "Running…"));
  const begun = performance.now();
  try {
    const body = parameters({ RESPONSEFORMAT: "votable/td", MAXREC: most });
    const answer = await ask("/tap/sync", { method: "POST", body, signal: mine.signal });
    if (!answer.ok) throw new Error(await trouble(answer));
    show(votable(await answer.text()), performance.now() - begun);
    history.replaceState(null, "", `/query?query=${encodeURIComponent(field.value)}`);
  } catch (err) {
    rows.hidden = true;
    if (err.name === "AbortError") say("warn", element("p", {}, "Stopped."));
    else wrong(err.message);
  } finally {
    if (under === mine) {
      stop.hidden = true;
      run.disabled = false;
    }
  }
}

function wrong(message) {
  const at = /line (\d+), column (\d+)/.exec(message);
  const parts = [element("p", {}, message)];
  if (at) {
    const line = field.value.split("\n")[Number(at[1]) - 1] ?? "";
    parts.push(element("pre", {}, `${line}\n${" ".repeat(Math.max(0, Number(at[2]) - 1))}^`));
  }
  told.replaceChildren(element("div", { class: "note bad", role: "alert" }, ...parts));
}

function show(table, time) {
  const count = table.rows.length;
  const more = table.overflow ? `; there are more: download them, or run it as a job` : "";
  say("", element("p", {}, `${count} row${count === 1 ? "" : "s"} in ${time < 1000 ? `${Math.round(time)} ms` : `${(time / 1000).toFixed(1)} s`}${more}.`));
  const numeric = table.fields.map((f) => NUMBERS.has(f.type) && !f.size);
  const head = table.fields.map((f, i) =>
    element("th", { title: f.text, class: numeric[i] ? "n" : undefined }, f.name, f.unit ? element("span", {}, f.unit) : null));
  const body = table.rows.map((row) => element("tr", {}, ...row.map((cell, i) =>
    element("td", { class: numeric[i] ? "n" : undefined }, cell === "" || cell === "NaN" ? element("span", { class: "null" }, cell || "–") : short(cell, table.fields[i].type)))));
  rows.replaceChildren(element("table", { class: "rows" }, element("thead", {}, element("tr", {}, ...head)), element("tbody", {}, ...body)));
  rows.hidden = false;
  rows.scrollTo(0, 0);
}

function short(cell, type) {
  if (type === "double" && cell.length > 12) return String(Number(Number(cell).toPrecision(10)));
  if (type === "float" && cell.length > 9) return String(Number(Number(cell).toPrecision(7)));
  return cell;
}

form.addEventListener("submit", (event) => {
  event.preventDefault();
  runNow();
});
field.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) runNow();
});
stop.addEventListener("click", () => under?.abort());
document.getElementById("download").addEventListener("click", (event) => {
  const kind = document.getElementById("format").value;
  event.currentTarget.href = `/tap/sync?${parameters({ RESPONSEFORMAT: kind })}`;
  event.currentTarget.download = `result.${{ votable: "vot", csv: "csv", fits: "fits", parquet: "parquet" }[kind]}`;
});
for (const button of document.querySelectorAll("[data-query]")) {
  button.addEventListener("click", () => {
    field.value = button.dataset.query;
    field.focus();
  });
}
for (const button of document.querySelectorAll("[data-insert]")) {
  button.addEventListener("click", () => {
    field.setRangeText(button.dataset.insert, field.selectionStart, field.selectionEnd, "end");
    field.focus();
  });
}

// Jobs: those that the service lists for us. What has ended changes no more and is asked for once.
const ENDED = new Set(["COMPLETED", "ERROR", "ABORTED", "ARCHIVED"]);
const list = document.getElementById("jobs");
const ended = new Map();

async function startJob() {
  const format = document.getElementById("format").value;
  const answer = await ask("/tap/async", { method: "POST", body: parameters({ RESPONSEFORMAT: format, PHASE: "RUN" }) });
  if (!answer.ok) {
    wrong(await trouble(answer));
    return;
  }
  const id = new URL(answer.url).pathname.split("/").pop();
  say("", element("p", {}, `Job ${id} is on its way; it is in the list below.`));
  await lookAtJobs();
}

async function known() {
  const answer = await ask("/tap/async?LAST=30");
  if (!answer.ok) return [];
  const doc = new DOMParser().parseFromString(await answer.text(), "application/xml");
  return [...doc.getElementsByTagNameNS("*", "jobref")].map((ref) => ref.getAttribute("id"));
}

async function describe(id) {
  if (ended.has(id)) return ended.get(id);
  const answer = await ask(`/tap/async/${id}`);
  if (!answer.ok) return null;
  const doc = new DOMParser().parseFromString(await answer.text(), "application/xml");
  const text = (name) => doc.getElementsByTagNameNS("*", name)[0]?.textContent.trim() ?? "";
  const asked = [...doc.getElementsByTagNameNS("*", "parameter")].find((p) => p.getAttribute("id").toUpperCase() === "QUERY");
  const job = { id, phase: text("phase"), made: text("creationTime"), query: asked?.textContent ?? "", error: text("message") };
  if (ENDED.has(job.phase)) ended.set(id, job);
  return job;
}

let next = 0;
async function lookAtJobs() {
  clearTimeout(next);
  const ids = await known();
  const found = (await Promise.all(ids.map(describe))).filter(Boolean);
  found.sort((a, b) => b.made.localeCompare(a.made));
  list.replaceChildren(...found.map(line));
  document.getElementById("joblist").hidden = found.length === 0;
  document.getElementById("nojobs").hidden = found.length > 0;
  if (found.some((job) => !ENDED.has(job.phase))) next = setTimeout(lookAtJobs, 1000);
}

function line(job) {
  const act = (text, path, options) => element("button", {
    class: "quiet", type: "button", "aria-label": `${text} job ${job.id}`,
    click: async () => {
      const answer = await ask(`/tap/async/${job.id}${path}`, options);
      if (!answer.ok) wrong(await trouble(answer));
      await lookAtJobs();
    },
  }, text);
  const doing = [];
  if (job.phase === "COMPLETED") doing.push(element("a", { href: `/tap/async/${job.id}/results/result`, download: true }, "result"), " ");
  if (!ENDED.has(job.phase)) doing.push(act("abort", "/phase", { method: "POST", body: new URLSearchParams({ PHASE: "ABORT" }) }));
  else doing.push(act("delete", "", { method: "DELETE" }));
  return element("tr", { "data-job": job.id },
    element("td", {}, element("a", { href: `/tap/async/${job.id}` }, job.id.slice(0, 8))),
    element("td", {}, job.phase.toLowerCase(), job.error ? element("div", { class: "small soft" }, job.error) : null),
    element("td", { class: "n" }, `${job.made.replace("T", " ").slice(0, 16)} UTC`),
    element("td", {}, element("button", { class: "quiet mono", type: "button", title: job.query, click: () => { field.value = job.query; field.focus(); } }, job.query.replace(/\s+/g, " ").slice(0, 70))),
    element("td", {}, ...doing));
}

document.getElementById("job").addEventListener("click", startJob);
lookAtJobs();
