// The account page: tables of one's own, listed and dropped.
import { ask, element, trouble } from "./vo.js";

const place = document.getElementById("mydb");

function size(bytes) {
  for (const unit of ["B", "kB", "MB", "GB"]) {
    if (bytes < 1000) return `${unit === "B" ? bytes : bytes.toFixed(1)} ${unit}`;
    bytes /= 1000;
  }
  return `${bytes.toFixed(1)} TB`;
}

async function show() {
  const answer = await ask("/api/mydb");
  if (!answer.ok) return;
  const tables = (await answer.json()).tables ?? [];
  place.querySelector("div.scroll")?.remove();
  if (!tables.length) return;
  const rows = tables.map((table) => element("tr", {},
    element("td", {}, element("code", {}, `mydb.${table.name}`)),
    element("td", { class: "n" }, String(table.rows ?? "")),
    element("td", { class: "n" }, size(table.bytes ?? 0)),
    element("td", {}, element("button", { class: "quiet", type: "button", "aria-label": `Drop mydb.${table.name}`, click: () => drop(table.name) }, "drop"))));
  place.append(element("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Tables of your own" },
    element("table", {}, element("thead", {}, element("tr", {}, element("th", {}, "Table"), element("th", { class: "n" }, "Rows"), element("th", { class: "n" }, "Size"), element("th", {}))), element("tbody", {}, ...rows))));
}

async function drop(name) {
  if (!confirm(`Drop mydb.${name}? It cannot be brought back.`)) return;
  const answer = await ask(`/api/mydb/${encodeURIComponent(name)}`, { method: "DELETE" });
  if (!answer.ok) alert(await trouble(answer));
  await show();
}

show();
