"use strict";
// The page is complete without this script, but for the details of languages if there are many. It sorts and filters the
// languages, highlights one in the charts, shows the details of a language, and switches between light and dark.

const rows = [...document.querySelectorAll("#languages tbody tr")];
const marked = [...document.querySelectorAll("[data-language]")].filter((each) => !rows.includes(each));

let few = document.getElementById("all") !== null; // whether only the worst languages are listed with their errors
document.body.classList.toggle("few", few);

function sortBy(header) {
  const table = header.closest("table");
  const column = [...header.parentNode.children].indexOf(header);
  const ascending = header.getAttribute("aria-sort") !== "ascending";
  for (const other of table.querySelectorAll("th[aria-sort]")) other.removeAttribute("aria-sort");
  header.setAttribute("aria-sort", ascending ? "ascending" : "descending");
  const keyed = [...table.tBodies[0].rows].map((row) => [row.cells[column].dataset.sort, row]);
  keyed.sort(([left], [right]) => {
    if (left === "" || right === "") return (left === "") - (right === ""); // unknown values come last either way
    const order = isNaN(left) || isNaN(right) ? left.localeCompare(right) : left - right;
    return ascending ? order : -order;
  });
  table.tBodies[0].append(...keyed.map(([, row]) => row));
}

function filterLanguages() {
  const words = document.getElementById("filter").value.toLowerCase().split(",").map((word) => word.trim()).filter(Boolean);
  const grade = document.getElementById("grade").value;
  const shown = new Set();
  for (const row of rows) {
    const { language, grade: own } = row.dataset;
    const named = row.cells[0].textContent.toLowerCase(); // code and name
    const found = !words.length || words.some((word) => named.includes(word));
    row.hidden = !found || (grade !== "" && own !== grade);
    if (!row.hidden) shown.add(language);
  }
  const all = shown.size === rows.length;
  document.body.classList.toggle("few", all && few);
  for (const each of marked) {
    const found = shown.has(each.dataset.language);
    if (each.matches("details, tr")) each.hidden = !found;
    else each.classList.toggle("dim", !found);
  }
  const part = `${shown.size.toLocaleString("en")} of ${rows.length.toLocaleString("en")} languages`;
  document.getElementById("shown").textContent = part + (all ? "" : " shown");
  for (const note of document.querySelectorAll(".filtered")) {
    note.hidden = all;
    note.firstElementChild.textContent = shown.size ? `The filter shows ${part}.` : "The filter leaves no language.";
  }
}

function clearFilter() {
  document.getElementById("filter").value = document.getElementById("grade").value = "";
  filterLanguages();
}

function hintAtHiddenColumns(box) {
  // Phones show no scroll bars, so a table that goes on beyond the edge looks complete.
  const hint = document.createElement("p");
  hint.className = "hint";
  hint.textContent = "More columns: scroll the table sideways \u2192";
  box.before(hint);
  const update = () => {
    hint.hidden = box.scrollWidth <= box.clientWidth + 1;
    box.classList.toggle("cut", box.scrollWidth - box.clientWidth - box.scrollLeft > 1);
  };
  new ResizeObserver(update).observe(box);
  box.addEventListener("scroll", update, { passive: true });
}

function highlight(language) {
  for (const each of document.querySelectorAll(".strong")) each.classList.remove("strong");
  if (!language) return;
  const chosen = document.querySelectorAll(`svg path[data-language="${CSS.escape(language)}"]`);
  for (const each of chosen) {
    each.classList.add("strong");
    each.parentNode.append(each); // on top of the others
  }
}

function fill(details) {
  // The details of many languages are text until they are opened: as elements they would take seconds to load.
  const text = details.querySelector("script");
  if (text) text.outerHTML = text.textContent;
}

function openLinked() {
  const target = location.hash && document.getElementById(location.hash.slice(1));
  if (target && target.matches("details")) {
    fill(target);
    target.classList.add("asked");
    target.open = true;
    target.scrollIntoView();
  }
}

for (const button of document.querySelectorAll("th button")) {
  button.addEventListener("click", () => sortBy(button.parentNode));
}
if (rows.length) {
  document.getElementById("filter").addEventListener("input", filterLanguages);
  document.getElementById("grade").addEventListener("change", filterLanguages);
}
for (const button of document.querySelectorAll(".filtered button")) button.addEventListener("click", clearFilter);
for (const box of document.querySelectorAll(".scroll")) hintAtHiddenColumns(box);
for (const details of document.querySelectorAll("details.language")) {
  details.addEventListener("toggle", () => fill(details));
}
for (const kind of ["mouseover", "focusin"]) {
  document.addEventListener(kind, (event) => {
    const owner = event.target.closest && event.target.closest("[data-language]");
    highlight(owner && owner.dataset.language);
  });
}
document.addEventListener("click", (event) => {
  const dot = event.target.closest(".dot[data-language]");
  if (dot) location.hash = `lang-${dot.dataset.language}`;
});
document.getElementById("theme").addEventListener("click", () => {
  const isDark = getComputedStyle(document.body).backgroundColor !== "rgb(255, 255, 255)";
  document.documentElement.style.colorScheme = isDark ? "light" : "dark";
});
if (few) {
  document.getElementById("all").addEventListener("click", () => {
    few = false;
    document.body.classList.remove("few");
  });
}
window.addEventListener("hashchange", openLinked);
openLinked();
