// Lists are searched and sorted without a new page: the address changes, and the list is exchanged in place.
"use strict";

function swap(address, keep) {
  if (address.href === location.href) return;
  if (keep) history.pushState(null, "", address);
  else history.replaceState(null, "", address);
  soon();
}

function filtered(form) {
  const address = new URL(form.action, location.href);
  for (const [name, value] of new FormData(form)) {
    if (value) address.searchParams.set(name, value);
  }
  return address;
}

let typing;
for (const form of document.querySelectorAll("form[data-filter]")) {
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    swap(filtered(form), true);
  });
  form.addEventListener("input", (event) => {
    clearTimeout(typing);
    typing = setTimeout(() => swap(filtered(form), false), event.target.nodeName === "SELECT" ? 0 : 200);
  });
}

document.addEventListener("click", (event) => {
  const link = event.target.closest("a[data-swap]");
  if (!link || event.ctrlKey || event.metaKey || event.shiftKey || event.button !== 0) return;
  event.preventDefault();
  swap(new URL(link.href), true);
  if (link.rel) document.querySelector("main").scrollIntoView();
});

window.addEventListener("popstate", () => {
  for (const field of document.querySelectorAll("form[data-filter] [name]")) {
    field.value = new URLSearchParams(location.search).get(field.name) || field.defaultValue || field.options?.[0].value || "";
  }
  soon();
});
