// Notifications of the browser while a tab is open and not in front. Each browser is asked for itself.
"use strict";

const wantsNotice = () => localStorage.getItem("notify") === "on" && "Notification" in window
  && Notification.permission === "granted";

/* What the stream says of an alarm: as it is published, with `muted` where somebody muted its device or kind. */
function notice({ alarm, picture, title }) {
  if (alarm.muted || !wantsNotice() || document.visibilityState === "visible" && document.hasFocus()) return;
  const shown = new Notification(title, {
    body: alarm.device.name,
    tag: alarm.activity_id || alarm.id,
    icon: picture ? link(picture) : undefined,
  });
  shown.onclick = () => {
    window.focus();
    location.assign(link(`/?alarm=${alarm.id}`));
    shown.close();
  };
}

/* An address of this bridge, which may stand below a path. */
const link = (path) => document.body.dataset.events.replace(/\/api\/v1\/events$/, "") + path;

document.addEventListener("alarm", (event) => notice(event.detail));

/* The button of the Settings page. */
const notifyButton = document.getElementById("notify-button");

function showNotify() {
  const state = document.getElementById("notify-state");
  const possible = "Notification" in window && window.isSecureContext;
  document.getElementById("notify").hidden = false;
  notifyButton.disabled = !possible;
  notifyButton.setAttribute("aria-pressed", String(wantsNotice()));
  if (!possible) state.textContent = t("Browsers show notifications only of pages opened by https or on this machine.");
  else if (Notification.permission === "denied") state.textContent = t("This browser does not allow them: see its settings for this page.");
  else state.textContent = wantsNotice() ? t("On") : t("Off");
}

if (notifyButton) {
  showNotify();
  notifyButton.addEventListener("click", async () => {
    if (wantsNotice()) localStorage.setItem("notify", "off");
    else if (await Notification.requestPermission() === "granted") localStorage.setItem("notify", "on");
    showNotify();
  });
}
