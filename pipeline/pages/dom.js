// Elements, words and the theme. Text is always set as text: no name ever becomes markup.

const SVG = "http://www.w3.org/2000/svg";

export function el(tag, properties = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === undefined || value === null || value === false) continue;
    if (name === "class") node.className = value;
    else if (name === "text") node.textContent = value;
    else if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (name === "colour") node.style.setProperty("--person", value);
    else if (name in node && typeof value !== "string") node[name] = value;
    else node.setAttribute(name, value);
  }
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
}

export function icon(path, label) {
  const node = document.createElementNS(SVG, "svg");
  node.setAttribute("viewBox", "0 0 24 24");
  node.setAttribute("aria-hidden", "true");
  const shape = document.createElementNS(SVG, "path");
  shape.setAttribute("d", path);
  node.append(shape);
  return label ? el("span", { class: "icon-word" }, node, label) : node;
}

export const ICONS = {
  play: "M8 5v14l11-7z",
  pause: "M6 5h4v14H6zM14 5h4v14h-4z",
  back: "M15 5v14l-8-7zM5 5h2v14H5z",
  forward: "M9 5v14l8-7zM17 5h2v14h-2z",
  sun: "M12 7a5 5 0 100 10 5 5 0 000-10zM11 1h2v3h-2zM11 20h2v3h-2zM1 11h3v2H1zM20 11h3v2h-3zM4 5.4L5.4 4l2.1 2.1-1.4 1.4zM16.5 17.9l1.4-1.4L20 18.6 18.6 20zM4 18.6l2.1-2.1 1.4 1.4L5.4 20zM16.5 6.1L18.6 4 20 5.4l-2.1 2.1z",
  moon: "M12 3a9 9 0 109 9 7 7 0 01-9-9z",
};

// The least that a toggle needs: pressed or not, by class and for those who do not see it.
export function press(button, pressed) {
  button.classList.toggle("on", pressed);
  button.setAttribute("aria-pressed", String(pressed));
}

export function clockText(seconds, digits = 2) {
  const sign = seconds < 0 ? "-" : "", whole = Math.abs(seconds);
  const hours = Math.floor(whole / 3600), minutes = Math.floor(whole / 60) % 60;
  const rest = (whole % 60).toFixed(digits).padStart(digits ? 3 + digits : 2, "0");
  return sign + (hours ? `${hours}:${String(minutes).padStart(2, "0")}` : String(minutes)) + ":" + rest;
}

export function percent(fraction) {
  const value = 100 * fraction;
  return `${value > 0 && value < 1 ? "<1" : Math.round(value)} %`;
}

export function flagWords(id) {
  return id.replaceAll("_", " ");
}

// What a file page may not keep (some browsers refuse storage there) is forgotten, and nothing else breaks.
export function remember(name, value) {
  try { localStorage.setItem(`mocap-video.${name}`, value); } catch { /* no storage here */ }
}

export function recall(name) {
  try { return localStorage.getItem(`mocap-video.${name}`); } catch { return null; }
}

export function currentTheme() {
  return document.documentElement.dataset.theme;
}

export function themeButton() {
  const chosen = recall("theme") || (matchMedia("(prefers-color-scheme: light)").matches ? "light" : "dark");
  const button = el("button", { class: "quiet", id: "theme", title: "Dark or light", "aria-label": "Dark or light" });
  const apply = (theme) => {
    document.documentElement.dataset.theme = theme;
    button.replaceChildren(icon(theme === "dark" ? ICONS.sun : ICONS.moon));
    document.dispatchEvent(new CustomEvent("themechange"));
  };
  button.addEventListener("click", () => {
    const theme = currentTheme() === "dark" ? "light" : "dark";
    remember("theme", theme);
    apply(theme);
  });
  apply(chosen === "light" ? "light" : "dark");
  return button;
}

// The value of a colour of the style sheet, for canvases.
export function ink(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

// Whether the focused control needs this key itself.
function needed(event) {
  const node = event.target;
  if (!(node instanceof HTMLElement)) return false;
  if (node.matches("textarea, select, input:not([type=range], [type=checkbox])")) return true;
  if (node.matches("input[type=range]")) return /^(Arrow|Page|Home|End)/.test(event.key);
  return node.matches("button, a, input") && (event.key === " " || event.key === "Enter");
}

// Hand the page's keys to `act`, which says whether it took one. A control that was clicked gives up the keyboard, so
// that Space goes on playing; one that was reached by keyboard keeps it.
export function onKeys(act) {
  document.addEventListener("click", (event) => {
    if (event.detail > 0 && event.target instanceof Element) event.target.closest("button, input[type=range], input[type=checkbox]")?.blur();
  });
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
    if (needed(event)) {
      if (event.key === "Escape") event.target.blur();
    } else if (act(event)) event.preventDefault();
  });
}

export function plural(count, one, many) {
  return `${count} ${count === 1 ? one : many}`;
}
