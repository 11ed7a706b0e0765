//! Aggregates over a store: what was recorded is appended, and what is read makes the same aggregate.

#![expect(
    clippy::unwrap_used,
    reason = "a test that panics has failed, which is what it should do"
)]

use serde::{Deserialize, Serialize};
use uno_core::{
    AppendError, Decoder, Event, EventSet, EventStore as _, EventStoreExt as _, ExpectedVersion,
    NewEvent, ReadStream, StreamAppend, Version,
};
use uno_domain::{Aggregate, AggregateRoot, Snapshots, ensure};
use uno_store_memory::MemoryStore;

#[derive(Event, Serialize, Deserialize, Clone, Debug, PartialEq)]
struct Seated {
    guest: String,
}

#[derive(Event, Serialize, Deserialize, Clone, Debug, PartialEq)]
struct Left {
    guest: String,
}

#[derive(EventSet, Clone, Debug, PartialEq)]
enum TableEvent {
    Seated(Seated),
    Left(Left),
}

#[derive(Default, Serialize, Deserialize, Clone, Debug, PartialEq)]
struct Table {
    guests: Vec<String>,
}

impl Aggregate for Table {
    const CATEGORY: &'static str = "table";
    type Id = u32;
    type Event = TableEvent;

    fn apply(&mut self, event: &TableEvent) {
        match event {
            TableEvent::Seated(seated) => self.guests.push(seated.guest.clone()),
            TableEvent::Left(left) => self.guests.retain(|guest| *guest != left.guest),
        }
    }

    fn snapshots() -> Option<Snapshots<Self>> {
        Some(Snapshots::every(2))
    }
}

impl Table {
    fn seat(&self, guest: &str) -> Result<Seated, &'static str> {
        ensure!(self.guests.len() < 2, "the table is full");
        Ok(Seated {
            guest: guest.to_owned(),
        })
    }

    fn leave(&self, guest: &str) -> Result<Left, &'static str> {
        ensure!(self.guests.iter().any(|seated| seated == guest), "who?");
        Ok(Left {
            guest: guest.to_owned(),
        })
    }
}

/// Appends what was recorded, at the version that the root was loaded at.
async fn save(
    store: &MemoryStore,
    root: &mut AggregateRoot<Table>,
) -> Result<Vec<NewEvent>, AppendError> {
    let events: Vec<NewEvent> = root
        .uncommitted()
        .iter()
        .map(NewEvent::encode)
        .collect::<Result<_, _>>()?;
    let expected = ExpectedVersion::Exact(root.committed_version());
    let stream = root.stream_id().unwrap().clone();
    let receipt = store
        .append(vec![StreamAppend::new(stream, expected, events.clone())])
        .await?;
    root.mark_committed(receipt.streams()[0].last()).unwrap();
    Ok(events)
}

async fn load(store: &MemoryStore) -> AggregateRoot<Table> {
    let stream = Table::stream_id(&3).unwrap();
    let events = store.read_events(&stream, &Decoder::new()).await.unwrap();
    AggregateRoot::from_events(3, events).unwrap()
}

#[tokio::test]
async fn what_was_recorded_comes_back() {
    let store = MemoryStore::new();
    store.migrate().await.unwrap();

    let mut table = load(&store).await;
    assert_eq!(table.version(), Version::EMPTY);
    table.decide(|table| table.seat("ada")).unwrap();
    table.decide(|table| table.seat("grace")).unwrap();
    assert_eq!(
        table.decide(|table| table.seat("joan")),
        Err("the table is full")
    );
    save(&store, &mut table).await.unwrap();

    let mut again = load(&store).await;
    assert_eq!(
        (again.state(), again.version()),
        (table.state(), table.version())
    );

    // It goes on from there, and a snapshot with the rest of the stream is worth all of the stream.
    again.decide(|table| table.leave("ada")).unwrap();
    let events = save(&store, &mut again).await.unwrap();
    let snapshot = again.create_snapshot(events[0].id()).unwrap().unwrap();
    again.decide(|table| table.seat("joan")).unwrap();
    save(&store, &mut again).await.unwrap();

    let mut from_snapshot = AggregateRoot::<Table>::from_snapshot(3, &snapshot).unwrap();
    let rest = ReadStream::forward(snapshot.stream().clone()).from(snapshot.version().next());
    for record in store.read_stream(rest).await.unwrap() {
        from_snapshot
            .apply_recorded(&Decoder::new().decode(&record).unwrap())
            .unwrap();
    }
    assert_eq!(from_snapshot.state(), load(&store).await.state());
    assert_eq!(from_snapshot.version(), again.version());
}

#[tokio::test]
async fn who_comes_second_has_a_conflict_and_decides_again() {
    let store = MemoryStore::new();
    store.migrate().await.unwrap();

    let (mut one, mut other) = (load(&store).await, load(&store).await);
    one.decide(|table| table.seat("ada")).unwrap();
    other.decide(|table| table.seat("grace")).unwrap();
    save(&store, &mut one).await.unwrap();

    let error = save(&store, &mut other).await.unwrap_err();
    assert!(error.is_conflict(), "{error}");
    assert_eq!(other.uncommitted().len(), 1, "nothing is taken as stored");

    let mut again = load(&store).await;
    again.decide(|table| table.seat("grace")).unwrap();
    save(&store, &mut again).await.unwrap();
    assert_eq!(load(&store).await.state().guests, ["ada", "grace"]);
}
