// The one time of a page, in the clip's seconds. A playing video leads; without one a timer does. Everyone else listens.

const SPEEDS = [0.1, 0.25, 0.5, 1, 2, 4];

export class Clock {
  constructor(first, last, rate) {
    Object.assign(this, { first, last, rate, time: first, speed: 1, playing: false, video: null, offset: 0 });
    this.listeners = new Set();
    this.wanted = null;
    this.before = null;
    this.alive = true;
    this.tick = this.tick.bind(this);
    requestAnimationFrame(this.tick);
  }

  listen(listener) {
    this.listeners.add(listener);
    listener(this);
  }

  tell() {
    for (const listener of this.listeners) listener(this);
  }

  // Follow `video`, whose own time 0 is `offset` in the clip's; null: none.
  lead(video, offset) {
    const playing = this.playing;
    if (this.video) this.video.pause();
    this.video = video;
    this.offset = offset;
    if (video) {
      video.playbackRate = this.speed;
      this.seekVideo();
      this.follow(video);
      if (playing) this.playVideo();
    }
  }

  // Take over the time of each frame as it is shown, so that what is drawn beside it belongs to it.
  follow(video) {
    if (!video.requestVideoFrameCallback) return;
    const shown = (_now, frame) => {
      if (this.video !== video || !this.alive) return;
      if (!video.seeking && this.wanted === null) this.set(frame.mediaTime + this.offset);
      video.requestVideoFrameCallback(shown);
    };
    video.requestVideoFrameCallback(shown);
    if (video.dataset.followed) return;
    video.dataset.followed = "yes";
    video.addEventListener("seeked", () => {
      if (this.video !== video) return;
      const again = this.wanted !== null && this.wanted !== this.asked;
      if (again) this.seekVideo();
      else this.wanted = null;
    });
    video.addEventListener("ended", () => { if (this.video === video) this.pause(); });
  }

  set(time) {
    const inside = Math.min(this.last, Math.max(this.first, time));
    if (inside === this.time) return;
    this.time = inside;
    this.tell();
  }

  seek(time) {
    this.time = Math.min(this.last, Math.max(this.first, time));
    this.tell();
    if (this.video && !(this.wanted !== null && this.video.seeking)) this.seekVideo();
    else if (this.video) this.wanted = this.time;
  }

  // Two milliseconds late: times are rounded, and the frame that begins now is meant, not the one before.
  seekVideo() {
    this.wanted = this.asked = this.time;
    this.video.currentTime = Math.max(0, this.time - this.offset + 0.002);
  }

  play() {
    if (this.time >= this.last - 0.5 / this.rate) this.seek(this.first);
    this.playing = true;
    this.before = null;
    if (this.video) this.playVideo();
    this.tell();
  }

  playVideo() {
    this.video.play().catch(() => this.pause()); // refused, or paused again before it began
  }

  pause() {
    this.playing = false;
    if (this.video) this.video.pause();
    this.tell();
  }

  toggle() {
    if (this.playing) this.pause();
    else this.play();
  }

  // Go `count` frames on, by the times of `times` where these are the clip's own.
  step(count, times) {
    if (this.playing) this.pause();
    const inside = times && times.length > 1 && this.time >= times[0] - 1e-3 && this.time <= times[times.length - 1] + 1e-3;
    if (!inside) return this.seek(this.time + count / this.rate);
    let place = 0;
    while (place < times.length - 1 && times[place + 1] <= this.time + 1e-4) place++;
    return this.seek(times[Math.min(times.length - 1, Math.max(0, place + count))]);
  }

  setSpeed(speed) {
    this.speed = speed;
    if (this.video) this.video.playbackRate = speed;
    this.tell();
  }

  faster(steps) {
    const place = SPEEDS.indexOf(this.speed);
    this.setSpeed(SPEEDS[Math.min(SPEEDS.length - 1, Math.max(0, place + steps))]);
  }

  get speeds() {
    return SPEEDS;
  }

  tick(now) {
    if (!this.alive) return;
    requestAnimationFrame(this.tick);
    if (!this.playing) return;
    if (this.video) {
      if (!this.video.requestVideoFrameCallback) this.set(this.video.currentTime + this.offset);
      return;
    }
    if (this.before !== null) this.set(this.time + (now - this.before) / 1000 * this.speed);
    this.before = now;
    if (this.time >= this.last) this.pause();
  }

  stop() {
    this.alive = false;
    if (this.video) this.video.pause();
    this.listeners.clear();
  }
}
