
// The rows behind a number: #rows-S-C opens them, from any link, from a point of a figure, or from the address bar.
(() => {
  const { data, make, score, sortable, pictures } = window.auditPage;
  const dialog = document.getElementById("rows");
  const table = document.getElementById("rows-table");
  const filter = document.getElementById("rows-filter");
  const columnsOf = (block) => [["case", "text"], ["unit", "text"], ["target", "text"], ["clean", "number"], ["dice", "number"], ["loss", "number"], ...(block.other ? [["dice_other", "number"]] : []), ["mask_change", "number"], ["prompt", "text"], ["note", "text"], ...(block.row ? [["row", "count"]] : []), ["picture", "text"]];
  const MOST = 2000;
  const wordsOf = (condition) => {
    const found = [...document.querySelectorAll("td.condition")].find((cell) => cell.dataset.v === condition);
    return found ? found.textContent.trim() : condition;
  };
  const pictured = new Map(data.pictures.map((p) => [`${p.series}\n${p.condition}\n${p.case_id}`, p]));
  const cell = (value, kind) => {
    const node = make("td", kind, kind === "number" ? score(value) : kind === "count" ? String(value) : value);
    if (kind !== "text" && value !== null) node.dataset.v = value;
    return node;
  };
  const row = (block, i) => {
    const [name, unit, target] = data.rows.cases[block.case[i]];
    const loss = block.dice[i] === null || block.clean[i] === null ? null : Number((block.clean[i] - block.dice[i]).toFixed(5));
    const values = [name, unit, target, block.clean[i], block.dice[i], loss, ...(block.other ? [block.other[i]] : []), block.change[i], data.rows.prompts[block.prompt[i]], block.note[i], ...(block.row ? [block.row[i]] : [])];
    const columns = columnsOf(block);
    const node = make("tr", "", ...values.map((value, c) => cell(value, columns[c][1])));
    node.cells[columns.findIndex(([name]) => name === "prompt")].classList.add("asked-for");
    const picture = pictured.get(`${block.series}\n${block.condition}\n${name}`);
    const last = make("td", "text");
    if (picture) {
      const button = make("button", "link", "show");
      button.type = "button";
      button.addEventListener("click", () => { dialog.close(); pictures(block.series, block.condition, name); });
      last.append(button);
    }
    node.append(last);
    return node;
  };
  const show = (anchor) => {
    const block = data.rows.blocks[anchor];
    if (!block) return false;
    const words = wordsOf(block.condition);
    document.getElementById("rows-title").textContent = `${words.charAt(0).toUpperCase()}${words.slice(1)}${data.rows.several ? ` · ${block.series}` : ""}`;
    const held = block.case.length;
    const order = [...block.case.keys()].sort((a, b) => (block.dice[a] ?? 2) - (block.clean[a] ?? 2) - (block.dice[b] ?? 2) + (block.clean[b] ?? 2));
    const shown = order.slice(0, MOST);
    const part = held < block.n ? `The ${held} rows with the largest loss of ${block.n}; all` : held > MOST ? `The ${MOST} rows with the largest loss of ${held}; all` : `${held} ${held === 1 ? "row" : "rows"}; all columns`;
    document.getElementById("rows-note").textContent = `${part} are in results/*.parquet, condition ${block.condition}. Scores to 5 digits. Largest loss first.${block.row ? " robustness replay RUN --row N computes the prediction of row N again." : ""}`;
    table.tHead.rows[0].replaceChildren(...columnsOf(block).map(([name, kind]) => {
      const head = make("th", kind, name.replace("_", " "));
      head.scope = "col";
      head.dataset.name = name;
      return head;
    }));
    table.tBodies[0].replaceChildren(...shown.map((i) => row(block, i)));
    sortable(table);
    filter.value = "";
    if (!dialog.open) dialog.showModal();
    return true;
  };
  filter.addEventListener("input", () => {
    const words = filter.value.toLowerCase().split(/\s+/).filter(Boolean);
    for (const line of table.tBodies[0].rows) line.hidden = !words.every((word) => line.textContent.toLowerCase().includes(word));
  });
  let back = null;
  document.addEventListener("click", (event) => {
    const link = event.target.closest("a[href^='#rows-']");
    if (link) back = link;
  });
  const follow = () => { if (/^#rows-\d+-\d+$/.test(location.hash)) show(location.hash.slice(1)); };
  dialog.addEventListener("close", () => {
    // Leaves no hash behind, so that the same number can be asked again, and gives the focus back to it.
    history.replaceState(null, "", location.pathname + location.search);
    if (back) back.focus({ preventScroll: true });
  });
  dialog.addEventListener("click", (event) => { if (event.target === dialog) dialog.close(); });
  window.addEventListener("hashchange", follow);
  const anchors = new Map(Object.entries(data.rows.blocks).map(([anchor, block]) => [`${block.series}\n${block.condition}`, anchor]));
  window.auditPage.rowsOf = (series, condition) => { const anchor = anchors.get(`${series}\n${condition}`); if (anchor) location.hash = anchor; };
  data.rows.several = new Set(Object.values(data.rows.blocks).map((block) => block.series)).size > 1;
  follow();
  // Only where the page runs: its source refers to nothing outside of itself.
  document.querySelectorAll("a[data-beside]").forEach((link) => { link.href = link.dataset.beside; });
  document.documentElement.dataset.ready = "yes";
})();
