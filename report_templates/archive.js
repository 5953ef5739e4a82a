"use strict";
// The archive's one script: filters its list. It asks the network for nothing; without it every pack is shown.
(() => {
  const form = document.getElementById("filter");
  if (!form) return;
  const rows = [...document.querySelectorAll("#packs tbody tr")];
  const apply = () => {
    const { framework, cluster, superseded } = form.elements;
    let count = 0;
    for (const row of rows) {
      const stays = (!framework.value || row.dataset.framework === framework.value)
        && (!cluster.value || row.dataset.cluster === cluster.value)
        && (superseded.checked || row.dataset.superseded === "no");
      row.classList.toggle("away", !stays);
      count += stays;
    }
    form.querySelector("[role=status]").textContent = count === rows.length ? "" : `${count} of ${rows.length} packs shown`;
  };
  form.addEventListener("input", apply);
  form.addEventListener("submit", (event) => event.preventDefault());
  form.hidden = false;
  apply();
})();
