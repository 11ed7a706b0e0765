//! The same application on a server: the same report, also when it is killed.

use std::{
    path::Path,
    process::{Child, Command},
    time::UNIX_EPOCH,
};

use sqlx::{AssertSqlSafe, Connection as _, PgConnection, Row as _};
use tempfile::TempDir;

use crate::run::{finish, input, report, start};

/// A schema of its own on the server that the tests may use.
struct Schema {
    name: String,
    url: String,
    connection: PgConnection,
}

impl Schema {
    async fn new() -> Self {
        let server = std::env::var("DATABASE_URL")
            .expect("DATABASE_URL must name a Postgres database that the tests may use");
        let now = UNIX_EPOCH.elapsed().unwrap();
        let name = format!("orders_{}_{}", std::process::id(), now.as_nanos());
        let separator = if server.contains('?') { '&' } else { '?' };
        Self {
            url: format!("{server}{separator}schema={name}"),
            name,
            connection: PgConnection::connect(&server).await.unwrap(),
        }
    }

    /// SQL with `@` for the schema; the first column of its only row.
    async fn number(&mut self, text: &str) -> Option<i64> {
        let text = AssertSqlSafe(text.replace('@', &self.name));
        let row = sqlx::query(text).fetch_one(&mut self.connection).await;
        // Before the program has made the schema there is nothing to ask.
        row.ok().map(|row| row.get(0))
    }

    /// How many events are committed.
    async fn events(&mut self) -> i64 {
        let count = self.number("SELECT count(*) FROM @.events").await;
        count.unwrap_or_default()
    }

    /// Removes the schema. A test that fails leaves it, to be looked at.
    async fn close(mut self) {
        let drop = AssertSqlSafe(format!("DROP SCHEMA {} CASCADE", self.name));
        sqlx::query(drop)
            .execute(&mut self.connection)
            .await
            .unwrap();
        self.connection.close().await.unwrap();
    }
}

#[tokio::test]
async fn the_report_is_the_same_as_on_the_memory_store_and_a_second_run_does_nothing_twice() {
    let folder = TempDir::new().unwrap();
    let file = input(folder.path(), 300);
    let memory = finish(folder.path(), &["--store", "memory", "--input", &file]);
    let schema = Schema::new().await;
    let arguments = ["--store", &schema.url, "--input", &file];
    let postgres = finish(folder.path(), &arguments);
    assert_eq!(report(&postgres), report(&memory));
    let again = finish(folder.path(), &arguments);
    assert_eq!(report(&again), report(&memory));
    assert!(
        String::from_utf8_lossy(&again.stdout).contains("this run: 0 events and 0 orders"),
        "{again:?}"
    );
    schema.close().await;
}

/// Kills it when it has done a certain part of its work, which takes the same place in it however fast the machine is.
#[tokio::test]
async fn killed_at_five_places_in_the_log_it_ends_with_the_undisturbed_report() {
    let (calm, rough) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let file = input(rough.path(), 400);
    let mut undisturbed = Schema::new().await;
    let expected = report(&run(calm.path(), &undisturbed.url, &file));
    let events = undisturbed.events().await;
    undisturbed.close().await;

    let mut schema = Schema::new().await;
    for (place, moment) in places(events).into_iter().zip(0..) {
        let mut child = start(rough.path(), &["--store", &schema.url, "--input", &file]);
        let reached = wait_for(&mut schema, &mut child, place).await;
        assert!(reached, "it ended before event {place} of {events}");
        if moment % 2 == 0 {
            kill_while_it_commits(&mut schema, &mut child).await;
        } else {
            kill(&mut child);
        }
    }
    assert_eq!(report(&run(rough.path(), &schema.url, &file)), expected);
    schema.close().await;
}

/// Asked politely on every store: see `kill.rs` for the embedded one.
#[cfg(unix)]
#[tokio::test]
async fn asked_to_stop_it_drains_and_goes_on_at_the_next_start() {
    let folder = TempDir::new().unwrap();
    let file = input(folder.path(), 300);
    let mut schema = Schema::new().await;
    let arguments = ["--store", &schema.url.clone(), "--input", &file];
    let mut child = start(folder.path(), &arguments);
    assert!(wait_for(&mut schema, &mut child, 200).await);
    let asked = Command::new("kill")
        .args(["-TERM", &child.id().to_string()])
        .status();
    assert!(asked.unwrap().success());
    let status = child.wait().unwrap();
    assert!(status.code().is_some(), "it ends by itself: {status}");
    let open = "SELECT count(*) FROM pg_locks WHERE classid = @.log_class()::oid AND locktype = 'advisory'";
    assert_eq!(schema.number(open).await, Some(0), "nothing is left open");
    let text = report(&finish(folder.path(), &arguments));
    assert!(text.contains("\nplaced           300"), "{text}");
    schema.close().await;
}

fn run(folder: &Path, url: &str, file: &str) -> std::process::Output {
    finish(folder, &["--store", url, "--input", file])
}

/// Five places in the first part of the work, one in each stretch of equal length (xorshift, George Marsaglia, 2003).
fn places(events: i64) -> Vec<i64> {
    let now = UNIX_EPOCH.elapsed().unwrap().as_nanos() as u64;
    let seed = std::env::var("UNO_SEED")
        .ok()
        .and_then(|seed| seed.parse().ok())
        .unwrap_or(now | 1);
    println!("UNO_SEED={seed}");
    let mut state: u64 = seed;
    let stretch = events * 7 / 10 / 5;
    assert!(stretch > 50, "{events} events are too few to be killed at");
    let mut place = |number: i64| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        stretch * number + 1 + (state % stretch as u64) as i64
    };
    (0..5).map(&mut place).collect()
}

/// Waits until that many events are committed; false if the program ends before.
async fn wait_for(schema: &mut Schema, child: &mut Child, events: i64) -> bool {
    while schema.events().await < events {
        if child.try_wait().unwrap().is_some() {
            return false;
        }
        tokio::task::yield_now().await;
    }
    true
}

/// SIGKILL: nothing in the process can do anything about it.
fn kill(child: &mut Child) {
    child.kill().unwrap();
    assert!(!child.wait().unwrap().success(), "it had ended before");
}

/// Kills the program while the server is in the middle of one of its commits, which goes on without it.
async fn kill_while_it_commits(schema: &mut Schema, child: &mut Child) {
    // Positions are drawn under this lock: whoever appends now waits for us.
    let held =
        schema.number("SELECT 1::bigint FROM (SELECT pg_advisory_lock(@.draw_class(), 0)) l");
    assert_eq!(held.await, Some(1));
    let drawing = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND granted \
         AND classid = @.log_class()::oid AND mode = 'ShareLock'";
    while schema.number(drawing).await == Some(0) {
        assert!(child.try_wait().unwrap().is_none(), "it had ended before");
        tokio::task::yield_now().await;
    }
    kill(child);
    let freed = schema.number("SELECT pg_advisory_unlock(@.draw_class(), 0)::int::bigint");
    assert_eq!(freed.await, Some(1));
}
