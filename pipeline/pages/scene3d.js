// The 3D view: ground in metres, the camera, bodies and their trails. Drawn when something has changed, never else.

const TRAIL_S = 4;
const PICK_PX = 70;
const MOST_CELLS = 60;
const DRAG_PX = 4;

export class Scene3D {
  constructor(container, data, clock, onPick) {
    Object.assign(this, { container, data, clock, onPick, chosen: null, following: false, mode: "site", due: false });
    this.renderer = new THREE.WebGLRenderer({ antialias: true, preserveDrawingBuffer: true });
    this.renderer.setPixelRatio(Math.min(devicePixelRatio, 2));
    this.canvas = this.renderer.domElement;
    this.canvas.setAttribute("aria-label", "3D view: drag to turn, wheel to zoom, right drag to move, click a person to choose");
    this.canvas.tabIndex = -1;
    container.append(this.canvas);
    this.scene = new THREE.Scene();
    this.scene.add(new THREE.HemisphereLight(0xffffff, 0x8890a0, 2.2));
    const sun = new THREE.DirectionalLight(0xffffff, 1.6);
    sun.position.set(3, 8, 4);
    this.scene.add(sun);
    this.eye = new THREE.PerspectiveCamera(45, 1, 0.05, 600);
    this.site = this.makeSite();
    this.scene.add(this.site);
    this.controls = new THREE.OrbitControls(this.eye, this.canvas);
    this.controls.maxPolarAngle = 0.495 * Math.PI; // never below the ground
    this.controls.addEventListener("change", () => this.invalidate());
    this.controls.addEventListener("start", () => this.leaveCamera());
    this.bodies = data.people.map((person) => ({ person, body: null, trail: this.makeTrail(person) }));
    this.addCamera();
    this.restyle = () => this.style();
    document.addEventListener("themechange", this.restyle);
    this.style();
    this.watchPicks();
    this.sizes = new ResizeObserver(() => this.resize());
    this.sizes.observe(container);
    this.resize();
    this.view("site");
    this.tick = () => this.show();
    clock.listen(this.tick);
  }

  // The group whose inside is the site frame; outside, Y is up and the ground is y = 0, as the controls want it.
  makeSite() {
    const site = new THREE.Group(), up = new THREE.Vector3().fromArray(this.data.ground.normal);
    site.quaternion.setFromUnitVectors(up, new THREE.Vector3(0, 1, 0));
    site.position.y = this.data.ground.offset;
    site.updateMatrixWorld(true);
    return site;
  }

  toScene(x, y, z) {
    return this.site.localToWorld(new THREE.Vector3(x, y, z));
  }

  // The rectangle on the ground that people and camera need, scene frame.
  extent() {
    const low = new THREE.Vector2(Infinity, Infinity), high = new THREE.Vector2(-Infinity, -Infinity);
    const take = (point) => { low.min(new THREE.Vector2(point.x, point.z)); high.max(new THREE.Vector2(point.x, point.z)); };
    for (const { root } of this.data.people) {
      const every = Math.max(1, Math.floor(root.length / 3 / 500));
      for (let i = 0; i < root.length; i += 3 * every) take(this.toScene(root[i], root[i + 1], root[i + 2]));
    }
    if (!this.data.people.length) take(new THREE.Vector3(0, 0, 0));
    const people = { low: low.clone(), high: high.clone() };
    take(this.toScene(...this.data.camera.center));
    return { low, high, people };
  }

  style() {
    const paper = new THREE.Color(ink("--stage")), line = new THREE.Color(ink("--grid")), axis = new THREE.Color(ink("--grid-strong"));
    this.scene.background = paper;
    if (this.grid) { this.site.remove(this.grid); this.grid.traverse((node) => node.geometry && node.geometry.dispose()); }
    this.grid = this.makeGrid(line, axis);
    this.site.add(this.grid);
    if (this.cameraLines) this.cameraLines.color.set(ink("--accent"));
    this.invalidate();
  }

  // Lines every metre of the site frame's own axes, those through its origin strong; fewer where the site is large.
  makeGrid(line, axis) {
    const grid = new THREE.Group(), { low, high } = this.extent();
    const back = (x, z) => this.site.worldToLocal(new THREE.Vector3(x, 0.001, z));
    const corners = [back(low.x, low.y), back(high.x, low.y), back(high.x, high.y), back(low.x, high.y)];
    const up = this.data.ground.normal.map(Math.abs), flat = [0, 1, 2].filter((a) => a !== up.indexOf(Math.max(...up)));
    const range = flat.map((a) => {
      const values = corners.map((corner) => corner.getComponent(a));
      return [Math.floor(Math.min(...values)) - 2, Math.ceil(Math.max(...values)) + 2];
    });
    const widest = Math.max(...range.map(([from, to]) => to - from));
    const step = [1, 2, 5, 10, 20, 50].find((metres) => widest / metres <= MOST_CELLS) || 100;
    const normal = new THREE.Vector3().fromArray(this.data.ground.normal), offset = this.data.ground.offset;
    const onGround = (a, b) => {
      const point = new THREE.Vector3().setComponent(flat[0], a).setComponent(flat[1], b);
      const third = 3 - flat[0] - flat[1];
      return point.setComponent(third, -(normal.dot(point) + offset) / normal.getComponent(third));
    };
    const thin = [], strong = [];
    range.forEach(([from, to], which) => {
      const [start, end] = range[1 - which];
      for (let value = Math.ceil(from / step) * step; value <= to; value += step) {
        const at = (other) => (which === 0 ? onGround(value, other) : onGround(other, value));
        (value === 0 ? strong : thin).push(at(start), at(end));
        if (value % (5 * step) === 0 || widest <= 12) grid.add(label(`${value}`, at(start), 0.32, axis));
      }
    });
    for (const [points, colour] of [[thin, line], [strong, axis]]) {
      const geometry = new THREE.BufferGeometry().setFromPoints(points);
      grid.add(new THREE.LineSegments(geometry, new THREE.LineBasicMaterial({ color: colour })));
    }
    this.step = step;
    return grid;
  }

  // The whole path, faint, and its last seconds, strong; both from one buffer.
  makeTrail(person) {
    const points = new Float32Array(person.root.length), normal = this.data.ground.normal;
    for (let i = 0; i < points.length; i += 3) {
      const height = person.hip[i / 3] - 0.012;
      for (let axis = 0; axis < 3; axis++) points[i + axis] = person.root[i + axis] - height * normal[axis];
    }
    const buffer = new THREE.BufferAttribute(points, 3);
    const make = (opacity) => {
      const geometry = new THREE.BufferGeometry();
      geometry.setAttribute("position", buffer);
      const line = new THREE.Line(geometry, new THREE.LineBasicMaterial({ color: person.colour, transparent: true, opacity }));
      line.frustumCulled = false;
      this.site.add(line);
      return line;
    };
    return { whole: make(0.28), recent: make(1) };
  }

  addCamera() {
    const { center, corners } = this.data.camera, foot = this.toScene(...center);
    this.cameraLines = new THREE.LineBasicMaterial({ color: ink("--accent") });
    const apex = new THREE.Vector3().fromArray(center), points = [];
    const far = corners.map((corner) => new THREE.Vector3().fromArray(corner).sub(apex).multiplyScalar(0.6).add(apex));
    far.forEach((corner, number) => points.push(apex, corner, corner, far[(number + 1) % far.length]));
    points.push(apex, this.site.worldToLocal(new THREE.Vector3(foot.x, 0, foot.z)));
    this.site.add(new THREE.LineSegments(new THREE.BufferGeometry().setFromPoints(points), this.cameraLines));
  }

  // A body is made when its person first appears: an hour has hundreds, of whom few are there at once.
  show() {
    const time = this.clock.time;
    for (const entry of this.bodies) {
      const { person, trail } = entry, there = person.present(time);
      if (there && !entry.body) {
        entry.body = new Body3D(person, this.data);
        entry.label = label(String(person.number), new THREE.Vector3(), 0.26, new THREE.Color(person.colour));
        entry.ring = ring(person.colour, this.site.quaternion);
        this.site.add(entry.body.group, entry.label, entry.ring);
      }
      const now = person.place(time), since = person.place(time - TRAIL_S);
      trail.recent.visible = there && now > since;
      trail.recent.geometry.setDrawRange(since, now - since + 1);
      trail.whole.visible = there || person.number === this.chosen;
      if (entry.body) this.place(entry, time, there, now);
    }
    if (this.following) this.follow();
    this.invalidate();
  }

  place(entry, time, there, now) {
    entry.body.show(time);
    entry.label.visible = there;
    entry.ring.visible = there && entry.person.number === this.chosen;
    if (!there) return;
    entry.body.group.updateMatrixWorld(true);
    const head = this.site.worldToLocal(entry.body.place(new THREE.Vector3(), 15));
    entry.label.position.copy(head).addScaledVector(new THREE.Vector3().fromArray(this.data.ground.normal), 0.36);
    const root = new THREE.Vector3().fromArray(entry.person.root, 3 * now);
    entry.ring.position.copy(root).addScaledVector(new THREE.Vector3().fromArray(this.data.ground.normal), 0.015 - entry.person.hip[now]);
  }

  choose(number) {
    this.chosen = number;
    this.show();
  }

  target() {
    const entry = this.bodies.find(({ person, body }) => person.number === this.chosen && body && person.present(this.clock.time));
    return entry ? entry.body.place(new THREE.Vector3()) : null;
  }

  setFollowing(on) {
    this.following = on;
    if (on) { this.leaveCamera(); this.follow(); }
    this.invalidate();
  }

  follow() {
    const target = this.target();
    if (!target) return;
    const moved = target.sub(this.controls.target);
    this.controls.target.add(moved);
    this.eye.position.add(moved);
  }

  // From where to look: "site" over all of it, "top" straight down, "camera" as the video's.
  view(mode) {
    this.mode = mode;
    this.eye.up.set(0, 1, 0);
    const { people } = this.extent();
    const middle = new THREE.Vector3((people.low.x + people.high.x) / 2, 0.8, (people.low.y + people.high.y) / 2);
    const size = Math.max(3, people.high.distanceTo(people.low));
    const camera = this.toScene(...this.data.camera.center);
    if (mode === "camera") {
      const [right, down, forward] = this.data.camera.R_cam_from_world.map((row) => new THREE.Vector3().fromArray(row).applyQuaternion(this.site.quaternion));
      this.eye.position.copy(camera);
      this.controls.target.copy(camera).addScaledVector(forward, camera.distanceTo(middle));
      this.eye.quaternion.setFromRotationMatrix(new THREE.Matrix4().makeBasis(right, down.negate(), forward.negate()));
    } else {
      const back = new THREE.Vector3(camera.x - middle.x, 0, camera.z - middle.z);
      if (back.lengthSq() < 0.01) back.set(0, 0, 1);
      back.normalize().applyAxisAngle(new THREE.Vector3(0, 1, 0), 0.6);
      const offset = mode === "top" ? back.multiplyScalar(0.001).setY(1.35 * size + 2) : back.setY(0.62).normalize().multiplyScalar(0.95 * size + 2.2);
      this.controls.target.copy(middle);
      this.eye.position.copy(middle).add(offset);
    }
    this.lens();
    if (mode !== "camera") this.controls.update();
    this.invalidate();
  }

  leaveCamera() {
    if (this.mode !== "camera") return;
    this.mode = "free";
    this.lens();
    this.container.dispatchEvent(new CustomEvent("leftcamera"));
  }

  lens() {
    const { clientWidth: width, clientHeight: height } = this.container;
    this.eye.aspect = width / Math.max(height, 1);
    this.eye.fov = 45;
    if (this.mode === "camera") {
      const { hfov, vfov } = this.data.camera; // all of the image fits
      const tall = Math.max(Math.tan(vfov / 2), Math.tan(hfov / 2) / this.eye.aspect);
      this.eye.fov = 2 * Math.atan(tall) * 180 / Math.PI;
    }
    this.eye.updateProjectionMatrix();
  }

  resize() {
    const { clientWidth: width, clientHeight: height } = this.container;
    if (!width || !height) return;
    this.renderer.setSize(width, height, false);
    this.lens();
    this.draw();
  }

  watchPicks() {
    let from = null;
    this.canvas.addEventListener("pointerdown", (event) => { from = [event.clientX, event.clientY]; });
    this.canvas.addEventListener("pointerup", (event) => {
      if (from && Math.hypot(event.clientX - from[0], event.clientY - from[1]) < DRAG_PX) this.pick(event);
      from = null;
    });
  }

  pick(event) {
    const box = this.canvas.getBoundingClientRect();
    let nearest = null, best = PICK_PX;
    for (const { person, body } of this.bodies) {
      if (!body || !person.present(this.clock.time)) continue;
      const at = body.place(new THREE.Vector3()).project(this.eye);
      const x = box.left + (at.x + 1) / 2 * box.width, y = box.top + (1 - at.y) / 2 * box.height;
      const away = Math.hypot(event.clientX - x, event.clientY - y);
      if (at.z < 1 && away < best) [nearest, best] = [person.number, away];
    }
    if (nearest !== null) this.onPick(nearest);
  }

  invalidate() {
    if (this.due) return;
    this.due = true;
    requestAnimationFrame(() => { this.due = false; this.draw(); });
  }

  draw() {
    if (!this.gone) this.renderer.render(this.scene, this.eye);
  }

  stop() {
    this.gone = true;
    document.removeEventListener("themechange", this.restyle);
    this.sizes.disconnect();
    this.controls.dispose();
    this.bodies.forEach(({ body }) => body && body.dispose());
    this.renderer.dispose();
    this.renderer.forceContextLoss();
  }
}

function label(text, position, height, colour) {
  const canvas = document.createElement("canvas"), pen = canvas.getContext("2d");
  canvas.width = 128;
  canvas.height = 64;
  pen.font = "600 44px system-ui, sans-serif";
  pen.textAlign = "center";
  pen.textBaseline = "middle";
  pen.fillStyle = `#${colour.getHexString()}`;
  pen.fillText(text, 64, 34);
  const map = new THREE.CanvasTexture(canvas);
  map.colorSpace = THREE.SRGBColorSpace;
  const sprite = new THREE.Sprite(new THREE.SpriteMaterial({ map, depthWrite: false, transparent: true }));
  sprite.scale.set(2 * height, height, 1);
  sprite.position.copy(position);
  return sprite;
}

function ring(colour, site) {
  const points = Array.from({ length: 48 }, (_, i) => {
    const angle = i / 48 * 2 * Math.PI;
    return new THREE.Vector3(0.42 * Math.cos(angle), 0, 0.42 * Math.sin(angle)).applyQuaternion(site.clone().invert());
  });
  return new THREE.LineLoop(new THREE.BufferGeometry().setFromPoints(points), new THREE.LineBasicMaterial({ color: colour }));
}
