// Returns what is wrong with the page, one line each.
const faults = [];
const shown = (e) => e.checkVisibility({ checkOpacity: true, checkVisibilityCSS: true });
const name = (e) => e.getAttribute("aria-label")
  || (e.getAttribute("aria-labelledby") || "").split(" ").map((id) => document.getElementById(id)?.textContent || "").join(" ").trim()
  || (e.labels && [...e.labels].map((l) => l.textContent).join(" ").trim())
  || e.textContent.trim() || e.getAttribute("alt") || [...e.querySelectorAll("img")].map((i) => i.alt).join(" ").trim();
const say = (what, e) => faults.push(`${what}: ${e.outerHTML.slice(0, 160)}`);

if (!document.documentElement.lang) faults.push("no language");
if (!document.title) faults.push("no title");
for (const landmark of ["main", "header", "nav", "footer"]) {
  if (!document.querySelector(landmark)) faults.push(`no ${landmark}`);
}
if (document.querySelectorAll("main").length !== 1) faults.push("not one main");
if (document.querySelectorAll("h1").length !== 1) faults.push("not one h1");
let level = 0;
for (const heading of document.querySelectorAll("h1, h2, h3, h4")) {
  const own = Number(heading.nodeName[1]);
  if (own > level + 1) say(`heading after level ${level}`, heading);
  level = own;
}
for (const control of document.querySelectorAll("a[href], button, input:not([type=hidden]), select, summary, [role=img], section, nav")) {
  if (shown(control) && !name(control)) say("no name", control);
}
for (const image of document.querySelectorAll("img")) {
  if (!image.hasAttribute("alt")) say("no alt", image);
}
const ids = [...document.querySelectorAll("[id]")].map((e) => e.id);
for (const id of ids.filter((id, at) => ids.indexOf(id) !== at)) faults.push(`id ${id} is given twice`);
for (const cell of document.querySelectorAll("th")) {
  if (!cell.hasAttribute("scope")) say("no scope", cell);
}

// Contrast of text (WCAG AA): 4.5, of large text 3.
const channel = (v) => (v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
const luminance = ([r, g, b]) => 0.2126 * channel(r / 255) + 0.7152 * channel(g / 255) + 0.0722 * channel(b / 255);
const colour = (text) => text.match(/[\d.]+/g).map(Number);
function ground(e) {
  for (let at = e; at; at = at.parentElement) {
    const found = colour(getComputedStyle(at).backgroundColor);
    if (found.length === 3 || found[3] === 1) return found;
  }
  return [255, 255, 255];
}
const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
while (walker.nextNode()) {
  const e = walker.currentNode.parentElement;
  if (!walker.currentNode.textContent.trim() || !shown(e) || e.closest(".unseen, .skip, svg, script")) continue;
  const style = getComputedStyle(e);
  const [a, b] = [luminance(colour(style.color)), luminance(ground(e))].sort((x, y) => y - x);
  const ratio = (a + 0.05) / (b + 0.05);
  const large = parseFloat(style.fontSize) >= 24 || (parseFloat(style.fontSize) >= 18.66 && style.fontWeight >= 700);
  if (ratio < (large ? 3 : 4.5)) say(`contrast ${ratio.toFixed(2)} of "${e.textContent.trim().slice(0, 40)}"`, e);
}
return faults;
