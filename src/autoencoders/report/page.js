// What the page does around its figures: contents, tabs, sorting, downloads, enlarging, printing.

const isFramed = location.href === "about:srcdoc"; // Kubeflow Pipelines' frame, which allows no downloads
const $ = (of, within = document) => [...within.querySelectorAll(of)];
const element = (tag, properties, ...children) => {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
};

function save(blob, download) {
  const href = URL.createObjectURL(blob);
  element("a", {href, download}).click();
  setTimeout(() => URL.revokeObjectURL(href), 1000);
}

// Contents: where one is, and the way back.
const links = $(".contents li a"), float = document.querySelector(".float");
const sections = links.map(link => document.getElementById(link.hash.slice(1)));
function follow() {
  const at = sections.findLastIndex(section => section.getBoundingClientRect().top < innerHeight / 3);
  links.forEach((link, i) => i === Math.max(at, 0) ? link.setAttribute("aria-current", "true") : link.removeAttribute("aria-current"));
  float.hidden = scrollY < innerHeight;
}
addEventListener("scroll", follow, {passive: true});
follow();

// A link into something closed opens it.
function reveal() {
  const target = location.hash && document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (!target) return;
  for (let inside = target; inside; inside = inside.parentElement) if (inside.tagName === "DETAILS") inside.open = true;
  target.scrollIntoView();
}
addEventListener("hashchange", reveal);
reveal();

// Tabs, from panels that stand below each other where no script runs.
$(".tabs").forEach((tabs, group) => {
  const panels = $(".panel", tabs);
  if (panels.length < 2) return;
  const list = element("div", {role: "tablist", ariaLabel: tabs.dataset.label});
  const buttons = panels.map((panel, i) => {
    Object.assign(panel, {id: panel.id || `panel-${group}-${i}`, role: "tabpanel", tabIndex: 0});
    const tab = element("button", {type: "button", role: "tab", id: `${panel.id}-tab`}, panel.dataset.title);
    tab.setAttribute("aria-controls", panel.id);
    panel.setAttribute("aria-labelledby", tab.id);
    tab.onclick = () => choose(i);
    return tab;
  });
  const choose = chosen => buttons.forEach((tab, i) => {
    tab.ariaSelected = String(i === chosen);
    tab.tabIndex = i === chosen ? 0 : -1;
    panels[i].hidden = i !== chosen;
  });
  list.addEventListener("keydown", event => {
    const step = {ArrowRight: 1, ArrowLeft: -1}[event.key];
    if (!step) return;
    event.preventDefault();
    const next = (buttons.indexOf(document.activeElement) + step + buttons.length) % buttons.length;
    choose(next);
    buttons[next].focus();
  });
  list.append(...buttons);
  tabs.prepend(list);
  tabs.classList.add("tabbed");
  choose(0);
});

// Tables: sorted by a click on a heading, within each group of rows, and downloaded with all digits.
const cellValue = cell => Number(cell.dataset.value ?? cell.textContent.replaceAll(",", "").replace("−", "-"));
const cellText = cell => (cell.dataset.value ?? cell.textContent).replace("(best)", "").replace(/\s+/g, " ").trim();

function sortBy(table, column, direction) {
  for (const body of table.tBodies) {
    const rows = [...body.rows].filter(row => row.cells.length > column && row.cells[0].scope === "row");
    const compare = (a, b) => {
      const [x, y] = [a, b].map(row => cellValue(row.cells[column]));
      if (isNaN(x) || isNaN(y)) {
        if (isNaN(x) && isNaN(y)) return direction * cellText(a.cells[column]).localeCompare(cellText(b.cells[column]));
        return isNaN(x) - isNaN(y); // what has no number is last, whatever the direction
      }
      return direction * (x - y);
    };
    body.append(...rows.sort(compare));
  }
}

for (const table of $("table.numbers")) {
  const headings = [...table.tHead.rows[0].cells];
  headings.forEach((heading, column) => {
    const unit = heading.querySelector(".unit");
    const button = element("button", {type: "button"}, ...[...heading.childNodes].filter(node => node !== unit));
    heading.prepend(button);
    button.onclick = () => {
      const ascending = heading.ariaSort !== "ascending";
      headings.forEach(other => other.removeAttribute("aria-sort"));
      heading.ariaSort = ascending ? "ascending" : "descending";
      sortBy(table, column, ascending ? 1 : -1);
    };
  });
  if (isFramed) continue;
  const button = element("button", {type: "button", className: "csv"}, "Download as CSV");
  button.setAttribute("aria-label", `Download as CSV: ${table.dataset.name}`);
  button.onclick = () => {
    const rows = [...table.rows].filter(row => row.cells[0].scope !== "rowgroup");
    const quoted = text => /[",\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
    const csv = rows.map(row => [...row.cells].map(cell => quoted(cellText(cell))).join(",")).join("\n");
    save(new Blob([csv, "\n"], {type: "text/csv"}), `${table.dataset.name}.csv`);
  };
  table.parentElement.after(button);
}

// Figures: a click or a tap enlarges them, and there they can be saved.
function saveAsPng(image) {
  const canvas = element("canvas", {width: image.naturalWidth, height: image.naturalHeight});
  canvas.getContext("2d").drawImage(image, 0, 0);
  canvas.toBlob(blob => save(blob, `${image.dataset.name}.png`));
}

const enlarged = element("dialog", {className: "enlarged", ariaLabel: "Figure, enlarged"});
enlarged.onclick = () => enlarged.close();
document.body.append(enlarged);
for (const image of $(".card > img")) {
  const button = element("button", {type: "button", title: "Enlarge"});
  image.replaceWith(button);
  button.append(image);
  button.onclick = () => {
    const copy = image.cloneNode();
    copy.style.setProperty("--natural", `${image.getAttribute("width")}px`);
    const card = element("div", {className: button.parentElement.className}, copy);
    const close = element("button", {type: "button"}, "Close ✕");
    const png = element("button", {type: "button"}, "Save as PNG");
    png.onclick = event => { event.stopPropagation(); saveAsPng(image); };
    enlarged.replaceChildren(element("div", {className: "buttons"}, close, ...(isFramed ? [] : [png])), card);
    enlarged.showModal();
  };
}
for (const preview of $(".preview")) {
  preview.append(element("img", {src: preview.closest(".rung").querySelector(".card img").src, alt: ""}));
}

// Print all details, because on paper nothing can be opened.
const closed = [];
addEventListener("beforeprint", () => $("details:not([open])").forEach(details => { details.open = true; closed.push(details); }));
addEventListener("afterprint", () => closed.splice(0).forEach(details => { details.open = false; }));
