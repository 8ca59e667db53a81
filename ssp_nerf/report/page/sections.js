// The parts of the page. Each takes what it shows and gives an element, or null if it has nothing.
const NAMES = {
  ours: "SSP-NeRF", truth: "truth", background: "background alone", mean_frame: "mean frame",
  nearest_pose: "nearest pose",
};
const nameOf = (method) => NAMES[method] ?? method.replaceAll("_", " ");
// Figures that are shown large, if they are there: one of each kind.
const FIRST = ["psnr", "psnr_head", "ssim", "lpips_alex", "lmd", "mouth_opening_correlation", "sync_confidence", "csim_dlib"];
const ARROWS = { higher: " ↑", lower: " ↓", "truth's": " → truth" };
const WORDS = { higher: "higher is better", lower: "lower is better", "truth's": "nearer to the truth's is better" };

function section(id, title, about, ...children) {
  return make("section", { id }, make("h2", {}, title), about ? make("p", { className: "about" }, about) : null, ...children);
}

function header(content) {
  const { clip, frames } = content;
  const version = content.bundle.software?.["ssp-nerf"] ?? content.software["ssp-nerf"];
  return make("header", {},
    make("p", { className: "kicker" }, "SSP-NeRF portrait"),
    make("h1", {}, content.subject),
    make("p", { className: "lead" },
      `Learned from ${clip.training} frames; shown are ${frames.length} others of ${clip.width}×${clip.height} pixels, ` +
      `${(frames.length / content.fps).toFixed(1)} s, that it never saw. What is called SSP-NeRF here was computed, not filmed. Version ${version}.`));
}

function tiles(content) {
  const place = (row) => (FIRST.includes(row.name) ? FIRST.indexOf(row.name) : FIRST.length);
  return make("div", { className: "tiles" }, ...content.totals
    .filter((row) => "ours" in row.methods && row.better)
    .sort((one, other) => place(one) - place(other))
    .slice(0, 6)
    .map((row) => make("div", { className: "tile" },
      make("b", {}, tidy(row.methods.ours)), make("span", {}, row.title),
      row.rival ? make("span", {}, `${nameOf(row.rival)}: ${tidy(row.methods[row.rival])}`) : null)));
}

function metricPlots(content, film) {
  if (!content.metrics.length) return null;
  const named = (method) => ["ours", "truth"].includes(method);
  const compared = [...new Set(content.metrics.flatMap((m) => Object.keys(m.methods)))].filter((m) => !named(m));
  const tintOf = (method) => (named(method) ? method : String(1 + (compared.indexOf(method) % 5)));
  const plots = content.metrics.map((metric) => {
    const others = Object.keys(metric.methods).filter((m) => !named(m));
    const order = [...others, ...["truth", "ours"].filter((m) => m in metric.methods)];
    return new Plot({
      title: metric.title,
      note: WORDS[metric.better],
      x: content.frames, xName: "frames",
      series: order.map((method) => ({ name: nameOf(method), values: metric.methods[method], tint: tintOf(method) })),
      pick: (place) => film.go(place),
    });
  });
  film.listeners.push(() => plots.forEach((plot) => plot.at(film.frame)));
  return section("frames", "Frame by frame", "Press a plot to see its frame. Lines: the portrait, what it is compared with, and the truth where it has a figure of its own.",
    make("div", { className: "plots" }, ...plots.map((plot) => plot.element)));
}

function worstFrames(content, film, goTo) {
  const metrics = content.metrics.filter((metric) => content.worst[metric.name]?.length);
  if (!metrics.length) return null;
  const list = make("div", { className: "worst" });
  const choice = make("select", { id: "worst-metric", "aria-label": "Worst in" }, ...metrics.map((m) => make("option", { value: m.name }, m.title)));
  const show = () => {
    const metric = metrics.find((m) => m.name === choice.value);
    list.replaceChildren(...content.worst[metric.name].map((place) => {
      const value = tidy(metric.methods.ours[place]);
      const frame = content.frames[place];
      const button = make("button", { type: "button", "data-place": place, "aria-label": `Frame ${frame}, ${metric.title} ${value}` },
        make("img", { src: content.thumbnails[place], alt: "" }), make("span", {}, make("b", {}, `frame ${frame}`), value));
      button.addEventListener("click", () => goTo(place));
      return button;
    }));
    mark();
  };
  const mark = () => {
    for (const button of list.children) button.setAttribute("aria-pressed", String(Number(button.dataset.place) === film.frame));
  };
  choice.addEventListener("change", show);
  film.listeners.push(mark);
  show();
  return section("worst", "Worst frames", "Truth and portrait where the portrait is worst, some frames apart from one another.",
    make("div", { className: "row" }, make("label", { htmlFor: "worst-metric" }, "Worst in"), choice), list);
}

function totals(content) {
  if (!content.totals.length) return null;
  const methods = [...new Set(content.totals.flatMap((row) => Object.keys(row.methods)))];
  const rows = content.totals.map((row) => {
    const cell = (method) => {
      if (!(method in row.methods)) return make("td", {}, "–");
      const interval = row.intervals[method];
      return make("td", { className: row.best.includes(method) ? "best" : "" }, tidy(row.methods[method]),
        interval ? make("small", {}, `${tidy(interval[0])} to ${tidy(interval[1])}`) : null);
    };
    return make("tr", {}, make("th", { scope: "row" }, row.title, ARROWS[row.better] ?? ""), ...methods.map(cell));
  });
  const head = make("tr", {}, make("th", { scope: "col" }, "Mean over frames"), ...methods.map((m) => make("th", { scope: "col" }, nameOf(m))));
  return section("totals", "In total", null, tiles(content),
    make("div", { className: "table", tabIndex: 0, role: "region", "aria-label": "Totals" }, make("table", {}, make("thead", {}, head), make("tbody", {}, ...rows))),
    Object.keys(content.protocol).length ? folded("How it was measured", "the protocol", content.protocol) : null,
    Object.keys(content.not_measured).length ? folded("What was not measured", "and why", content.not_measured) : null);
}

function training(content) {
  const { history } = content;
  if (!history) return null;
  const tints = { loss: "ours", photometric: "1", semantic: "3" };
  const names = { loss: "objective (eq. 12)", photometric: "photometric", semantic: "semantic" };
  const drawn = Object.keys(tints).filter((name) => history[name].some((v) => v > 0));
  const plots = [];
  if (drawn.length) {
    plots.push(new Plot({ title: "Loss", note: "mean over the rays", x: history.step, xName: "steps", log: true,
      series: drawn.map((name) => ({ name: names[name], values: history[name], tint: tints[name] })) }));
  }
  if (history.psnr.length) {
    plots.push(new Plot({ title: "PSNR of the drawn rays", note: "dB", x: history.step, xName: "steps", series: [{ name: "drawn rays", values: history.psnr, tint: "ours" }] }));
  }
  return plots.length ? section("training", "Training", null, make("div", { className: "plots" }, ...plots.map((p) => p.element))) : null;
}

function sampling(content) {
  const { history, legend } = content;
  if (!history || !legend.every(([name]) => history.share[name]?.length)) return null;
  const of = (which) => legend.map(([name, colour]) => ({ name, colour, values: history[which][name] }));
  const plots = [new Plot({ title: "Share of the rays", note: "by class", x: history.step, xName: "steps", stacked: true, wide: true, series: of("share") })];
  if (legend.some(([name]) => history.class_loss[name]?.length)) {
    plots.push(new Plot({ title: "Mean loss of a ray", note: "by class, running mean", x: history.step, xName: "steps", log: true, wide: true,
      series: of("class_loss").map((one) => ({ ...one, values: smooth(one.values) })) }));
  }
  return section("sampling", "Where the rays went",
    "Dynamic ray sampling (eq. 5): after a first pass over the frames, in which rays fall anywhere, each class is given rays in proportion to its mean loss in the pass before. What is hard, and small, is looked at more often.",
    make("div", { className: "plots" }, ...plots.map((p) => p.element)));
}

// Running mean over a fiftieth of the row.
function smooth(values) {
  const reach = Math.floor(values.length / 100);
  return values.map((_, i) => {
    const near = values.slice(Math.max(0, i - reach), i + reach + 1).filter((v) => v !== null);
    return near.length ? near.reduce((a, b) => a + b, 0) / near.length : null;
  });
}

function motion(content, film) {
  const all = Array.from({ length: content.clip.frames }, (_, i) => i);
  const placeOf = new Map(content.frames.map((frame, place) => [frame, place]));
  const pick = (frame) => {
    const nearest = content.frames.reduce((a, b) => (Math.abs(b - frame) < Math.abs(a - frame) ? b : a));
    film.go(placeOf.get(nearest));
  };
  const plot = (title, note, names) => new Plot({ title, note, x: all, xName: "frames", wide: true, digits: 2, shade: content.clip.held_out, pick,
    series: names.map((name, i) => ({ name, values: content.motion[name], tint: ["ours", "1", "3"][i] })) });
  const plots = [plot("Head towards the camera", "degrees", ["yaw", "pitch", "roll"]), plot("Head from its mean place", "mm, camera axes", ["right", "up", "nearer"])];
  film.listeners.push(() => plots.forEach((p) => p.at(content.frames[film.frame])));
  return section("pose", "Pose", "Of the whole clip, as it was tracked. Shaded: held out, and in the film above.",
    make("div", { className: "plots" }, ...plots.map((p) => p.element)));
}

function stages(content) {
  if (!content.stages.length) return null;
  const most = Math.max(...content.stages.map((stage) => stage.seconds ?? 0), 1e-9);
  const total = content.stages.reduce((sum, stage) => sum + (stage.seconds ?? 0), 0);
  const rows = content.stages.map((stage) => {
    const bar = make("i", { className: "bar" });
    bar.style.width = `${(100 * (stage.seconds ?? 0)) / most}%`;
    return make("tr", {}, make("th", { scope: "row" }, stage.name.replaceAll("_", " ") + (stage.jobs > 1 ? ` (${stage.jobs} jobs)` : "")),
      make("td", { className: "bars" }, bar), make("td", {}, duration(stage.seconds)), make("td", {}, duration(stage.cpu_seconds)), make("td", {}, tidy(stage.peak_mib)));
  });
  const head = make("tr", {}, ...["Stage", "", "time", "of the processor", "peak MiB"].map((text) => make("th", { scope: "col" }, text)));
  return section("stages", "What it took", `${duration(total)} in all, one stage after the other, measured by Snakemake.`,
    make("div", { className: "table", tabIndex: 0, role: "region", "aria-label": "Times" }, make("table", {}, make("thead", {}, head), make("tbody", {}, ...rows))));
}

function duration(seconds) {
  if (seconds === null || seconds === undefined) return "–";
  if (seconds < 60) return `${seconds.toFixed(1)} s`;
  const [hours, minutes, rest] = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60, Math.round(seconds % 60)];
  return hours ? `${hours} h ${minutes} min` : `${minutes} min ${rest} s`;
}

function origin(content) {
  const { model, training: schedule, software, ...rest } = content.bundle;
  const parts = [];
  if (model) parts.push(folded("Networks", "config.yaml, model", model));
  if (schedule) parts.push(folded("Training", "config.yaml, training", schedule));
  if (Object.keys(rest).length) parts.push(folded("The trained model", "size, camera, what it was made from", rest));
  for (const file of content.settings) {
    parts.push(folded(file.name.replaceAll("_", " "), "settings of the stage", { ...file.config, ...file.attributes, software: file.software }));
  }
  parts.push(folded("Versions", software ? "of the packages that trained and that reported" : "of the packages that reported",
    software ? { training: software, report: content.software } : content.software));
  return section("origin", "How it was made", "Settings, versions and keys, as the files themselves carry them.", ...parts);
}

function folded(title, about, values) {
  return make("details", {}, make("summary", {}, title, make("span", {}, about)), listed(values));
}

function listed(values) {
  if (values === null || typeof values !== "object") return String(values ?? "–");
  if (Array.isArray(values)) return values.every((v) => v === null || typeof v !== "object") ? values.join(", ") : JSON.stringify(values);
  return make("dl", {}, ...Object.entries(values).flatMap(([name, value]) => [make("dt", {}, name.replaceAll("_", " ")), make("dd", {}, listed(value))]));
}

function missing(content) {
  if (!content.missing.length) return null;
  return section("missing", "Not here", "What this page would show if it had been there when it was made.",
    make("ul", { className: "missing" }, ...content.missing.map((text) => make("li", {}, text))));
}
