//! The writer: one task that has the one connection that writes, and carries out what waits in groups.
//!
//! See `docs/design/sqlite.md` for why it is so, and what it costs.

mod change;
mod decide;
mod facts;
mod group;
mod job;
mod lanes;
mod parking;
mod processes;
mod prune;
mod sql;
mod work;
mod writes;

use std::{collections::VecDeque, panic::AssertUnwindSafe, sync::Arc, time::Duration};

use fastrand::Rng;
use futures_util::FutureExt as _;
use sqlx::{SqliteConnection, SqlitePool};
use tokio::sync::mpsc;
use uno_core::StoreError;

pub(crate) use self::{
    change::{Change, Hint},
    job::{CommitJob, Job, Plain, Prune},
    lanes::Division,
};
use crate::{connect, core::Core, schema, script::Script};

/// How many jobs wait at most; a caller who comes when they are as many waits before it is accepted.
pub(crate) const QUEUE: usize = 1024;

/// How many commits are carried out together at most.
const MAX_COMMITS: usize = 512;

/// From how many bytes on no further commit is carried out together with those before it.
const MAX_BYTES: usize = 4 << 20;

/// How long commits wait for as many as there were the last time: less than a sync of the disk takes.
const PATIENCE: Duration = Duration::from_millis(2);

pub(crate) struct Writer {
    core: Arc<Core>,
    jobs: mpsc::Receiver<Job>,
    /// Accepted, but not carried out yet.
    waiting: VecDeque<Job>,
    /// At rest, outside of any transaction. Opened anew after everything that leaves doubt about that.
    connection: Option<SqliteConnection>,
    /// The connection for commits with the caller's own work, from the first one on.
    working: Option<SqlitePool>,
    gaps: Option<Rng>,
    /// How many commits were carried out together the last time.
    last_group: usize,
}

impl Writer {
    pub(crate) fn new(
        core: Arc<Core>,
        jobs: mpsc::Receiver<Job>,
        connection: SqliteConnection,
    ) -> Self {
        Self {
            gaps: core.settings.gaps.map(Rng::with_seed),
            waiting: VecDeque::new(),
            connection: Some(connection),
            working: None,
            core,
            jobs,
            last_group: 0,
        }
    }

    /// Works until the last handle is gone, or the store is closed.
    pub(crate) async fn run(mut self) {
        loop {
            if self.waiting.is_empty() {
                let mut waiting = Vec::new();
                // Whatever waits by now is taken at once; whoever comes alone is not kept waiting for company.
                if self.jobs.recv_many(&mut waiting, MAX_COMMITS).await == 0 {
                    break;
                }
                self.waiting.extend(waiting);
            }
            self.await_company().await;
            // Those who wait for this lose their answer in a panic, which for them is an unknown outcome.
            match AssertUnwindSafe(self.next()).catch_unwind().await {
                Ok(Next::More) => {}
                Ok(Next::End) => self.jobs.close(),
                Err(_) => {
                    tracing::error!("the writer of the store panicked");
                    self.connection = None;
                    self.working = None;
                }
            }
        }
        if let Some(pool) = self.working {
            pool.close().await;
        }
        if let Some(connection) = self.connection {
            connect::close(connection).await;
        }
    }

    /// Waits a moment for about as many commits as there were the last time.
    ///
    /// Those who were answered together come back together, but not at the same instant: each has to wake up, read and
    /// decide first. Each group costs a sync of the disk and the writing of every page that it touches, so a group that
    /// starts with the first of them costs as much as one with all. A lone caller has no company to wait for.
    async fn await_company(&mut self) {
        let wanted = self.last_group.min(MAX_COMMITS);
        if wanted < 2 {
            return;
        }
        let patience = tokio::time::sleep(PATIENCE);
        tokio::pin!(patience);
        while self.waiting.len() < wanted {
            tokio::select! {
                biased;
                job = self.jobs.recv() => match job {
                    Some(job) => self.waiting.push_back(job),
                    None => return,
                },
                () = &mut patience => return,
            }
        }
    }

    async fn next(&mut self) -> Next {
        match self.waiting.pop_front() {
            Some(Job::Commit(job)) if job.work.is_empty() => {
                let (commits, replies) = self.gather(*job);
                group::carry_out(self, commits, replies).await;
            }
            Some(Job::Commit(job)) => work::carry_out(self, *job).await,
            Some(Job::Migrate(reply)) => {
                let result = self.migrate().await;
                // Nobody to tell when the caller has gone away.
                let _gone = reply.send(result);
            }
            Some(Job::Prune(job)) => prune::carry_out(self, job).await,
            Some(Job::Change(change)) => change.carry_out(self).await,
            Some(Job::Close) => return Next::End,
            None => {}
        }
        Next::More
    }

    /// The commits that are carried out together with this one: those behind it, as far as they are nothing but data.
    fn gather(&mut self, first: CommitJob) -> (Vec<Plain>, Vec<group::Reply>) {
        // More may have come since.
        while self.waiting.len() < MAX_COMMITS
            && let Ok(job) = self.jobs.try_recv()
        {
            self.waiting.push_back(job);
        }
        let mut weight = first.plain.weight();
        let (mut commits, mut replies) = (vec![first.plain], vec![first.reply]);
        while commits.len() < MAX_COMMITS && weight < MAX_BYTES {
            match self.waiting.pop_front() {
                Some(Job::Commit(job)) if job.work.is_empty() => {
                    weight += job.plain.weight();
                    commits.push(job.plain);
                    replies.push(job.reply);
                }
                Some(other) => {
                    self.waiting.push_front(other);
                    break;
                }
                None => break,
            }
        }
        self.last_group = commits.len();
        (commits, replies)
    }

    async fn migrate(&mut self) -> Result<(), StoreError> {
        let mut connection = self.take_connection().await?;
        let settings = &self.core.settings;
        let result = schema::migrate(&settings.location, &*settings.clock, &mut connection).await;
        match result {
            Ok(()) => self.connection = Some(connection),
            // A transaction may be open.
            Err(_) => connect::close(connection).await,
        }
        result
    }

    /// A connection at rest. Whoever takes it gives it back only if it is at rest again.
    async fn take_connection(&mut self) -> Result<SqliteConnection, StoreError> {
        match self.connection.take() {
            Some(connection) => Ok(connection),
            None => connect::writer(&self.core.settings).await,
        }
    }

    /// Takes a connection to a store that this code can work with.
    async fn take_checked_connection(&mut self) -> Result<SqliteConnection, StoreError> {
        let mut connection = self.take_connection().await?;
        let checked = self.core.check_schema(&mut connection).await;
        if let Err(error) = checked {
            self.connection = Some(connection);
            return Err(error);
        }
        Ok(connection)
    }

    /// Ends a transaction that is not to be, and gives the connection back.
    async fn roll_back(&mut self, mut connection: SqliteConnection) {
        let mut script = Script::new();
        script.push("ROLLBACK");
        match script.execute(&mut connection).await {
            Ok(()) => self.connection = Some(connection),
            // SQLite rolls back by itself after some errors. In doubt, closing the connection does.
            Err(_) => connect::close(connection).await,
        }
    }
}

enum Next {
    More,
    End,
}
