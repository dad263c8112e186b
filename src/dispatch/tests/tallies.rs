//! What a worker counts of its deliveries.

use super::*;

#[test]
fn after_a_rest_each_delivery_is_timed_by_its_type() {
    let rig = Rig::on(&SimDisk::new());
    let mut worker = rig.attach(Subscription::named("x"), |_: &Delivery<'_>| {});
    for stretch in 1..120 {
        // The last one is often the one that is timed, and others are not yet.
        for number in 0..stretch {
            let event_type = ["tick", "order"][usize::from(number % 7 == 6)];
            let event = Event::new(event_type, "web", &number).unwrap();
            let record = Record::of(&event).unwrap();
            rig.log.append(&[record], Durability::Os).unwrap();
        }
        run(&mut worker);
        worker.rest();
        for tally in worker.desk.seat.types.all() {
            let timed = tally.latency.all().map_or(0, |all| all.len());
            assert_eq!(timed, tally.delivered(), "{stretch}: {}", tally.name);
        }
    }
}
