// The review's page: the list, the clip that is open, and the keys that make it quick.

const VERDICT_KEYS = { a: "accept", r: "reject", w: "needs work" };
const REVIEW_KEYS = [
  ["A R W", "accept, reject, needs work"], ["Shift A R W", "the same, of the person"], ["N  Shift N", "note on the clip, on the person"],
  ["J K", "next, previous of the list"], ["↓ ↑", "the same, in the list"], ["Enter", "open"], ["Esc", "back to the list"], ["/", "find"], ["?", "keys"],
];

const filters = new Filters((query) => list(query));
const rows = new Rows((row, index) => open(row, index), () => sayTotal());
const player = new Player((clip, person, verdict, note) => afterSaving(clip, person, verdict, note), () => close(), (count) => neighbour(count));
const keys = keysDialog([["Review", REVIEW_KEYS], ["Clip", VIEWER_KEYS]]);
const count = el("p", { id: "count" });
let overview = null, looking = false;

document.body.prepend(
  el("header", { class: "top" },
    el("div", { class: "names" }, el("h1", { text: document.querySelector('meta[name="root"]').content }), count), el("span", { class: "gap" }),
    el("button", { id: "rescan", class: "quiet", text: "Look again", title: "Look for new results in the folder", onclick: () => rescan() }),
    el("a", { class: "button", id: "csv", href: "/verdicts.csv", download: "verdicts.csv", text: "CSV" }),
    el("a", { class: "button", id: "json", href: "/verdicts.json", download: "verdicts.json", text: "JSON" }),
    el("button", { class: "quiet", id: "help", title: "Keys (?)", "aria-label": "Keys", text: "?", onclick: () => keys.showModal() }), themeButton()),
  el("main", { class: "desk" }, el("section", { class: "results", "aria-label": "Results" }, filters.bar, rows.box), player.box),
);

async function list(query, keep = false) {
  try {
    await rows.ask(query, keep);
  } catch (error) {
    rows.say(`The list cannot be had: ${error.message}. Does mocap-video review still run?`);
  }
}

function sayTotal() {
  const { of } = rows.query, parts = { clips: ["clip", "clips"], people: ["person", "people"] };
  if (overview?.scanning) count.textContent = `Reading results … ${overview.scanned} of ${overview.to_scan}`;
  else if (overview) {
    const words = Object.entries(parts).map(([part, name]) => (part === of && rows.total !== overview[part] ? `${rows.total} of ` : "") + plural(overview[part], ...name));
    count.textContent = words.join(" · ");
  }
  if (rows.total) return rows.say("");
  return rows.say(overview && overview.clips ? "Nothing fits these filters." : overview && !overview.scanning ? "No results here yet. `mocap-video run` and `batch` write them; each has a report.json." : "");
}

// Ask how the scan goes until it is done; the list is shown meanwhile and grows.
async function look() {
  if (looking) return;
  looking = true;
  try {
    for (let before = -1; ;) {
      overview = await get("/api/overview");
      filters.show(overview);
      if (overview.clips !== before || !overview.scanning) await list(filters.query, before >= 0);
      before = overview.clips;
      sayTotal();
      if (!overview.scanning) break;
      await new Promise((done) => setTimeout(done, 400));
    }
  } finally {
    looking = false;
  }
}

async function rescan() {
  await post("/api/scan");
  await look();
}

function open(row, index) {
  if (index !== undefined) rows.cursor = index;
  location.hash = row.number ? `#clip=${row.id}&person=${row.number}` : `#clip=${row.id}`;
}

function close() {
  location.hash = "";
}

// The address says what is open, so that Back and a reload do what one expects.
function route() {
  const asked = new URLSearchParams(location.hash.slice(1)), id = Number(asked.get("clip")), person = Number(asked.get("person"));
  document.body.classList.toggle("opened", id > 0);
  rows.open = id || null;
  if (id > 0) player.show(id, person || 0);
  else player.close();
  rows.draw();
}

async function neighbour(by) {
  const row = await rows.move(by);
  if (row && player.id !== null) open(row);
}

async function afterSaving(clip, person, verdict, note) {
  rows.said(clip, person, verdict, note);
  overview = await get("/api/overview");
  filters.show(overview);
}

async function judge(verdict, ofPerson) {
  if (player.id === null) {
    const row = await rows.row(rows.cursor);
    if (!row) return;
    const now = row.verdict === verdict ? "" : verdict;
    await say(row.id, row.number, now, row.note);
    await afterSaving(row.id, row.number, now, row.note);
    return;
  }
  const box = ofPerson ? player.ofPerson : player.ofClip;
  if (box.box.hidden) return;
  const stands = await box.choose(verdict);
  if (stands && !ofPerson && player.advance.checked) await neighbour(1);
}

function listKey(event) {
  const moves = { j: 1, k: -1, J: 1, K: -1 };
  if (event.key in moves) return neighbour(moves[event.key]);
  if (player.id !== null) return null;
  const steps = { ArrowDown: 1, ArrowUp: -1, PageDown: 8, PageUp: -8, Home: -Infinity, End: Infinity };
  if (event.key in steps) return rows.goto(rows.cursor + steps[event.key]);
  if (event.key === "Enter") return rows.row(rows.cursor).then((row) => row && open(row));
  return null;
}

onKeys((event) => {
  const verdict = VERDICT_KEYS[event.key.toLowerCase()];
  if (verdict) judge(verdict, event.shiftKey);
  else if (event.key === "?") keys.showModal();
  else if (event.key === "/") filters.search.focus();
  else if (event.key === "Escape" && player.id !== null) close();
  else return listKey(event) !== null || player.key(event);
  return true;
});
addEventListener("hashchange", route);
route();
look();
