// The page, put together.
const content = JSON.parse(document.getElementById("content-data").textContent);
const film = new Film(content, bytesOf(document.getElementById("film-data").textContent));

const screens = player(content, film);
const goTo = (place) => {
  film.video.pause();
  film.go(place);
  screens.element.scrollIntoView();
};
const sections = [
  screens.element, metricPlots(content, film), worstFrames(content, film, goTo), totals(content), training(content),
  sampling(content), motion(content, film), stages(content), origin(content), missing(content),
].filter(Boolean);
const head = header(content);
head.append(make("nav", { "aria-label": "Parts of the page" },
  ...sections.map((part) => make("a", { href: `#${part.id}` }, part.querySelector("h2").textContent))));
document.getElementById("page").replaceChildren(head, ...sections);
document.body.append(mini(content, film, screens.element));
film.tell();

document.addEventListener("keydown", (event) => {
  const { target, key } = event;
  if (event.ctrlKey || event.metaKey || event.altKey || target.tagName === "SELECT") return;
  if (target.type === "range" && target.id !== "scrubber") return;
  const steps = { ArrowLeft: -1, ArrowRight: 1 };
  const maps = { p: "parsing", e: "error", d: "displacement" };
  if (key in steps) film.step(steps[key] * (event.shiftKey ? 10 : 1));
  else if (key === " " && !["BUTTON", "SUMMARY", "A"].includes(target.tagName)) film.toggle();
  else if (key.toLowerCase() in maps) screens.lay(maps[key.toLowerCase()]);
  else return;
  event.preventDefault();
});
