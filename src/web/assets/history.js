// The History page: dates and days are those of the viewer, unless the address names a zone.
"use strict";

const filter = document.getElementById("filter");
const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
const here = new URL(location.href);
if (zone && zone !== filter.dataset.zone && !here.searchParams.has("zone")) {
  here.searchParams.set("zone", zone);
  location.replace(here);
}
