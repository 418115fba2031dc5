"use strict";
// Sorts, filters, copies, and turns the light off. The order stands in the address (#sort=2&down=1&show=memit&theme=dark), so
// that a view can be linked to.

const state = new URLSearchParams(location.hash.slice(1));
const root = document.documentElement;

function remember(key, value) {
  if (value === "") state.delete(key); else state.set(key, value);
  history.replaceState(null, "", "#" + state.toString());
}

function dark() {
  const asked = root.dataset.theme;
  return asked ? asked === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
}

function paint(theme) {
  if (theme) root.dataset.theme = theme;
  const button = document.getElementById("theme");
  button.setAttribute("aria-pressed", String(dark()));
}

function stored() {
  try { return localStorage.getItem("theme"); } catch { return null; }
}

paint(state.get("theme") || stored());
document.getElementById("theme").addEventListener("click", () => {
  const theme = dark() ? "light" : "dark";
  paint(theme);
  try { localStorage.setItem("theme", theme); } catch { /* a page from a file may have no storage */ }
});

const table = document.getElementById("board");
const body = table && table.querySelector("tbody.methods");

function sortBy(place, down) {
  const heads = [...table.tHead.rows[0].cells];
  const key = (row) => row.cells[place].dataset.sort ?? "";
  const rows = [...body.rows].map((row) => [key(row), row]);
  const numbers = rows.every(([value]) => value === "" || !Number.isNaN(Number(value)));
  rows.sort(([a], [b]) => {
    if (a === "" || b === "") return (a === "") - (b === "");  // what has no value stays below
    const order = numbers ? Number(a) - Number(b) : a.localeCompare(b);
    return down ? -order : order;
  });
  body.append(...rows.map(([, row]) => row));
  heads.forEach((head, at) => head.setAttribute("aria-sort", at !== place ? "none" : down ? "descending" : "ascending"));
}

function show(words) {
  const wanted = words.trim().toLowerCase();
  let count = 0;
  for (const row of body.rows) {
    const name = row.cells[1].dataset.sort.toLowerCase();
    row.hidden = !name.includes(wanted);
    count += row.hidden ? 0 : 1;
  }
  document.getElementById("shown").textContent = wanted ? `${count} of ${body.rows.length}` : "";
}

if (body) {
  [...table.tHead.rows[0].cells].forEach((head, place) => {
    head.querySelector("button").addEventListener("click", () => {
      const now = head.getAttribute("aria-sort");
      const down = now === "none" ? head.dataset.better === "higher" : now === "ascending";
      sortBy(place, down);
      remember("sort", String(place));
      remember("down", down ? "1" : "");
    });
  });
  const place = Number(state.get("sort"));
  if (state.has("sort") && place >= 0 && place < table.tHead.rows[0].cells.length) sortBy(place, state.get("down") === "1");
  const filter = document.getElementById("filter");
  if (filter) {
    filter.value = state.get("show") || "";
    show(filter.value);
    filter.addEventListener("input", () => { show(filter.value); remember("show", filter.value); });
  }
}

for (const button of document.querySelectorAll("button.copy")) {
  button.addEventListener("click", () => {
    const text = button.previousElementSibling.textContent;
    navigator.clipboard.writeText(text).then(() => { button.firstChild.textContent = "Copied"; });
  });
}
