// What the page is told of a clip, unpacked: arrays of numbers, and where in them a moment is.

const KINDS = {
  f4: Float32Array, f8: Float64Array, i1: Int8Array, i2: Int16Array, u1: Uint8Array, u2: Uint16Array, u4: Uint32Array,
};
const MISSING = { i1: -128, i2: -32768 };

export function unpack(packed) {
  const bytes = Uint8Array.from(atob(packed.data), (letter) => letter.charCodeAt(0));
  const numbers = new KINDS[packed.kind](bytes.buffer);
  if (!(packed.kind in MISSING)) return numbers;
  const missing = MISSING[packed.kind];
  return Float32Array.from(numbers, (number) => (number === missing ? NaN : number * packed.scale));
}

// The last place in `times` that is not after `time`; 0 before the first.
export function placeOf(times, time) {
  let low = 0, high = times.length - 1;
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (times[middle] <= time + 1e-4) low = middle;
    else high = middle - 1;
  }
  return low;
}

export class Person {
  constructor(view, data) {
    Object.assign(this, { number: view.number, colour: view.colour, meanTrust: view.mean_trust, hasMesh: view.has_mesh });
    this.frames = view.frames;
    for (const name of ["betas", "rotvec", "trans", "time", "root", "speed", "hip", "spread", "trust", "contact", "flags", "seen"]) {
      this[name] = unpack(view[name]);
    }
    this.restJoints = unpack(view.rest_joints);
    this.poseTime = unpack(view.pose_time);
    this.first = Math.min(this.time[0], this.poseTime[0]);
    this.last = Math.max(this.time[this.time.length - 1], this.poseTime[this.poseTime.length - 1]);
    this.slack = 0.6 * data.point_every / Math.max(data.rate, 1);
    this.interpolates = data.pose_every > 1;
  }

  present(time) {
    return time >= this.first - 1e-3 && time <= this.last + this.slack;
  }

  place(time) {
    return placeOf(this.time, time);
  }

  // The pose at `time`: the two kept ones around it and how far it is between them. Each is shown as it is where all
  // were kept.
  pose(time) {
    const before = placeOf(this.poseTime, time), after = Math.min(before + 1, this.poseTime.length - 1);
    const span = this.poseTime[after] - this.poseTime[before];
    const between = this.interpolates && span > 0 ? (time - this.poseTime[before]) / span : 0;
    return { before, after, between: Math.min(1, Math.max(0, between)) };
  }

  // The flags raised at a place of the timelines, as numbers of the page's list.
  raised(place, count) {
    const bits = this.flags[place];
    return Array.from({ length: count }, (_, flag) => flag).filter((flag) => bits & (1 << flag));
  }
}

export class ClipData {
  constructor(raw) {
    Object.assign(this, raw);
    this.people = raw.people.map((view) => new Person(view, raw));
    this.duration = Math.max(this.last_s - this.first_s, 1e-3);
    this.body = raw.body && {
      count: raw.body.count,
      template: unpack(raw.body.template),
      shapes: raw.body.shapes.map(unpack),
      faces: unpack(raw.body.faces),
      bones: unpack(raw.body.bones),
      weights: unpack(raw.body.weights),
    };
  }

  person(number) {
    return this.people.find((person) => person.number === number) || null;
  }

  // How much of the people's frames each flag is raised in, and when it is first.
  flagged(people = this.people) {
    const total = people.reduce((sum, person) => sum + person.time.length, 0);
    return this.flags.map((flag, number) => {
      let count = 0, first = Infinity;
      for (const person of people) {
        for (let place = 0; place < person.flags.length; place++) {
          if (!(person.flags[place] & (1 << number))) continue;
          count++;
          first = Math.min(first, person.time[place]);
        }
      }
      return { ...flag, number, share: total ? count / total : 0, first };
    }).filter((flag) => flag.share > 0);
  }
}
