// Truth and rendering, one scrubber, one number of the frame.
function player(content, film) {
  const { width, height } = content.film;
  const screen = (label, id) => {
    const canvas = make("canvas", { width, height, id, role: "img", "aria-label": label });
    canvas.addEventListener("click", () => film.toggle());
    return canvas;
  };
  const truth = screen("The truth, as it was filmed", "truth");
  const render = screen("The rendering", "render");
  const overlays = { parsing: "P", error: "E", displacement: "D" };
  let over = null;
  const strength = make("input", { type: "range", min: 0, max: 100, value: 75, id: "strength", "aria-label": "Strength of what lies over the rendering, percent" });

  const paint = () => {
    if (film.failed || film.video.readyState < 2) return;
    const [left, right] = [truth.getContext("2d"), render.getContext("2d")];
    film.draw(left, "truth");
    film.draw(right, "render");
    if (over) {
      right.globalAlpha = strength.value / 100;
      film.draw(right, over);
      right.globalAlpha = 1;
      if (over === "parsing") {
        left.globalAlpha = strength.value / 100;
        film.draw(left, "truth_parsing");
        left.globalAlpha = 1;
      }
    }
  };
  const scale = make("div", { className: "scale", "aria-live": "polite" });
  const toggles = Object.entries(overlays).map(([name, key]) => {
    const button = make("button", { type: "button", id: `over-${name}`, "aria-pressed": "false", "aria-keyshortcuts": key },
      name[0].toUpperCase() + name.slice(1), make("kbd", {}, key));
    button.addEventListener("click", () => lay(over === name ? null : name));
    return [name, button];
  });
  const lay = (name) => {
    over = name;
    for (const [other, button] of toggles) button.setAttribute("aria-pressed", String(other === name));
    scale.replaceChildren(...legendOf(name, content));
    strength.disabled = name === null;
    paint();
  };
  strength.addEventListener("input", paint);

  const play = make("button", { type: "button", className: "play", id: "play", "aria-keyshortcuts": "Space" }, "Play");
  play.addEventListener("click", () => film.toggle());
  const back = make("button", { type: "button", "aria-label": "One frame back", "aria-keyshortcuts": "ArrowLeft" }, "‹");
  const on = make("button", { type: "button", "aria-label": "One frame on", "aria-keyshortcuts": "ArrowRight" }, "›");
  back.addEventListener("click", () => film.step(-1));
  on.addEventListener("click", () => film.step(1));
  const scrubber = make("input", { type: "range", id: "scrubber", min: 0, max: film.count - 1, value: 0, step: 1, "aria-label": "Frame" });
  scrubber.addEventListener("input", () => film.go(Number(scrubber.value)));
  const number = make("b", { id: "frame" });
  const clock = make("div", { className: "clock" }, "frame ", number, " ", make("span"));
  const speed = make("select", { "aria-label": "Speed" },
    ...[["0.1", "0.1×"], ["0.25", "0.25×"], ["0.5", "0.5×"], ["1", "1×"]].map(([value, text]) => make("option", { value, selected: value === "1" }, text)));
  speed.addEventListener("change", () => { film.video.playbackRate = Number(speed.value); });
  const loop = make("button", { type: "button", "aria-pressed": "false" }, "Loop");
  loop.addEventListener("click", () => {
    film.video.loop = !film.video.loop;
    loop.setAttribute("aria-pressed", String(film.video.loop));
  });
  const sound = make("button", { type: "button", "aria-pressed": String(!film.video.muted), disabled: !content.film.sound }, content.film.sound ? "Sound" : "No sound");
  sound.addEventListener("click", () => { film.video.muted = !film.video.muted; });
  const broken = make("p", { className: "note", hidden: true, role: "alert" },
    "This browser cannot play the film (H.264 in MP4). Plots, tables and worst frames work without it.");

  film.listeners.push(() => {
    const frame = content.frames[film.frame];
    paint();
    scrubber.value = film.frame;
    scrubber.setAttribute("aria-valuetext", `frame ${frame}, ${film.frame + 1} of ${film.count}`);
    number.textContent = frame;
    clock.lastChild.textContent = `· ${(film.frame / content.fps).toFixed(2)} s · ${film.frame + 1} of ${film.count}`;
    play.textContent = film.playing ? "Pause" : "Play";
    sound.setAttribute("aria-pressed", String(!film.video.muted));
    broken.hidden = !film.failed;
  });
  lay(null);
  const caption = (name, what) => make("figcaption", {}, make("b", {}, name), make("span", {}, what));
  const element = section("film", "Truth and portrait", null,
    make("div", { className: "screens" },
      make("figure", { className: "screen" }, truth, caption("Truth", "filmed")),
      make("figure", { className: "screen" }, render, caption("SSP-NeRF", "computed"))),
    make("div", { className: "controls" },
      make("div", { className: "row" }, play, back, on, make("div", { className: "grow scrub" }, scrubber), clock),
      make("div", { className: "row" }, make("span", { className: "scale" }, "Over it"), ...toggles.map(([, button]) => button),
        make("div", { className: "grow" }, strength), speed, loop, sound),
      make("div", { className: "row" }, scale), broken), film.video);
  return { element, lay: (name) => lay(over === name ? null : name) };
}

function legendOf(name, content) {
  if (name === "parsing") {
    return [make("div", { className: "keys" }, ...content.legend.map(([label, colour]) => make("span", {}, swatch(colour), label)))];
  }
  if (name === null) return [make("span", { className: "hint" }, "Arrow keys step frames, with Shift ten; space plays; P, E and D lay maps over the portrait.")];
  const ramp = make("span", { className: "ramp" }, ...content.heat.map((colour) => {
    const part = make("i");
    part.style.background = colour;
    return part;
  }));
  const end = name === "error" ? `${content.film.error_limit} of 255 levels and more` : `${tidy(100 * content.film.displacement_limit)} mm and more`;
  const what = name === "error" ? "absolute error, mean of the colours" : "length of the displacement, expected along the ray";
  return [make("span", {}, "0"), ramp, make("span", {}, `${end}: ${what}`)];
}

function swatch(colour) {
  const mark = make("i", { className: "swatch" });
  mark.style.background = colour;
  return mark;
}

// What stays in sight when the player is not: both pictures, small.
function mini(content, film, player) {
  const { width, height } = content.film;
  const canvas = make("canvas", { width: 2 * width, height, role: "img", "aria-label": "Truth and rendering, small; press to go back to the film" });
  const number = make("b");
  const play = make("button", { type: "button" }, "Play");
  play.addEventListener("click", () => film.toggle());
  const close = make("button", { type: "button", "aria-label": "Close the small film" }, "Close");
  const element = make("aside", { className: "mini", "aria-label": "The film, small" }, canvas, make("div", {}, number, play, close));
  close.addEventListener("click", () => element.remove());
  canvas.addEventListener("click", () => player.scrollIntoView());
  film.listeners.push(() => {
    number.textContent = `frame ${content.frames[film.frame]}`;
    play.textContent = film.playing ? "Pause" : "Play";
    if (!film.failed && film.video.readyState >= 2) {
      const context = canvas.getContext("2d");
      film.draw(context, "truth");
      film.draw(context, "render", width);
    }
  });
  new IntersectionObserver(([seen]) => {
    element.classList.toggle("shown", !seen.isIntersecting);
    film.tell();
  }, { rootMargin: "-80px" }).observe(player.querySelector(".screens"));
  return element;
}
