// Waits for work that runs in the background, tells how far it is, then shows the page anew.
"use strict";
(() => {
  const place = document.querySelector("[data-errand]:not([data-errand=''])");
  if (!place) return;
  const bar = place.querySelector("progress");
  const look = async () => {
    try {
      const answer = await fetch(place.dataset.errand, { headers: { Accept: "application/json" } });
      if (answer.ok) {
        const { status, done, total } = await answer.json();
        if (status !== "running") {
          location.reload();
          return;
        }
        if (bar && total) {
          bar.max = total;
          bar.value = done;
        }
      }
    } catch { /* the server is away; ask again */ }
    setTimeout(look, 2000);
  };
  setTimeout(look, 1000);
})();
