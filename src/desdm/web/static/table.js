// Shows of a table's columns those that hold what is typed.
const field = document.getElementById("filter");
const rows = [...document.querySelectorAll("#columns tbody tr")];
const shown = document.getElementById("shown");

field.addEventListener("input", () => {
  const words = field.value.toLowerCase().split(/\s+/).filter(Boolean);
  let count = 0;
  for (const row of rows) {
    const text = row.textContent.toLowerCase();
    row.hidden = !words.every((word) => text.includes(word));
    count += row.hidden ? 0 : 1;
  }
  shown.textContent = words.length ? `${count} of ${rows.length}` : "";
});
