//! A handler that aborts its process: real processes, which run this test again.

use std::{
    env,
    fs::OpenOptions,
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command, abort},
    sync::Arc,
};

use uno_core::{Envelope, EventStore as _, ParkingStore as _};
use uno_events::{Replay, Subscription, SubscriptionManager};
use uno_store_sqlite::SqliteStore;

use super::support::*;

/// Where a child finds the store; whoever is not told is the parent.
const FOLDER: &str = "UNO_TEST_ABORTING";
const THIS_TEST: &str =
    "subscriptions::aborting::a_handler_that_aborts_its_process_is_parked_after_its_attempts";

#[tokio::test]
async fn a_handler_that_aborts_its_process_is_parked_after_its_attempts() {
    if let Some(folder) = env::var_os(FOLDER) {
        return handle_all(&PathBuf::from(folder)).await;
    }
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).await;
    for n in 1..=12 {
        note_in(&store, &format!("thing-{}", n % 3), n).await;
    }
    let mut deaths = 0;
    loop {
        let mut child = Command::new(env::current_exe().unwrap());
        child
            .args(["--exact", THIS_TEST])
            .env(FOLDER, folder.path());
        let output = child.output().unwrap();
        if output.status.success() {
            break;
        }
        deaths += 1;
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(deaths <= 10, "it dies for ever: {said}");
    }
    let calls = std::fs::read_to_string(folder.path().join("calls")).unwrap();
    let calls: Vec<u32> = calls.lines().map(|n| n.parse().unwrap()).collect();
    let of = |number: u32| calls.iter().filter(|n| **n == number).count();
    assert_eq!((deaths, of(5)), (4, 4), "{calls:?}");
    for number in [1, 2, 3, 4, 6, 7, 9, 10, 12] {
        assert!(of(number) >= 1, "{number} was not handled: {calls:?}");
    }
    assert_eq!(of(8) + of(11), 0, "they are of the same key: {calls:?}");
    let parked = store
        .parked_key(&name("a"), "thing-2")
        .await
        .unwrap()
        .unwrap();
    assert_eq!((parked.first().get(), parked.events()), (5, 3));
    assert_eq!(parked.failure().attempts(), 4);
}

async fn open(folder: &Path) -> SqliteStore {
    let store = SqliteStore::open(folder.join("store.db")).await.unwrap();
    store.migrate().await.unwrap();
    store
}

/// The child: handles everything, writes down each call, and aborts at the fifth event.
async fn handle_all(folder: &Path) {
    let store = Arc::new(open(folder).await);
    let calls = folder.join("calls");
    let handler = move |event: Arc<Envelope<Noted>>| {
        let n = event.event().n;
        let mut file = OpenOptions::new()
            .create(true)
            .append(true)
            .open(&calls)
            .unwrap();
        writeln!(file, "{n}").unwrap();
        if n == 5 {
            abort();
        }
        async { Ok(()) }
    };
    let manager = SubscriptionManager::builder(store.clone(), store.clone())
        .instance("aborting")
        .build();
    manager
        .subscribe(Subscription::handler(name("a"), Replay::Safe, handler).retry(quick()))
        .unwrap();
    manager.start_all().await.unwrap();
    manager.until_idle().await.unwrap();
    manager.stop_all().await;
}
