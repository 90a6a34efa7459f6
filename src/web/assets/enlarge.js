// Pictures of alarms in a large view, with arrow keys, boxes on and off, and the mark of reviewed ones.
"use strict";

const large = document.getElementById("large");
const picture = document.getElementById("large-picture");
const reviewing = document.getElementById("large-review");
let shown;

/* The list may change while the view is open: an alarm is known again by its link. */
const links = () => [...document.querySelectorAll("a[data-enlarge]")];
const current = () => links().find((link) => link.dataset.enlarge === shown);

function enlarge(link) {
  shown = link.dataset.enlarge;
  const card = link.closest(".alarm, .latest");
  document.getElementById("large-title").textContent = link.dataset.title;
  document.getElementById("large-open").href = link.href;
  const parts = card.querySelector(".thumb, .stage .fit, .stage").cloneNode(true);
  for (const chip of parts.querySelectorAll(".chip")) chip.remove();
  picture.replaceChildren(...parts.childNodes);
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

function step(by) {
  const all = links();
  const at = all.findIndex((link) => link.dataset.enlarge === shown);
  const next = all[(at + by + all.length) % all.length];
  if (next) enlarge(next);
}

async function review() {
  const card = current()?.closest(".alarm, .latest");
  if (!card) return;
  const reviewed = !card.hasAttribute("data-reviewed");
  const answer = await fetch(`${document.body.dataset.events.replace(/events$/, "alarms")}/${shown}/review`, {
    method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify({ reviewed }),
  });
  if (!answer.ok) return;
  card.toggleAttribute("data-reviewed", reviewed);
  showReviewed(card);
}

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
large.addEventListener("keydown", (event) => {
  const by = { ArrowRight: 1, n: 1, ArrowLeft: -1, p: -1 }[event.key];
  if (by) step(by);
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
