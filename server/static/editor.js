// The editor of blueprints: a form made of the JSON Schema beside the text, each following the other. The server reads
// and writes the text, so that there is one reader of it; what it says is only ever put in as text, never as markup.
"use strict";
(() => {
  const root = document.getElementById("editor");
  if (!root) return;
  const schema = read("schema");
  const text = document.getElementById("text");
  const gutter = document.getElementById("gutter");
  const fields = document.getElementById("fields");
  const banner = document.getElementById("problem");
  const changes = document.getElementById("changes");
  const form = document.getElementById("save");
  const locked = "locked" in root.dataset;
  const FIRST = ["strategy", "arms", "metrics", "features", "experiment", "lifecycle"];
  const OPEN = ["strategy", "arms", "metrics", "features"];
  const LONG = ["formula", "query", "target", "challenger"];
  const SHOWN = 3; // fields of an item that are seen at once; the rest is behind "More"
  const PAUSE = 250; // milliseconds without a key before the server is asked
  let { value, problem } = read("draft");
  let asked = 0;
  let timer = 0;
  let dirty = false;
  const toggled = new Map();

  function read(id) { return JSON.parse(document.getElementById(id).textContent); }

  // ---- small pieces

  function make(tag, attributes = {}, ...children) {
    const made = document.createElement(tag);
    for (const [name, given] of Object.entries(attributes)) {
      if (name === "on") for (const [event, act] of Object.entries(given)) made.addEventListener(event, act);
      else if (given === true) made.setAttribute(name, "");
      else if (given !== false && given !== null && given !== undefined) made.setAttribute(name, given);
    }
    made.append(...children.filter((child) => child !== null && child !== undefined));
    return made;
  }

  function marked(sentence) { // `code` in a description
    return sentence.split("`").map((part, place) => (place % 2 ? make("code", {}, part) : part));
  }

  function plain(of) { return typeof of === "object" && of !== null && !Array.isArray(of); }
  function pathOf(keys) {
    return keys.map((key, at) => (typeof key === "number" ? `[${key}]` : `${at ? "." : ""}${key}`)).join("");
  }

  function idOf(keys) { return `field-${pathOf(keys).replace(/[^A-Za-z0-9]+/g, "-")}`; }

  function get(keys) {
    if (!plain(value)) return undefined;
    return keys.reduce((found, key) => (found === null || found === undefined ? undefined : found[key]), value);
  }

  function set(keys, given) {
    if (!plain(value)) value = {};
    let place = value;
    keys.slice(0, -1).forEach((key, at) => {
      if (typeof place[key] !== "object" || place[key] === null) place[key] = typeof keys[at + 1] === "number" ? [] : {};
      place = place[key];
    });
    const last = keys[keys.length - 1];
    if (given !== undefined) place[last] = given;
    else if (Array.isArray(place)) place.splice(last, 1);
    else delete place[last];
    if (given === undefined) prune(keys.slice(0, -1));
    dirty = true;
  }

  function prune(keys) { // a section without a value is left out, an item of a list is not
    while (keys.length && typeof keys[keys.length - 1] !== "number") {
      const found = get(keys);
      if (typeof found !== "object" || found === null || Object.keys(found).length) return;
      const place = get(keys.slice(0, -1));
      delete place[keys[keys.length - 1]];
      keys = keys.slice(0, -1);
    }
  }

  function resolve(node) {
    if (node.$ref) return { ...schema.$defs[node.$ref.split("/").pop()], ...omit(node, "$ref") };
    const options = (node.anyOf || []).filter((option) => option.type !== "null");
    if (!options.length) return node;
    if (options.length === 1) return { ...resolve(options[0]), ...omit(node, "anyOf") };
    if (options.some((option) => option.pattern)) return { ...omit(node, "anyOf"), type: "duration" };
    return { ...omit(node, "anyOf"), type: options[0].type, items: options[0].items, enum: options[0].enum };
  }

  function omit(of, name) {
    const rest = { ...of };
    delete rest[name];
    return rest;
  }

  // ---- the form

  function draw() {
    const focus = document.activeElement && fields.contains(document.activeElement) ? document.activeElement.id : "";
    const order = [...FIRST, ...Object.keys(schema.properties).filter((name) => !FIRST.includes(name))];
    const rows = order.map((name) => part(schema.properties[name], [name], schema.required.includes(name)));
    const unread = value === null ? make("p", { class: "wrong" }, "The text cannot be read; mend it first, then the form follows.") : "";
    fields.replaceChildren(unread, make("fieldset", { class: "plainset", disabled: locked || value === null }, ...rows));
    if (focus) document.getElementById(focus)?.focus();
    mark();
  }

  function part(node, keys, required) {
    const kind = resolve(node);
    if (kind.properties) return group(kind, keys, () => section(kind, keys));
    if (kind.type === "array") return group(kind, keys, () => list(kind, keys));
    if (kind.type === "object") return group(kind, keys, () => pairs(kind, keys));
    return single(kind, keys, required);
  }

  function group(kind, keys, inside) {
    const path = pathOf(keys);
    const here = get(keys);
    const full = Array.isArray(here) ? here.length > 0 : plain(here) && Object.keys(here).length > 0;
    const open = toggled.get(path) ?? (keys.length === 1 ? OPEN.includes(keys[0]) || full : full);
    const note = Array.isArray(here) ? String(here.length) : full ? "set" : "default";
    const made = make("details", { class: "group", "data-path": path, open, on: { toggle: () => toggled.set(path, made.open) } },
      make("summary", {}, make("span", { class: "label" }, String(keys[keys.length - 1])), make("span", { class: "quiet note" }, note)),
      kind.description ? make("p", { class: "hint" }, ...marked(kind.description)) : null,
      inside());
    return made;
  }

  function section(kind, keys) {
    const names = Object.keys(kind.properties);
    const its = (name) => part(kind.properties[name], [...keys, name], (kind.required || []).includes(name));
    const item = typeof keys[keys.length - 1] === "number";
    if (!item || names.length <= SHOWN + 1) return make("div", { class: "grid" }, ...names.map(its));
    const here = get(keys) || {};
    const shown = names.filter((name, at) => at < SHOWN || name in here);
    const rest = names.filter((name) => !shown.includes(name));
    const path = `${pathOf(keys)} more`;
    const more = make("details", { class: "more", open: toggled.get(path) ?? false, on: { toggle: () => toggled.set(path, more.open) } },
      make("summary", {}, `More: ${rest.join(", ")}`), make("div", { class: "grid" }, ...rest.map(its)));
    return make("div", {}, make("div", { class: "grid" }, ...shown.map(its)), rest.length ? more : null);
  }

  function list(kind, keys) {
    const here = Array.isArray(get(keys)) ? get(keys) : [];
    const inner = resolve(kind.items);
    const name = String(keys[keys.length - 1]).replace(/s$/, "");
    const rows = here.map((item, at) => {
      const title = plain(item) && item.name ? String(item.name) : `${name} ${at + 1}`;
      const tools = make("span", { class: "tools" },
        tool("↑", `Move ${title} up`, at > 0, () => move(keys, at, at - 1)),
        tool("↓", `Move ${title} down`, at < here.length - 1, () => move(keys, at, at + 1)),
        tool("Remove", `Remove ${title}`, true, () => drop([...keys, at])));
      const its = [...keys, at];
      if (inner.properties) {
        const head = make("div", { class: "item-head" }, make("strong", {}, title), tools);
        return make("li", { class: "item", "data-path": pathOf(its) }, head, section(inner, its));
      }
      if (inner.type === "array") {
        const head = make("div", { class: "item-head" }, make("strong", {}, title), tools);
        return make("li", { class: "item", "data-path": pathOf(its) }, head, list(inner, its));
      }
      return make("li", { class: "simple" }, single(inner, its, true), tools);
    });
    const add = make("button", { type: "button", class: "add", id: `${idOf(keys)}-add`, on: { click: () => grow(keys, inner, here.length) } },
      `Add ${name}`);
    return make("div", {}, make("ol", { class: "items" }, ...rows), add);
  }

  function pairs(kind, keys) {
    const here = plain(get(keys)) ? get(keys) : {};
    const rows = Object.keys(here).map((name) => {
      const rename = (event) => {
        const fresh = Object.fromEntries(Object.entries(here).map(([key, its]) => [key === name ? event.target.value : key, its]));
        set(keys, fresh);
        draw();
        ask({ value });
      };
      const id = `${idOf([...keys, name])}-key`;
      return make("li", { class: "simple" }, make("label", { for: id, class: "label" }, "key"),
        make("input", { id, value: name, on: { change: rename } }),
        single(resolve(kind.additionalProperties || {}), [...keys, name], true),
        make("span", { class: "tools" }, tool("Remove", `Remove ${name}`, true, () => drop([...keys, name]))));
    });
    const add = () => {
      set([...keys, `new ${rows.length + 1}`], "");
      draw();
      ask({ value });
    };
    return make("div", {}, make("ol", { class: "items" }, ...rows), make("button", { type: "button", class: "add", on: { click: add } }, "Add"));
  }

  function tool(sign, label, able, act) {
    return make("button", { type: "button", class: "tool", "aria-label": label, title: label, disabled: !able, on: { click: act } }, sign);
  }

  function move(keys, from, to) {
    const here = get(keys);
    [here[from], here[to]] = [here[to], here[from]];
    dirty = true;
    draw();
    ask({ value });
  }

  function drop(keys) {
    set(keys, undefined);
    draw();
    document.getElementById(`${idOf(keys.slice(0, -1))}-add`)?.focus();
    ask({ value });
  }

  function grow(keys, inner, at) {
    toggled.set(pathOf(keys), true);
    const first = inner.properties ? Object.fromEntries((inner.required || []).map((name) => [name, ""])) : inner.type === "array" ? [] : "";
    set([...keys, at], first);
    draw();
    const made = fields.querySelector(`[data-path="${CSS.escape(pathOf([...keys, at]))}"]`);
    (made?.matches("input, select, textarea") ? made : made?.querySelector("input, select, textarea"))?.focus();
    ask({ value });
  }

  function single(kind, keys, required) {
    const id = idOf(keys);
    const path = pathOf(keys);
    const here = get(keys);
    const name = typeof keys[keys.length - 1] === "number" ? "" : String(keys[keys.length - 1]);
    const hint = [kind.description, range(kind)].filter(Boolean).join(" ");
    const called = name ? null : `${keys[keys.length - 2]} ${keys[keys.length - 1] + 1}`;
    const common = { id, "data-path": path, "aria-label": called, "aria-describedby": hint ? `${id}-hint` : null };
    const change = (given) => {
      set(keys, given);
      if (name === "name") field.closest(".item")?.querySelector(".item-head strong")?.replaceChildren(given || "without a name");
      ask({ value });
    };
    let field;
    if (kind.type === "boolean") {
      field = make("input", { ...common, type: "checkbox", on: { change: () => change(field.checked === kind.default ? undefined : field.checked) } });
      field.checked = here === undefined ? kind.default === true : here === true;
      return make("div", { class: "field" }, make("span", { class: "check" }, field, make("label", { for: id, class: "label" }, name)), note());
    }
    if (kind.enum) {
      const known = here === undefined || kind.enum.includes(here);
      const options = [required && kind.default === undefined ? null : make("option", { value: "" }, `default: ${kind.default || "none"}`),
        ...kind.enum.filter((each) => each !== "").map((each) => make("option", { value: each }, each)),
        known ? null : make("option", { value: String(here) }, String(here))];
      field = make("select", { ...common, on: { change: () => change(field.value === "" ? undefined : field.value) } }, ...options);
      field.value = here === undefined || here === null ? "" : String(here);
    } else {
      const number = kind.type === "number" || kind.type === "integer";
      const typed = number && (here === undefined || here === null || typeof here === "number");
      const long = LONG.includes(name);
      const edges = typed ? { type: "number", step: kind.type === "integer" ? 1 : "any", min: kind.minimum ?? kind.exclusiveMinimum, max: kind.maximum ?? kind.exclusiveMaximum } : {};
      field = make(long ? "textarea" : "input", { ...common, ...(long ? { rows: 2 } : edges), placeholder: shown(kind), autocomplete: "off",
        spellcheck: "false", on: { input: () => change(parsed(field.value, kind, required)) } });
      field.value = here === undefined || here === null ? "" : typeof here === "string" ? here : JSON.stringify(here);
    }
    return make("div", { class: long(name) ? "field wide" : "field" }, name ? make("label", { for: id, class: "label" }, name, required ? make("span", { class: "quiet" }, " (needed)") : null) : null, field, note());

    function note() { return hint ? make("p", { class: "hint", id: `${id}-hint` }, ...marked(hint)) : null; }
    function long(its) { return LONG.includes(its); }
  }

  function range(kind) {
    const low = kind.minimum ?? kind.exclusiveMinimum;
    const high = kind.maximum ?? kind.exclusiveMaximum;
    if (low === undefined || high === undefined || /in [[(]/.test(kind.description || "")) return "";
    return `From ${low} to ${high}.`;
  }

  function shown(kind) { // the default
    const given = kind.default;
    if (given === undefined || given === null || given === "" || typeof given === "object") return "";
    const unit = kind.type === "duration" && given ? [[86400, "d"], [3600, "h"], [60, "m"], [1, "s"]].find(([size]) => given % size === 0) : null;
    return unit ? `default: ${given / unit[0]}${unit[1]}` : `default: ${given}`;
  }

  function parsed(given, kind, required) {
    if (given === "") return required ? "" : undefined;
    if (kind.type === "string") return given;
    if (kind.type === "number" || kind.type === "integer" || kind.type === "duration") {
      return /^[-+]?(\d+\.?\d*|\.\d+)(e[-+]?\d+)?$/i.test(given.trim()) ? Number(given) : given;
    }
    try { return JSON.parse(given); } catch { return given; }
  }

  // ---- what is wrong, at the field and at the line

  function mark() {
    fields.querySelectorAll("[aria-invalid]").forEach((field) => field.removeAttribute("aria-invalid"));
    fields.querySelectorAll(".wrong").forEach((said) => said.remove());
    number();
    banner.hidden = !problem;
    if (!problem) return;
    const place = problem.line ? `! Line ${problem.line}` : "!";
    banner.replaceChildren(make("p", {}, make("strong", {}, place), ` ${problem.said}`));
    const field = nearest(problem.path);
    if (!field) return;
    for (let up = field; up && up !== fields; up = up.parentElement) if (up.tagName === "DETAILS") up.open = true;
    field.setAttribute("aria-invalid", "true");
    const said = make("p", { class: "wrong" }, problem.said);
    if (field.tagName === "DETAILS") field.querySelector("summary").after(said);
    else if (field.tagName === "LI") field.prepend(said);
    else field.after(said);
  }

  function nearest(path) {
    while (path) {
      const field = fields.querySelector(`[data-path="${CSS.escape(path)}"]`);
      if (field) return field;
      path = path.replace(/(\.[^.[\]]*|\[\d+\]|^[^.[]+)$/, "");
    }
    return null;
  }

  function number() {
    const count = text.value.split("\n").length;
    const wrong = problem ? problem.line : 0;
    const rows = Array.from({ length: count }, (_, at) => make("span", at + 1 === wrong ? { class: "bad" } : {}, `${at + 1}\n`));
    gutter.replaceChildren(...rows);
    gutter.scrollTop = text.scrollTop;
  }

  // ---- what changes

  function tell(said) {
    if (!changes) return;
    if (problem) {
      changes.replaceChildren(make("p", { class: "quiet" }, "Mend what is wrong first; then this shows what it changes."));
      return;
    }
    const before = `version ${said.served}`;
    if (!said.rows.length) {
      changes.replaceChildren(make("p", { class: "quiet" }, `Nothing differs from ${before}, which is served.`));
      return;
    }
    const known = said.known ? make("p", {}, make("span", { class: "chip wait" }, `This is version ${said.known}, word for word: serve it from the list of versions.`)) : null;
    const chip = make("span", { class: said.shares ? "chip proven" : "chip wait" }, said.shares ? "✓ shares data" : "! own data");
    const more = make("details", { open: toggled.get("lines") ?? false, on: { toggle: () => toggled.set("lines", more.open) } },
      make("summary", {}, "The two texts, line by line"), lines(said.pairs, before));
    changes.replaceChildren(rows(said.rows, before), make("p", {}, chip, ` It ${said.words}.`), ...[known, more].filter(Boolean));
  }

  function rows(its, before) {
    const body = its.map((row) => make("tr", {},
      make("th", { scope: "row" }, make("code", {}, row.path), row.hint ? make("small", {}, ...marked(row.hint)) : null),
      make("td", { class: "gone" }, make("span", { class: "side" }, `${before}: `), make("code", {}, row.before)),
      make("td", { class: "come" }, make("span", { class: "side" }, "yours: "), make("code", {}, row.after))));
    return make("div", { class: "scroll" }, make("table", { class: "slim differ stack" },
      make("caption", {}, `Against ${before}, which is served`),
      make("thead", {}, make("tr", {}, ...["Field", before, "yours"].map((title) => make("th", { scope: "col" }, title)))),
      make("tbody", {}, ...body)));
  }

  function lines(its, before) {
    const body = its.map((pair) => make("tr", { class: pair.kind },
      ...[pair.left, pair.right].flatMap(([at, line]) => [make("td", { class: "at" }, at ? String(at) : ""), make("td", {}, make("code", {}, line))])));
    const head = make("tr", {}, make("th", { scope: "col", colspan: 2 }, before), make("th", { scope: "col", colspan: 2 }, "yours"));
    return make("div", { class: "scroll" }, make("table", { class: "lines" },
      make("colgroup", {}, ...["at", null, "at", null].map((kind) => make("col", { class: kind }))), make("thead", {}, head), make("tbody", {}, ...body)));
  }

  // ---- the server reads the text, and writes it

  function ask(body) {
    asked += 1;
    clearTimeout(timer);
    const mine = asked;
    root.setAttribute("aria-busy", "true");
    timer = setTimeout(() => send(body, mine), PAUSE);
  }

  async function send(body, mine) {
    try {
      const answer = await fetch(root.dataset.validate, {
        method: "POST",
        headers: { "Content-Type": "application/json", Accept: "application/json", "X-CSRFToken": form.elements.csrf_token.value },
        body: JSON.stringify({ ...body, strategy: root.dataset.strategy }),
      });
      const said = await answer.json();
      if (mine !== asked) return;
      if (!answer.ok) throw new Error(said.detail || said.error || "the server refused");
      take(said, "text" in body);
    } catch (error) {
      if (mine !== asked) return;
      problem = { path: "", line: 0, said: `This could not be checked: ${error.message}. Your text stays here; log in again in another tab if you were logged out, then go on.` };
      mark();
    }
    root.removeAttribute("aria-busy");
  }

  function take(said, typed) {
    problem = said.problem;
    if (!typed && said.text) text.value = said.text;
    if (typed && JSON.stringify(said.value) !== JSON.stringify(value)) {
      value = said.value;
      draw();
    } else mark();
    tell(said);
  }

  text.addEventListener("input", () => {
    dirty = true;
    number();
    ask({ text: text.value });
  });
  text.addEventListener("scroll", () => { gutter.scrollTop = text.scrollTop; });
  form?.addEventListener("submit", () => { dirty = false; });
  addEventListener("beforeunload", (event) => { if (dirty) event.preventDefault(); });
  fields.parentElement.hidden = false;
  root.classList.add("both");
  draw();
})();
