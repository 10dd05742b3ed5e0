// The bar over the list: what to list and in which order. It keeps its choices in the address, so a reload keeps them too.

const VERDICT_FILTERS = [["", "All"], ["none", "To do"], ["accept", "Accepted"], ["needs work", "Needs work"], ["reject", "Rejected"]];
const SORTS = [["trust", "Trust"], ["flagged", "Flagged"], ["name", "Name"], ["finished", "Finished"], ["duration", "Duration"], ["people", "People"], ["verdict", "Verdict"]];
const START = { of: "clips", text: "", verdict: "", flag: "", sort: "trust", descending: "" };

export class Filters {
  constructor(onChange) {
    this.onChange = onChange;
    this.query = { ...START };
    const asked = new URLSearchParams(location.search);
    for (const name of Object.keys(START)) if (asked.has(name)) this.query[name] = asked.get(name);
    this.search = el("input", { id: "search", type: "search", placeholder: "Find a clip or a note  (/)", "aria-label": "Find", value: this.query.text });
    let timer = 0;
    this.search.addEventListener("input", () => {
      clearTimeout(timer);
      timer = setTimeout(() => this.set({ text: this.search.value.trim() }), 150);
    });
    this.of = new Map([["clips", "Clips"], ["people", "People"]].map(([of, name]) => [of, el("button", { "data-of": of, text: name, onclick: () => this.set({ of }) })]));
    this.verdicts = new Map(VERDICT_FILTERS.map(([verdict, name]) => [verdict, el("button", { "data-filter": verdict, onclick: () => this.set({ verdict }) }, name, el("small", { class: "figures" }))]));
    this.flag = el("select", { id: "flag", "aria-label": "Flag" });
    this.flag.addEventListener("change", () => this.set({ flag: this.flag.value }));
    this.sort = el("select", { id: "sort", "aria-label": "Sort by" }, ...SORTS.map(([value, text]) => el("option", { value, text })));
    this.sort.addEventListener("change", () => this.set({ sort: this.sort.value }));
    this.direction = el("button", { id: "direction", title: "Turn the order round", "aria-label": "Turn the order round", onclick: () => this.set({ descending: this.query.descending ? "" : "1" }) });
    this.bar = el("div", { class: "filters", role: "search" }, this.search, el("div", { class: "segments" }, ...this.of.values()), el("div", { class: "segments" }, ...this.verdicts.values()),
      this.flag, el("span", { class: "gap" }), el("label", { class: "sorting" }, "Sort ", this.sort), this.direction);
    this.show({ flags: {}, verdicts: {}, clips: 0 });
  }

  set(change) {
    Object.assign(this.query, change);
    const asked = new URLSearchParams(Object.entries(this.query).filter(([name, value]) => value !== START[name]));
    history.replaceState(null, "", `${location.pathname}${asked.size ? `?${asked}` : ""}${location.hash}`);
    this.mark();
    this.onChange(this.query);
  }

  // The counts of the overview, and the flags that there are.
  show(overview) {
    const counts = { "": overview.clips, none: overview.verdicts[""] || 0, ...overview.verdicts };
    counts[""] = overview.clips;
    for (const [verdict, button] of this.verdicts) button.querySelector("small").textContent = counts[verdict] ? ` ${counts[verdict]}` : "";
    const flags = Object.entries(overview.flags);
    if (this.query.flag && !(this.query.flag in overview.flags)) flags.push([this.query.flag, 0]);
    this.flag.replaceChildren(el("option", { value: "", text: "Any flags" }), ...flags.map(([id, count]) => el("option", { value: id, text: `${flagWords(id)} (${count})` })));
    this.mark();
  }

  mark() {
    const { query } = this;
    for (const [of, button] of this.of) press(button, of === query.of);
    for (const [verdict, button] of this.verdicts) press(button, verdict === query.verdict);
    this.flag.value = query.flag;
    this.sort.value = query.sort;
    this.direction.textContent = query.descending ? "↓" : "↑";
  }
}
