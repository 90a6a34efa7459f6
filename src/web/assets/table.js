// Lists are searched and sorted without a new page: the address changes, and the list is exchanged in place.
"use strict";

function swap(address, keep) {
  if (address.href === location.href) return;
  if (keep) history.pushState(null, "", address);
  else history.replaceState(null, "", address);
  soon();
}

/* The address that a form asks for; a table stays sorted in its direction as long as its column stays. */
function filtered(form) {
  const address = new URL(form.action, location.href);
  for (const [name, value] of new FormData(form)) {
    if (value) address.searchParams.set(name, value);
  }
  const here = new URLSearchParams(location.search);
  const turned = here.get("dir");
  if (turned && here.get("sort") === address.searchParams.get("sort")) address.searchParams.set("dir", turned);
  return address;
}

/* What is typed without a pause in between is one step of the browser's history. */
let typing;
let typed = false;
/* A field holds something that the address does not ask for yet. */
let ahead = false;
for (const form of document.querySelectorAll("form[data-filter]")) {
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    clearTimeout(typing);
    ahead = false;
    swap(filtered(form), true);
  });
  form.addEventListener("input", (event) => {
    clearTimeout(typing);
    ahead = true;
    const chosen = event.target.nodeName === "SELECT";
    typing = setTimeout(() => {
      ahead = false;
      swap(filtered(form), chosen || !typed);
      typed = !chosen;
    }, chosen ? 0 : 200);
  });
  form.addEventListener("change", ({ target }) => {
    typed = false;
    const asked = new URLSearchParams(location.search).get(target.name) || "";
    if (target.nodeName !== "SELECT" && target.value !== asked) ahead = true;
  });
}

document.addEventListener("click", (event) => {
  const link = event.target.closest("a[data-swap]");
  if (!link || event.ctrlKey || event.metaKey || event.shiftKey || event.button !== 0) return;
  event.preventDefault();
  swap(new URL(link.href), true);
  if (link.rel) document.querySelector("main").scrollIntoView();
});

/* The fields show what the address asks for; but nobody is interrupted while typing. */
let returned = false;
document.addEventListener("refreshed", ({ detail: page }) => {
  if (ahead && !returned) return;
  for (const form of document.querySelectorAll("form[data-filter]")) {
    for (const field of form.querySelectorAll("[name]")) {
      const made = page.querySelector(`form[data-filter] [name="${field.name}"]`);
      if (made && field.value !== made.value && (returned || field !== document.activeElement)) field.value = made.value;
    }
  }
  returned = false;
});

window.addEventListener("popstate", () => {
  clearTimeout(typing);
  typed = false;
  ahead = false;
  returned = true;
  soon();
});
