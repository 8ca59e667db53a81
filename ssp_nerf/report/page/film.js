
// The film: one video that holds every panel of every frame, and the one number of the frame shown.
class Film {
  constructor(content, bytes) {
    this.about = content.film;
    this.fps = content.fps;
    this.count = content.frames.length;
    this.frame = 0;
    this.failed = false;
    this.listeners = [];
    this.place = {};
    this.about.panels.forEach((names, row) => names.forEach((name, column) => {
      this.place[name] = [column * this.about.cell[0], row * this.about.cell[1]];
    }));
    this.video = document.createElement("video");
    this.video.muted = !this.about.sound;
    this.video.playsInline = true;
    this.video.preload = "auto";
    this.video.tabIndex = -1;
    this.video.setAttribute("aria-hidden", "true");
    this.waiting = null; // the frame asked for while another is being sought
    this.video.addEventListener("loadeddata", () => this.show(this.numberAt(this.video.currentTime)));
    this.video.addEventListener("seeked", () => this.arrived());
    if ("requestVideoFrameCallback" in HTMLVideoElement.prototype) this.follow();
    else this.video.addEventListener("play", () => this.followClock());
    for (const event of ["play", "pause", "ended", "volumechange"]) {
      this.video.addEventListener(event, () => this.tell());
    }
    this.video.addEventListener("error", () => { this.failed = true; this.show(this.frame); });
    this.video.src = URL.createObjectURL(new Blob([bytes], { type: "video/mp4" }));
  }

  get playing() { return !this.video.paused && !this.video.ended; }

  numberAt(seconds) { return this.within(Math.floor(seconds * this.fps + 1e-3)); }

  within(frame) { return Math.min(this.count - 1, Math.max(0, frame)); }

  // Show a frame: seek to its middle, where no rounding of times can lead to a neighbour.
  go(frame) {
    frame = this.within(frame);
    if (this.failed) return this.show(frame);
    if (this.video.seeking) { this.waiting = frame; return undefined; }
    this.video.currentTime = (frame + 0.5) / this.fps;
    return undefined;
  }

  // From what is shown or asked for, so that keys held down add up.
  step(by) {
    this.video.pause();
    const from = this.waiting ?? (this.video.seeking ? this.numberAt(this.video.currentTime) : this.frame);
    this.go(from + by);
  }

  arrived() {
    this.show(this.numberAt(this.video.currentTime));
    if (this.waiting !== null) {
      const next = this.waiting;
      this.waiting = null;
      this.go(next);
    }
  }

  toggle() {
    if (this.failed) return;
    if (this.playing) { this.video.pause(); this.go(this.frame); } else this.video.play();
  }

  // Every frame that the browser puts on the screen: while it plays, by its own time stamp. A frame
  // that was sought, or the first, may come later than the event that says it is there.
  follow() {
    this.video.requestVideoFrameCallback((_, shown) => {
      if (this.playing && !this.video.seeking) this.show(this.within(Math.round(shown.mediaTime * this.fps)));
      else this.tell();
      this.follow();
    });
  }

  // The same for browsers that do not tell.
  followClock() {
    requestAnimationFrame(() => {
      if (!this.video.seeking) this.show(this.numberAt(this.video.currentTime));
      if (this.playing) this.followClock();
    });
  }

  show(frame) {
    this.frame = frame;
    this.tell();
  }

  tell() { for (const listener of this.listeners) listener(this); }

  // Draw a panel into a canvas that may have another beside it.
  draw(context, panel, x = 0) {
    const { width, height } = this.about;
    const [left, top] = this.place[panel];
    context.drawImage(this.video, left, top, width, height, x, 0, width, height);
  }
}

function bytesOf(base64) {
  const text = atob(base64);
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
  return bytes;
}
