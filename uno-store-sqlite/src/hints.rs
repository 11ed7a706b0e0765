//! Hints of what other processes commit to the same file.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use sqlx::SqliteConnection;
use tokio::{sync::Notify, time::sleep};

use crate::{connect, core::Core};

/// How often the file is looked at while somebody waits.
const EVERY: Duration = Duration::from_millis(50);

/// Who waits for a change.
#[derive(Debug, Default)]
pub(crate) struct Waiters {
    count: AtomicUsize,
    closed: AtomicBool,
    /// Told when there is one, and when the store is closed.
    wake: Notify,
}

impl Waiters {
    /// Counts somebody who waits, until the guard is dropped.
    pub(crate) fn enter(&self) -> Waiting<'_> {
        self.count.fetch_add(1, Ordering::AcqRel);
        self.wake.notify_one();
        Waiting(self)
    }

    /// Ends the task that looks at the file.
    pub(crate) fn close(&self) {
        self.closed.store(true, Ordering::Release);
        self.wake.notify_one();
    }
}

pub(crate) struct Waiting<'w>(&'w Waiters);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.count.fetch_sub(1, Ordering::AcqRel);
    }
}

/// Looks at the file while somebody waits, and tells of a change.
///
/// SQLite counts what other connections commit: this process's writer, which tells of its own commits by itself, and other
/// processes. So there is nothing to look for while the writer is busy.
pub(crate) async fn watch(core: Arc<Core>, connection: SqliteConnection) {
    let mut connection = Some(connection);
    let mut seen = look(&core, &mut connection).await;
    let mut told = *core.changes.borrow();
    while !core.waiters.closed.load(Ordering::Acquire) {
        if core.waiters.count.load(Ordering::Acquire) == 0 {
            core.waiters.wake.notified().await;
            continue;
        }
        tokio::select! {
            () = sleep(EVERY) => {}
            () = core.waiters.wake.notified() => continue,
        }
        let now = *core.changes.borrow();
        if now != told {
            told = now;
            continue;
        }
        let version = look(&core, &mut connection).await;
        if version != seen {
            seen = version;
            core.tell_change();
            told += 1;
        }
    }
    if let Some(connection) = connection {
        connect::close(connection).await;
    }
}

/// SQLite's count; `None` when the file can't be looked at.
async fn look(core: &Core, connection: &mut Option<SqliteConnection>) -> Option<i64> {
    let mut looking = match connection.take() {
        Some(looking) => looking,
        None => connect::reader(&core.settings).await.ok()?,
    };
    let version = sqlx::query_scalar("PRAGMA data_version")
        .fetch_one(&mut looking)
        .await;
    match version {
        Ok(version) => {
            *connection = Some(looking);
            Some(version)
        }
        Err(_) => {
            // Not just dropped, for then its end would be waited for by nobody, and the store closes after it.
            connect::close(looking).await;
            None
        }
    }
}
