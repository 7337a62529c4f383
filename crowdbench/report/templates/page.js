"use strict";
// Progressive enhancement: without scripts the page shows the same content, unsorted and unfiltered.
document.documentElement.classList.add("js");

// --- Tables that sort. Cells may carry data-value where what they show does not sort by itself.
const valueOf = (row, column) => {
  const cell = row.cells[column];
  return cell ? (cell.dataset.value ?? cell.textContent.trim()) : "";
};
const compare = (a, b) => {
  const x = parseFloat(a), y = parseFloat(b);
  const isNumber = [x, y].map((n, i) => String([a, b][i]).trim() !== "" && Number.isFinite(n) && isFinite([a, b][i]));
  if (isNumber[0] && isNumber[1]) return x - y;
  return a.localeCompare(b, undefined, { numeric: true });
};
const isMissing = (text) => text === "" || text === "–" || text === "-";
for (const table of document.querySelectorAll("table.sortable")) {
  [...table.tHead.rows[0].cells].forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const before = head.getAttribute("aria-sort");
      // Figures are wanted from the best, names from A.
      const isHighBest = head.classList.contains("n") && !head.classList.contains("low");
      const first = isHighBest ? "descending" : "ascending";
      const other = first === "ascending" ? "descending" : "ascending";
      const order = before === first ? other : first;
      for (const cell of table.tHead.rows[0].cells) cell.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", order);
      const rows = [...table.tBodies[0].rows].map((row) => [valueOf(row, column), row]);
      rows.sort(([a], [b]) => {
        if (isMissing(a) || isMissing(b)) return isMissing(a) - isMissing(b);
        return order === "ascending" ? compare(a, b) : compare(b, a);
      });
      table.tBodies[0].append(...rows.map(([, row]) => row));
    });
  });
}

// --- The leaderboard's filter: every word must be somewhere in the row or in its table's title.
const words = document.getElementById("words");
if (words) {
  const select = document.getElementById("table");
  const said = document.getElementById("found");
  const parts = [...document.querySelectorAll("section.board")];
  const filter = () => {
    const wanted = words.value.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0, all = 0;
    for (const part of parts) {
      const title = part.querySelector("h2").textContent.toLowerCase();
      const isChosen = !select.value || select.value === part.id;
      let here = 0;
      for (const row of part.querySelector("tbody").rows) {
        const text = title + " " + row.textContent.toLowerCase();
        row.hidden = !isChosen || !wanted.every((word) => text.includes(word));
        here += !row.hidden;
        all += 1;
      }
      part.hidden = here === 0;
      shown += here;
    }
    said.textContent = `${shown} of ${all} rows`;
  };
  words.addEventListener("input", filter);
  select.addEventListener("change", filter);
  filter();
}

// --- Layers and runs. Poses of those that were not shown from the start are unpacked here.
const unpack = async (run) => {
  const source = document.querySelector(`template.packed[data-run="${run}"]`);
  if (!source) return;
  const packed = Uint8Array.from(atob(source.content.textContent), (c) => c.charCodeAt(0));
  source.remove();
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
  for (const [key, words, paths] of await new Response(stream).json()) {
    const panels = document.querySelector(`.picture[data-key="${key}"] .panels`);
    const panel = panels.firstElementChild.cloneNode(true);
    panel.className = `panel r${run}`;
    panel.dataset.run = run;
    const name = document.createElement("b");
    name.textContent = source.dataset.label;
    panel.querySelector("p").replaceChildren(name, ` ${words}`);
    const view = panel.querySelector("svg");
    for (const old of view.querySelectorAll("path")) old.remove();
    for (const [classes, d] of paths) {
      const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
      path.setAttribute("class", classes);
      path.setAttribute("d", d);
      view.append(path);
    }
    panels.insertBefore(panel, [...panels.children].find((other) => +other.dataset.run > run) ?? null);
  }
};
const boxes = [...document.querySelectorAll(".runs input")];
const obey = (box) => {
  document.body.classList.toggle(`off-${box.id}`, !box.checked);
  return box.checked && box.dataset.run ? unpack(+box.dataset.run) : null;
};
for (const box of document.querySelectorAll("input[type=checkbox]")) {
  box.addEventListener("change", () => obey(box));
  obey(box);
}
for (const button of document.querySelectorAll("button[data-runs]")) {
  button.addEventListener("click", async () => {
    for (const box of boxes) box.checked = button.dataset.runs === "all";
    for (const box of boxes) await obey(box);
  });
}

// --- A picture, large; the arrow keys lead to the next one.
const dialog = document.querySelector("dialog");
if (dialog) {
  const views = () =>
    [...document.querySelectorAll("main .panel")].filter((panel) => panel.checkVisibility())
      .map((panel) => panel.querySelector("svg.view"));
  const place = document.getElementById("enlarged"), caption = document.getElementById("caption");
  let current = null;
  const show = (view) => {
    current = view;
    const copy = view.cloneNode(true);
    copy.removeAttribute("tabindex");
    copy.removeAttribute("role");
    place.replaceChildren(copy);
    const words = view.closest(".picture").querySelector("figcaption").textContent;
    caption.textContent = `${view.closest(".panel").querySelector("p").textContent} · ${words}`;
    if (!dialog.open) dialog.showModal();
  };
  const go = (step) => {
    const all = views(), at = all.indexOf(current) + step;
    if (at >= 0 && at < all.length) show(all[at]);
  };
  for (const view of document.querySelectorAll("main svg.view")) {
    view.tabIndex = 0;
    view.setAttribute("role", "button");
  }
  const gallery = document.getElementById("gallery");
  gallery?.addEventListener("click", (event) => {
    const view = event.target.closest("svg.view");
    if (view) show(view);
  });
  gallery?.addEventListener("keydown", (event) => {
    if ((event.key === "Enter" || event.key === " ") && event.target.matches("svg.view")) {
      event.preventDefault();
      show(event.target);
    }
  });
  dialog.addEventListener("keydown", (event) => {
    if (event.key === "ArrowRight") go(1);
    if (event.key === "ArrowLeft") go(-1);
  });
  dialog.addEventListener("close", () => { if (current) current.focus(); });
  dialog.addEventListener("click", (event) => { if (event.target === dialog) dialog.close(); });
  document.getElementById("close").addEventListener("click", () => dialog.close());
  document.getElementById("next").addEventListener("click", () => go(1));
  document.getElementById("previous").addEventListener("click", () => go(-1));
}
