// The list: only the rows in sight exist, and only the pages around them are asked for, however many there are.

const ROW_PX = 80;
const PAGE = 100;
const MARGIN = 6;

export const VERDICT_WORDS = { accept: "Accepted", reject: "Rejected", "needs work": "Needs work" };

export class Rows {
  constructor(onOpen, onTotal) {
    Object.assign(this, { onOpen, onTotal, query: null, total: 0, cursor: 0, open: null, turn: 0 });
    this.pages = new Map();
    this.shown = new Map();
    this.space = el("div", { class: "space" });
    this.empty = el("p", { class: "nothing", hidden: true });
    this.box = el("div", { class: "list", id: "list", tabindex: "0", role: "listbox", "aria-label": "Results" }, this.space, this.empty);
    this.box.addEventListener("scroll", () => this.draw(), { passive: true });
    new ResizeObserver(() => this.draw()).observe(this.box);
  }

  // List anew; `keep`: stay where the reader is.
  async ask(query, keep = false) {
    const turn = ++this.turn;
    this.query = { ...query };
    const first = await this.fetchPage(0, turn);
    if (turn !== this.turn) return;
    this.pages = new Map([[0, first.rows]]);
    this.total = first.total;
    if (!keep) { this.cursor = 0; this.box.scrollTop = 0; }
    this.cursor = Math.max(0, Math.min(this.cursor, this.total - 1));
    this.space.style.height = `${this.total * ROW_PX}px`;
    this.clear();
    this.onTotal(this.total);
    this.draw();
  }

  fetchPage(page) {
    return get("/api/list", { ...this.query, offset: page * PAGE, limit: PAGE });
  }

  async load(page) {
    if (this.pages.has(page)) return this.pages.get(page);
    const turn = this.turn, coming = this.fetchPage(page).then(({ rows }) => {
      if (turn !== this.turn) return null;
      this.pages.set(page, rows);
      this.draw();
      return rows;
    });
    this.pages.set(page, coming);
    return coming;
  }

  async row(index) {
    if (index < 0 || index >= this.total) return null;
    const rows = await this.load(Math.floor(index / PAGE));
    return rows ? rows[index % PAGE] : null;
  }

  // The row at `index` if it is here already.
  here(index) {
    const rows = this.pages.get(Math.floor(index / PAGE));
    return Array.isArray(rows) ? rows[index % PAGE] : null;
  }

  clear() {
    for (const node of this.shown.values()) node.remove();
    this.shown.clear();
  }

  draw() {
    if (!this.query) return;
    const { scrollTop, clientHeight } = this.box;
    const first = Math.max(0, Math.floor(scrollTop / ROW_PX) - MARGIN);
    const last = Math.min(this.total - 1, Math.ceil((scrollTop + clientHeight) / ROW_PX) + MARGIN);
    for (const [index, node] of this.shown) {
      if (index >= first && index <= last) continue;
      node.remove();
      this.shown.delete(index);
    }
    for (let index = first; index <= last; index++) {
      const row = this.here(index);
      if (!row) { this.load(Math.floor(index / PAGE)); continue; }
      if (this.shown.has(index)) continue;
      const node = this.makeRow(row, index);
      node.style.transform = `translateY(${index * ROW_PX}px)`;
      this.shown.set(index, node);
      this.space.append(node);
    }
    this.mark();
  }

  say(text) {
    this.empty.textContent = text;
    this.empty.hidden = !text;
  }

  makeRow(row, index) {
    const name = row.number ? `${row.name} · person ${row.number}` : row.name;
    const parent = row.folder.includes("/") ? row.folder.slice(0, row.folder.lastIndexOf("/")) : "";
    const people = row.number ? "" : plural(row.people, "person", "people");
    const times = row.number ? `${clockText(row.first_s, 0)} to ${clockText(row.last_s, 0)}` : clockText(row.duration, 0);
    const facts = [parent, times, people].filter(Boolean).join("  ·  ");
    const dots = el("span", { class: "dots" }, ...row.crew.map(({ colour }) => el("i", { colour })));
    const flags = el("span", { class: "chips" }, ...(row.problem ? [el("span", { class: "chip bad", text: "unreadable", title: row.problem })] : []),
      ...row.flags.slice(0, 3).map((id) => el("span", { class: "chip", text: flagWords(id) })), row.flags.length > 3 ? el("span", { class: "chip", text: `+${row.flags.length - 3}` }) : null);
    const node = el("div", { class: "row", role: "option", "data-folder": row.folder, "data-number": String(row.number), onclick: () => { this.cursor = index; this.onOpen(row, index); } },
      makeThumb(row), el("div", { class: "what" }, el("b", { text: name, title: row.folder }), el("p", { text: facts })), dots, flags, trustBar(row.trust),
      el("span", { class: "share figures", text: row.flagged ? `${percent(row.flagged)} flagged` : "" }), el("span", { class: "said" }));
    this.fillSaid(node, row);
    return node;
  }

  fillSaid(node, row) {
    const said = node.querySelector(".said");
    said.replaceChildren(
      row.verdict ? el("span", { class: `badge ${row.verdict.replace(" ", "-")}`, text: VERDICT_WORDS[row.verdict] }) : null || "",
      row.stale ? el("span", { class: "badge stale", text: "changed since", title: "The motion has changed since this verdict" }) : "",
      row.note ? el("span", { class: "note", text: row.note, title: row.note }) : "");
  }

  // Take over what was said of a clip or person into the rows that show it.
  said(id, number, verdict, note) {
    for (const rows of this.pages.values()) {
      if (!Array.isArray(rows)) continue;
      for (const row of rows) if (row.id === id && row.number === number) Object.assign(row, { verdict, note, stale: false });
    }
    for (const [index, node] of this.shown) {
      const row = this.here(index);
      if (row && row.id === id && row.number === number) this.fillSaid(node, row);
    }
  }

  mark() {
    for (const [index, node] of this.shown) {
      const row = this.here(index);
      node.classList.toggle("cursor", index === this.cursor);
      node.setAttribute("aria-selected", String(index === this.cursor));
      node.classList.toggle("open", !!row && row.id === this.open);
    }
  }

  async move(count) {
    return this.goto(this.cursor + count);
  }

  async goto(index) {
    if (!this.total) return null;
    this.cursor = Math.max(0, Math.min(this.total - 1, index));
    const top = this.cursor * ROW_PX, { scrollTop, clientHeight } = this.box;
    if (top < scrollTop) this.box.scrollTop = top;
    else if (top + ROW_PX > scrollTop + clientHeight) this.box.scrollTop = top + ROW_PX - clientHeight;
    this.mark();
    return this.row(this.cursor);
  }
}

function makeThumb(row) {
  const frame = el("span", { class: "thumb" });
  if (!row.videos.includes("overlay.mp4")) return frame;
  const image = el("img", { src: thumbOf(row), alt: "", decoding: "async" });
  image.addEventListener("error", () => image.remove());
  frame.append(image);
  return frame;
}

function trustBar(trust) {
  if (trust === null) return el("span", { class: "trusting" });
  const bar = el("i");
  bar.style.setProperty("--share", `${Math.round(100 * trust)}%`);
  return el("span", { class: `trusting ${trustWord(trust)}`, title: "Mean trust" }, bar, el("b", { class: "figures", text: trust.toFixed(2) }));
}
