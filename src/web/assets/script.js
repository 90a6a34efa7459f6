// The admin pages read well without this. With it, what moves moves: the server says that something changed, the
// page is asked for again, and what differs is exchanged in place.
"use strict";

/* Texts in the language of the page. */
const texts = JSON.parse(document.documentElement.dataset.texts);
const t = (text, ...values) => values.reduce((all, value) => all.replace("{}", value), texts[text] || text);

/* Dates as the viewer writes them, in the language of the page. */
const spoken = document.documentElement.lang;
const locale = navigator.languages.find((one) => one.startsWith(spoken)) || spoken;

/* Times: the viewer's zone, and how long ago, by the server's clock. */
const skew = Date.parse(document.documentElement.dataset.now) - Date.now();
const clock = new Intl.DateTimeFormat(locale, { timeStyle: "medium" });
const day = new Intl.DateTimeFormat(locale, { dateStyle: "medium", timeStyle: "medium" });

function ago(at) {
  const seconds = Math.max(0, Math.round((Date.now() + skew - at) / 1000));
  if (seconds < 5) return t("just now");
  if (seconds < 90) return t("{} s ago", seconds);
  if (seconds < 5400) return t("{} min ago", Math.round(seconds / 60));
  if (seconds < 129600) return t("{} h ago", Math.round(seconds / 3600));
  return t("{} days ago", Math.round(seconds / 86400));
}

const tick = {
  hour: new Intl.DateTimeFormat(locale, { hour: "2-digit", minute: "2-digit" }),
  day: new Intl.DateTimeFormat(locale, { weekday: "short" }),
  date: new Intl.DateTimeFormat(locale, { day: "numeric", month: "short" }),
};

function tellTimes() {
  const today = new Date().toDateString();
  for (const label of document.querySelectorAll("text[data-at]")) {
    const text = tick[label.dataset.show].format(Date.parse(label.dataset.at));
    if (label.textContent !== text) label.textContent = text;
  }
  for (const time of document.querySelectorAll("time[data-show]")) {
    const at = Date.parse(time.dateTime);
    const exact = (new Date(at).toDateString() === today ? clock : day).format(at);
    const text = time.dataset.show === "ago" ? ago(at) : exact;
    if (time.textContent !== text) time.textContent = text;
    const title = t("{} (your time), {}", day.format(at), time.dateTime);
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
  if (have.nodeName === "text" && have.dataset.at === want.dataset.at) {
    have.setAttribute("x", want.getAttribute("x"));
    return;
  }
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
  const address = location.href;
  const answer = await fetch(address, {
    headers: { accept: "text/html" }, cache: "no-store", signal: AbortSignal.timeout(10000),
  });
  if (answer.redirected && new URL(answer.url).pathname.endsWith("/login")) {
    // The session is over.
    location.assign(answer.url);
    return;
  }
  if (!answer.ok) return;
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  // Meanwhile another address may have been asked for, which is fetched next.
  if (location.href !== address) return;
  const focused = document.activeElement;
  const before = document.querySelector("[data-say]")?.dataset.say;
  for (const have of document.querySelectorAll("[data-live]")) {
    const want = page.getElementById(have.id);
    if (want) bring(have, want);
  }
  // A browser takes the focus from what is moved.
  if (focused !== document.activeElement && focused.isConnected) focused.focus({ preventScroll: true });
  tellTimes();
  offerCopies();
  const after = document.querySelector("[data-say]")?.dataset.say;
  if (after && after !== before) say(after);
  document.dispatchEvent(new CustomEvent("refreshed", { detail: page }));
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

/* The stream sends something at least every 5 seconds. A connection that is silent for longer is gone, though the
   browser may not have noticed: the bridge hangs, or the network is cut. */
const SILENCE = 15000;
let heard = Date.now();
let stream;
let lost = false;

function show(state, text) {
  const link = document.getElementById("link");
  link.hidden = false;
  link.dataset.state = state;
  if (link.textContent !== text) link.textContent = text;
}

/* What the page shows may no longer be true: the header does not claim it. */
function lose() {
  show("lost", t("Reconnecting"));
  const mood = document.getElementById("mood");
  mood.className = "chip";
  mood.textContent = t("No connection to alarmbus");
  if (!lost) say(t("The connection to alarmbus is lost"));
  lost = true;
}

function hear(changed) {
  heard = Date.now();
  show("live", t("Live"));
  // What came while nobody listened is fetched now.
  if (lost || changed) soon();
  lost = false;
}

function listen() {
  heard = Date.now();
  stream = new EventSource(document.body.dataset.events);
  stream.onopen = () => hear(false);
  stream.addEventListener("alive", () => hear(false));
  for (const name of document.body.dataset.names.split(" ")) stream.addEventListener(name, () => hear(true));
  stream.addEventListener("alarm", (event) => {
    document.dispatchEvent(new CustomEvent("alarm", { detail: JSON.parse(event.data) }));
  });
  stream.onerror = () => {
    lose();
    if (stream.readyState !== EventSource.CLOSED) return;
    // The bridge answers and refuses: the session may be over.
    soon();
    setTimeout(listen, 3000);
  };
}

setInterval(() => {
  if (Date.now() - heard < SILENCE || stream.readyState === EventSource.CLOSED) return;
  lose();
  stream.close();
  listen();
}, 1000);

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
  const words = button.textContent;
  button.textContent = t("Copied");
  say(t("Copied: {}", button.dataset.what));
  setTimeout(() => { button.textContent = words; }, 1600);
}

document.addEventListener("click", (event) => {
  const button = event.target.closest("button.copy");
  if (button) copy(button);
});

/* Arrow keys lead to the page, or the alarm, before and after. */
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input, select, textarea, pre, dialog")) return;
  const way = { ArrowRight: "next", n: "next", ArrowLeft: "prev", p: "prev" }[event.key];
  if (way) document.querySelector(`a[rel=${way}]`)?.click();
});

tellTimes();
offerCopies();
setInterval(tellTimes, 1000);
listen();
