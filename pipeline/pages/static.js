// The page index.html in a results folder: the viewer of one clip, from what stands in the page.

const data = new ClipData(JSON.parse(document.getElementById("data").textContent));
const keys = keysDialog([["Keys", VIEWER_KEYS]]);
const help = el("button", { class: "quiet", id: "help", title: "Keys (?)", "aria-label": "Keys", text: "?", onclick: () => keys.showModal() });
const main = el("main");
document.body.prepend(
  el("header", { class: "top" }, el("div", { class: "names" }, el("h1", { text: data.name }), el("p", { text: factsOf(data) })), el("span", { class: "gap" }), help, themeButton()),
  main,
);
const viewer = new Viewer(main, data, (name) => name);
onKeys((event) => {
  if (event.key !== "?") return viewer.key(event);
  keys.showModal();
  return true;
});
