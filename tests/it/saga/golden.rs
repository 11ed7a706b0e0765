//! What sagas store, as files: this code still reads each of them, and writes them as they are. A change to one is a change to what
//! running applications have in their stores.
//!
//! With `UNO_GOLDEN=write` in the environment the files are written anew, for a look at the difference.

use std::{path::PathBuf, sync::Arc, time::Duration};

use serde_json::Value;
use uno_core::{
    Commit, EventId, EventStore as _, ExpectedVersion, ManualClock, Metadata, NewEvent, NewMessage,
    Payload, ProcessStatus, ProcessStore as _, ProcessWrite, StreamAppend, TimerStore as _,
    Transactional as _,
};
use uno_cqrs::{CommandOutcome, Verdict};
use uno_saga::{HistoryEntry, SagaRunner};
use uno_store_memory::MemoryStore;

use super::trip::{
    How, MENDED, PARKS, Said, Trip, Unbook, Want, answer, feed, person, rejected, settle, trips,
};

fn path(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("golden/saga")
        .join(format!("{name}.json"))
}

fn read(name: &str) -> Vec<Value> {
    let text = std::fs::read_to_string(path(name)).unwrap();
    serde_json::from_str(&text).unwrap()
}

/// Compares what is written now, text by text, with the file.
fn check(name: &str, stored: &[String]) {
    if std::env::var("UNO_GOLDEN").is_ok_and(|wanted| wanted == "write") {
        std::fs::create_dir_all(path(name).parent().unwrap()).unwrap();
        std::fs::write(path(name), format!("[\n{}\n]\n", stored.join(",\n"))).unwrap();
    }
    let golden = std::fs::read_to_string(path(name)).unwrap();
    let lines: Vec<&str> = golden.lines().collect();
    let lines = lines[1..lines.len() - 1].iter();
    let expected: Vec<_> = lines.map(|line| line.trim_end_matches(',')).collect();
    assert_eq!(stored, expected, "what is stored as {name} has changed");
}

/// A store at a time that is always the same.
fn store() -> (Arc<MemoryStore>, Arc<ManualClock>) {
    let clock = Arc::new(ManualClock::at("2026-01-01T00:00:00Z".parse().unwrap()));
    let store = MemoryStore::builder().clock(clock.clone()).build();
    (Arc::new(store), clock)
}

/// Feeds an event with an id and a time that are always the same.
async fn tell(
    saga: &SagaRunner<Trip<PARKS>, MemoryStore>,
    store: &MemoryStore,
    number: u128,
    how: How,
    wants: &[Want],
) {
    append(store, number, how, wants).await;
    feed(saga, store).await.unwrap();
}

async fn append(store: &MemoryStore, number: u128, how: How, wants: &[Want]) {
    let said = Said {
        trip: "a".to_owned(),
        how,
        wants: wants.to_vec(),
    };
    let event = NewEvent::encode(&said).unwrap();
    let event = event
        .with_id(EventId::from_uuid(uuid::Uuid::from_u128(number)))
        .with_occurred_at("2026-01-01T00:00:00Z".parse().unwrap());
    let stream = "trip-a".parse().unwrap();
    let append = StreamAppend::new(stream, ExpectedVersion::Any, vec![event]);
    store.append(vec![append]).await.unwrap();
}

async fn body(store: &MemoryStore) -> String {
    let found = store
        .load_processes("trip", &["a".to_owned()])
        .await
        .unwrap();
    found[0].body().as_str().to_owned()
}

/// Goes through everything that can happen to an instance, and notes what is stored on the way: the bodies of the instance, its
/// history, what is parked of it, and the messages that it sends.
struct Stored {
    instances: Vec<String>,
    history: Vec<String>,
    parked: Vec<String>,
}

async fn stored() -> Stored {
    let (store, clock) = store();
    let saga = trips::<PARKS, _>(&store);
    let mended = trips::<MENDED, _>(&store);
    let mut instances = Vec::new();
    tell(&saga, &store, 1, How::Start, &[]).await;
    instances.push(body(&store).await);
    let wants = [
        Want::Book(1),
        Want::Book(2),
        Want::Post("mail".into()),
        Want::After(60, "soon".into()),
        Want::After(90, "late".into()),
        Want::Cancel("late".into()),
    ];
    tell(&saga, &store, 2, How::Continue, &wants).await;
    instances.push(body(&store).await);
    // Parked: an event, what is behind it of each kind, and each verb.
    tell(&saga, &store, 3, How::Continue, &[Want::Panic]).await;
    answer(&*store, "a", 1, "book", Verdict::Succeeded).await;
    saga.handle_outcomes().await.unwrap();
    clock.advance(Duration::from_secs(60));
    saga.fire_timers().await.unwrap();
    let queued = store
        .read_queue_of("saga.trip.parked", "a", 0, 10)
        .await
        .unwrap();
    let parked = queued.iter().map(|queued| {
        let message = queued.message();
        serde_json::json!({
            "id": message.id(),
            "name": message.name(),
            "payload": message.payload().as_str(),
        })
        .to_string()
    });
    let parked = parked.collect();
    saga.skip_parked("a", &person()).await.unwrap();
    mended.retry_parked("a", &person()).await.unwrap();
    tell(&saga, &store, 4, How::Continue, &[Want::Panic]).await;
    saga.discard_parked("a", &person()).await.unwrap();
    // Stuck, and what helps.
    tell(&saga, &store, 5, How::Continue, &[Want::Complete]).await;
    instances.push(body(&store).await);
    settle(&saga, &*store, "a", 2, "book", rejected()).await;
    let history_of_completed = history(&saga).await;
    let (store, _) = self::store();
    let saga = trips::<PARKS, _>(&store);
    tell(
        &saga,
        &store,
        1,
        How::Start,
        &[Want::Book(1), Want::Book(2)],
    )
    .await;
    for n in [1, 2] {
        settle(
            &saga,
            &*store,
            "a",
            n,
            "book",
            Verdict::GaveUp("down".to_owned()),
        )
        .await;
    }
    tell(&saga, &store, 2, How::Continue, &[Want::Compensate]).await;
    instances.push(body(&store).await);
    settle(&saga, &*store, "a", 3, "unbook", rejected()).await;
    instances.push(body(&store).await);
    saga.retry("a", &person()).await.unwrap();
    settle(&saga, &*store, "a", 4, "unbook", rejected()).await;
    saga.edit_and_retry("a", Unbook { n: 9 }, &person())
        .await
        .unwrap();
    settle(&saga, &*store, "a", 5, "unbook", rejected()).await;
    saga.resume("a", &person()).await.unwrap();
    tell(&saga, &store, 3, How::Continue, &[]).await;
    saga.cancel("a", &person()).await.unwrap();
    instances.push(body(&store).await);
    let mut history = history_of_completed;
    history.extend(self::history(&saga).await);
    Stored {
        instances,
        history,
        parked,
    }
}

/// The entries of the history, as they are stored.
async fn history(saga: &SagaRunner<Trip<PARKS>, MemoryStore>) -> Vec<String> {
    let items = saga.history("a", 0, 1000).await.unwrap();
    let text = |item: &uno_saga::HistoryItem| Payload::encode(item.entry()).unwrap();
    items
        .iter()
        .map(|item| text(item).as_str().to_owned())
        .collect()
}

fn outcomes() -> Vec<CommandOutcome> {
    let id = uno_core::CommandId::stable(["trip", "a", "1"]);
    let at = |text: &str| text.parse().unwrap();
    let (first, last) = (at("2026-01-01T00:00:00Z"), at("2026-01-01T00:00:01.5Z"));
    let refused = CommandOutcome::new(id, "book", Verdict::Rejected("full".to_owned()));
    let failed = CommandOutcome::new(id, "book", Verdict::GaveUp("down".to_owned()));
    vec![
        CommandOutcome::new(id, "book", Verdict::Succeeded),
        refused.with_attempts(1, first, first),
        failed.with_attempts(3, first, last),
    ]
}

#[tokio::test]
async fn what_is_stored_is_written_as_it_was() {
    let stored = stored().await;
    check("instances", &stored.instances);
    check("history", &stored.history);
    check("parked", &stored.parked);
    let encode = |outcome: &CommandOutcome| Payload::encode(outcome).unwrap().as_str().to_owned();
    check(
        "outcomes",
        &outcomes().iter().map(encode).collect::<Vec<_>>(),
    );
}

/// Every kind of entry is among those that are kept.
#[test]
fn every_kind_of_entry_has_a_file() {
    let kinds: std::collections::BTreeSet<_> = read("history")
        .iter()
        .map(|entry| match entry {
            Value::Object(object) => object.keys().next().unwrap().clone(),
            other => other.as_str().unwrap().to_owned(),
        })
        .collect();
    let expected = [
        "behind",
        "decided",
        "event",
        "message",
        "outcome",
        "parked",
        "passed_over",
        "sent",
        "skipped",
        "status",
        "timeout",
        "timeout_cancelled",
        "timeout_set",
        "unparked",
        "verb",
    ];
    assert_eq!(
        kinds.iter().map(|kind| &**kind).collect::<Vec<_>>(),
        expected
    );
    let verbs = |entry: &Value| entry["verb"]["verb"].as_str().map(str::to_owned);
    let verbs: std::collections::BTreeSet<_> = read("history").iter().filter_map(verbs).collect();
    assert_eq!(verbs.len(), 7, "{verbs:?}");
}

#[tokio::test]
async fn what_was_stored_is_read() {
    for entry in read("history") {
        let read: HistoryEntry = serde_json::from_value(entry.clone()).unwrap();
        assert_eq!(serde_json::to_value(read).unwrap(), entry);
    }
    let read_back: Vec<CommandOutcome> = read("outcomes")
        .into_iter()
        .map(|outcome| serde_json::from_value(outcome).unwrap())
        .collect();
    assert_eq!(read_back, outcomes());
    let (store, _) = store();
    let saga = trips::<MENDED, _>(&store);
    let bodies = read("instances");
    for (number, golden) in bodies.iter().enumerate() {
        let (status, key) = (golden["status"].as_str().unwrap(), number.to_string());
        let status = ProcessStatus::from_stored(status).unwrap();
        let body = Payload::from_json(golden.to_string()).unwrap();
        let mut commit = Commit::new();
        commit
            .processes
            .push(ProcessWrite::new("trip", &*key, 0, status, body));
        store.commit(commit).await.unwrap();
        let found = saga.instance(&key).await.unwrap().unwrap();
        assert_eq!(found.status(), status);
        let seen = golden["state"]["seen"].as_array().unwrap().len();
        assert_eq!(found.state().seen.len(), seen);
        let undo = golden["undo"].as_array().unwrap().len();
        assert_eq!(found.to_undo().len(), undo);
    }
}

/// What was parked by an application of yesterday is handled by that of today.
#[tokio::test]
async fn what_was_parked_is_handled() {
    let (store, _) = store();
    let saga = trips::<MENDED, _>(&store);
    let mut commit = Commit::new();
    // As it was when it was parked: the second of the bodies.
    let body = Payload::from_json(read("instances")[1].to_string()).unwrap();
    commit.processes.push(ProcessWrite::new(
        "trip",
        "a",
        0,
        ProcessStatus::Parked,
        body,
    ));
    for message in read("parked") {
        let text = |field: &str| message[field].as_str().unwrap().to_owned();
        let id = text("id").parse().unwrap();
        let payload = Payload::from_json(text("payload")).unwrap();
        let queue = saga.parked_queue().to_owned();
        let message = NewMessage::new(queue, id, "a", text("name"), payload, Metadata::new());
        commit.messages.push(message);
    }
    store.commit(commit).await.unwrap();
    append(&store, 1, How::Start, &[]).await;
    append(&store, 2, How::Continue, &[]).await;
    append(&store, 3, How::Continue, &[Want::Panic]).await;
    let inputs = saga.parked_inputs("a").await.unwrap();
    let kinds: Vec<_> = inputs
        .iter()
        .map(|input| input.input.split(' ').next().unwrap())
        .collect();
    assert_eq!(kinds, ["event", "outcome", "timeout"]);
    let retried = saga.retry_parked("a", &person()).await.unwrap();
    assert_eq!((retried.handled, retried.parked_again), (3, None));
    let found = saga.instance("a").await.unwrap().unwrap();
    assert_eq!(
        found.state().seen[2..],
        ["Continue", "book Succeeded", "soon"]
    );
    assert_eq!(store.list_timers("trip", "a").await.unwrap(), []);
}
