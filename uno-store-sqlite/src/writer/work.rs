//! Carries out a commit with the caller's own work: alone, in a transaction of its own.
//!
//! It could share a group's transaction, under a savepoint. But the work is foreign code. It takes as long as it takes, and those
//! who were grouped with it would wait for their answer; and it may end the transaction, by a `COMMIT` or by an error on which
//! SQLite rolls back by itself, and would take them along.

use std::{any::Any, panic::AssertUnwindSafe, slice};

use futures_util::FutureExt as _;
use sqlx::SqliteConnection;
use tokio::time::{Instant, timeout_at};
use tracing::Instrument as _;
use uno_core::{AppendError, BoxError, CommitError, Receipt, Work};

use super::{
    Writer,
    group::{End, Group, Setback},
    job::{CommitJob, Plain},
};
use crate::{
    SqliteTx, connect,
    core::Core,
    error::{is_misuse, store_error, undoes_commit},
    script::{Cause, Script},
    telemetry,
    tx::working,
};

pub(super) async fn carry_out(writer: &mut Writer, job: CommitJob) {
    if job.reply.is_closed() {
        // The caller has gone away before anything began.
        return;
    }
    let span = telemetry::work_span(job.plain.events());
    let result = alone(writer, job.work, &job.plain).instrument(span).await;
    // Nobody to tell when the caller has gone away.
    let _gone = job.reply.send(result);
}

async fn alone(
    writer: &mut Writer,
    work: Vec<Work<SqliteTx>>,
    commit: &Plain,
) -> Result<Receipt, CommitError> {
    let result = within(writer, work, commit).await;
    if result.is_err() {
        // The work may have left the connection in any state. Closing it rolls back whatever is open.
        if let Some(pool) = writer.working.take() {
            pool.close().await;
        }
    }
    result
}

async fn within(
    writer: &mut Writer,
    work: Vec<Work<SqliteTx>>,
    commit: &Plain,
) -> Result<Receipt, CommitError> {
    // The pool has one connection. It is there since only a transaction that begins in a pool owns its connection,
    // which the caller's work gets as a part of a type of ours.
    let pool = writer
        .working
        .get_or_insert_with(|| connect::working(&writer.core.settings));
    let core = &writer.core;
    let location = &core.settings.location;
    let failed = |error| CommitError::from(store_error(location, error));
    let transaction = pool.begin_with("BEGIN IMMEDIATE").await.map_err(failed)?;
    let mut tx = SqliteTx::new(transaction);
    core.check_schema(tx.connection()).await?;
    run(work, &mut tx, core).await.map_err(CommitError::Work)?;
    let connection = tx.connection();
    // Everything is looked up beforehand: the work can't be run twice.
    let group = Group::decide(
        slice::from_ref(commit),
        true,
        Script::new(),
        &mut writer.gaps,
        location,
        connection,
    );
    let mut group = group.await?;
    let receipt = group
        .results
        .pop()
        .unwrap_or_else(|| Err(Setback::lost().error()))?;
    if group.writes.is_empty() && !commit.appends.is_empty() {
        // It was carried out before, with its work; so this time the work is undone.
        tx.into_transaction().rollback().await.map_err(failed)?;
        return Ok(receipt);
    }
    let written = group.write(End::Open, core, connection).await;
    let written = written.map_err(|setback| setback.error())?;
    match tx.into_transaction().commit().await {
        Ok(()) => {
            written.tell(core);
            Ok(receipt)
        }
        // sqlx counts a savepoint that SQLite does not have any more.
        Err(error) if is_misuse(&error) => {
            Err(CommitError::Work("the work left a savepoint open".into()))
        }
        Err(error) if undoes_commit(&error) => Err(failed(error)),
        Err(error) => Err(AppendError::Unknown(error.into()).into()),
    }
}

/// Runs the work, and sees to it that the transaction is still the same afterwards.
async fn run(work: Vec<Work<SqliteTx>>, tx: &mut SqliteTx, core: &Core) -> Result<(), BoxError> {
    mark("SAVEPOINT uno_work", tx.connection()).await?;
    let deadline = Instant::now() + core.settings.work_timeout;
    for work in work {
        // Within a future of its own, since the call itself may panic, too.
        let work = AssertUnwindSafe(async { work(tx).await }).catch_unwind();
        let work = working(core.settings.location.clone(), work);
        match timeout_at(deadline, work).await {
            Ok(Ok(result)) => result?,
            Ok(Err(panic)) => return Err(panicked(&*panic).into()),
            Err(_) => return Err("the work took too long".into()),
        }
    }
    // The savepoint is gone if the transaction has ended, also if another one was begun instead.
    let ended = |_| "the work ended the transaction".into();
    mark("RELEASE uno_work", tx.connection())
        .await
        .map_err(ended)
}

async fn mark(statement: &str, connection: &mut SqliteConnection) -> Result<(), BoxError> {
    let mut script = Script::new();
    script.push(statement);
    script
        .execute(connection)
        .await
        .map_err(|failure| match failure.cause {
            Cause::Driver(error) => error.into(),
            Cause::Rows(error) => error.into(),
        })
}

fn panicked(panic: &(dyn Any + Send)) -> String {
    let said = panic.downcast_ref::<&str>().copied();
    let said = said.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    said.map_or_else(
        || "the work panicked".to_owned(),
        |said| format!("the work panicked: {said}"),
    )
}
