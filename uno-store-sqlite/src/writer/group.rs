//! Carries out commits together: one transaction, one question for each kind of record, one statement for each table.

use std::sync::Arc;

use fastrand::Rng;
use sqlx::SqliteConnection;
use tokio::sync::oneshot;
use tracing::Instrument as _;
use uno_core::{AppendError, BoxError, CommitError, Position, Receipt, RecordedEvent, StoreError};

use super::{
    Writer,
    decide::Verdict,
    facts::{Facts, Questions},
    job::Plain,
    writes::{Times, Writes},
};
use crate::{
    core::Core,
    error::{Location, again, is_constraint, store_error, undoes_commit},
    script::{Cause, Failure, Script},
    telemetry,
};

pub(super) type Reply = oneshot::Sender<Result<Receipt, CommitError>>;

type Results = Vec<Result<Receipt, CommitError>>;

/// Carries out commits, in order, and answers each caller with what became of its own.
pub(super) async fn carry_out(writer: &mut Writer, commits: Vec<Plain>, replies: Vec<Reply>) {
    let events: usize = commits.iter().map(Plain::events).sum();
    let span = telemetry::commit_span(commits.len(), events);
    let results = together(writer, &commits).instrument(span).await;
    for (reply, result) in replies.into_iter().zip(results) {
        // Nobody to tell when the caller has gone away.
        let _gone = reply.send(result);
    }
}

/// Why a group was not carried out. Nothing of it was, but for an unknown outcome.
pub(super) enum Setback {
    /// A unique key or another constraint refused something.
    Constraint(StoreError),
    /// One of the statements that write failed.
    Write(StoreError),
    /// Something failed that has nothing to do with any one of the commits.
    Store(StoreError),
    /// The commit itself failed, in a way that leaves it open what is stored.
    Unknown(BoxError),
}

async fn together(writer: &mut Writer, commits: &[Plain]) -> Results {
    // Most events are new, and the unique key says so. Only when it says otherwise they are looked up before.
    let first = match attempt(writer, commits, false).await {
        Err(Setback::Constraint(_)) => attempt(writer, commits, true).await,
        first => first,
    };
    match first {
        Ok(results) => results,
        Err(Setback::Constraint(_) | Setback::Write(_)) if commits.len() > 1 => {
            let mut results = Vec::with_capacity(commits.len());
            for commit in commits {
                results.push(alone(writer, commit).await);
            }
            results
        }
        Err(setback) => commits.iter().map(|_| Err(setback.error())).collect(),
    }
}

/// Carries out one commit by itself, so that what is wrong with it concerns nobody else.
async fn alone(writer: &mut Writer, commit: &Plain) -> Result<Receipt, CommitError> {
    match attempt(writer, std::slice::from_ref(commit), true).await {
        Ok(mut results) => results
            .pop()
            .unwrap_or_else(|| Err(Setback::lost().error())),
        Err(setback) => Err(setback.error()),
    }
}

/// Carries out commits in one transaction. Looks up beforehand where their events are stored, if `ids` is set.
async fn attempt(writer: &mut Writer, commits: &[Plain], ids: bool) -> Result<Results, Setback> {
    let mut connection = writer
        .take_checked_connection()
        .await
        .map_err(Setback::Store)?;
    let mut script = Script::new();
    // At once with the right to write: a transaction that reads first may find that it can't get it any more.
    script.push("BEGIN IMMEDIATE");
    let result = async {
        let location = &writer.core.settings.location;
        let group = Group::decide(
            commits,
            ids,
            script,
            &mut writer.gaps,
            location,
            &mut connection,
        );
        let group = group.await.map_err(Setback::Store)?;
        if group.writes.is_empty() {
            return Ok((group.results, None));
        }
        let written = group
            .write(End::Commit, &writer.core, &mut connection)
            .await?;
        Ok((group.results, Some(written)))
    };
    match result.await {
        Ok((results, Some(written))) => {
            writer.connection = Some(connection);
            written.tell(&writer.core);
            Ok(results)
        }
        Ok((results, None)) => {
            writer.roll_back(connection).await;
            Ok(results)
        }
        Err(setback) => {
            writer.roll_back(connection).await;
            Err(setback)
        }
    }
}

/// Commits within one transaction, decided.
pub(super) struct Group<'c> {
    facts: Facts<'c>,
    pub(super) writes: Writes<'c>,
    pub(super) results: Results,
}

/// What a group has written.
pub(super) struct Written {
    /// The last position of the log before that.
    before: Position,
    events: Vec<Arc<RecordedEvent>>,
}

/// What comes after what a group writes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    Commit,
    /// Nothing: whoever began the transaction ends it.
    Open,
}

impl<'c> Group<'c> {
    /// Reads what must be known, by a script that has begun already, and decides every commit.
    pub(super) async fn decide(
        commits: &'c [Plain],
        ids: bool,
        script: Script,
        gaps: &mut Option<Rng>,
        location: &Location,
        connection: &mut SqliteConnection,
    ) -> Result<Self, StoreError> {
        let mut facts = Facts::new();
        let questions = Questions::about(commits, ids);
        facts
            .find_out(&questions, script, location, connection)
            .await?;

        let mut writes = Writes::default();
        let mut results = Vec::with_capacity(commits.len());
        let mut doubtful = Vec::new();
        for (index, commit) in commits.iter().enumerate() {
            results.push(match facts.decide(commit) {
                Verdict::Go => Ok(writes.take(commit, &mut facts, gaps)),
                Verdict::No(error) => Err(error),
                Verdict::LookUp(error) if ids => facts.stored(&commit.appends, error),
                Verdict::LookUp(error) => {
                    doubtful.push((index, error));
                    // Replaced below.
                    Err(Setback::lost().error())
                }
            });
        }
        if !doubtful.is_empty() {
            let questions =
                Questions::about_ids(doubtful.iter().map(|(index, _)| &commits[*index]));
            facts
                .find_out(&questions, Script::new(), location, connection)
                .await?;
            for (index, error) in doubtful {
                results[index] = facts.stored(&commits[index].appends, error);
            }
        }
        Ok(Self {
            facts,
            writes,
            results,
        })
    }

    pub(super) async fn write(
        &self,
        end: End,
        core: &Core,
        connection: &mut SqliteConnection,
    ) -> Result<Written, Setback> {
        let now = core.now();
        let recorded_at = now.max(self.facts.last_recorded_at);
        let mut scripts = self.writes.scripts(Times { now, recorded_at });
        if let (End::Commit, Some(last)) = (end, scripts.last_mut()) {
            last.push("COMMIT");
        }
        let count = scripts.len();
        for (number, script) in (1..).zip(scripts) {
            let statements = script.len();
            if let Err(failure) = script.execute(connection).await {
                let at_commit =
                    end == End::Commit && number == count && failure.statement + 1 == statements;
                return Err(Setback::of(failure, at_commit, &core.settings.location));
            }
        }
        Ok(Written {
            before: self.facts.before,
            events: self.writes.recorded(recorded_at),
        })
    }
}

impl Written {
    /// Tells this process of it. Only once it is committed.
    pub(super) fn tell(self, core: &Core) {
        if !self.events.is_empty() {
            core.tail.extend(self.before, self.events);
        }
        core.tell_change();
    }
}

impl Setback {
    fn of(failure: Failure, at_commit: bool, location: &Location) -> Self {
        match failure.cause {
            Cause::Rows(error) => Self::Store(error),
            Cause::Driver(error) if at_commit && !undoes_commit(&error) => {
                Self::Unknown(error.into())
            }
            Cause::Driver(error) if is_constraint(&error) => {
                Self::Constraint(store_error(location, error))
            }
            Cause::Driver(error) => Self::Write(store_error(location, error)),
        }
    }

    /// What can't be, and is no reason to panic.
    pub(super) fn lost() -> Self {
        Self::Store(StoreError::Backend("a commit was not decided".into()))
    }

    /// The error for one of the callers.
    pub(super) fn error(&self) -> CommitError {
        CommitError::Append(match self {
            Self::Constraint(error) | Self::Write(error) | Self::Store(error) => {
                AppendError::Store(again(error))
            }
            Self::Unknown(error) => AppendError::Unknown(error.to_string().into()),
        })
    }
}
