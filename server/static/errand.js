// Waits for work that runs in the background, then shows the page anew.
"use strict";
(() => {
  const place = document.querySelector("[data-errand]:not([data-errand=''])");
  if (!place) return;
  const look = async () => {
    try {
      const answer = await fetch(place.dataset.errand, { headers: { Accept: "application/json" } });
      if (answer.ok && (await answer.json()).status !== "running") {
        location.reload();
        return;
      }
    } catch { /* the server is away; ask again */ }
    setTimeout(look, 2000);
  };
  setTimeout(look, 1000);
})();
