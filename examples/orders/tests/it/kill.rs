//! Kills the program in the middle of its work, and lets it go on.

use std::{path::Path, process::Child, time::Duration};

use tempfile::TempDir;
use uno::{SqliteStore, prelude::*};

use crate::run::{finish, input, report, start};

/// Where in the log to strike. Small and good enough: the places need to differ, not to be unpredictable
/// (xorshift, George Marsaglia, 2003).
struct Places(u64);

impl Places {
    fn new() -> Self {
        let now = std::time::UNIX_EPOCH.elapsed().unwrap().as_nanos() as u64;
        let seed = std::env::var("UNO_SEED")
            .ok()
            .and_then(|seed| seed.parse().ok())
            .unwrap_or(now | 1);
        println!("UNO_SEED={seed}");
        Self(seed)
    }

    /// `count` places below `end`, in order.
    fn below(&mut self, end: u64, count: usize) -> Vec<u64> {
        let mut places: Vec<u64> = (0..count)
            .map(|_| {
                self.0 ^= self.0 << 13;
                self.0 ^= self.0 >> 7;
                self.0 ^= self.0 << 17;
                self.0 % end
            })
            .collect();
        places.sort_unstable();
        places
    }
}

#[tokio::test]
async fn killed_at_five_random_places_it_ends_with_the_undisturbed_report() {
    let (calm, rough) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let expected = report(&finish(calm.path(), &on_file(&input(calm.path(), 700))));
    let end = position(calm.path()).await;
    assert!(end > 700, "the log of the undisturbed run ends at {end}");

    let file = input(rough.path(), 700);
    let mut killed = 0;
    // Not so late that a run is done before it is struck, however slow this machine lets us look.
    for place in Places::new().below(end * 7 / 10, 5) {
        let mut child = start(rough.path(), &on_file(&file));
        reached(rough.path(), place, &mut child).await;
        // SIGKILL: nothing in the process can do anything about it.
        child.kill().unwrap();
        killed += usize::from(!child.wait().unwrap().success());
    }
    assert!(killed > 0, "every run had ended before it could be killed");
    assert_eq!(
        report(&finish(rough.path(), &on_file(&file))),
        expected,
        "killed {killed} times"
    );
}

#[cfg(unix)]
#[tokio::test]
async fn asked_to_stop_it_drains_and_goes_on_at_the_next_start() {
    let folder = TempDir::new().unwrap();
    let file = input(folder.path(), 700);
    let mut child = start(folder.path(), &on_file(&file));
    reached(folder.path(), 100, &mut child).await;
    let asked = std::process::Command::new("kill")
        .args(["-TERM", &child.id().to_string()])
        .status()
        .unwrap();
    assert!(asked.success());
    let output = child.wait_with_output().unwrap();
    assert!(
        output.status.code().is_some(),
        "it ends by itself, not by the signal: {output:?}"
    );
    let text = report(&finish(folder.path(), &on_file(&file)));
    assert!(text.contains("\nplaced           700"), "{text}");
}

/// With a store whose place is known to the tests.
fn on_file(input: &str) -> [&str; 4] {
    ["--store", "sqlite:log.db", "--input", input]
}

/// Returns once the program's log has come this far, or the program has ended.
async fn reached(folder: &Path, place: u64, child: &mut Child) {
    while position(folder).await <= place && child.try_wait().unwrap().is_none() {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// How far the program's log has come; nowhere, while there is no log.
async fn position(folder: &Path) -> u64 {
    let store = SqliteStore::builder().read_only().must_exist();
    match store.open(folder.join("log.db")).await {
        Ok(store) => store.head().await.map_or(0, |head| head.position().get()),
        Err(_) => 0,
    }
}
