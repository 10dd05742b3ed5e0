// One clip opened in the review: the viewer, with the verdicts on the clip and on the chosen person over it.

export class Player {
  constructor(onSaved, onClose, onNeighbour) {
    Object.assign(this, { onSaved, viewer: null, id: null, rows: [], turn: 0 });
    const saved = (clip, person, verdict, note) => this.saved(clip, person, verdict, note);
    this.ofClip = new VerdictBox("Clip", false, saved);
    this.ofPerson = new VerdictBox("Person", true, saved);
    this.ofPerson.box.classList.add("of-person");
    this.name = el("h2");
    this.facts = el("p");
    this.advance = el("input", { type: "checkbox", id: "advance" });
    this.advance.checked = recall("advance") === "yes";
    this.advance.addEventListener("change", () => remember("advance", this.advance.checked ? "yes" : "no"));
    const quiet = (id, text, title, act) => el("button", { id, class: "quiet", text, title, "aria-label": title, onclick: act });
    this.stage = el("div");
    this.box = el("section", { class: "player", "aria-label": "Clip", hidden: true },
      el("div", { class: "head" }, quiet("close", "✕", "Back to the list (Esc)", onClose), el("div", { class: "names" }, this.name, this.facts), el("span", { class: "gap" }),
        el("label", { class: "advance", title: "Open the next clip after a verdict" }, this.advance, "Go on after a verdict"),
        quiet("previous", "‹ Previous", "Previous of the list (K)", () => onNeighbour(-1)), quiet("next", "Next ›", "Next of the list (J)", () => onNeighbour(1))),
      el("div", { class: "verdicts" }, this.ofClip.box, this.ofPerson.box), this.stage);
  }

  async show(id, person) {
    const turn = ++this.turn;
    this.close();
    this.id = id;
    this.box.hidden = false;
    this.stage.replaceChildren(el("p", { class: "loading", text: "Loading …" }));
    try {
      const { rows } = await get(`/api/clip/${id}`);
      if (turn !== this.turn) return;
      this.rows = rows;
      this.name.textContent = rows[0].name;
      this.name.title = rows[0].folder;
      this.facts.textContent = rows[0].folder;
      this.ofClip.show(id, 0, rows[0]);
      this.ofPerson.box.hidden = true;
      const raw = await get(`/api/clip/${id}/view`);
      if (turn !== this.turn) return;
      this.mount(new ClipData(raw), person);
    } catch (error) {
      if (turn === this.turn) this.stage.replaceChildren(el("p", { class: "loading bad", text: error.message }));
    }
  }

  mount(data, person) {
    this.facts.textContent = factsOf(data);
    const root = el("div"), id = this.id;
    this.badges = new Map();
    this.stage.replaceChildren(root);
    root.addEventListener("chosen", (event) => this.choosePerson(event.detail));
    this.viewer = new Viewer(root, data, (name) => `/media/${id}/${name}`, (of) => {
      const badge = el("span", { class: "badge" });
      this.badges.set(of.number, badge);
      return badge;
    });
    for (const number of this.badges.keys()) this.fillBadge(number);
    if (person) this.viewer.choose(person, true);
  }

  rowOf(number) {
    return this.rows.find((row) => row.number === number);
  }

  fillBadge(number) {
    const row = this.rowOf(number), badge = this.badges?.get(number);
    if (!badge) return;
    badge.textContent = row?.verdict ? VERDICT_WORDS[row.verdict] : "";
    badge.className = `badge ${(row?.verdict || "").replace(" ", "-")}`;
    badge.hidden = !row?.verdict;
  }

  choosePerson(number) {
    const row = this.rowOf(number);
    this.ofPerson.box.hidden = !row;
    if (row) this.ofPerson.show(this.id, number, row, `Person ${number}`);
  }

  saved(clip, person, verdict, note) {
    if (clip === this.id) {
      const row = this.rowOf(person);
      if (row) Object.assign(row, { verdict, note, stale: false });
      this.fillBadge(person);
    }
    this.onSaved(clip, person, verdict, note);
  }

  close() {
    this.ofClip.flush();
    this.ofPerson.flush();
    this.viewer?.stop();
    this.viewer = null;
    this.badges = null;
    this.stage.replaceChildren();
    this.box.hidden = true;
    this.id = null;
  }

  key(event) {
    if (event.key === "N" && !this.ofPerson.box.hidden) this.ofPerson.note.focus();
    else if (event.key === "n") this.ofClip.note.focus();
    else return this.viewer ? this.viewer.key(event) : false;
    return true;
  }
}
