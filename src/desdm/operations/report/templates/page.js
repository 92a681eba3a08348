"use strict";
// Tables of class "sort" are sorted by a click on a head; an input of class "filter" hides rows of the table after it.
document.querySelectorAll("table.sort").forEach((table) => {
  const body = table.tBodies[0];
  table.querySelectorAll("th").forEach((head, column) => {
    head.classList.add("sorts");
    head.tabIndex = 0;
    const sort = () => {
      const down = head.classList.contains("up");
      table.querySelectorAll("th").forEach((other) => other.classList.remove("up", "down"));
      head.classList.add(down ? "down" : "up");
      const value = (row) => {
        const cell = row.cells[column];
        return cell.dataset.v !== undefined ? cell.dataset.v : cell.textContent.trim().replace("−", "-");
      };
      const rows = [...body.rows].sort((a, b) => {
        const x = value(a), y = value(b), n = Number(x) - Number(y);
        return x !== "" && y !== "" && !Number.isNaN(n) ? n : x.localeCompare(y);
      });
      if (down) rows.reverse();
      body.append(...rows);
    };
    head.addEventListener("click", sort);
    head.addEventListener("keydown", (event) => { if (event.key === "Enter") sort(); });
  });
});
document.querySelectorAll("input.filter").forEach((input) => {
  input.classList.add("live");
  const table = document.getElementById(input.dataset.of);
  input.addEventListener("input", () => {
    const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
    for (const row of table.tBodies[0].rows) {
      const text = row.textContent.toLowerCase();
      row.hidden = !words.every((word) => text.includes(word));
    }
  });
});
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape") document.querySelectorAll(".zoom input:checked").forEach((box) => { box.checked = false; });
});
