"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const root = document.documentElement;
  // Equal values and lists lie in the page once; here every record and block gets its own again.
  const unpacked = (columns) => {
    const names = Object.keys(columns);
    const count = names.length ? columns[names[0]].index.length : 0;
    return Array.from({ length: count }, (_, i) => Object.fromEntries(names.map((name) => [name, columns[name].values[columns[name].index[i]]])));
  };
  data.pictures = unpacked(data.pictures);
  for (const block of Object.values(data.rows.blocks)) {
    for (const name of ["case", "prompt", "dice", "clean", "change", "other", "note", "steps"]) if (name in block) block[name] = data.rows.lists[block[name]];
    if ("steps" in block) {
      let at = block.first;
      block.row = [at, ...block.steps.map((step) => (at += step))];
    }
  }
  const pictures = new Map(data.pictures.map((p) => [p.id, p]));
  const narrow = () => window.innerWidth < 720;

  // Everything that came from data enters the document as text, never as markup.
  const make = (tag, name, ...children) => {
    const node = document.createElement(tag);
    if (name) node.className = name;
    node.append(...children.filter((c) => c !== null && c !== undefined));
    return node;
  };
  const score = (value) => (value === null ? "–" : value.toFixed(3));

  // ---- theme -------------------------------------------------------------------------------------------------
  const system = window.matchMedia("(prefers-color-scheme: dark)");
  let chosen = null;
  let printing = false;
  const theme = () => (printing ? "light" : chosen || (system.matches ? "dark" : "light"));
  const applyTheme = () => {
    root.dataset.theme = theme();
    for (const node of drawn) draw(node);
  };
  document.getElementById("theme").addEventListener("click", () => {
    chosen = theme() === "dark" ? "light" : "dark";
    applyTheme();
  });
  system.addEventListener("change", applyTheme);

  // ---- figures -----------------------------------------------------------------------------------------------
  const drawn = new Set();
  const layoutFor = (figure, family) => {
    const layout = structuredClone(figure.layout);
    layout.template = data.templates[theme()];
    layout.autosize = true;
    if (narrow() && (family === "reliance" || family === "drop" || family === "scores")) stackLabels(layout, family === "scores" ? 26 : 6);
    if (narrow() && family === "heatmap") {
      layout.height += 18 * figure.data[0].y.length + 24;
      layout.margin.t = 58;
      Object.assign(layout.xaxis, { tickvals: figure.data[0].x, ticktext: figure.data[0].x.map(broken), tickfont: { size: 11 } });
    }
    if (narrow() && layout.xaxis) fitAxis(layout);
    return layout;
  };
  // On a phone a long title takes two lines, and of ticks that were chosen those stay whose labels do not touch.
  const fitAxis = (layout) => {
    const axis = layout.xaxis;
    axis.nticks = 8;
    if (axis.title?.text?.length > 34) {
      axis.title.text = broken(axis.title.text);
      if (layout.margin?.b) layout.margin.b += 18;
    }
    if (typeof axis.tickvals?.[0] !== "number" || !axis.ticktext || !axis.range) return;
    const least = 0.13 * (axis.range[1] - axis.range[0]);
    const kept = axis.tickvals.reduce((at, value, i) => (i && value - axis.tickvals[at.at(-1)] < least ? at : [...at, i]), []);
    Object.assign(axis, { tickvals: kept.map((i) => axis.tickvals[i]), ticktext: kept.map((i) => axis.ticktext[i]), tickangle: 0 });
  };
  // On a phone row labels stand above their rows, so that the axis keeps the whole width.
  const stackLabels = (layout, shift) => {
    const { tickvals, ticktext } = layout.yaxis;
    if (!tickvals) return;
    layout.annotations = tickvals.map((y, i) => ({
      xref: "paper", x: 0, xanchor: "left", y, yanchor: "bottom", yshift: shift, text: ticktext[i], showarrow: false, font: { size: 11.5 },
    }));
    layout.yaxis.showticklabels = false;
    layout.height = 90 + Math.max(46 * tickvals.length, layout.height - 90);
  };
  const broken = (label) => {
    if (label.length < 13) return label;
    const cuts = [...label.matchAll(/[ _-]/g)].map((m) => m.index + 1);
    const cut = cuts.sort((a, b) => Math.abs(a - label.length / 2) - Math.abs(b - label.length / 2))[0];
    return cut ? `${label.slice(0, cut)}<br>${label.slice(cut)}` : label;
  };
  const draw = (node) => {
    const figure = data.figures[node.dataset.figure];
    const family = node.dataset.figure.split("-")[0];
    drawn.add(node);
    const traces = structuredClone(figure.data);
    // Narrow cells hold the verdict above its number.
    if (narrow() && family === "heatmap") traces[0].text = traces[0].text.map((row) => row.map((cell) => cell.replace("  ", "<br>")));
    if (narrow() && family === "heatmap") for (const trace of traces) trace.textfont = { size: 10.5 };
    // Names beside points need a width that a phone lacks; hover and the table behind the figure still tell them.
    if (narrow() && family === "collapse") for (const trace of traces) trace.mode = "markers";
    const plot = Plotly.react(node, traces, layoutFor(figure, family), { displaylogo: false, displayModeBar: false, responsive: true });
    if (!node.dataset.linked) {
      node.dataset.linked = "yes";
      node.on("plotly_click", (event) => openRows(event.points[0], data.links[node.dataset.figure]));
    }
    return plot;
  };
  // A point or cell that knows its condition leads to its rows, as the links in the tables do.
  const openRows = (point, links) => {
    const meta = links[point.curveNumber];
    const key = Array.isArray(point.pointNumber) ? meta?.cells?.[point.pointNumber[0]]?.[point.pointNumber[1]] : point.data.customdata?.[point.pointNumber];
    const series = meta?.series ?? meta;
    if (key && series) window.auditPage.rowsOf(series, key);
  };
  const plots = [...document.querySelectorAll("[data-figure]")];
  for (const node of plots) node.style.minHeight = `${data.figures[node.dataset.figure].layout.height}px`;
  const eye = new IntersectionObserver((entries) => {
    for (const entry of entries) {
      if (!entry.isIntersecting) continue;
      eye.unobserve(entry.target);
      draw(entry.target);
    }
  }, { rootMargin: "400px" });
  // Plotly, the largest part, comes last in the file: text and images do not wait for it.
  const watch = () => plots.forEach((node) => eye.observe(node));
  if (window.Plotly) watch();
  else window.addEventListener("load", watch);
  let wasNarrow = narrow();
  window.addEventListener("resize", () => {
    if (narrow() === wasNarrow) return;
    wasNarrow = narrow();
    for (const node of drawn) draw(node);
  });

  const seriesKey = document.getElementById("series-key");
  const firstCurve = plots.map((n) => data.figures[n.dataset.figure]).find((f, i) => plots[i].dataset.figure.startsWith("severity"));
  if (seriesKey && firstCurve) {
    for (const trace of firstCurve.data.filter((t) => t.mode === "lines+markers")) {
      const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
      const line = document.createElementNS("http://www.w3.org/2000/svg", "path");
      svg.setAttribute("viewBox", "0 0 32 10");
      line.setAttribute("d", "M0 5H32");
      line.setAttribute("stroke", trace.line.color);
      line.setAttribute("stroke-width", "2.6");
      if (trace.line.dash !== "solid") line.setAttribute("stroke-dasharray", trace.line.dash === "dot" ? "2 4" : "7 4");
      svg.append(line);
      // Labels are escaped for plotly; the parser gives the text back and nothing of it becomes markup here.
      const name = new DOMParser().parseFromString(trace.name, "text/html").body.textContent;
      seriesKey.append(make("span", "", svg, name));
    }
  }

  // ---- images ----------------------------------------------------------------------------------------------
  const layer = (key, name, alt) => {
    if (!key || !data.images[key]) return null;
    const image = make("img", name);
    image.src = data.images[key];
    image.alt = alt;
    image.decoding = "async";
    return image;
  };
  const panel = (image, reference, mask, title, dice, extra, of) => {
    const stack = make("div", "stack", layer(image, "layer-image", title), layer(mask, "layer-mask", ""), layer(reference, "layer-reference", ""));
    return make("figure", "panel", stack, make("figcaption", "", `${title}, Dice ${of || ""}`, make("b", "", score(dice)), extra));
  };
  // Where the prompt asks for something else the Dice to the first target is no failure: its label says so.
  const asksElse = (p) => ["follow", "change", "abstain", "none", "control"].includes(data.required[p.condition]) && p.prompt.some((s) => s[0]);
  const rankOf = (p) => (p.rank === "worst" && ["none", "control"].includes(data.required[p.condition]) && !["clean", "rerun"].includes(p.condition) ? "largest change" : p.rank);
  // Where the prompt asks for a second target its outline is drawn, so its Dice comes first.
  const second = (p) => typeof p.dice_other === "number";
  const behind = (p) => [second(p) ? `to the first ${score(p.dice)}` : "", p.mask_change === null ? "" : `mask change ${score(p.mask_change)}`].filter(Boolean);
  const pair = (p) => p.condition === "clean" ? make("div", "pair", panel(p.image, p.reference, p.clean, "clean", p.dice_clean, null)) : make("div", "pair",
    panel(p.image, p.reference, p.clean, "clean", p.dice_clean, null),
    panel(p.image_changed, p.reference_changed, p.changed, "changed", second(p) ? p.dice_other : p.dice, behind(p).length ? `, ${behind(p).join(", ")}` : null, second(p) ? "to the second target " : asksElse(p) ? "to the first target " : ""));
  const promptLine = (title, segments) => {
    const line = make("p", "prompt", make("span", "", title));
    for (const [differs, words] of segments) line.append(differs ? make("mark", "", words) : words);
    if (!segments.length) line.append(make("i", "none", "(empty)"));
    return line;
  };
  const prompts = (p) => {
    const same = !p.clean_prompt.some((s) => s[0]) && !p.prompt.some((s) => s[0]);
    return same ? [promptLine("prompt, unchanged", p.prompt)] : [promptLine("clean prompt", p.clean_prompt), promptLine("changed prompt", p.prompt)];
  };
  for (const node of document.querySelectorAll("[data-picture]")) {
    const picture = pictures.get(node.dataset.picture);
    if (picture) node.append(pair(picture), ...prompts(picture));
  }
  const several = new Set(data.pictures.map((p) => p.series)).size > 1;
  const blockOf = (p) => Object.values(data.rows.blocks).find((b) => b.series === p.series && b.condition === p.condition);
  // All that went into one prediction, and how to compute it again.
  const inputs = (p) => {
    const lines = [["case", p.case_id], ["unit", p.subject_id], ["condition", p.condition]];
    const block = blockOf(p);
    const at = block?.row ? block.case.findIndex((c) => data.rows.cases[c][0] === p.case_id) : -1;
    if (at >= 0) lines.push(["row", `${block.row[at]} (robustness replay RUN --row ${block.row[at]})`]);
    let params = {};
    try { params = JSON.parse(p.params || "{}"); } catch { params = { parameters: p.params }; }
    for (const [name, value] of Object.entries(params)) if (name !== "text") lines.push([name, typeof value === "string" ? value : JSON.stringify(value)]);
    return make("details", "inputs", make("summary", "", "inputs"), make("dl", "", ...lines.flatMap(([name, value]) => [make("dt", "", name), make("dd", "", value)])));
  };
  const card = (p) => {
    const node = make("article", "card", make("h3", "", p.words), make("p", "who", `${several ? `${p.series} · ` : ""}${p.case_id} · ${rankOf(p)}`), pair(p), ...prompts(p), inputs(p));
    node.dataset.id = p.id;
    return node;
  };

  // ---- gallery -----------------------------------------------------------------------------------------------
  const filters = document.getElementById("gallery-filters");
  let showPictures = () => {};
  if (filters) {
    const cards = document.getElementById("cards");
    const more = document.getElementById("more");
    const step = narrow() ? 4 : 12;
    let limit = step;
    const verdictsOf = (p) => data.verdicts[`${p.series}\n${p.condition}`] || [];
    const options = (name, pairs) => {
      for (const [value, text] of new Map(pairs)) {
        const option = make("option", "", text);
        option.value = value;
        filters.elements[name].append(option);
      }
    };
    // Clean inputs first, then what failed; a section on failures shows nothing else where there is any.
    const failed = new Set(data.failed);
    const turn = (p) => (p.condition === "clean" ? 0 : failed.has(`${p.series}\n${p.condition}`) ? 1 : 2);
    const failing = data.pictures.filter((p) => turn(p) < 2 && p.rank === "worst");
    const pool = "failures" in filters.dataset && failing.length ? failing : data.pictures;
    const ordered = [...pool].sort((a, b) => turn(a) - turn(b));
    options("series", ordered.map((p) => [p.series, p.series]));
    options("condition", ordered.map((p) => [p.condition, p.words]));
    options("verdict", ordered.flatMap(verdictsOf).map((v) => [v, v]));
    options("rank", ordered.map((p) => [rankOf(p), rankOf(p)]));
    const showCards = () => {
      const f = filters.elements;
      const wanted = f.case.value.toLowerCase();
      const found = ordered.filter((p) => (!f.series.value || p.series === f.series.value)
        && (!f.condition.value || p.condition === f.condition.value) && (!f.verdict.value || verdictsOf(p).includes(f.verdict.value))
        && (!f.rank.value || rankOf(p) === f.rank.value) && (!wanted || p.case_id.toLowerCase().includes(wanted)));
      cards.replaceChildren(...found.slice(0, limit).map(card));
      cards.classList.toggle("hide-reference", !f.reference.checked);
      cards.classList.toggle("hide-masks", !f.masks.checked);
      more.hidden = found.length <= limit;
      document.getElementById("gallery-count").textContent = `${Math.min(limit, found.length)} of ${found.length} images shown`;
    };
    filters.addEventListener("input", () => { limit = step; showCards(); });
    filters.addEventListener("submit", (event) => event.preventDefault());
    more.addEventListener("click", () => { limit += step; showCards(); });
    showPictures = (series, condition, name) => {
      filters.reset();
      filters.elements.condition.value = condition;
      filters.elements.series.value = series;
      filters.elements.case.value = name;
      limit = step;
      showCards();
      document.getElementById("gallery").scrollIntoView();
      filters.elements.condition.focus({ preventScroll: true });
    };
    for (const button of document.querySelectorAll("[data-show]")) {
      button.addEventListener("click", () => showPictures(button.dataset.series, button.dataset.show, ""));
    }
    showCards();
  }
  // A claim without images offers none.
  const pictured = new Set(data.pictures.map((p) => `${p.series}\n${p.condition}`));
  for (const button of document.querySelectorAll("[data-show]")) button.hidden = !pictured.has(`${button.dataset.series}\n${button.dataset.show}`);

  // ---- tables ------------------------------------------------------------------------------------------------
  const valueOf = (cell) => cell.dataset.v ?? (cell.textContent.trim() === "–" ? "" : cell.textContent.trim());
  const sortBy = (table, index, header) => {
    const down = header.getAttribute("aria-sort") === "ascending";
    for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
    header.setAttribute("aria-sort", down ? "descending" : "ascending");
    const numeric = ["number", "count", "p", "level"].some((kind) => header.classList.contains(kind));
    const rows = [...table.tBodies[0].rows].map((row) => [valueOf(row.cells[index]), row]);
    rows.sort(([a], [b]) => {
      if (a === "" || b === "") return (a === "") - (b === "");
      const order = numeric ? Number(a) - Number(b) : a.localeCompare(b, "en", { numeric: true });
      return down ? -order : order;
    });
    table.tBodies[0].append(...rows.map(([, row]) => row));
  };
  const sortable = (table) => {
    table.classList.add("sortable");
    [...table.tHead.rows[0].cells].forEach((header, index) => {
      const button = make("button", "", header.textContent);
      button.type = "button";
      button.addEventListener("click", () => sortBy(table, index, header));
      header.replaceChildren(button);
    });
  };
  document.querySelectorAll("table.data").forEach(sortable);
  for (const field of document.querySelectorAll("[data-filter]")) {
    const counter = document.querySelector(`[data-shown="${field.dataset.filter}"]`);
    field.addEventListener("input", () => {
      const words = field.value.toLowerCase().split(/\s+/).filter(Boolean);
      const rows = [...document.getElementById(field.dataset.filter).tBodies[0].rows];
      for (const row of rows) {
        const text = `${row.textContent} ${[...row.cells].map((c) => c.dataset.v ?? "").join(" ")}`.toLowerCase();
        row.hidden = !words.every((word) => text.includes(word));
      }
      if (counter) counter.textContent = words.length ? `${rows.filter((row) => !row.hidden).length} of ${rows.length} rows` : "";
    });
  }
  for (const box of document.querySelectorAll("[data-columns]")) {
    const table = document.getElementById(box.dataset.columns);
    const extra = [...table.rows].flatMap((row) => [...row.cells].filter((cell) => cell.hidden));
    box.addEventListener("change", () => { for (const cell of extra) cell.hidden = !box.checked; });
  }
  const quoted = (text) => (/[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);
  // A cell that a spreadsheet would run as a formula is kept as text.
  const inert = (cell, text) => (cell.classList.contains("text") && /^[=+\-@\t\r]/.test(text) ? `'${text}` : text);
  const toCsv = (table) => {
    const head = [...table.tHead.rows[0].cells].map((c) => quoted(c.dataset.name)).join(",");
    const body = [...table.tBodies[0].rows].filter((r) => !r.hidden).map((r) => [...r.cells].map((c) => quoted(inert(c, valueOf(c)))).join(","));
    return `${[head, ...body].join("\r\n")}\r\n`;
  };
  for (const button of document.querySelectorAll("[data-csv]")) {
    button.addEventListener("click", () => {
      const link = make("a");
      link.href = URL.createObjectURL(new Blob([toCsv(document.getElementById(button.dataset.csv))], { type: "text/csv" }));
      link.download = button.dataset.file;
      link.click();
      setTimeout(() => URL.revokeObjectURL(link.href), 1000);
    });
  }
  const openTarget = () => {
    const row = location.hash && document.getElementById(decodeURIComponent(location.hash.slice(1)));
    const sheet = row && row.closest("details");
    if (!sheet) return;
    sheet.open = true;
    row.hidden = false;
    row.scrollIntoView({ block: "center" });
    row.focus({ preventScroll: true });
  };
  window.addEventListener("hashchange", openTarget);

  // ---- print -------------------------------------------------------------------------------------------------
  let closed = [];
  window.addEventListener("beforeprint", () => {
    printing = true;
    closed = [...document.querySelectorAll("details.sheet:not([open]), details.legend:not([open]), details.others:not([open])")];
    for (const sheet of closed) sheet.open = true;
    plots.forEach((node) => { eye.unobserve(node); drawn.add(node); });
    applyTheme();
  });
  window.addEventListener("afterprint", () => {
    printing = false;
    for (const sheet of closed) sheet.open = false;
    applyTheme();
  });

  applyTheme();
  openTarget();
  window.auditPage = { data, make, score, sortable, pictures: showPictures };
})();
