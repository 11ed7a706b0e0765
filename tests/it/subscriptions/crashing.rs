//! Handlers that crash at named points: real processes, which run this test again.

use std::{
    env,
    fs::{OpenOptions, read_to_string},
    io::Write as _,
    os::unix::process::ExitStatusExt as _,
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
};

use uno_core::{CheckpointStore as _, Envelope, EventStore as _, Lane};
use uno_events::{Layers, Replay, Subscription, SubscriptionManager};
use uno_store_sqlite::SqliteStore;
use uno_testkit::faults::{HandlerFault, HandlerFaults};

use super::support::*;

/// Where a child finds the store, and at which point it is to die; whoever is not told is the parent.
const FOLDER: &str = "UNO_TEST_CRASHING";
const POINT: &str = "UNO_TEST_CRASHING_AT";
const THIS_TEST: &str = "subscriptions::crashing::a_handler_crashes_at_the_point_that_was_named";
const SIGABRT: i32 = 6;

#[tokio::test]
async fn a_handler_crashes_at_the_point_that_was_named() {
    if let Some(folder) = env::var_os(FOLDER) {
        return handle_all(&PathBuf::from(folder), &env::var(POINT).unwrap()).await;
    }
    // The effects of the second event: what was done when the process died, and what is done again by the next one.
    for (point, done, again) in [
        ("before", "1a 1b ", "1a 1b 2a 2b 3a 3b "),
        ("between", "1a 1b 2a ", "1a 1b 2a 2a 2b 3a 3b "),
        ("after", "1a 1b 2a 2b ", "1a 1b 2a 2b 2a 2b 3a 3b "),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let store = open(folder.path()).await;
        for n in 1..=3 {
            note_in(&store, "thing-1", n).await;
        }
        let run = |point: &str| {
            let mut child = Command::new(env::current_exe().unwrap());
            child.args(["--exact", THIS_TEST]);
            child.env(FOLDER, folder.path()).env(POINT, point);
            child.output().unwrap()
        };
        let died = run(point);
        let said = String::from_utf8_lossy(&died.stderr);
        assert_eq!(died.status.signal(), Some(SIGABRT), "{point}: {said}");
        let effects = || read_to_string(folder.path().join("effects")).unwrap();
        assert_eq!(effects(), done, "{point}");
        let checkpoint = store
            .load_checkpoint(&name("a"), Lane::FIRST)
            .await
            .unwrap();
        let checkpoint = checkpoint.map(|checkpoint| checkpoint.position().get());
        assert_eq!(checkpoint, Some(1), "{point}: the event is not handled");

        let lived = run("nowhere");
        let said = String::from_utf8_lossy(&lived.stderr);
        assert!(lived.status.success(), "{point}: {said}");
        assert_eq!(effects(), again, "{point}");
    }
}

async fn open(folder: &Path) -> SqliteStore {
    let store = SqliteStore::open(folder.join("store.db")).await.unwrap();
    store.migrate().await.unwrap();
    store
}

/// The child: two effects for each event, with a point between them.
async fn handle_all(folder: &Path, point: &str) {
    let faults = match point {
        "before" => HandlerFaults::none().nth(2, HandlerFault::CrashBefore),
        "between" => HandlerFaults::none().at_point("half", 2, HandlerFault::CrashBefore),
        "after" => HandlerFaults::none().nth(2, HandlerFault::CrashAfter),
        _ => HandlerFaults::none(),
    };
    let (within, effects) = (faults.clone(), folder.join("effects"));
    let handler = Layers::new()
        .layer(faults)
        .around(move |event: Arc<Envelope<Noted>>| {
            let (faults, effects, n) = (within.clone(), effects.clone(), event.event().n);
            async move {
                let effect = |name: &str| {
                    let mut file = OpenOptions::new()
                        .create(true)
                        .append(true)
                        .open(&effects)?;
                    write!(file, "{n}{name} ")
                };
                effect("a")?;
                faults.point("half").await?;
                effect("b")?;
                Ok(())
            }
        });
    let store = Arc::new(open(folder).await);
    let manager = SubscriptionManager::builder(store.clone(), store.clone())
        .instance("crashing")
        .build();
    // One event at a time, so that the checkpoint tells which was handled.
    let subscription = Subscription::handler(name("a"), Replay::Safe, handler).batch_size(1);
    manager.subscribe(subscription).unwrap();
    manager.start_all().await.unwrap();
    manager.until_idle().await.unwrap();
    manager.stop_all().await;
}
