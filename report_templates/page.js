"use strict";
// The page's one script: checks the data that the page carries, and filters its lists. It asks the network for nothing.
(() => {
  const find = (id) => document.getElementById(id);
  const sha256 = async (bytes) =>
    [...new Uint8Array(await crypto.subtle.digest("SHA-256", bytes))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  const utf8 = (text) => new TextEncoder().encode(text);
  const say = (list, good, text) => {
    const item = document.createElement("li");
    item.className = good ? "" : "bad";
    item.textContent = (good ? "Good: " : "Wrong: ") + text;
    list.append(item);
    return good;
  };

  // -- check of what the page carries ----------------------------------------------------------------------------------

  async function check() {
    const box = find("check"), result = find("check-result"), steps = find("check-steps");
    if (!globalThis.crypto || !crypto.subtle) {
      result.textContent = "Not checked: this browser gives a page from a file no SHA-256. “evidence verify” checks the whole pack.";
      return;
    }
    let good = true;
    try {
      const text = find("evidence").textContent;
      const shown = document.documentElement.dataset.evidence;
      const digest = await sha256(utf8(text));
      good = say(steps, digest === shown, `evidence.json as carried here has the SHA-256 ${digest}`) && good;
      const data = JSON.parse(text);
      good = say(steps, ...compareControls(data)) && good;
      good = say(steps, ...compareFindings(data)) && good;
      good = say(steps, ...(await compareObjects(data))) && good;
    } catch (error) {
      good = say(steps, false, `the check itself failed: ${error.message}`) && false;
    }
    box.classList.add(good ? "good" : "bad");
    result.textContent = good
      ? "The data of this page is whole: every digest agrees, and what is shown agrees with evidence.json."
      : "The data of this page was changed. Do not rely on it.";
    document.documentElement.dataset.check = good ? "good" : "bad";
  }

  // What is shown: the verdict's own words beside each control, not an attribute that nobody sees.
  function compareControls(data) {
    const shown = [...document.querySelectorAll("[data-control]")];
    const verdicts = new Map(data.controls.map((control) => [control.id, control.verdict]));
    const wrong = shown.filter((node) => firstBadge(node) !== verdicts.get(node.dataset.control));
    const whole = new Set(shown.map((node) => node.dataset.control)).size === verdicts.size;
    return [wrong.length === 0 && whole, wrong.length === 0 && whole
      ? `${verdicts.size} control results shown are those of evidence.json`
      : `control results shown differ from evidence.json: ${wrong.map((node) => node.dataset.control).join(", ") || "some are missing"}`];
  }

  function compareFindings(data) {
    const shown = [...document.querySelectorAll("[data-finding]")];
    const known = new Map(data.findings.map((finding) => [finding.fingerprint, finding]));
    const wrong = shown.filter((node) => {
      const finding = known.get(node.dataset.finding);
      return !finding || firstBadge(node) !== finding.severity || node.dataset.state !== finding.state;
    });
    return [wrong.length === 0, wrong.length === 0
      ? `${shown.length} of ${known.size} findings are shown, each as in evidence.json`
      : `findings shown differ from evidence.json: ${wrong.map((node) => node.dataset.finding).join(", ")}`];
  }

  function firstBadge(node) {
    const badge = node.querySelector(".badge"), sign = badge?.querySelector(".sign");
    return badge?.textContent.slice(sign ? sign.textContent.length : 0).trim();
  }

  async function compareObjects(data) {
    const carried = Object.entries(JSON.parse(find("objects").textContent));
    const known = new Set(data.policies.map((policy) => policy.digest));
    const wrong = [];
    for (const [digest, body] of carried) {
      if (!known.has(digest) || (await sha256(utf8(body))) !== digest) wrong.push(digest);
    }
    return [wrong.length === 0, wrong.length === 0
      ? `${carried.length} of ${known.size} policies are carried here, each with the digest that evidence.json names`
      : `policies carried here do not have their digest: ${wrong.join(", ")}`];
  }

  // -- check of a chosen folder ----------------------------------------------------------------------------------------

  async function checkFolder(files) {
    const steps = find("check-folder-steps"), result = find("check-folder-result");
    steps.replaceChildren();
    const byPath = new Map(files.map((file) => [file.webkitRelativePath.split("/").slice(1).join("/"), file]));
    if (!byPath.has("SHA256SUMS")) {
      result.textContent = "There is no SHA256SUMS in that folder: choose the folder that holds this page.";
      return;
    }
    const listed = new Map((await byPath.get("SHA256SUMS").text()).trim().split("\n").map((line) => [line.slice(66), line.slice(0, 64)]));
    let right = 0;
    for (const [path, digest] of listed) {
      const file = byPath.get(path);
      if (file && (await sha256(await file.arrayBuffer())) === digest) right += 1;
      else say(steps, false, file ? `${path} was changed` : `${path} is missing`);
    }
    const more = [...byPath.keys()].filter((path) => !listed.has(path) && !["SHA256SUMS", "SHA256SUMS.p7s", "SHA256SUMS.tsr"].includes(path));
    more.forEach((path) => say(steps, false, `${path} is not listed`));
    const own = (await byPath.get("evidence.json")?.text()) === find("evidence").textContent;
    if (!own) say(steps, false, "evidence.json of the folder is not the one that this page carries");
    result.textContent = steps.children.length
      ? `${right} of ${listed.size} files agree with SHA256SUMS.`
      : `All ${listed.size} files agree with SHA256SUMS, and evidence.json is the one that this page carries. The signature was not checked here.`;
  }

  // -- filters ---------------------------------------------------------------------------------------------------------

  // A control stands in a table and in a paragraph of its own: `key` tells what is one and the same.
  function filter(form, key, what) {
    const rows = [...document.querySelectorAll(`[data-${key}]`)], all = new Set(rows.map((row) => row.dataset[key])).size;
    const search = form.querySelector("input[type=search]"), status = form.querySelector("[role=status]");
    const texts = new Map(rows.map((row) => [row, row.textContent.toLowerCase()]));
    const apply = () => {
      const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
      const wanted = {};
      for (const box of form.querySelectorAll("input[type=checkbox]")) {
        (wanted[box.name] ??= new Set()).add(box.checked ? box.value : null);
      }
      const left = new Set();
      for (const row of rows) {
        const stays = Object.entries(wanted).every(([name, values]) => values.has(row.dataset[name]))
          && words.every((word) => texts.get(row).includes(word));
        row.classList.toggle("away", !stays);
        if (stays) left.add(row.dataset[key]);
      }
      for (const group of document.querySelectorAll(".rule")) {
        group.classList.toggle("away", !group.querySelector("[data-finding]:not(.away)"));
      }
      status.textContent = left.size === all ? "" : `${left.size} of ${all} ${what} shown`;
    };
    form.addEventListener("input", apply);
    form.addEventListener("submit", (event) => event.preventDefault());
    // A link to something that the filter hides shows it.
    addEventListener("hashchange", () => {
      for (let node = find(decodeURIComponent(location.hash.slice(1))); node; node = node.parentElement) node.classList.remove("away");
    });
    form.hidden = false;
  }

  function follow() {
    const links = new Map([...document.querySelectorAll(".side li a")].map((link) => [link.hash.slice(1), link]));
    const watch = new IntersectionObserver((entries) => {
      for (const entry of entries) {
        if (entry.isIntersecting) {
          links.forEach((link) => link.removeAttribute("aria-current"));
          links.get(entry.target.id)?.setAttribute("aria-current", "true");
        }
      }
    }, { rootMargin: "-10% 0px -80% 0px" });
    links.forEach((_, id) => find(id) && watch.observe(find(id)));
  }

  filter(find("filter-controls"), "control", "controls");
  filter(find("filter-findings"), "finding", "findings");
  follow();
  if (globalThis.crypto && crypto.subtle) find("check-folder").hidden = false;
  find("check-files").addEventListener("change", (event) => checkFolder([...event.target.files]));
  check();
})();
