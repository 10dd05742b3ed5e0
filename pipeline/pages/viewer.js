// A clip's viewer: video, 3D view, transport, people and timelines around one clock. The static page and the review share it.

const VIDEO_NAMES = { "overlay.mp4": "Overlay", "topview.mp4": "Top view", "review.mp4": "Side by side" };
const VIEW_NAMES = { site: "Site", camera: "Camera", top: "Top" };

export class Viewer {
  // `urlOf(name)` is where a video lies; `personExtra(person)` may add to a person's chip.
  constructor(root, data, urlOf, personExtra) {
    Object.assign(this, { root, data, urlOf });
    this.clock = new Clock(data.first_s, data.last_s, data.rate);
    this.chosen = null;
    const times = () => (data.point_every === 1 ? this.data.person(this.chosen)?.time : null);
    this.times = times;
    const notes = makeNotes(data, this.clock), people = makePeople(data, this.clock, (n, go) => this.choose(n, go), personExtra);
    Object.assign(this, { notes, people });
    const stage = el("div", { class: "stage" }, this.makeVideoPane(), this.makeScenePane());
    this.graphs = el("div", { class: "graphs" });
    root.replaceChildren(stage, makeTransport(this.clock, times), people.row, notes.box, this.makeGraphPane());
    root.classList.add("viewer");
    this.makeScene();
    this.timelines = new Timelines(this.graphs, data, this.clock, (number) => this.choose(number));
    this.showVideo(data.videos[0] || null);
    if (data.people.length) this.choose(this.longest().number);
    else notes.fill(null);
  }

  longest() {
    return this.data.people.reduce((best, person) => (person.frames > best.frames ? person : best));
  }

  makeVideoPane() {
    const { data } = this;
    this.videos = new Map(data.videos.map((name) => {
      const video = el("video", { muted: true, playsInline: true, preload: "auto", "data-video": name });
      video.addEventListener("error", () => this.videoFailed(name));
      video.addEventListener("click", () => this.clock.toggle());
      return [name, video];
    }));
    this.videoTabs = new Map(data.videos.map((name) => [name, el("button", { "data-video": name, text: VIDEO_NAMES[name], onclick: () => this.showVideo(name) })]));
    this.videoSaid = el("p", { class: "empty", text: data.videos.length ? "" : "No videos: these results come from keypoints, or nobody was found. The 3D view has it all." });
    this.videoPane = el("section", { class: "pane video", "aria-label": "Video" }, el("div", { class: "tabs" }, ...this.videoTabs.values()),
      el("div", { class: "screen" }, ...this.videos.values(), this.videoSaid));
    this.videoPane.classList.toggle("bare", !data.videos.length);
    return this.videoPane;
  }

  // A video is opened when it is first looked at: three at once would cost an hour's clip three times the disk.
  showVideo(name) {
    for (const [of, video] of this.videos) video.hidden = of !== name;
    for (const [of, tab] of this.videoTabs) press(tab, of === name);
    this.video = name;
    const video = name === null ? null : this.videos.get(name);
    if (video && !video.getAttribute("src")) video.src = this.urlOf(name);
    this.clock.lead(video, this.data.first_drawn_s);
  }

  videoFailed(name) {
    if (this.video !== name) return;
    this.videoSaid.textContent = `${name} cannot be played here. It must lie beside this page, and the browser must know H.264.`;
    this.videos.get(name).hidden = true;
    this.clock.lead(null, 0);
  }

  makeScenePane() {
    this.viewTabs = new Map(Object.entries(VIEW_NAMES).map(([mode, name]) => [mode, el("button", { "data-view": mode, text: name, onclick: () => this.look(mode) })]));
    this.followButton = el("button", { id: "follow", text: "Follow", title: "Keep the chosen person in the middle (F)", onclick: () => this.setFollowing(!this.scene?.following) });
    this.sceneBox = el("div", { class: "screen" });
    this.sceneBox.addEventListener("leftcamera", () => this.viewTabs.forEach((tab) => press(tab, false)));
    return el("section", { class: "pane space", "aria-label": "3D view" }, el("div", { class: "tabs" }, ...this.viewTabs.values(), el("span", { class: "gap" }), this.followButton), this.sceneBox);
  }

  makeScene() {
    try {
      this.scene = new Scene3D(this.sceneBox, this.data, this.clock, (number) => this.choose(number));
      this.look("site");
    } catch (error) {
      console.warn(error);
      this.scene = null;
      this.sceneBox.append(el("p", { class: "empty", text: "The 3D view needs WebGL, which this browser does not give. Everything else works." }));
    }
    press(this.followButton, false);
  }

  look(mode) {
    this.setFollowing(false);
    this.scene?.view(mode);
    this.viewTabs.forEach((tab, of) => press(tab, of === mode));
  }

  setFollowing(on) {
    this.scene?.setFollowing(on);
    press(this.followButton, on);
  }

  makeGraphPane() {
    const button = (id, text, title, act) => el("button", { id, class: "quiet", text, title, "aria-label": title, onclick: act });
    return el("section", { class: "pane timelines", "aria-label": "Timelines" },
      el("div", { class: "tabs" }, el("h2", { text: "Timelines" }), el("small", { class: "sampling", text: samplingWords(this.data) }), el("span", { class: "gap" }),
        button("zoom-out", "−", "Show more time", () => this.timelines.zoom(2)), button("zoom-in", "+", "Show less time", () => this.timelines.zoom(0.5)),
        button("zoom-fit", "All", "Show the whole clip", () => this.timelines.fit())),
      this.graphs);
  }

  // Choose a person; `go` also moves to where the person is, when not there now.
  choose(number, go = false) {
    const person = this.data.person(number);
    if (!person) return;
    this.chosen = number;
    this.people.mark(number);
    this.notes.fill(person);
    if (go && !person.present(this.clock.time)) this.clock.seek(person.first);
    this.scene?.choose(number);
    this.timelines.choose(number);
    this.root.dispatchEvent(new CustomEvent("chosen", { detail: number }));
  }

  // Act on a key; whether it was one of the viewer's.
  key(event) {
    const { clock } = this, digit = /^Digit([1-9])$/.exec(event.code);
    const acts = {
      " ": () => clock.toggle(),
      ArrowLeft: () => (event.shiftKey ? clock.seek(clock.time - 1) : clock.step(-1, this.times())),
      ArrowRight: () => (event.shiftKey ? clock.seek(clock.time + 1) : clock.step(1, this.times())),
      Home: () => clock.seek(clock.first),
      End: () => clock.seek(clock.last),
      "<": () => clock.faster(-1),
      ">": () => clock.faster(1),
      v: () => this.nextVideo(),
      c: () => this.look("camera"),
      t: () => this.look("top"),
      s: () => this.look("site"),
      f: () => this.setFollowing(!this.scene?.following),
    };
    const act = digit && !event.shiftKey ? () => this.choose(Number(digit[1]), true) : acts[event.key];
    if (!act) return false;
    act();
    return true;
  }

  nextVideo() {
    const names = this.data.videos;
    if (names.length) this.showVideo(names[(names.indexOf(this.video) + 1) % names.length]);
  }

  stop() {
    this.clock.stop();
    for (const video of this.videos.values()) { video.removeAttribute("src"); video.load(); }
    this.scene?.stop();
    this.timelines.stop();
  }
}

export const VIEWER_KEYS = [
  ["Space", "play or pause"], ["← →", "a frame back or on"], ["Shift ← →", "a second back or on"], ["Home End", "first or last frame"],
  ["< >", "slower or faster"], ["1 … 9", "choose a person"], ["V", "next video"], ["S C T", "3D: site, camera, top"], ["F", "3D: follow the person"],
];

export function keysDialog(groups) {
  const dialog = el("dialog", { class: "keys" }, ...groups.map(([title, keys]) => el("section", {}, el("h2", { text: title }),
    el("dl", {}, ...keys.flatMap(([key, does]) => [el("dt", { text: key }), el("dd", { text: does })])))),
  el("form", { method: "dialog" }, el("button", { class: "main", text: "Close" })));
  document.body.append(dialog);
  return dialog;
}
