//! Spans and figures, as a collector gets them: here a receiver that decodes the protobuf of real requests, for no
//! collector is at hand.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use forelog::{
    BatchSize, Delivery, Event, EventMonitor, EventSystem, MonitorSettings, Outcome, OwnedDelivery,
    Subscription, polling,
};
use forelog_monitor::otlp::{OpenTelemetry, Otlp, OtlpSettings};
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::metrics::v1::{Metric, metric, number_data_point};
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message as _;
use tracing_subscriber::layer::SubscriberExt as _;

const PATIENCE: Duration = Duration::from_secs(60);

/// What has come, and in how many requests.
#[derive(Default)]
struct Got {
    spans: Vec<Span>,
    metrics: Vec<Metric>,
    services: Vec<String>,
    heads: Vec<String>,
}

/// Takes requests until the test is over.
#[derive(Clone)]
struct Receiver {
    url: String,
    got: Arc<(Mutex<Got>, Condvar)>,
}

impl Receiver {
    fn start() -> Receiver {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let receiver = Receiver {
            url: format!("http://{}", listener.local_addr().unwrap()),
            got: Arc::default(),
        };
        let theirs = receiver.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let theirs = theirs.clone();
                std::thread::spawn(move || theirs.serve(stream.unwrap()));
            }
        });
        receiver
    }

    /// Takes the requests of one connection.
    fn serve(&self, stream: TcpStream) {
        let mut reader = BufReader::new(stream);
        loop {
            let mut head = String::new();
            while !head.ends_with("\r\n\r\n") {
                if reader.read_line(&mut head).unwrap_or(0) == 0 {
                    return;
                }
            }
            let lower = head.to_ascii_lowercase();
            let len = lower.split("content-length: ").nth(1).unwrap();
            let len: usize = len.split("\r\n").next().unwrap().parse().unwrap();
            let mut body = vec![0; len];
            reader.read_exact(&mut body).unwrap();
            self.take(&head, &body);
            write!(
                reader.get_mut(),
                "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
            )
            .unwrap();
        }
    }

    fn take(&self, head: &str, body: &[u8]) {
        let mut got = self.got.0.lock().unwrap();
        let mut resources = Vec::new();
        if head.starts_with("POST /v1/traces ") {
            let request = ExportTraceServiceRequest::decode(body).unwrap();
            for one in request.resource_spans {
                resources.extend(one.resource);
                let scopes = one.scope_spans.into_iter();
                got.spans.extend(scopes.flat_map(|scope| scope.spans));
            }
        } else {
            assert!(head.starts_with("POST /v1/metrics "), "{head}");
            let request = ExportMetricsServiceRequest::decode(body).unwrap();
            got.metrics.clear();
            for one in request.resource_metrics {
                resources.extend(one.resource);
                let scopes = one.scope_metrics.into_iter();
                got.metrics.extend(scopes.flat_map(|scope| scope.metrics));
            }
        }
        for one in resources.iter().flat_map(|one| &one.attributes) {
            if one.key == "service.name" {
                got.services.push(format!("{:?}", one.value));
            }
        }
        got.heads.push(head.to_owned());
        self.got.1.notify_all();
    }

    /// Waits until what has come is enough.
    fn wait_for(&self, is_enough: impl Fn(&Got) -> bool) {
        let got = self.got.0.lock().unwrap();
        let waited = self
            .got
            .1
            .wait_timeout_while(got, PATIENCE, |got| !is_enough(got));
        assert!(!waited.unwrap().1.timed_out(), "it has not come");
    }

    fn settings(&self) -> OtlpSettings {
        OtlpSettings {
            endpoint: self.url.clone(),
            service: "orders".to_owned(),
            headers: vec![("x-tenant".to_owned(), "blue".to_owned())],
            interval: Duration::from_millis(100),
            ..OtlpSettings::default()
        }
    }
}

/// All of it in one test: a process has one listener for its spans.
#[test]
fn a_handlers_span_is_a_child_of_the_emitters() {
    let receiver = Receiver::start();
    let otlp = Otlp::start(receiver.settings()).unwrap();
    let listener = tracing_subscriber::registry().with(otlp.layer());
    tracing::subscriber::set_global_default(listener).unwrap();
    let system = EventSystem::builder().tracer(OpenTelemetry).open().unwrap();
    let inner = system.clone();
    let handler = move |delivery: &Delivery<'_>| {
        let _span = tracing::info_span!("charge").entered();
        inner
            .emit(Event::new("order.charged", "billing", &1).unwrap())
            .unwrap();
        if delivery.data::<u32>().unwrap() == 2 {
            Outcome::Park("no funds".to_owned())
        } else {
            Outcome::Ack
        }
    };
    let placed = Subscription::named("billing").event_type("order.placed");
    system.register_handler(placed, handler).unwrap();
    let charged = Subscription::named("mailer").event_type("order.charged");
    let mail = |_: OwnedDelivery| async {
        tracing::info_span!("mail").in_scope(|| ());
    };
    system.register_handler(charged, polling(mail)).unwrap();
    let size = BatchSize {
        count_max: 10,
        linger: Duration::ZERO,
    };
    let ticks = Subscription::named("stats").event_type("tick");
    system
        .register_batch_handler(ticks, size, |_: &[Delivery<'_>]| {})
        .unwrap();
    system.start().unwrap();

    for number in 1..=2 {
        tracing::info_span!("request", number).in_scope(|| {
            system
                .emit(Event::new("order.placed", "web", &number).unwrap())
                .unwrap();
        });
    }
    tracing::info_span!("clock").in_scope(|| {
        let tick = || Event::new("tick", "clock", &1).unwrap();
        system.emit_batch(&[tick(), tick()]).unwrap();
    });
    system
        .emit(Event::new("order.placed", "web", &3).unwrap())
        .unwrap();
    system.drain(None).unwrap();
    system.close().unwrap();
    otlp.flush().unwrap();
    let got = receiver.got.0.lock().unwrap();
    check_spans(&got.spans);
    assert!(got.services.iter().all(|one| one.contains("orders")) && !got.services.is_empty());
    assert!(
        got.heads.iter().all(|head| head.contains("x-tenant: blue")),
        "{:?}",
        got.heads
    );
}

fn check_spans(all: &[Span]) {
    let by_id: BTreeMap<_, _> = all.iter().map(|one| (&one.span_id, one)).collect();
    let parent = |one: &Span| by_id.get(&one.parent_span_id).copied();
    let named = |name: &'static str| all.iter().filter(move |one| one.name == name);
    let of = |one: &Span, key: &str| {
        let found = one.attributes.iter().find(|held| held.key == key);
        format!("{:?}", found.and_then(|one| one.value.as_ref()))
    };
    // Two requests; what was emitted outside of all spans has no trace until its handler makes one.
    assert_eq!(named("request").count(), 2);
    let billing: Vec<_> = named("handle")
        .filter(|one| of(one, "subscription").contains("billing"))
        .collect();
    assert_eq!(billing.len(), 2);
    for one in &billing {
        let request = parent(one).unwrap();
        assert_eq!(request.name, "request");
        assert_eq!(request.trace_id, one.trace_id);
        assert!(of(one, "event_type").contains("order.placed"));
        assert_eq!(one.kind, 5, "it consumes");
    }
    let failed = billing
        .iter()
        .filter(|one| one.status.as_ref().is_some_and(|one| one.code == 2));
    assert_eq!(failed.count(), 1, "the one that was parked");
    // handle ─ charge ─► handle ─ mail: through the second event, and into its future.
    assert_eq!(named("mail").count(), 3);
    for mail in named("mail") {
        let handle = parent(mail).unwrap();
        assert!(of(handle, "subscription").contains("mailer"));
        assert_eq!(parent(handle).unwrap().name, "charge");
    }
    let clock = named("clock").next().unwrap();
    let links: Vec<_> = named("handle_batch").flat_map(|one| &one.links).collect();
    assert_eq!(links.len(), 2, "one for each event");
    for link in links {
        assert_eq!(
            (&link.span_id, &link.trace_id),
            (&clock.span_id, &clock.trace_id)
        );
    }
}

#[test]
fn figures_are_sent_under_the_names_of_the_metrics() {
    let receiver = Receiver::start();
    let otlp = Otlp::start(receiver.settings()).unwrap();
    let system = EventSystem::builder().open().unwrap();
    let settings = MonitorSettings {
        background: false,
        ..MonitorSettings::default()
    };
    let monitor = EventMonitor::new(&system, settings).unwrap();
    system
        .register_handler(Subscription::named("billing"), |_: &Delivery<'_>| {})
        .unwrap();
    system.start().unwrap();
    for number in 0..5 {
        system
            .emit(Event::new("order.placed", "web", &number).unwrap())
            .unwrap();
    }
    system.drain(None).unwrap();
    let export = otlp.send_figures(&system, &monitor).unwrap();
    let find = |got: &Got, name: &str| got.metrics.iter().find(|one| one.name == name).cloned();
    receiver.wait_for(|got| find(got, "forelog_type_latency_seconds").is_some());
    drop(export);
    let got = receiver.got.0.lock().unwrap();
    for one in &got.metrics {
        let known = forelog_monitor::NAMES
            .iter()
            .any(|(name, ..)| *name == one.name);
        assert!(
            known && !one.description.is_empty() && !one.unit.is_empty(),
            "{one:?}"
        );
    }
    let Some(metric::Data::Sum(emitted)) = find(&got, "forelog_events_emitted_total").unwrap().data
    else {
        panic!("a counter is a sum");
    };
    let point = &emitted.data_points[0];
    assert_eq!(point.value, Some(number_data_point::Value::AsDouble(5.0)));
    assert!(emitted.is_monotonic && point.time_unix_nano > point.start_time_unix_nano);
    let Some(metric::Data::Histogram(latency)) =
        find(&got, "forelog_delivery_latency_seconds").unwrap().data
    else {
        panic!("a histogram is one");
    };
    let point = &latency.data_points[0];
    assert_eq!(point.count, 5);
    assert_eq!(point.bucket_counts.iter().sum::<u64>(), 5);
    assert_eq!(point.bucket_counts.len(), point.explicit_bounds.len() + 1);
    assert!(format!("{:?}", point.attributes).contains("billing"));
    system.close().unwrap();
}

#[test]
fn what_makes_no_sense_is_refused_and_no_secret_is_shown() {
    for settings in [
        OtlpSettings {
            endpoint: "collector:4318".to_owned(),
            ..OtlpSettings::default()
        },
        OtlpSettings {
            interval: Duration::ZERO,
            ..OtlpSettings::default()
        },
    ] {
        let refused = Otlp::start(settings).unwrap_err();
        assert_eq!(refused.kind(), forelog::ErrorKind::Invalid, "{refused}");
    }
    let secret = format!("{:?}", Receiver::start().settings());
    assert!(!secret.contains("blue"), "headers may hold a secret");
}
