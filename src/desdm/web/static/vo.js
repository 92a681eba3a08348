// What the pages say to the data services, and how they read the answers (VOTable, UWS).

const csrf = document.querySelector('meta[name="csrf"]')?.content;

/** A request to this server, with the form's token of the session if somebody is logged in. */
export function ask(path, options = {}) {
  const headers = new Headers(options.headers);
  if (csrf) headers.set("X-CSRF-Token", csrf);
  return fetch(path, { ...options, headers, credentials: "same-origin" });
}

/** Fields, rows, and what the INFO elements say, of a VOTable with TABLEDATA. */
export function votable(text) {
  const doc = new DOMParser().parseFromString(text, "application/xml");
  const all = (parent, name) => [...parent.getElementsByTagNameNS("*", name)];
  const infos = all(doc, "INFO").filter((i) => i.getAttribute("name") === "QUERY_STATUS");
  const error = infos.find((i) => i.getAttribute("value") === "ERROR");
  if (error) throw new Error(error.textContent.trim() || "the query failed");
  if (doc.querySelector("parsererror")) throw new Error("the answer broke off; run it again");
  return {
    fields: all(doc, "FIELD").map((field) => ({
      name: field.getAttribute("name"),
      unit: field.getAttribute("unit") ?? "",
      type: field.getAttribute("datatype"),
      size: field.getAttribute("arraysize"),
      text: all(field, "DESCRIPTION")[0]?.textContent.trim() ?? "",
    })),
    rows: all(doc, "TR").map((tr) => all(tr, "TD").map((td) => td.textContent)),
    overflow: infos.some((i) => i.getAttribute("value") === "OVERFLOW"),
  };
}

/** What an answer that is no success says. */
export async function trouble(answer) {
  const text = await answer.text();
  if (/xml/.test(answer.headers.get("content-type") ?? "")) {
    try {
      votable(text);
    } catch (err) {
      return err.message;
    }
  }
  try {
    const said = JSON.parse(text).error;
    return said.message ?? String(said);
  } catch {
    return text.replace(/<[^>]*>/g, " ").trim().slice(0, 500) || `HTTP ${answer.status}`;
  }
}

/** An element with attributes and children; text is always text. */
export function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (typeof value === "function") made.addEventListener(key, value);
    else if (value !== undefined && value !== false) made.setAttribute(key, value === true ? "" : value);
  }
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}
