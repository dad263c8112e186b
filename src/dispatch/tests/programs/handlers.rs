//! The handlers of a program: each delivery goes to the ledgers, which say what becomes of it.

use super::super::*;
use super::ledger::{Given, Ledgers};
use super::program::{Answer, Behind, Order, Setup, Team as Kind, Wants};

/// What the handlers of one subscription share.
#[derive(Clone)]
pub(super) struct Team {
    pub(super) nth: usize,
    pub(super) books: Arc<Mutex<Ledgers>>,
    pub(super) tokens: Arc<Mutex<Vec<Held>>>,
    pub(super) clock: Arc<ManualClock>,
}

/// A delivery whose outcome was put off.
pub(super) struct Held {
    pub(super) given: Given,
    pub(super) epoch: u64,
    pub(super) is_redelivery: bool,
    token: AckToken,
}

impl Held {
    pub(super) fn resolve(self, answer: Answer) {
        match answer {
            Answer::Ack => self.token.ack(),
            Answer::Retry => self.token.retry(),
            Answer::RetryAfter(seconds) => self.token.retry_after(Duration::from_secs(seconds)),
            Answer::Park => self.token.park("said later"),
            Answer::Fail => self.token.resolve(false),
            Answer::Later => drop(self.token),
        }
    }
}

struct Hand(Team);

impl Handler for Hand {
    fn handle(&mut self, delivery: &Delivery<'_>) -> Outcome {
        self.0.deliver(delivery, &[])
    }

    fn skipped(&mut self, gap: Gap) {
        let mut books = self.0.books.lock().unwrap();
        books.all[self.0.nth].told_skipped += gap.to.next().since(gap.from);
        books.skip(self.0.nth, gap);
    }
}

impl Team {
    fn deliver(&self, delivery: &Delivery<'_>, mates: &[u64]) -> Outcome {
        let given = Given {
            nth: self.nth,
            seq: delivery.seq().0,
            number: delivery.data().unwrap(),
            attempt: delivery.attempt(),
            now: self.clock.now(),
        };
        let mut books = self.books.lock().unwrap();
        let is_redelivery = books.all[self.nth].parked.contains(&given.seq);
        let answer = books.deliver(&given, mates);
        match answer {
            Answer::Ack => Outcome::Ack,
            Answer::Fail => Outcome::Failed("boom".into()),
            Answer::Retry => Outcome::Retry,
            Answer::RetryAfter(seconds) => Outcome::RetryAfter(Duration::from_secs(seconds)),
            Answer::Park => Outcome::Park("no".into()),
            Answer::Later => {
                let held = Held {
                    given,
                    epoch: books.all[self.nth].epoch,
                    is_redelivery,
                    token: delivery.defer(),
                };
                self.tokens.lock().unwrap().push(held);
                // Whatever is returned does not count.
                Outcome::Park("deferred".into())
            }
        }
    }

    fn deliver_all(&self, deliveries: &[Delivery<'_>]) -> BatchOutcome {
        let mut mates = Vec::new();
        let mut outcomes = Vec::new();
        for delivery in deliveries {
            outcomes.push(self.deliver(delivery, &mates));
            mates.push(delivery.seq().0);
        }
        BatchOutcome::Each(outcomes)
    }
}

/// The handlers of a team of this kind.
pub(super) fn hire(kind: Kind, team: &Team) -> Handlers {
    let team = team.clone();
    match kind {
        Kind::One => one(Hand(team)),
        Kind::Lanes(_) => Handlers::Many(Box::new(move || Box::new(Hand(team.clone())))),
        Kind::Batch {
            count_max,
            linger_s,
        } => {
            let size = BatchSize {
                count_max,
                linger: Duration::from_secs(linger_s),
            };
            let handler = move |batch: &[Delivery<'_>]| team.deliver_all(batch);
            Handlers::Batch(Box::new(handler), size)
        }
    }
}

pub(super) fn name_of(nth: usize) -> String {
    format!("sub-{nth}")
}

/// The description of a subscription, but for its start.
pub(super) fn describe(setup: &Setup, nth: usize) -> Subscription {
    let retry = RetryPolicy {
        attempts_max: setup.attempts_max,
        backoff_initial: Duration::from_secs(1),
        ..RetryPolicy::default()
    };
    let order = match setup.order {
        Order::Source => OrderBy::Source,
        Order::All => OrderBy::All,
        Order::EventType => OrderBy::EventType,
        Order::Header => OrderBy::Header("account".into()),
        Order::Key => OrderBy::key(|event| event.data::<u64>().unwrap() % 2),
        Order::Nothing => OrderBy::Nothing,
    };
    let when_behind = match setup.behind {
        Behind::Holds => WhenBehind::HoldEmitters,
        Behind::Pauses(max) => WhenBehind::Pause(max),
        Behind::Skips(max) => WhenBehind::Skip(max),
    };
    let subscription = if setup.is_named {
        Subscription::named(name_of(nth))
    } else {
        Subscription::unnamed()
    };
    let subscription = match setup.wants {
        Wants::All => subscription,
        Wants::OneType => subscription.event_type("test.0"),
        Wants::OneSource => subscription.source("0"),
        Wants::Even => {
            subscription.predicate(|event| event.data::<u64>().unwrap().is_multiple_of(2))
        }
    };
    let subscription = if setup.on_publish {
        subscription.deliver_on_publish()
    } else {
        subscription
    };
    let threads = match setup.crew {
        Kind::Lanes(threads) => threads,
        Kind::One | Kind::Batch { .. } => 1,
    };
    let rule = if setup.key_waits {
        WhenParked::KeyWaits
    } else {
        WhenParked::GoOn
    };
    subscription
        .retry(retry)
        .order_by(order)
        .when_behind(when_behind)
        .when_parked(rule)
        .in_flight_max(setup.in_flight_max)
        .concurrency(threads)
}
