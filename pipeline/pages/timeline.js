// Timelines on one canvas: a lane a person on top, then the chosen person's curves. Drawn anew when time or choice move.

const GUTTER = 124, VALUES = 96;
const LANE = 12, GAP = 3, MOST_LANES = 14;
const ROW = 46;
const FLAG_ROW = 11;

export const ROWS = [
  { id: "position", name: "Position", unit: "m", parts: ["x", "y", "z"] },
  { id: "speed", name: "Speed", unit: "m/s", zero: true },
  { id: "hip", name: "Hip height", unit: "m", zero: true },
  { id: "spread", name: "Spread", unit: "m", zero: true },
  { id: "contact", name: "Contact" },
  { id: "trust", name: "Trust", zero: true, most: 1 },
];
const AXES = ["--axis-x", "--axis-y", "--axis-z"];
const FLAG_INKS = ["--flag-1", "--flag-2", "--flag-3", "--flag-4"];

export function flagInk(number) {
  return FLAG_INKS[number % FLAG_INKS.length];
}

export class Timelines {
  constructor(container, data, clock, onPick) {
    Object.assign(this, { container, data, clock, onPick, person: data.people[0] || null, hover: null, due: false });
    this.from = clock.first;
    this.to = clock.last;
    this.lanes = stack(data.people);
    this.canvas = document.createElement("canvas");
    this.canvas.setAttribute("aria-label", "Timelines: click or drag to go to a moment, wheel with Ctrl to zoom");
    container.append(this.canvas);
    this.pen = this.canvas.getContext("2d");
    this.restyle = () => this.invalidate();
    document.addEventListener("themechange", this.restyle);
    this.sizes = new ResizeObserver(() => this.resize());
    this.sizes.observe(container);
    this.watchPointer();
    clock.listen(() => this.follow());
    this.resize();
  }

  get laneHeight() {
    return this.lanes.count ? this.lanes.count * (LANE + GAP) + 22 : 22;
  }

  get height() {
    return this.laneHeight + (this.person ? ROWS.length * ROW + this.flagHeight : 0) + 8;
  }

  get flagHeight() {
    return this.data.flags.length ? this.data.flags.length * FLAG_ROW + 14 : 0;
  }

  resize() {
    this.width = Math.max(240, this.container.clientWidth);
    const ratio = Math.min(devicePixelRatio, 2);
    this.canvas.width = this.width * ratio;
    this.canvas.height = this.height * ratio;
    this.canvas.style.height = `${this.height}px`;
    this.pen.setTransform(ratio, 0, 0, ratio, 0, 0);
    this.draw();
  }

  choose(number) {
    this.person = this.data.person(number);
    this.resize();
  }

  // Show `share` as much of the time as now, about the present moment.
  zoom(share, about = this.clock.time) {
    const whole = this.clock.last - this.clock.first;
    const span = Math.min(whole, Math.max(0.5, (this.to - this.from) * share));
    const kept = (about - this.from) / (this.to - this.from);
    this.from = Math.max(this.clock.first, Math.min(this.clock.last - span, about - kept * span));
    this.to = this.from + span;
    this.invalidate();
  }

  fit() {
    [this.from, this.to] = [this.clock.first, this.clock.last];
    this.invalidate();
  }

  follow() {
    const { time } = this.clock, span = this.to - this.from;
    if (time < this.from || time > this.to) {
      this.from = Math.max(this.clock.first, Math.min(this.clock.last - span, time - 0.1 * span));
      this.to = this.from + span;
    }
    this.invalidate();
  }

  x(time) {
    return GUTTER + (time - this.from) / (this.to - this.from) * (this.width - GUTTER - VALUES);
  }

  timeAt(x) {
    return this.from + (x - GUTTER) / (this.width - GUTTER - VALUES) * (this.to - this.from);
  }

  watchPointer() {
    let dragging = false;
    const at = (event) => {
      const box = this.canvas.getBoundingClientRect();
      return [event.clientX - box.left, event.clientY - box.top];
    };
    this.canvas.addEventListener("pointerdown", (event) => {
      const [x, y] = at(event), person = this.laneAt(x, y);
      if (person) this.onPick(person.number);
      dragging = true;
      this.canvas.setPointerCapture(event.pointerId);
      this.clock.seek(this.timeAt(x));
    });
    this.canvas.addEventListener("pointermove", (event) => {
      const [x] = at(event);
      this.hover = x > GUTTER && x < this.width - VALUES ? x : null;
      if (dragging) this.clock.seek(this.timeAt(x));
      this.invalidate();
    });
    for (const name of ["pointerup", "pointercancel"]) this.canvas.addEventListener(name, () => { dragging = false; });
    this.canvas.addEventListener("pointerleave", () => { this.hover = null; this.invalidate(); });
    this.canvas.addEventListener("wheel", (event) => {
      if (!event.ctrlKey) return;
      event.preventDefault();
      this.zoom(event.deltaY > 0 ? 1.25 : 0.8, this.timeAt(at(event)[0]));
    }, { passive: false });
  }

  laneAt(x, y) {
    const lane = Math.floor((y - 4) / (LANE + GAP)), time = this.timeAt(x);
    return this.data.people.find((person) => this.lanes.of.get(person) === lane && person.first <= time && time <= person.last);
  }

  invalidate() {
    if (this.due) return;
    this.due = true;
    requestAnimationFrame(() => { this.due = false; this.draw(); });
  }

  draw() {
    const { pen } = this;
    pen.clearRect(0, 0, this.width, this.height);
    pen.font = "12px system-ui, sans-serif";
    pen.textBaseline = "middle";
    this.drawLanes();
    if (this.person) {
      ROWS.forEach((row, number) => this.drawRow(row, this.laneHeight + number * ROW));
      this.drawFlags(this.laneHeight + ROWS.length * ROW);
    }
    this.drawCursor();
  }

  words(text, x, y, colour, align = "left") {
    this.pen.fillStyle = ink(colour);
    this.pen.textAlign = align;
    this.pen.fillText(text, x, y);
  }

  drawLanes() {
    const { pen } = this, right = this.width - VALUES;
    this.words("People", 12, 4 + LANE / 2, "--dim");
    pen.save();
    pen.beginPath();
    pen.rect(GUTTER, 0, right - GUTTER, this.height);
    pen.clip();
    for (const person of this.data.people) {
      const y = 4 + this.lanes.of.get(person) * (LANE + GAP), chosen = person === this.person;
      const x = this.x(person.first), wide = Math.max(2, this.x(person.last + person.slack) - x);
      pen.globalAlpha = chosen ? 1 : 0.55;
      pen.fillStyle = person.colour;
      pen.beginPath();
      pen.roundRect(x, y, wide, LANE, 3);
      pen.fill();
      pen.globalAlpha = 1;
      if (wide > 18) {
        pen.font = "600 10px system-ui, sans-serif";
        this.words(String(person.number), Math.max(x, GUTTER) + 5, y + LANE / 2 + 0.5, "--on-person");
        pen.font = "12px system-ui, sans-serif";
      }
    }
    pen.restore();
    this.drawTicks(this.laneHeight - 10);
  }

  drawTicks(y) {
    const span = this.to - this.from, room = (this.width - GUTTER - VALUES) / 84;
    const step = [0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800].find((s) => span / s <= room) || 3600;
    for (let time = Math.ceil(this.from / step) * step; time <= this.to; time += step) {
      this.words(clockText(time, step < 1 ? 1 : 0), this.x(time), y, "--dim", "center");
      this.pen.fillStyle = ink("--rule");
      this.pen.fillRect(this.x(time), this.laneHeight, 1, this.height - this.laneHeight);
    }
  }

  drawRow(row, y) {
    const { pen, person } = this, right = this.width - VALUES;
    pen.fillStyle = ink("--rule");
    pen.fillRect(GUTTER, y + ROW - 1, right - GUTTER, 1);
    this.words(row.name, 12, y + ROW / 2 - (row.unit ? 7 : 0), "--ink");
    if (row.unit) this.words(row.unit, 12, y + ROW / 2 + 9, "--dim");
    if (row.id === "contact") return this.drawContact(y);
    const curves = row.parts
      ? row.parts.map((_, axis) => [(i) => person.root[3 * i + axis], ink(AXES[axis])])
      : [[(i) => person[row.id][i], row.id === "trust" ? ink("--good") : person.colour]];
    const [low, high] = this.range(row, curves.map(([value]) => value));
    pen.font = "10px system-ui, sans-serif";
    this.words(shortNumber(high), GUTTER - 6, y + 8, "--dim", "right");
    this.words(shortNumber(low), GUTTER - 6, y + ROW - 8, "--dim", "right");
    pen.font = "12px system-ui, sans-serif";
    pen.save();
    pen.beginPath();
    pen.rect(GUTTER, y + 2, right - GUTTER, ROW - 5);
    pen.clip();
    for (const [value, colour] of curves) this.curve(value, colour, (v) => y + ROW - 6 - (v - low) / (high - low) * (ROW - 13));
    pen.restore();
    return this.drawValues(row, y);
  }

  range(row, curves) {
    let low = row.zero ? 0 : Infinity, high = row.most || -Infinity;
    const count = this.person.time.length, every = Math.max(1, Math.floor(count / 4000));
    for (const value of curves) {
      for (let i = 0; i < count; i += every) {
        const v = value(i);
        if (v < low) low = v;
        if (v > high) high = v;
      }
    }
    if (!(high > low)) return [Number.isFinite(low) ? low - 0.5 : 0, Number.isFinite(low) ? low + 0.5 : 1];
    return [low, high];
  }

  // However many points there are, at most one stroke a pixel: from the lowest to the highest within it.
  curve(value, colour, y) {
    const { pen, person } = this, first = placeOf(person.time, this.from), last = Math.min(person.time.length - 1, placeOf(person.time, this.to) + 1);
    pen.strokeStyle = colour;
    pen.lineWidth = 1.5;
    pen.lineJoin = "round";
    pen.beginPath();
    let column = null, low = 0, high = 0, broken = true;
    const flush = () => {
      if (column === null) return;
      if (broken) pen.moveTo(column, y(low));
      else pen.lineTo(column, y(low));
      if (high !== low) pen.lineTo(column, y(high));
      broken = false;
      column = null;
    };
    const dense = last - first > this.width;
    for (let i = first; i <= last; i++) {
      const v = value(i), x = dense ? Math.round(this.x(person.time[i])) : this.x(person.time[i]);
      if (!Number.isFinite(v)) { flush(); broken = true; continue; }
      if (column === x) { low = Math.min(low, v); high = Math.max(high, v); } else { flush(); column = x; low = high = v; }
    }
    flush();
    pen.stroke();
  }

  // Stretches of the timelines in which `test` holds, as boxes.
  bands(test, y, height, colour) {
    const { pen, person } = this, last = Math.min(person.time.length - 1, placeOf(person.time, this.to) + 1);
    pen.save();
    pen.beginPath();
    pen.rect(GUTTER, y, this.width - VALUES - GUTTER, height);
    pen.clip();
    pen.fillStyle = colour;
    for (let i = placeOf(person.time, this.from), start = null; i <= last; i++) {
      if (test(i) && start === null) start = person.time[i];
      if (start === null || (test(i) && i < last)) continue;
      pen.fillRect(this.x(start), y, Math.max(1.5, this.x(test(i) ? person.last + person.slack : person.time[i]) - this.x(start)), height);
      start = null;
    }
    pen.restore();
  }

  drawContact(y) {
    const { contact } = this.person, place = this.person.place(this.clock.time);
    ["left", "right"].forEach((name, foot) => {
      const top = y + 8 + foot * 16;
      this.words(name[0].toUpperCase(), GUTTER - 12, top + 6, "--dim", "center");
      this.bands((i) => contact[i] & (1 << foot), top, 12, this.person.colour);
    });
    if (this.person.present(this.clock.time)) {
      this.words(["none", "left", "right", "both"][contact[place]], this.width - VALUES + 10, y + ROW / 2, "--ink");
    }
    return null;
  }

  drawValues(row, y) {
    const { person } = this, x = this.width - VALUES + 10;
    if (!person.present(this.clock.time)) return this.words("not there", x, y + ROW / 2, "--dim");
    const place = person.place(this.clock.time);
    if (row.parts) {
      return row.parts.forEach((name, axis) => {
        const line = y + ROW / 2 + (axis - 1) * 13;
        this.words(name, x, line, AXES[axis]);
        this.words(person.root[3 * place + axis].toFixed(2), x + 56, line, "--ink", "right");
      });
    }
    const value = person[row.id][place];
    return this.words(Number.isFinite(value) ? value.toFixed(2) : "–", x, y + ROW / 2, "--ink");
  }

  drawFlags(y) {
    if (!this.data.flags.length) return;
    this.words("Flags", 12, y + 12, "--ink");
    this.data.flags.forEach((_flag, number) => {
      this.bands((i) => this.person.flags[i] & (1 << number), y + 6 + number * FLAG_ROW, FLAG_ROW - 3, ink(flagInk(number)));
    });
    const raised = this.person.present(this.clock.time) ? this.person.raised(this.person.place(this.clock.time), this.data.flags.length) : [];
    this.words(raised.length ? `${raised.length} raised` : "none", this.width - VALUES + 10, y + 12, raised.length ? "--warn" : "--dim");
  }

  drawCursor() {
    const { pen } = this, x = this.x(this.clock.time);
    if (this.hover !== null) {
      pen.fillStyle = ink("--dim");
      pen.fillRect(this.hover, this.laneHeight, 1, this.height - this.laneHeight - 4);
      this.words(clockText(this.timeAt(this.hover)), this.hover + 5, this.laneHeight + 8, "--dim");
    }
    if (x < GUTTER - 1 || x > this.width - VALUES + 1) return;
    pen.fillStyle = ink("--accent");
    pen.fillRect(x - 0.75, 0, 1.5, this.height - 4);
  }

  stop() {
    document.removeEventListener("themechange", this.restyle);
    this.sizes.disconnect();
  }
}

function shortNumber(value) {
  return Math.abs(value) >= 100 ? value.toFixed(0) : Math.abs(value) >= 10 ? value.toFixed(1) : String(Number(value.toFixed(2)));
}

// Lanes for `people`, as few as their times allow; when there are too many, they share.
function stack(people) {
  const ends = [], of = new Map();
  for (const person of [...people].sort((a, b) => a.first - b.first)) {
    let lane = ends.findIndex((end) => end < person.first);
    if (lane < 0) lane = ends.length < MOST_LANES ? ends.length : ends.indexOf(Math.min(...ends));
    ends[lane] = person.last;
    of.set(person, lane);
  }
  return { of, count: ends.length };
}
