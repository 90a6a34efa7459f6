// The login page: the password can be shown while it is typed.
"use strict";

const field = document.getElementById("password");
const shows = document.getElementById("show-password");
if (shows) {
  shows.hidden = false;
  shows.addEventListener("click", () => {
    const shown = field.type === "password";
    field.type = shown ? "text" : "password";
    shows.setAttribute("aria-pressed", String(shown));
  });
}
