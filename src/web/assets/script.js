// The admin pages read well without this. With it, what moves moves: the server says that something changed, the
// page is asked for again, and what differs is exchanged in place.
"use strict";

/* Times: the viewer's zone, and how long ago, by the server's clock. */
const skew = Date.parse(document.documentElement.dataset.now) - Date.now();
const clock = new Intl.DateTimeFormat(undefined, { timeStyle: "medium" });
const day = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });

function ago(at) {
  const seconds = Math.max(0, Math.round((Date.now() + skew - at) / 1000));
  if (seconds < 5) return "just now";
  if (seconds < 90) return `${seconds} s ago`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min ago`;
  if (seconds < 129600) return `${Math.round(seconds / 3600)} h ago`;
  return `${Math.round(seconds / 86400)} days ago`;
}

function tellTimes() {
  const today = new Date().toDateString();
  for (const time of document.querySelectorAll("time[data-show]")) {
    const at = Date.parse(time.dateTime);
    const exact = (new Date(at).toDateString() === today ? clock : day).format(at);
    const text = time.dataset.show === "ago" ? ago(at) : exact;
    if (time.textContent !== text) time.textContent = text;
    const title = `${day.format(at)} (your time), ${time.dateTime}`;
    if (time.title !== title) time.title = title;
  }
}

/* Exchanging what differs. Elements with data-key are known again wherever they went. */
const keyOf = (node) => (node.nodeType === Node.ELEMENT_NODE ? node.dataset.key : undefined);

function isBusy(element) {
  return element.nodeName === "FORM" && element.contains(document.activeElement);
}

function bring(have, want) {
  if (have.nodeType !== Node.ELEMENT_NODE) {
    if (have.nodeValue !== want.nodeValue) have.nodeValue = want.nodeValue;
    return;
  }
  if (isBusy(have) || have.nodeName === "TIME" && have.dateTime === want.dateTime) return;
  for (const { name, value } of want.attributes) {
    if (have.getAttribute(name) !== value) have.setAttribute(name, value);
  }
  for (const { name } of [...have.attributes]) {
    // What the viewer opened stays open, what the script showed stays shown.
    const own = name === "open" || name === "title" || (name === "hidden" && have.matches(".copy"));
    if (!own && !want.hasAttribute(name)) have.removeAttribute(name);
  }
  bringChildren(have, want);
}

function bringChildren(have, want) {
  const known = new Map([...have.children].filter(keyOf).map((child) => [keyOf(child), child]));
  let at = have.firstChild;
  for (const child of [...want.childNodes]) {
    const key = keyOf(child);
    const same = key ? known.get(key) : at && !keyOf(at) && at.nodeName === child.nodeName ? at : undefined;
    if (!same) {
      const fresh = document.importNode(child, true);
      if (key && fresh.matches(".alarm")) fresh.classList.add("new");
      have.insertBefore(fresh, at);
      continue;
    }
    if (same === at) at = at.nextSibling;
    else have.insertBefore(same, at);
    bring(same, child);
  }
  while (at) {
    const gone = at;
    at = at.nextSibling;
    gone.remove();
  }
}

function say(text) {
  document.getElementById("said").textContent = text;
}

async function refresh() {
  const answer = await fetch(location.href, { headers: { accept: "text/html" }, cache: "no-store" });
  if (!answer.ok) return;
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  const before = document.querySelector("[data-say]")?.dataset.say;
  for (const have of document.querySelectorAll("[data-live]")) {
    const want = page.getElementById(have.id);
    if (want) bring(have, want);
  }
  tellTimes();
  offerCopies();
  const after = document.querySelector("[data-say]")?.dataset.say;
  if (after && after !== before) say(after);
}

/* One refresh at a time, at most one a second, and none that is missed. */
let wanted = false;
let busy = false;
async function soon() {
  wanted = true;
  if (busy) return;
  busy = true;
  while (wanted) {
    wanted = false;
    try {
      await refresh();
    } catch {
      // The connection is gone; the event stream says so and comes back by itself.
    }
    await new Promise((done) => setTimeout(done, 700));
  }
  busy = false;
}

function listen() {
  const link = document.getElementById("link");
  const show = (state, text) => {
    link.hidden = false;
    link.dataset.state = state;
    if (link.textContent !== text) link.textContent = text;
  };
  const stream = new EventSource(document.body.dataset.events);
  let lost = false;
  stream.onopen = () => {
    show("live", "Live");
    // What came while nobody listened is fetched now.
    if (lost) soon();
    lost = false;
  };
  stream.onmessage = soon;
  for (const name of document.body.dataset.names.split(" ")) stream.addEventListener(name, soon);
  stream.onerror = () => {
    lost = true;
    show("lost", "Reconnecting");
    if (stream.readyState === EventSource.CLOSED) setTimeout(listen, 3000);
  };
}

/* Copy buttons: shown only where there is a script to make them work. */
function offerCopies() {
  for (const button of document.querySelectorAll("button.copy[hidden]")) button.hidden = false;
}

async function copy(button) {
  const source = document.getElementById(button.dataset.copy);
  try {
    await navigator.clipboard.writeText(source.textContent.trim());
  } catch {
    // Browsers give the clipboard to secure pages only; the old way works everywhere.
    getSelection().selectAllChildren(source);
    document.execCommand("copy");
  }
  button.textContent = "Copied";
  say(`Copied ${button.dataset.what}`);
  setTimeout(() => { button.textContent = "Copy"; }, 1600);
}

document.addEventListener("click", (event) => {
  const button = event.target.closest("button.copy");
  if (button) copy(button);
});

tellTimes();
offerCopies();
setInterval(tellTimes, 1000);
listen();
