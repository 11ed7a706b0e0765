//! A log in memory and the bus, without aggregates, commands or sagas.

use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};

use serde::{Deserialize, Serialize};
use uno_core::{Envelope, Event, EventFilter, EventStore as _, EventStoreExt as _, ExpectedVersion, Position};
use uno_events::EventBus;
use uno_store_memory::MemoryStore;

#[derive(Event, Serialize, Deserialize, Debug, PartialEq)]
struct DoorOpened {}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let store = MemoryStore::new();
    store.migrate().await?;
    store.append_events("door-7".parse()?, ExpectedVersion::NoStream, &[DoorOpened {}]).await?;

    let opened = Arc::new(AtomicU32::new(0));
    let count = Arc::clone(&opened);
    let bus = EventBus::new();
    bus.subscribe("counter", move |_: Arc<Envelope<DoorOpened>>| {
        count.fetch_add(1, Ordering::Relaxed);
        std::future::ready(Ok(()))
    });
    let mut pages = store.pages(Position::START, EventFilter::all(), 100);
    while let Some(page) = pages.next_page().await? {
        bus.publish_many(page).await;
    }
    assert_eq!(opened.load(Ordering::Relaxed), 1);
    println!("ok");
    Ok(())
}
