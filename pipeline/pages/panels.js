// The parts around the pictures: the transport, the row of people, and what the flags and warnings say.

export function makeTransport(clock, timesOf) {
  const play = el("button", { id: "play", class: "main round", title: "Play or pause (Space)", "aria-label": "Play or pause", onclick: () => clock.toggle() });
  const back = el("button", { id: "back", class: "quiet", title: "A frame back (←)", "aria-label": "A frame back", onclick: () => clock.step(-1, timesOf()) }, icon(ICONS.back));
  const forward = el("button", { id: "forward", class: "quiet", title: "A frame on (→)", "aria-label": "A frame on", onclick: () => clock.step(1, timesOf()) }, icon(ICONS.forward));
  const bar = el("input", { id: "seek", type: "range", min: "0", max: "10000", step: "1", value: "0", "aria-label": "Time" });
  bar.addEventListener("input", () => clock.seek(clock.first + Number(bar.value) / 10000 * (clock.last - clock.first)));
  const now = el("output", { id: "now", class: "figures" });
  const speed = el("select", { id: "speed", title: "Speed (< and >)", "aria-label": "Speed" }, ...clock.speeds.map((value) => el("option", { value: String(value), text: `${value}×` })));
  speed.addEventListener("change", () => clock.setSpeed(Number(speed.value)));
  let playing = null;
  clock.listen(() => {
    if (playing !== clock.playing) {
      playing = clock.playing;
      play.replaceChildren(icon(playing ? ICONS.pause : ICONS.play));
    }
    const share = (clock.time - clock.first) / (clock.last - clock.first);
    bar.value = String(Math.round(10000 * share));
    bar.style.setProperty("--share", `${100 * share}%`);
    now.textContent = `${clockText(clock.time)} / ${clockText(clock.last)}`;
    speed.value = String(clock.speed);
  });
  return el("div", { class: "transport" }, back, play, forward, bar, now, speed);
}

export function trustWord(trust) {
  return trust >= 0.6 ? "good" : trust >= 0.3 ? "warn" : "bad";
}

// A chip a person; `extra(person)` may add to it (the review puts verdicts there).
export function makePeople(data, clock, choose, extra) {
  const chips = new Map(data.people.map((person) => {
    const flags = data.flagged([person]);
    const chip = el("button", { class: "person", "data-person": String(person.number), colour: person.colour, title: `Person ${person.number}: ${clockText(person.first)} to ${clockText(person.last)}, mean trust ${person.meanTrust.toFixed(2)}`, onclick: () => choose(person.number, true) },
      el("i"), el("b", { text: String(person.number) }),
      el("span", { class: `trust ${trustWord(person.meanTrust)}`, text: person.meanTrust.toFixed(2) }),
      flags.length ? el("span", { class: "count", text: plural(flags.length, "flag", "flags") }) : null,
      extra ? extra(person) : null);
    return [person.number, chip];
  }));
  clock.listen(() => {
    for (const person of data.people) chips.get(person.number).classList.toggle("away", !person.present(clock.time));
  });
  const row = el("div", { class: "people", role: "group", "aria-label": "People" }, ...chips.values());
  return { row, chips, mark: (number) => chips.forEach((chip, of) => press(chip, of === number)) };
}

// Each flag with its sentence and how often it is raised; a click goes to the first time. Then the warnings.
export function makeNotes(data, clock) {
  const box = el("div", { class: "notes" });
  const fill = (person) => {
    const flags = data.flagged(person ? [person] : []);
    const items = flags.map((flag) => el("button", { class: "flag", "data-flag": flag.id, title: "Go to the first time", onclick: () => clock.seek(flag.first) },
      el("i", { colour: `var(${flagInk(flag.number)})` }), el("b", { text: flagWords(flag.id) }),
      el("span", { text: flag.sentence }), el("small", { class: "figures", text: `${percent(flag.share)} · ${clockText(flag.first)}` })));
    const warnings = data.warnings.map((text) => el("p", { class: "warning", text }));
    box.replaceChildren(...items, ...warnings);
    box.hidden = !items.length && !warnings.length;
  };
  return { box, fill };
}

export function factsOf(data) {
  const [width, height] = data.size, { people } = data;
  const facts = [`${width} × ${height}`, clockText(data.last_s, 1), plural(people.length, "person", "people"), data.calibration];
  return facts.filter(Boolean).join("  ·  ");
}

export function samplingWords(data) {
  const words = [];
  if (data.pose_every > 1) words.push(`bodies: every ${data.pose_every}th frame`);
  if (data.point_every > 1) words.push(`timelines: ${data.point_every} frames a point`);
  return words.length ? `Long clip: ${words.join(", ")}. The files hold every frame.` : "";
}
