// Pictures of alarms in a large view, with arrow keys, boxes on and off, and the mark of reviewed ones.
"use strict";

const large = document.getElementById("large");
const picture = document.getElementById("large-picture");
const reviewing = document.getElementById("large-review");
let shown;
let place = 0;

/* The list may change while the view is open: a card is known again by its key, whatever alarm it shows by then. On the
   Live page the latest alarm is there twice, large and in the list: it counts once. */
const keyOfCard = (link) => link.closest("[data-key]").dataset.key;

function links() {
  const cards = new Map();
  for (const link of document.querySelectorAll("a[data-enlarge]")) {
    if (!cards.has(keyOfCard(link))) cards.set(keyOfCard(link), link);
  }
  return [...cards.values()];
}
const current = () => links().find((link) => keyOfCard(link) === shown);

function enlarge(link) {
  shown = keyOfCard(link);
  place = links().findIndex((other) => keyOfCard(other) === shown);
  const card = link.closest("[data-key]");
  document.getElementById("large-title").textContent = link.dataset.title;
  document.getElementById("large-open").href = link.href;
  const fit = card.querySelector(".fit");
  const parts = fit ? [...fit.childNodes] : [...card.querySelectorAll(".blank")];
  picture.replaceChildren(...parts.map((part) => part.cloneNode(true)));
  for (const image of picture.querySelectorAll("img")) {
    image.loading = "eager";
    image.removeAttribute("id");
    image.alt = link.dataset.title;
  }
  showReviewed(card);
  if (!large.open) large.showModal();
}

function showReviewed(card) {
  reviewing.setAttribute("aria-pressed", String(card.hasAttribute("data-reviewed")));
}

/* The card beside the one that is shown; if that one is gone from the list, the one beside its place. */
function beside(all, key, by) {
  const at = all.findIndex((link) => keyOfCard(link) === key);
  const from = 0 <= at ? at : by < 0 ? place : place - 1;
  return all[(from + by + all.length) % all.length];
}

function step(by) {
  const next = beside(links(), shown, by);
  if (next) enlarge(next);
}

async function review() {
  const link = current();
  if (!link) return;
  const reviewed = !link.closest("[data-key]").hasAttribute("data-reviewed");
  const address = document.body.dataset.events.replace(/events$/, `alarms/${link.dataset.enlarge}/review`);
  const answer = await fetch(address, {
    method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify({ reviewed }),
  });
  if (!answer.ok) return;
  for (const card of document.querySelectorAll("[data-key]")) {
    if (card.dataset.key === shown) card.toggleAttribute("data-reviewed", reviewed);
  }
  reviewing.setAttribute("aria-pressed", String(reviewed));
  soon();
}

/* The page was made again: somebody else may have marked the alarm. */
document.addEventListener("refreshed", () => {
  const link = current();
  if (large.open && link) showReviewed(link.closest("[data-key]"));
});

document.addEventListener("click", (event) => {
  const link = event.target.closest("a[data-enlarge]");
  if (!link || event.ctrlKey || event.metaKey || event.shiftKey || event.altKey || event.button !== 0) return;
  event.preventDefault();
  enlarge(link);
});
document.getElementById("large-close").addEventListener("click", () => large.close());
document.getElementById("large-previous").addEventListener("click", () => step(-1));
document.getElementById("large-next").addEventListener("click", () => step(1));
reviewing.addEventListener("click", review);
large.addEventListener("close", () => current()?.focus());
/* Keys: j and k move between cards, in the large view the arrows too. */
const WAYS = { j: 1, k: -1 };
large.addEventListener("keydown", (event) => {
  const by = { ...WAYS, ArrowRight: 1, n: 1, ArrowLeft: -1, p: -1 }[event.key];
  if (by && !event.ctrlKey && !event.metaKey && !event.altKey) step(by);
});
document.addEventListener("keydown", (event) => {
  const by = WAYS[event.key];
  const elsewhere = event.target.closest("input, select, textarea, pre, dialog");
  if (!by || elsewhere || event.ctrlKey || event.metaKey || event.altKey) return;
  const all = links();
  const card = document.activeElement.closest("[data-key]");
  const next = card ? beside(all, card.dataset.key, by) : all[by < 0 ? all.length - 1 : 0];
  next?.focus();
});

/* Boxes on and off, on all pictures; remembered by the browser. */
const boxes = document.getElementById("large-boxes");
function showBoxes(on) {
  document.documentElement.classList.toggle("plain", !on);
  boxes.setAttribute("aria-pressed", String(on));
}
boxes.addEventListener("click", () => {
  const on = document.documentElement.classList.contains("plain");
  localStorage.setItem("boxes", on ? "on" : "off");
  showBoxes(on);
});
showBoxes(localStorage.getItem("boxes") !== "off");
