"use strict";

const at = (id) => document.getElementById(id);
/** An element with a class and a text: text is never taken for markup. */
const make = (name, className, text) => {
  const element = document.createElement(name);
  if (className) element.className = className;
  if (text !== undefined) element.textContent = text;
  return element;
};
const number = (value) => (value === null || value === undefined ? "–" : Math.round(value).toLocaleString("en"));
const bytes = (value) => {
  if (value === null || value === undefined) return "–";
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let unit = 0;
  while (value >= 1024 && unit < units.length - 1) { value /= 1024; unit += 1; }
  return `${value.toFixed(value < 10 && unit ? 1 : 0)} ${units[unit]}`;
};
const millis = (value) => {
  if (!value) return "–";
  if (value < 1) return `${Math.round(value * 1000)} µs`;
  return value < 1000 ? `${value.toFixed(value < 10 ? 1 : 0)} ms` : `${(value / 1000).toFixed(1)} s`;
};

const percent = (part) => {
  if (!part) return "–";
  return part < 0.001 ? "< 0.1 %" : `${(part * 100).toFixed(part < 0.1 ? 1 : 0)} %`;
};

// ---- asking

const token = () => sessionStorage.getItem("forelog-token") || "";
const headers = () => (token() ? { Authorization: `Bearer ${token()}` } : {});

async function ask(path, options = {}) {
  const answer = await fetch(path, { ...options, headers: { ...headers(), ...options.headers } });
  const value = await answer.json().catch(() => ({}));
  if (!answer.ok) throw Object.assign(new Error(value.error || answer.statusText), { status: answer.status });
  return value;
}

/** Reads the stream of updates; fetch can carry a token, which EventSource cannot. */
async function follow() {
  for (;;) {
    try {
      const answer = await fetch("/api/stream", { headers: headers() });
      if (!answer.ok) {
        const why = await answer.json().catch(() => ({}));
        throw new Error(why.error || answer.statusText);
      }
      at("link").textContent = "";
      const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
      let rest = "";
      for (;;) {
        const { value, done } = await reader.read();
        if (done) throw new Error("the connection has ended");
        const parts = (rest + value).split("\n\n");
        rest = parts.pop();
        parts.forEach(take);
      }
    } catch (error) {
      at("link").textContent = `not connected: ${error.message}`;
    }
    await new Promise((done) => setTimeout(done, 2000));
  }
}

function take(message) {
  const data = message.split("\n").filter((line) => line.startsWith("data:")).map((line) => line.slice(5).trim()).join("\n");
  if (!data) return;
  if (message.split("\n").includes("event: ended")) throw new Error(data);
  show(JSON.parse(data));
}

// ---- charts

const KEPT = 120;
class Chart {
  constructor(id, names, text) {
    this.box = at(id);
    this.names = names;
    this.text = text;
    this.lines = names.map(() => []);
  }
  add(values) {
    values.forEach((value, i) => {
      this.lines[i].push(value);
      if (this.lines[i].length > KEPT) this.lines[i].shift();
    });
    this.draw();
  }
  draw() {
    const [width, height, low] = [360, 120, 16];
    const highest = Math.max(...this.lines.flat(), 1e-9);
    const space = "http://www.w3.org/2000/svg";
    const part = (name, attributes, text) => {
      const element = document.createElementNS(space, name);
      Object.entries(attributes).forEach(([key, value]) => element.setAttribute(key, value));
      if (text !== undefined) element.textContent = text;
      return element;
    };
    const latest = this.names.map((name, i) => `${name} ${this.text(this.lines[i].at(-1))}`).join(", ");
    const svg = part("svg", { viewBox: `0 0 ${width} ${height}`, preserveAspectRatio: "none", role: "img",
      "aria-label": `The last ${this.lines[0].length} seconds; now ${latest}` });
    svg.append(part("line", { x1: 0, x2: width, y1: height - 1, y2: height - 1, class: "axis" }));
    this.lines.forEach((line, i) => {
      const points = line.map((value, n) => {
        const x = width - (line.length - 1 - n) * (width / (KEPT - 1));
        return `${x.toFixed(1)},${(height - 2 - (value / highest) * (height - low - 2)).toFixed(1)}`;
      });
      svg.append(part("polyline", { points: points.join(" "), class: ["one", "two", "three"][i] }));
    });
    const legend = make("p", "legend");
    this.names.forEach((name, i) => legend.append(make("span", ["one", "two", "three"][i], name)));
    legend.append(make("em", "", `up to ${this.text(highest > 1e-9 ? highest : 0)}`));
    this.box.replaceChildren(svg, legend);
  }
}
const throughput = new Chart("chart-throughput", ["emitted/s", "delivered/s"], number);
const latency = new Chart("chart-latency", ["p50", "p99", "p99.9"], millis);
const queue = new Chart("chart-queue", ["events that wait"], number);

// ---- showing

let before = null;
let seenSeq = -1;

function show(status) {
  document.body.classList.toggle("files", status.mode === "files");
  at("path").textContent = (status.path || "in memory") + (status.mode === "files" ? " (read only)" : "");
  at("health").textContent = status.health.status;
  at("health").className = `badge ${status.health.status}`;
  at("health").title = status.health.why || "";
  const { summary } = status;
  const now = { at: Date.parse(summary.timestamp), emitted: summary.log.last_seq,
    delivered: summary.counts ? summary.counts.delivered : 0 };
  if (before && now.at > before.at) {
    const seconds = (now.at - before.at) / 1000;
    const emitted = Math.max(0, (now.emitted - before.emitted) / seconds);
    const delivered = Math.max(0, (now.delivered - before.delivered) / seconds);
    at("emitted-now").textContent = number(emitted);
    at("delivered-now").textContent = number(delivered);
    throughput.add([emitted, delivered]);
  }
  before = now;
  if (status.mode === "live") {
    const { recent } = summary.latency;
    at("p50").textContent = millis(recent.p50_ms);
    at("p99").textContent = millis(recent.p99_ms);
    at("p999").textContent = millis(recent.p999_ms);
    latency.add([recent.p50_ms, recent.p99_ms, recent.p999_ms]);
    at("queue-depth").textContent = number(summary.queue.depth);
    at("queue-max").textContent = `${number(summary.queue.max)} (${Math.round(summary.queue.fill * 100)} %)`;
    queue.add([summary.queue.depth]);
  }
  showTotals(summary);
  showIssues(status.health.issues);
  showAlerts(status.recent_alerts);
  showSubscriptions(summary.subscriptions);
  showTypes(summary.types);
  if (summary.log.last_seq !== seenSeq) {
    seenSeq = summary.log.last_seq;
    // A search in texts reads thousands of events: not each second.
    if (at("follow").checked && !isOlder && !at("search").elements.text.value) search().catch(() => {});
    segments().catch(() => {});
  }
}

function showTotals(summary) {
  const { log, counts, resources, sync, index } = summary;
  const rows = [["Events held", number(log.events)], ["Last Seq", number(log.last_seq)], ["On the disk", bytes(log.bytes)],
    ["Segments", number(log.segments)]];
  if (counts) {
    rows.push(["Durable Seq", number(log.durable_seq)], ["Delivered", number(counts.delivered)], ["Failed", number(counts.failed)],
      ["Parked", number(counts.parked)], ["Refused", number(counts.rejected)],
      ["Sync p50, p99", `${millis(sync.total.p50_ms)}, ${millis(sync.total.p99_ms)}`], ["Index behind", number(index.lag)],
      ["Processors", (summary.rates["1min"].cpu).toFixed(2)], ["Memory", bytes(resources.resident_bytes)],
      ["Disk written", `${bytes(summary.rates["1min"].written_bytes)}/s`],
      ["Disk free", `${bytes(resources.disk_free_bytes)} of ${bytes(resources.disk_total_bytes)}`]);
  }
  at("totals").replaceChildren(...rows.map(([name, value]) => {
    const row = make("div");
    row.append(make("dt", "", name), make("dd", "", value));
    return row;
  }));
}

/** Replaces a list only if it has changed, so that a screen reader does not read it each second. */
function list(box, items, key) {
  if (box.dataset.key === key) return;
  box.dataset.key = key;
  box.replaceChildren(...items);
}

function showIssues(issues) {
  at("issues-section").hidden = issues.length === 0;
  const items = issues.map((issue) => {
    const item = make("li", issue.severity, `${issue.severity}: ${issue.message}`);
    item.append(make("span", "step", `Next: ${issue.next_step}`));
    return item;
  });
  list(at("issues"), items, issues.map((issue) => `${issue.rule} ${issue.subscription} ${issue.message}`).join("\n"));
}

function showAlerts(alerts) {
  const items = alerts.map((alert) => {
    const when = new Date(alert.resolved_at || alert.raised_at).toLocaleTimeString();
    const kind = alert.state === "raised" ? alert.severity : "";
    return make("li", kind, `${when} ${alert.state}: ${alert.message}`);
  });
  if (!items.length) items.push(make("li", "quiet", "None so far."));
  list(at("alerts"), items, `a${alerts.map((a) => `${a.rule}${a.subscription}${a.state}${a.raised_at}`).join()}`);
}

function showTypes(types) {
  const rows = types.map((one) => {
    const row = make("tr");
    const name = make("th");
    name.scope = "row";
    if (one.event_type === "…") {
      name.textContent = "all others";
    } else {
      const link = make("button", "link", one.event_type);
      link.type = "button";
      link.dataset.key = `type ${one.event_type}`;
      link.addEventListener("click", () => {
        at("search").elements.type.value = one.event_type;
        isOlder = false;
        search(true);
        at("events-title").scrollIntoView();
      });
      name.append(link);
    }
    row.append(name, make("td", "n", number(one.events)));
    if (one.latency) {
      const { recent } = one.latency;
      [number(one.rate), millis(recent.p50_ms), millis(recent.p99_ms), number(one.delivered), number(one.failed),
        percent(one.error_rate)].forEach((text) => row.append(make("td", "n", text)));
    }
    return row;
  });
  replaceRows(at("types"), rows);
}

/** Makes one element like another, and keeps it as far as it can: what is clicked or read just now stays. */
function patch(old, fresh) {
  const [olds, freshs] = [[...old.childNodes], [...fresh.childNodes]];
  const isOther = old.nodeName !== fresh.nodeName || olds.length !== freshs.length
    || (old.dataset && old.dataset.key !== fresh.dataset.key);
  if (isOther) {
    old.replaceWith(fresh);
    return;
  }
  if (old.nodeType === Node.TEXT_NODE) {
    if (old.data !== fresh.data) old.data = fresh.data;
    return;
  }
  if (old.className !== fresh.className) old.className = fresh.className;
  if (old.title !== fresh.title) old.title = fresh.title;
  olds.forEach((child, i) => patch(child, freshs[i]));
}

/** Puts rows in place of others; whoever goes through the table with the keyboard stays where they are. */
function replaceRows(body, rows) {
  const active = document.activeElement;
  const held = active && body.contains(active) && active.dataset.key;
  const olds = [...body.children];
  rows.forEach((row, i) => (olds[i] ? patch(olds[i], row) : body.append(row)));
  olds.slice(rows.length).forEach((row) => row.remove());
  if (held && !body.contains(document.activeElement)) body.querySelector(`[data-key="${CSS.escape(held)}"]`)?.focus();
}

function showSubscriptions(all) {
  const rows = all.map((one) => {
    const row = make("tr");
    const name = make("th", "", one.name);
    name.scope = "row";
    const status = make("td");
    const tag = make("span", `tag ${one.status}`, one.stalled ? `stalled at ${one.stalled}` : one.status);
    tag.title = one.paused || one.last_error || "";
    status.append(tag);
    row.append(name, status);
    [number(one.lag), one.lag_ms ? millis(one.lag_ms) : "–", number(one.rate), millis(one.latency.recent.p99_ms),
      number(one.delivered), number(one.failed), percent(one.error_rate), number(one.parked)]
      .forEach((text) => row.append(make("td", "n", text)));
    const what = make("td");
    if (one.is_named) {
      const action = one.status === "paused" ? "resume" : "pause";
      what.append(doing(one.name, action, () => act(one.name, action)));
      if (one.parked) {
        what.append(doing(one.name, "parked", () => openParked(one.name)), doing(one.name, "redeliver", () => act(one.name, "redeliver")));
      }
    }
    row.append(what);
    return row;
  });
  replaceRows(at("subscriptions"), rows);
}

function doing(name, action, run) {
  const button = make("button", "", action);
  button.type = "button";
  button.dataset.key = `${action} ${name}`;
  button.setAttribute("aria-label", `${action} ${name}`);
  button.addEventListener("click", run);
  return button;
}

// ---- doing

function say(text, isBad) {
  at("said").textContent = text;
  at("said").classList.toggle("bad", Boolean(isBad));
}

async function act(subscription, action, seq) {
  try {
    await ask("/api/control", { method: "POST", headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ subscription, action, ...(seq === undefined ? {} : { seq }) }) });
    say(`${action} of ${subscription}: done`);
    if (!at("parked-box").hidden) await openParked(subscription);
  } catch (error) {
    say(`${action} of ${subscription} was refused: ${error.message}`, true);
    if (error.status === 401) openToken();
  }
}

async function openParked(name) {
  const { parked } = await ask(`/api/parked/${encodeURIComponent(name)}`);
  at("parked-title").textContent = `Parked by ${name}`;
  at("parked").replaceChildren(...parked.map((one) => {
    const item = make("li");
    const buttons = make("span");
    const again = doing(name, "redeliver", () => act(name, "redeliver", one.seq));
    const away = doing(name, "discard", () => act(name, "discard", one.seq));
    again.setAttribute("aria-label", `redeliver ${one.seq} to ${name}`);
    away.setAttribute("aria-label", `discard ${one.seq} of ${name}`);
    buttons.append(again, " ", away);
    item.append(make("span", "", `${one.seq} ${one.event_type}: ${one.reason} (attempts: ${one.attempts})`), buttons);
    return item;
  }));
  const wasHidden = at("parked-box").hidden;
  at("parked-box").hidden = false;
  if (wasHidden) at("parked-title").focus();
}
at("parked-close").addEventListener("click", () => { at("parked-box").hidden = true; });

function openToken() {
  if (at("token-dialog").open) return;
  at("token").value = token();
  at("token-dialog").showModal();
}
at("token-open").addEventListener("click", openToken);
at("token-form").addEventListener("submit", (event) => {
  if (event.submitter && event.submitter.value === "keep") {
    sessionStorage.setItem("forelog-token", at("token").value);
    say("");
  }
});

// ---- events

let isOlder = false;
let next = null;
let asked = 0;

async function search(shows, before) {
  const form = new FormData(at("search"));
  const words = new URLSearchParams([...form].filter(([, value]) => value));
  if (before) words.set("before", before);
  const mine = (asked += 1);
  try {
    const found = await ask(`/api/events?${words}`);
    if (mine !== asked) return;
    next = found.before;
    at("older").hidden = next === null;
    const rows = found.events.map(eventRow);
    if (before) at("events").append(...rows);
    else at("events").replaceChildren(...rows);
    if (shows) at("found").textContent = `${found.events.length} events${found.before === null ? "" : ", and there may be more"}`;
  } catch (error) {
    if (mine === asked && shows) at("found").textContent = error.message;
  }
}

function eventRow(event) {
  const row = make("tr");
  const seq = make("td", "n");
  const link = make("button", "link", String(event.seq));
  link.type = "button";
  link.setAttribute("aria-label", `show event ${event.seq}`);
  link.addEventListener("click", () => openEvent(event.seq));
  seq.append(link);
  const appended = make("td", "", new Date(event.appended_at).toLocaleString());
  appended.title = event.appended_at;
  row.append(seq, appended, make("td", "", event.event_type), make("td", "", event.source), make("td", "data", event.preview));
  return row;
}

async function openEvent(seq) {
  at("event-title").textContent = `Event ${seq}`;
  try {
    at("event-body").textContent = JSON.stringify(await ask(`/api/events/${seq}`), null, 2);
  } catch (error) {
    at("event-body").textContent = error.message;
  }
  at("event-dialog").showModal();
}

at("search").addEventListener("submit", (event) => {
  event.preventDefault();
  isOlder = false;
  search(true);
});
at("search").addEventListener("reset", () => setTimeout(() => {
  isOlder = false;
  at("found").textContent = "";
  search();
}));
at("older").addEventListener("click", () => {
  isOlder = true;
  search(true, next);
});

async function segments() {
  const report = await ask("/api/segments");
  const all = report.segments;
  const largest = Math.max(...all.map((one) => one.bytes), 1);
  at("segments").replaceChildren(...all.map((one) => {
    const fate = typeof one.fate === "string" ? one.fate : one.fate.fate;
    const kind = fate === "active" ? "active" : one.needed_by.length ? "needed" : "";
    const box = make("div", `segment ${kind}`);
    box.style.width = `${Math.max(4, (one.bytes / largest) * 60)}px`;
    box.setAttribute("role", "listitem");
    const needed = one.needed_by.length ? `, needed by ${one.needed_by.join(", ")}` : "";
    const text = `segment ${one.segment}: Seq ${one.first_seq} to ${one.last_seq}, ${bytes(one.bytes)}, ${fate}${needed}`;
    box.title = text;
    box.setAttribute("aria-label", text);
    return box;
  }));
}

follow();
