// What the reviewer says of a clip or of one person: three buttons and a note, saved as soon as they change.

const CHOICES = [["accept", "Accept", "A"], ["needs work", "Needs work", "W"], ["reject", "Reject", "R"]];
const PAUSE_MS = 500;

export class VerdictBox {
  // `onSaved(person, verdict, note)` hears of what was saved; `shift`: the keys are those with Shift.
  constructor(title, shift, onSaved) {
    Object.assign(this, { onSaved, clip: null, person: 0, verdict: "", timer: 0 });
    this.buttons = new Map(CHOICES.map(([verdict, word, key]) => [verdict, el("button", { "data-verdict": verdict, class: `choice ${verdict.replace(" ", "-")}`, title: `${word} (${shift ? "Shift " : ""}${key})`, onclick: () => this.choose(verdict) }, word, el("kbd", { text: shift ? `⇧${key}` : key }))]));
    this.title = el("b", { text: title });
    this.note = el("textarea", { rows: 1, class: "note", maxLength: 4000, placeholder: `Note (${shift ? "Shift " : ""}N)`, "aria-label": `Note on the ${title.toLowerCase()}` });
    this.note.addEventListener("input", () => {
      clearTimeout(this.timer);
      this.timer = setTimeout(() => this.save(), PAUSE_MS);
    });
    this.note.addEventListener("blur", () => this.flush());
    this.note.addEventListener("keydown", (event) => {
      if (event.key !== "Escape" && (event.key !== "Enter" || event.shiftKey)) return;
      event.preventDefault();
      event.stopPropagation();
      this.note.blur();
    });
    this.state = el("small", { class: "state", role: "status" });
    this.box = el("div", { class: "verdict" }, this.title, el("div", { class: "segments" }, ...this.buttons.values()), this.note, this.state);
  }

  show(clip, person, row, title) {
    this.flush();
    Object.assign(this, { clip, person, verdict: row.verdict });
    this.note.value = this.kept = row.note;
    if (title) this.title.textContent = title;
    this.state.textContent = row.stale ? "The motion has changed since this verdict" : "";
    this.state.classList.toggle("stale", row.stale);
    this.mark();
  }

  mark() {
    for (const [verdict, button] of this.buttons) press(button, verdict === this.verdict);
  }

  // The same again takes it back. Whether a verdict stands now.
  async choose(verdict) {
    this.verdict = this.verdict === verdict ? "" : verdict;
    this.mark();
    const stands = this.verdict !== "";
    await this.save();
    return stands;
  }

  flush() {
    if (this.clip !== null && this.note.value !== this.kept) this.save();
  }

  async save() {
    clearTimeout(this.timer);
    const { clip, person, verdict } = this, note = this.note.value;
    this.kept = note;
    try {
      await say(clip, person, verdict, note);
      if (clip === this.clip && person === this.person) {
        this.state.textContent = "Saved";
        this.state.classList.remove("stale");
      }
      this.onSaved(clip, person, verdict, note);
    } catch (error) {
      this.kept = null;
      this.state.textContent = `Not saved: ${error.message}`;
      this.state.classList.add("stale");
    }
  }
}
