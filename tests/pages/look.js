// Looks at the report templates in a browser: node look.js REPORTS TEMPLATES MODULES SHOTS
//
// Every report in REPORTS (made by the integration tests from runs of the real programs) is shown with both templates, wide and
// narrow. A page passes if the browser's console stays empty, no script of the data runs, nothing is asked for that the page
// does not need, every row and text of the report is there as text, and nothing is wider than the window. Pictures go to SHOTS.

"use strict";

const fs = require("node:fs");
const path = require("node:path");
const { chromium } = require("playwright-core");

const [reports, templates, modules, shots] = process.argv.slice(2).map((folder) => path.resolve(folder));
const SITE = "http://thehive.invalid";
const WIDTHS = { wide: 1180, narrow: 420 };
const TYPES = { ".css": "text/css", ".js": "text/javascript", ".html": "text/html", ".woff2": "font/woff2", ".woff": "font/woff", ".ttf": "font/ttf" };

/** The states that the page can be in: a report of each has to be there, and no other. */
const STATES = [
  "click", "click-none", "click-related", "dry-run", "empty", "failure", "hostile-click", "hostile-failure", "hostile-import", "hostile-report-only",
  "huge", "import", "incomplete", "odd", "one", "report-only",
];

const plain = (text) => String(text).replace(/\s+/g, " ").trim();

const VERDICTS = ["created", "updated", "unchanged", "found", "skipped", "failed"];
const counted = (number, one, several) => `${number.toLocaleString("en")} ${number === 1 ? one : several}`;

/** What the row of an event has to say, in the order in which it stands there. */
function eventRow(event, part, full) {
  const would = full.dry_run && { created: "would create", updated: "would update" }[event.verdict];
  const isRelated = event.attributes === 0 && event.relations > 0;
  const ofLookUp = { found: isRelated ? "related" : "found", skipped: event.is_own ? "own" : "hidden" }[event.verdict];
  const verdict = (part.look_up ? ofLookUp : would) || event.verdict;
  const matches = (event.matches ?? []).flatMap((match) => [
    match.to_ids ? "IDS" : "no IDS", match.value, match.related, match.attribute, match.object_relation,
    match.sightings > 0 ? counted(match.sightings, "sighting", "sightings") : "", match.comment, ...(match.tags ?? []),
  ]);
  const number = event.attributes === undefined ? [] : [event.attributes.toLocaleString("en")];
  return [
    verdict, event.title || event.uuid, event.id && `#${event.id}`, event.organisation, event.date, event.reason,
    event.removed > 0 ? counted(event.removed, "observable", "observables") : "", event.warninglisted > 0 ? "on a warninglist" : "",
    ...matches, event.tlp && `TLP:${event.tlp}`, event.threat_level, ...number,
    event.ids_attributes > 0 ? `${event.ids_attributes.toLocaleString("en")} IDS` : "",
    event.relations > 0 ? `${event.relations.toLocaleString("en")} related` : "",
  ].filter(Boolean);
}

/** The events of a part as the page sorts them: what failed first, what was left out last. */
function inOrder(events) {
  const rank = ["failed", "created", "updated", "unchanged", "found", "skipped"];
  return [...events].sort((one, other) => rank.indexOf(one.verdict) - rank.indexOf(other.verdict));
}

/** Every text of a report that its page must show, and how many rows of each kind. */
function expected({ report, artifact }) {
  const rows = { event: 0, match: 0, alert: 0, observable: 0, failure: 0 };
  const links = [];
  const [lines, alerts] = [[], []];
  if (!report.success) return { texts: [report.errorMessage, `Asked for: ${artifact.dataType}`], rows, links, lines, alerts };
  const { full } = report;
  const texts = [full.message, ...full.warnings];
  const some = (...words) => texts.push(...words.filter((word) => word !== undefined && word !== ""));
  const left = full.value === undefined ? "skipped" : "hidden";
  for (const count of Object.values(full.ledger)) {
    some(...Object.entries(count.skipped_by).map(([rule, number]) => `${number.toLocaleString("en")} ${left}: ${rule}`));
    some(...Object.entries(count.failed_by).map(([reason, number]) => `${number.toLocaleString("en")} failed: ${reason}`));
  }
  some(full.value === undefined ? "MISP import" : "MISP look-up", full.is_incomplete ? "What failed" : "");
  some(full.is_report_only ? "report only: nothing was written" : full.dry_run ? "dry run: nothing was written" : "");
  some(...Object.entries(full.left_out ?? {}).map(([list, number]) => `${number.toLocaleString("en")} more ${list}`));
  some(counted(full.requests, "request in all", "requests in all"));
  const [value, values] = full.value === undefined ? ["IOC", "IOCs"] : ["value that stands", "values that stand"];
  some(full.artifacts > 0 ? counted(full.artifacts, value, values) : "");
  for (const part of full.connections) {
    rows.failure += (part.error ? 1 : 0) + (part.failures ?? []).length;
    if (part.kind === "server") links.push(part.url);
    some(counted(part.requests, "request", "requests"), part.error && "stopped", part.look_up && !part.look_up.searched ? "not searched" : "", part.look_up?.in_part ? "searched in part" : "", part.look_up?.related_events > 0 ? `${part.look_up.related_events.toLocaleString("en")} related` : "");
    some(...Object.entries(part.retries ?? {}).map(([why, number]) => `${number} put again (${why})`));
    const read = Object.entries(part.ledger).filter(([, count]) => full.connections.length > 1 && count.fetched > 0);
    some(...read.map(([item, count]) => counted(count.fetched, item.slice(0, -1), item)));
    lines.push(...inOrder(part.events ?? []).map((event) => eventRow(event, part, full)));
    some(part.name, part.url, part.version, part.error, ...(part.failures ?? []), ...(part.warnings ?? []), ...(part.asked_for ?? []));
    for (const event of part.events ?? []) {
      rows.event += 1;
      links.push(...[event.link, event.alert].filter(Boolean));
      some(event.title, event.organisation, event.date, event.tlp, event.threat_level, event.reason);
      for (const match of event.matches ?? []) {
        rows.match += 1;
        some(match.value, match.related, match.attribute, match.comment, match.object_relation, ...(match.tags ?? []));
      }
    }
  }
  for (const alert of full.alerts ?? []) {
    rows.alert += 1;
    some(...alert.tags);
    const tlp = `TLP:${["CLEAR", "GREEN", "AMBER", "AMBER+STRICT", "RED"][alert.tlp]}`;
    alerts.push([alert.title, tlp, alert.source, counted(alert.observableCount, "observable", "observables")]);
    const more = alert.observableCount - alert.observables.length;
    if (more > 0) some(`… and ${more.toLocaleString("en")} more`);
    for (const one of alert.observables) {
      rows.observable += 1;
      some(one.dataType, one.shown ?? one.data, one.message, ...one.tags);
    }
  }
  return { texts, rows, links, lines, alerts };
}

/** What the page shows, read in the page. */
function seen() {
  const root = document.querySelector("report");
  const count = (kind) => root.querySelectorAll(`.${kind}-row`).length;
  const elements = [...root.querySelectorAll("*")];
  const isActive = (one) =>
    one.matches("script, img, svg, iframe, object, embed, form, input, link, base, meta") || [...one.attributes].some(({ name }) => /^on|^srcdoc$/.test(name));
  return {
    title: document.title,
    text: root.querySelector(".misp-import").textContent,
    rows: { event: count("event"), match: count("match"), alert: count("alert"), observable: count("observable"), failure: count("failure") },
    active: elements.filter(isActive).map((one) => one.outerHTML),
    lines: [...root.querySelectorAll(".event-row")].map((row) => row.textContent),
    iocs: [...root.querySelectorAll(".observable-row")].map((row) => row.textContent.trim().startsWith("IOC")),
    hidden: [...root.querySelectorAll(".event-row, .match-row, .failure-row, .item, li")].filter((one) => !one.checkVisibility({ visibilityProperty: true, opacityProperty: true })).length,
    marks: [...root.querySelectorAll("h4 .label-danger")].map((one) => one.textContent),
    alerts: [...root.querySelectorAll(".alert-row summary")].map((row) => row.textContent),
    bars: [...root.querySelectorAll(".bar")].map((bar) => [...bar.children].map((one) => [one.className, Number(one.style.flexGrow)])),
    numbers: [...root.querySelectorAll(".item")].map((one) => [".what b", ".numbers"].map((part) => one.querySelector(part).textContent)),
    links: [...root.querySelectorAll("a")].map((one) => one.href),
    overflow: document.documentElement.scrollWidth - window.innerWidth,
  };
}

class Pages {
  constructor(browser) {
    this.browser = browser;
    this.problems = [];
  }

  /** Opens a page with what it is given; whatever it does that it should not do is a problem. */
  async open(name, file, width, given) {
    const page = await this.browser.newPage({ viewport: { width, height: 200 } });
    const problem = (what) => this.problems.push(`${name}: ${what}`);
    page.on("console", (message) => problem(`the console says: ${message.text()}`));
    page.on("pageerror", (error) => problem(`an error: ${error}`));
    page.on("dialog", (dialog) => {
      problem(`a script of the data ran: ${dialog.message()}`);
      dialog.dismiss();
    });
    await page.route("**", (route) => {
      const { pathname, origin } = new URL(route.request().url());
      const local = pathname === "/" ? path.join(__dirname, file) : path.join(modules, pathname);
      if (origin === SITE && fs.existsSync(local)) {
        return route.fulfill({ body: fs.readFileSync(local), contentType: TYPES[path.extname(local)] ?? "text/plain" });
      }
      problem(`asked for ${route.request().url()}`);
      return route.abort();
    });
    await page.addInitScript((given) => Object.assign(window, given), given);
    await page.goto(`${SITE}/`);
    return { page, problem };
  }

  async long(given, template) {
    for (const [kind, width] of Object.entries(WIDTHS)) {
      const name = `${given.state}-${kind}`;
      const { page, problem } = await this.open(name, "page.html", width, { given, template });
      await page.waitForFunction(() => document.title !== "not rendered");
      const found = await page.evaluate(seen);
      this.judge(problem, found, expected(given), given);
      await page.screenshot({ path: path.join(shots, `${name}.png`), fullPage: true });
      if (given.state === "huge") await this.views(page, problem, given.report.full.connections[0]);
      await page.close();
    }
  }

  judge(problem, found, { texts, rows, links, lines, alerts }, { report, artifact }) {
    if (found.title !== "rendered errors=0") problem(`the title is ${found.title}`);
    const text = plain(found.text);
    for (const wanted of texts) if (!text.includes(plain(wanted))) problem(`this text is missing: ${wanted}`);
    if (JSON.stringify(found.rows) !== JSON.stringify(rows)) {
      problem(`there are ${JSON.stringify(found.rows)} rows, and should be ${JSON.stringify(rows)}`);
    }
    // What is left in braces after the report's own texts are taken out is an expression that was not worked out.
    const own = [...texts, ...alerts.flat(), artifact.data].map(plain).sort((one, other) => other.length - one.length);
    const rest = own.reduce((rest, word) => (word ? rest.replaceAll(word, "") : rest), text);
    if (/\{\{|\}\}|undefined|NaN|\[object/.test(rest)) problem(`something was not worked out: ${rest.slice(0, 2_000)}`);
    if (found.active.length > 0) problem(`the data became markup: ${found.active}`);
    const there = [...found.links].sort().join("\n");
    const wanted = links.map((link) => new URL(link).href).sort().join("\n");
    if (there !== wanted) problem(`the links are\n${there}\nand should be\n${wanted}`);
    this.sums(problem, found, report);
    this.lines(problem, found.lines, lines);
    this.lines(problem, found.alerts, alerts);
    if (found.hidden > 0) problem(`${found.hidden} rows cannot be seen`);
    const iocs = (report.full?.alerts ?? []).flatMap((alert) => alert.observables.map((one) => one.ioc));
    if (iocs.join() !== found.iocs.join()) problem("the IOCs among the observables are others");
    if (found.overflow > 0) problem(`the page is ${found.overflow} pixels wider than the window`);
    if (report.success && !text.includes(plain(report.full.message))) problem("the message is missing");
    if (found.marks.includes("incomplete") !== Boolean(report.full?.is_incomplete)) problem(`the page is marked ${found.marks}`);
  }

  /** Each event has its row, in order, and each row what belongs to its event. */
  lines(problem, found, wanted) {
    for (const [place, words] of wanted.entries()) {
      const line = plain(found[place] ?? "");
      let from = 0;
      for (const word of words.map(plain)) {
        const at = line.indexOf(word, from);
        if (at < 0) return problem(`row ${place + 1} should have "${word}" behind the first ${from} characters: ${line}`);
        from = at + word.length;
      }
    }
  }

  /** What the chart says of each kind of item is what the ledger says. */
  sums(problem, { numbers, bars }, report) {
    const read = (text) => [...text.matchAll(/[\d,]+/g)].map(([number]) => Number(number.replaceAll(",", "")));
    const counts = Object.entries(report.full?.ledger ?? {}).filter(([item, count]) => count.fetched > 0 || item === "events");
    const wanted = counts.map(([, count]) => [[count.fetched], VERDICTS.map((verdict) => count[verdict]).filter((number) => number > 0)]);
    const shown = numbers.map((both) => both.map(read));
    if (JSON.stringify(shown) !== JSON.stringify(wanted)) {
      problem(`the chart says ${JSON.stringify(shown)}, and the ledger ${JSON.stringify(wanted)}`);
    }
    const drawn = counts.map(([, count]) => VERDICTS.filter((verdict) => count[verdict] > 0).map((verdict) => [verdict, count[verdict]]));
    const seen = bars.map((bar) => bar.map(([classes, size]) => [classes.split(" ").find((one) => !one.startsWith("ng-")), size]));
    if (JSON.stringify(seen) !== JSON.stringify(drawn)) problem(`the bars are ${JSON.stringify(seen)}, and should be ${JSON.stringify(drawn)}`);
  }

  /** The buttons above a long table show the events of one verdict. */
  async views(page, problem, part) {
    const shown = () => page.$$eval("report .event-row .verdict", (list) => list.map((one) => one.textContent).join());
    const wanted = (verdict) => inOrder(part.events).map((event) => event.verdict).filter((one) => !verdict || one === verdict).join();
    const verdicts = VERDICTS.filter((verdict) => part.ledger.events[verdict] > 0);
    const buttons = await page.$$eval("report .views button", (list) => list.map((one) => one.textContent));
    if (buttons.join() !== [`all ${part.events.length}`, ...verdicts].join()) problem(`the buttons are ${buttons}`);
    for (const [place, verdict] of [...verdicts.entries(), [-1, ""]]) {
      await page.click(`report .views button >> nth=${place + 1}`, { timeout: 10_000 });
      if ((await shown()) !== wanted(verdict)) problem(`after a click on "${verdict || "all"}" other events are there`);
    }
  }

  async short(given, template) {
    const name = `${given.state}-short`;
    const { page, problem } = await this.open(name, "page.html", WIDTHS.wide, { given, template, isShort: true });
    await page.waitForFunction(() => document.title !== "not rendered");
    const labels = await page.$$eval("report .label", (list) => list.map((one) => `${one.textContent} ${one.className.match(/label-\w+/)}`));
    const colours = { info: "label-info", suspicious: "label-warning", malicious: "label-danger" };
    const wanted = (given.report.summary?.taxonomies ?? []).map((one) => `${one.namespace}:${one.predicate}="${one.value}" ${colours[one.level]}`);
    if (JSON.stringify(labels) !== JSON.stringify(wanted)) problem(`it shows ${labels}, and should ${wanted}`);
    await page.close();
  }

  async terminal(name, text) {
    const { page } = await this.open(name, "terminal.html", 1_000, {});
    await page.setViewportSize({ width: 1_000, height: 100 });
    await page.$eval("pre", (pre, text) => (pre.textContent = text), text);
    await page.screenshot({ path: path.join(shots, `${name}.png`), fullPage: true });
    await page.close();
  }

  async logo(svg) {
    const { page } = await this.open("logo", "terminal.html", 256, {});
    await page.setViewportSize({ width: 256, height: 256 });
    await page.setContent(`<body style="margin:0">${svg}</body>`);
    await page.screenshot({ path: path.join(shots, "logo.png"), omitBackground: true });
    await page.close();
  }
}

async function main() {
  fs.mkdirSync(shots, { recursive: true });
  const names = fs.readdirSync(reports).sort();
  const states = names.filter((name) => name.endsWith(".json"));
  if (states.map((name) => path.basename(name, ".json")).sort().join() !== STATES.join()) {
    throw new Error(`${reports} has the states ${states}, not ${STATES}: run the integration tests, after \`rm -r target/pages/reports\``);
  }
  const read = (name) => fs.readFileSync(path.join(templates, name), "utf8");
  const [long, short] = [read("long.html"), read("short.html")];
  const flags = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"];
  const browser = await chromium.launch({ executablePath: process.env.CHROMIUM || "/usr/bin/chromium", args: flags });
  const pages = new Pages(browser);
  try {
    for (const name of states) {
      const given = JSON.parse(fs.readFileSync(path.join(reports, name), "utf8"));
      await pages.long(given, long);
      await pages.short(given, short);
    }
    for (const name of names.filter((name) => name.endsWith(".txt"))) {
      await pages.terminal(path.basename(name, ".txt"), fs.readFileSync(path.join(reports, name), "utf8"));
    }
    await pages.logo(fs.readFileSync(path.join(__dirname, "logo.svg"), "utf8"));
  } finally {
    // Or Node would wait for the browser for ever.
    await browser.close();
  }
  pages.problems.forEach((problem) => console.error(problem));
  console.log(`${states.length} reports looked at, wide, narrow and short: ${pages.problems.length} problems; pictures in ${shots}`);
  process.exitCode = pages.problems.length === 0 ? 0 : 1;
}

main().catch((error) => {
  console.error(error);
  process.exitCode = 1;
});
