//! [`Committer`]: gathers the commits that wait at the same time into one transaction.
//!
//! See `docs/design/group-append.md` for fairness, bounds, cancellation and conflicts.

mod queue;

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, oneshot},
    task::yield_now,
};
use uno_core::{AppendError, CommitError, Receipt};

use self::queue::{Group, Job, Queue};
use crate::{
    alone,
    batch::{Batch, Manner, Outcome, Verdict},
    fault::Fault,
    plain::Plain,
    pool::{Pool, Session},
    probe::Meta,
    shared::Shared,
    store::Sizes,
};

/// How many commits may wait. Their callers wait with them; those that went away leave theirs behind for a moment.
const WAITING: usize = 4096;

/// How often a lane lets others run before it takes a group, at most.
const GATHER: usize = 8;

/// Gathers the commits of a process into groups.
pub(crate) struct Committer {
    shared: Arc<Shared>,
    /// The connections that groups are sent on, one for each lane.
    lanes: Arc<Pool>,
    /// The connections for commits that have to be sent alone.
    others: Arc<Pool>,
    alone: Arc<Semaphore>,
    room: Arc<Semaphore>,
    queue: Mutex<Queue>,
}

impl Committer {
    pub(crate) fn new(
        shared: Arc<Shared>,
        lanes: Arc<Pool>,
        others: Arc<Pool>,
        sizes: &Sizes,
    ) -> Arc<Self> {
        Arc::new(Self {
            shared,
            lanes,
            others,
            // Half of them, so that those who wait for locks leave room for work.
            alone: Arc::new(Semaphore::new(sizes.work.div_ceil(2).max(1) as usize)),
            room: Arc::new(Semaphore::new(WAITING)),
            queue: Mutex::new(Queue::new(sizes.lanes.max(1) as usize)),
        })
    }

    /// Hands in a commit and waits for what becomes of it. A commit whose caller goes away is left out if it still waits,
    /// and carried through if it does not.
    pub(crate) async fn commit(self: &Arc<Self>, commit: Plain) -> Result<Receipt, CommitError> {
        let Ok(room) = Arc::clone(&self.room).acquire_owned().await else {
            return Err(self.ended());
        };
        let (reply, answer) = oneshot::channel();
        let job = Job::new(commit, reply, room);
        let start = self.lock(|queue| queue.push(job));
        if start {
            self.start_lane();
        }
        answer.await.unwrap_or_else(|_| Err(self.ended()))
    }

    /// The task that had the commit is gone, with the runtime: nobody knows how far it came.
    fn ended(&self) -> CommitError {
        CommitError::Append(AppendError::Unknown(Fault::ended().into_source()))
    }

    fn lock<T>(&self, action: impl FnOnce(&mut Queue) -> T) -> T {
        action(&mut self.queue.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// A lane lives as long as there is something to do, so a store that rests has no task.
    fn start_lane(self: &Arc<Self>) {
        let mut lane = Lane {
            committer: Arc::clone(self),
            group: None,
            ended: false,
        };
        tokio::spawn(async move {
            lane.gather().await;
            while lane.next() {
                lane.run().await;
                lane.gather().await;
            }
        });
    }

    /// Sends a commit by itself, where it may wait for others without holding a lane.
    fn send_alone(self: &Arc<Self>, job: Job, doubt: Option<Fault>) {
        let committer = Arc::clone(self);
        tokio::spawn(async move {
            let _turn: Result<OwnedSemaphorePermit, _> =
                Arc::clone(&committer.alone).acquire_owned().await;
            if doubt.is_none() && job.is_abandoned() {
                return;
            }
            let told = alone::carry_out(
                &committer.others,
                None,
                &committer.shared,
                job.commit(),
                doubt,
            )
            .await;
            job.tell(told);
        });
    }
}

impl fmt::Debug for Committer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Committer")
            .field("room", &self.room.available_permits())
            .finish_non_exhaustive()
    }
}

/// Sends one group after the other.
struct Lane {
    committer: Arc<Committer>,
    group: Option<Group>,
    ended: bool,
}

impl Lane {
    /// Lets callers that are ready to run hand in their commits first: those who were just told of their last one come
    /// back at the same moment, and the first of them would else go by itself. No timer: this takes as long as the tasks
    /// that are ready now need, so a lone caller waits for nothing.
    async fn gather(&self) {
        let mut waiting = self.committer.lock(|queue| queue.len());
        for _ in 0..GATHER {
            yield_now().await;
            let now = self.committer.lock(|queue| queue.len());
            if now == waiting {
                return;
            }
            waiting = now;
        }
    }

    /// Takes the next group; when there is none the lane has ended.
    fn next(&mut self) -> bool {
        self.group = self.committer.lock(Queue::take);
        self.ended = self.group.is_none();
        !self.ended
    }

    async fn run(&mut self) {
        let Some(group) = self.group.as_ref() else {
            return;
        };
        let verdicts = self.send(group).await;
        if let Some(group) = self.group.take() {
            let jobs = self.committer.lock(|queue| queue.done(group));
            self.tell(jobs, verdicts);
        }
    }

    fn tell(&self, jobs: Vec<Job>, verdicts: Result<Vec<Verdict>, Failure>) {
        match verdicts {
            Ok(verdicts) => {
                for (job, verdict) in jobs.into_iter().zip(verdicts) {
                    match verdict {
                        Verdict::Told(told) => job.tell(told),
                        Verdict::Locked => self.committer.send_alone(job, None),
                    }
                }
            }
            Err(Failure::NotSent(fault)) => {
                for job in jobs {
                    job.tell(Err(fault
                        .again()
                        .into_store_error(&self.committer.shared.location)
                        .into()));
                }
            }
            Err(Failure::Refused) => {
                for job in jobs {
                    self.committer.send_alone(job, None);
                }
            }
            Err(Failure::Doubt(fault)) => {
                for job in jobs {
                    self.committer.send_alone(job, Some(fault.again()));
                }
            }
        }
    }

    async fn send(&self, group: &Group) -> Result<Vec<Verdict>, Failure> {
        let permit = self
            .committer
            .lanes
            .permit()
            .await
            .map_err(|error| Failure::NotSent(Fault::Store(error)))?;
        let mut session = self
            .committer
            .lanes
            .session(permit)
            .await
            .map_err(Failure::NotSent)?;
        let meta = match session.ready_alone().await {
            Ok(meta) => meta,
            Err(fault) => {
                if fault.keeps_connection() {
                    session.give_back();
                }
                return Err(Failure::NotSent(fault));
            }
        };
        let batch = Batch::new(group.jobs().iter().map(Job::commit));
        let sent = self.attempt(&mut session, &batch, meta).await;
        session.give_back();
        let (outcome, verdicts) = sent?;
        // Before anybody is told, so that whoever is told reads it.
        alone::note(&self.committer.others, Some(&outcome));
        Ok(verdicts)
    }

    async fn attempt(
        &self,
        session: &mut Session,
        batch: &Batch<'_>,
        meta: Meta,
    ) -> Result<(Outcome, Vec<Verdict>), Failure> {
        let mut careful = false;
        loop {
            match alone::transact(
                session,
                batch,
                Manner {
                    patient: false,
                    careful,
                },
            )
            .await
            {
                Ok(outcome) => {
                    let verdicts = outcome
                        .verdicts(batch, meta.epoch)
                        .map_err(Failure::NotSent)?;
                    return Ok((outcome, verdicts));
                }
                // Somebody's event is stored already: look whose.
                Err(fault) if fault.is_duplicate() && !careful => careful = true,
                Err(fault) if fault.keeps_connection() => return Err(Failure::Refused),
                Err(fault) => return Err(Failure::Doubt(fault)),
            }
        }
    }
}

/// A lane whose task is dropped, with the runtime or by a panic, must leave nobody waiting.
impl Drop for Lane {
    fn drop(&mut self) {
        if !self.ended {
            let group = self.group.take();
            self.committer.lock(|queue| queue.lane_lost(group));
        }
    }
}

/// Why a group got no verdicts.
enum Failure {
    /// Nothing was asked of the server.
    NotSent(Fault),
    /// The server refused the whole, because of somebody in it: each is sent alone.
    Refused,
    /// The link failed while the server had it.
    Doubt(Fault),
}
