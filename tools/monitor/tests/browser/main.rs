//! The dashboard in a real browser, on a running system.
//!
//! Screenshots go to the folder that `FORELOG_SCREENSHOTS` names, if it does.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that panics has failed"
)]

#[path = "../common/mod.rs"]
mod common;
mod driver;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use driver::Browser;
use forelog::{
    Delivery, Durability, Event, EventMonitor, EventSystem, MonitorSettings, Outcome, Subscription,
};
use forelog_monitor::{Server, ServerSettings};

const TOKEN: &str = "a secret of the test";

/// A system that is served, with a handler that parks what it is told to.
struct Stage {
    dir: tempfile::TempDir,
    system: EventSystem,
    server: Server,
    works: Arc<AtomicBool>,
    is_over: Arc<AtomicBool>,
    load: Option<JoinHandle<()>>,
}

impl Stage {
    fn new() -> Stage {
        let dir = tempfile::tempdir().unwrap();
        let settings = EventSystem::builder()
            .persistence_path(dir.path())
            .segment_size(256 << 10);
        let system = settings.durability(Durability::Os).open().unwrap();
        let works = Arc::<AtomicBool>::default();
        let asked = works.clone();
        let billing = move |delivery: &Delivery<'_>| {
            let is_bad = delivery.event_type() == "payment.refused";
            if is_bad && !asked.load(Ordering::SeqCst) {
                Outcome::Park("card <b>expired</b>".to_owned())
            } else {
                Outcome::Ack
            }
        };
        system
            .register_handler(Subscription::named("billing"), billing)
            .unwrap();
        system
            .register_handler(
                Subscription::named("board").event_types(["order.*"]),
                |_: &Delivery<'_>| {},
            )
            .unwrap();
        system.start().unwrap();
        let monitor = EventMonitor::new(&system, MonitorSettings::default()).unwrap();
        let settings = ServerSettings {
            listen: "127.0.0.1:0".parse().unwrap(),
            token: Some(TOKEN.to_owned()),
            ..ServerSettings::default()
        };
        let server = Server::embedded(&system, &monitor, settings).unwrap();
        Stage {
            dir,
            system,
            server,
            works,
            is_over: Arc::default(),
            load: None,
        }
    }

    fn emit(&self, event_type: &str, data: &str) -> u64 {
        self.system
            .emit(Event::new(event_type, "shop", data).unwrap())
            .unwrap()
            .seq
            .0
    }

    /// Lets events flow until the end of the test.
    fn flow(&mut self) {
        let (system, is_over) = (self.system.clone(), self.is_over.clone());
        self.load = Some(std::thread::spawn(move || {
            let mut number = 0_u64;
            while !is_over.load(Ordering::SeqCst) {
                for _ in 0..20 {
                    number += 1;
                    let event = Event::new("order.placed", "web", &("FRID", number)).unwrap();
                    system.emit(event).unwrap();
                }
                // A load, not a way to wait.
                std::thread::sleep(std::time::Duration::from_millis(10));
            }
        }));
    }

    fn url(&self) -> String {
        format!("http://{}/", self.server.address())
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::SeqCst);
        if let Some(load) = self.load.take() {
            let _ = load.join();
        }
    }
}

fn keep(name: &str, png: &[u8]) {
    if let Some(folder) = std::env::var_os("FORELOG_SCREENSHOTS") {
        let folder = std::path::PathBuf::from(folder);
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join(name), png).unwrap();
    }
}

#[test]
fn the_page_lives_while_events_flow() {
    let Some(browser) = Browser::start() else {
        return;
    };
    let mut stage = Stage::new();
    stage.flow();
    browser.open(&stage.url());
    browser.wait_for("document.getElementById('health').textContent === 'healthy'");
    let points = "document.querySelector('#chart-throughput polyline').getAttribute('points')";
    let first = browser.wait_for(&format!("{points}.split(' ').length >= 2 && {points}"));
    browser.wait_for(&format!("{points} !== {first}"));
    let rate = "Number(document.getElementById('emitted-now').textContent.replaceAll(',', ''))";
    browser.wait_for(&format!("{rate} > 100"));
    browser.wait_for("document.querySelectorAll('#subscriptions tr').length === 2");
    browser.wait_for("document.querySelectorAll('#events tr').length === 50");
    let newest = browser.wait_for("Number(document.querySelector('#events button').textContent)");
    browser.wait_for(&format!(
        "Number(document.querySelector('#events button').textContent) > {newest}"
    ));
    browser.wait_for("document.querySelectorAll('#segments .segment').length >= 1");
    browser.wait_for("document.querySelector('#p50').textContent.includes('s')");
    assert!(
        browser
            .run("return document.getElementById('path').textContent")
            .as_str()
            .unwrap()
            .contains(stage.dir.path().to_str().unwrap())
    );
    browser.wait_for(&format!("{points}.split(' ').length >= 8"));
    for (scheme, width) in [
        ("light", 1280),
        ("dark", 1280),
        ("light", 390),
        ("dark", 390),
    ] {
        browser.look(scheme, width);
        let too_wide = browser.run("return document.documentElement.scrollWidth > innerWidth");
        assert_eq!(
            too_wide, false,
            "{scheme} {width}: the page scrolls sideways"
        );
        keep(&format!("{scheme}-{width}.png"), &browser.screenshot());
    }
    assert_eq!(browser.complaints(), [""; 0], "the page has errors");
}

#[test]
fn a_search_finds_an_event_and_shows_it() {
    let Some(browser) = Browser::start() else {
        return;
    };
    let stage = Stage::new();
    for number in 0..200 {
        stage.emit("order.placed", &format!("order {number}"));
    }
    let needle = stage.emit("user.login", "<img src=x onerror=alert(1)>");
    for number in 0..200 {
        stage.emit("order.placed", &format!("later {number}"));
    }
    browser.open(&stage.url());
    browser.wait_for("document.querySelectorAll('#events tr').length === 50");
    browser.write("#search [name=type]", "user.*");
    browser.click("#search [type=submit]");
    browser.wait_for("document.querySelectorAll('#events tr').length === 1");
    assert_eq!(
        browser.run("return document.querySelector('#events button').textContent"),
        needle.to_string()
    );
    browser.click("#events button");
    browser.wait_for("document.getElementById('event-dialog').open");
    let body = browser.run("return document.getElementById('event-body').textContent");
    assert!(
        body.as_str()
            .unwrap()
            .contains("<img src=x onerror=alert(1)>"),
        "{body}"
    );
    assert_eq!(
        browser.run("return document.querySelectorAll('img').length"),
        0,
        "data is never markup"
    );
    browser.press("\u{E00C}");
    browser.wait_for("!document.getElementById('event-dialog').open");
    browser.click("#search [type=reset]");
    browser.wait_for("document.querySelectorAll('#events tr').length === 50");
    browser.click("#older");
    browser.wait_for("document.querySelectorAll('#events tr').length === 100");
    assert_eq!(browser.complaints(), [""; 0], "the page has errors");
}

/// Types, sources, headers, data, names and reasons are shown as they are, and are never markup or a script.
#[test]
fn markup_in_data_is_shown_and_not_run() {
    const SCRIPT: &str =
        "<script>document.title='run'</script><img src=x onerror=\"document.title='run'\">";
    let Some(browser) = Browser::start() else {
        return;
    };
    let stage = Stage::new();
    let park = |_: &Delivery<'_>| Outcome::Park(SCRIPT.to_owned());
    let evil = Subscription::named(SCRIPT).event_type(SCRIPT);
    stage.system.register_handler(evil, park).unwrap();
    let event = Event::new(SCRIPT, SCRIPT, &SCRIPT).unwrap();
    stage
        .system
        .emit(event.with_header(SCRIPT, SCRIPT))
        .unwrap();
    stage.system.drain(None).unwrap();
    browser.open(&stage.url());
    for place in ["subscriptions", "events", "types", "issues"] {
        browser.wait_for(&format!(
            "document.getElementById('{place}').textContent.includes('<script>')"
        ));
    }
    browser.click("#events button");
    browser.wait_for("document.getElementById('event-dialog').open");
    browser.wait_for("document.getElementById('event-body').textContent.includes('<script>')");
    browser.press("\u{E00C}");
    browser.run("document.querySelector('#subscriptions [data-key^=parked]').click()");
    browser.wait_for("document.getElementById('parked').textContent.includes('<script>')");
    let found = browser.run("return document.querySelectorAll('body script, body img').length");
    assert_eq!(found, 0);
    assert_eq!(browser.run("return document.title"), "Forelog");
    assert_eq!(browser.complaints(), [""; 0], "the page has errors");
}

#[test]
fn a_parked_event_is_redelivered_with_the_token_only() {
    let Some(browser) = Browser::start() else {
        return;
    };
    let stage = Stage::new();
    stage.emit("payment.refused", "card 1");
    stage.emit("payment.refused", "card 2");
    stage.system.drain(None).unwrap();
    browser.open(&stage.url());
    browser.wait_for("document.getElementById('health').textContent === 'degraded'");
    browser.wait_for("document.getElementById('issues').textContent.includes('2 parked events')");
    browser.click("[data-key='parked billing']");
    browser.wait_for("document.querySelectorAll('#parked li').length === 2");
    assert!(
        browser
            .run("return document.getElementById('parked').textContent")
            .as_str()
            .unwrap()
            .contains("card <b>expired</b>")
    );
    keep("parked.png", &browser.screenshot());
    stage.works.store(true, Ordering::SeqCst);

    browser.click("[aria-label='redeliver 1 to billing']");
    browser.wait_for("document.getElementById('token-dialog').open");
    browser.write("#token", "wrong");
    browser.click("#token-form [value=keep]");
    browser.click("[aria-label='redeliver 1 to billing']");
    browser.wait_for("document.getElementById('said').textContent.includes('not the token')");
    assert_eq!(stage.system.parked("billing").len(), 2);

    browser.wait_for("document.getElementById('token-dialog').open");
    browser.write("#token", TOKEN);
    browser.click("#token-form [value=keep]");
    browser.click("[aria-label='redeliver 1 to billing']");
    browser.wait_for("document.getElementById('said').textContent.includes('done')");
    browser.wait_for("document.getElementById('issues').textContent.includes('1 parked event')");
    assert_eq!(stage.system.parked("billing").len(), 1);
    browser.click("[data-key='pause board']");
    browser.wait_for("document.querySelector('[data-key=\"resume board\"]')");
    browser.click("[data-key='resume board']");
    browser.wait_for("document.querySelector('[data-key=\"pause board\"]')");
    assert_eq!(browser.complaints(), [""; 0], "the page has errors");
}

/// Everything can be reached and is named: what a keyboard and a screen reader need.
#[test]
fn keyboard_and_screen_reader_find_their_way() {
    let Some(browser) = Browser::start() else {
        return;
    };
    let stage = Stage::new();
    stage.emit("order.placed", "order 1");
    browser.open(&stage.url());
    browser.wait_for("document.querySelectorAll('#events tr').length === 1");
    let unnamed = browser.run(
        "return [...document.querySelectorAll('button, input, a, [role=img]')].filter((one) => one.offsetParent && \
         !(one.getAttribute('aria-label') || one.textContent.trim() || (one.labels && one.labels.length))).map((one) => one.outerHTML)",
    );
    assert_eq!(unnamed, serde_json::json!([]), "these have no name");
    browser.press("\u{E004}");
    assert_eq!(
        browser.run("return document.activeElement.className"),
        "skip",
        "the first stop skips to the figures"
    );
    browser.press("\u{E004}");
    assert_eq!(
        browser.run("return document.activeElement.id"),
        "token-open"
    );
    browser.press("\u{E007}");
    browser.wait_for("document.getElementById('token-dialog').open");
    assert_eq!(browser.run("return document.activeElement.id"), "token");
    browser.press("\u{E00C}");
    browser.wait_for("!document.getElementById('token-dialog').open");
    assert_eq!(
        browser.run("return document.activeElement.id"),
        "token-open",
        "the focus comes back"
    );
    let low = browser.run(CONTRAST);
    assert_eq!(low, serde_json::json!([]), "these are hard to read");
    browser.look("dark", 1280);
    assert_eq!(
        browser.run(CONTRAST),
        serde_json::json!([]),
        "these are hard to read in the dark"
    );
}

/// Texts whose contrast with what is behind them is below 4.5 to 1.
const CONTRAST: &str = "
const rgb = (text) => text.match(/[\\d.]+/g).map(Number);
const light = ([r, g, b]) => [r, g, b].map((v) => v / 255).map((v) => (v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4))
  .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
const behind = (one) => {
  for (let at = one; at; at = at.parentElement) {
    const back = rgb(getComputedStyle(at).backgroundColor);
    if (back.length < 4 || back[3] > 0) return back;
  }
  return [255, 255, 255];
};
return [...document.querySelectorAll('body *')].filter((one) => one.offsetParent && [...one.childNodes].some((node) =>
  node.nodeType === 3 && node.textContent.trim())).filter((one) => {
  const [a, b] = [light(rgb(getComputedStyle(one).color)), light(behind(one))];
  return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05) < 4.5;
}).map((one) => one.outerHTML.slice(0, 120));";
