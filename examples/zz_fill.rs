use forelog::*;
fn main() -> Result<()> {
    let path = std::env::args().nth(1).unwrap();
    let system = EventSystem::builder()
        .persistence_path(path)
        .durability(Durability::Os)
        .open()?;
    let mut n = 0u64;
    let events: Vec<Event> = (0..1000u64)
        .map(|i| Event::new("order.placed", "desk", &(i, "x".repeat(180))).unwrap())
        .collect();
    while n < 7_400_000 {
        system.emit_batch(&events)?;
        n += 1000;
    }
    system.close()
}
