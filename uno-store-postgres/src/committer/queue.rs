//! The commits that wait, and which of them go together.

use std::collections::{HashSet, VecDeque};

use tokio::sync::{OwnedSemaphorePermit, oneshot};
use uno_core::{CommitError, Receipt};

use crate::plain::{Plain, Touched};

/// How many commits go together at most. More would make the first wait for the last without sending any sooner.
const GROUP: usize = 256;

/// How many events go together at most, unless one commit alone has more.
const GROUP_EVENTS: usize = 2048;

/// How many bytes go together at most, unless one commit alone has more.
const GROUP_BYTES: usize = 4 << 20;

/// How far behind the first that can't go is looked for others that can.
const LOOK_AHEAD: usize = 1024;

/// A commit that waits.
pub(super) struct Job {
    commit: Plain,
    touched: Touched,
    reply: oneshot::Sender<Result<Receipt, CommitError>>,
    _room: OwnedSemaphorePermit,
}

impl Job {
    pub(super) fn new(
        commit: Plain,
        reply: oneshot::Sender<Result<Receipt, CommitError>>,
        room: OwnedSemaphorePermit,
    ) -> Self {
        Self {
            touched: commit.touched(),
            commit,
            reply,
            _room: room,
        }
    }

    pub(super) fn commit(&self) -> &Plain {
        &self.commit
    }

    /// Whether the caller has gone away.
    pub(super) fn is_abandoned(&self) -> bool {
        self.reply.is_closed()
    }

    pub(super) fn tell(self, told: Result<Receipt, CommitError>) {
        // Nobody may be there to hear it; the commit stands all the same.
        let _ = self.reply.send(told);
    }
}

/// Commits that go together.
pub(super) struct Group {
    jobs: Vec<Job>,
}

impl Group {
    pub(super) fn jobs(&self) -> &[Job] {
        &self.jobs
    }
}

/// The commits that wait, in the order in which they came, and what those that are on their way touch.
pub(super) struct Queue {
    waiting: VecDeque<Job>,
    under_way: HashSet<u64>,
    lanes: usize,
    running: usize,
}

impl Queue {
    pub(super) fn new(lanes: usize) -> Self {
        Self {
            waiting: VecDeque::new(),
            under_way: HashSet::new(),
            lanes,
            running: 0,
        }
    }

    /// Adds a commit; says whether another lane is to be started.
    pub(super) fn push(&mut self, job: Job) -> bool {
        self.waiting.push_back(job);
        let start = self.running < self.lanes;
        if start {
            self.running += 1;
        }
        start
    }

    /// How many commits wait.
    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }

    /// The next group, for a lane; `None` ends the lane.
    ///
    /// First come, first served, with two exceptions that keep what belongs together in order: a commit that shares a
    /// stream (or anything else) with a group that is under way waits for that, and so does whatever shares something
    /// with one that waits.
    pub(super) fn take(&mut self) -> Option<Group> {
        let mut jobs: Vec<Job> = Vec::new();
        let (mut in_group, mut shared) = (HashSet::<u64>::new(), HashSet::<u64>::new());
        let mut kept_back: HashSet<u64> = HashSet::new();
        let mut left: VecDeque<Job> = VecDeque::new();
        let (mut events, mut bytes) = (0, 0);
        let mut looked = 0;
        while let Some(job) = self.waiting.pop_front() {
            if job.is_abandoned() {
                continue;
            }
            looked += 1;
            let (more_events, more_bytes) = (job.commit.event_count(), job.commit.size());
            let full = !jobs.is_empty()
                && (events + more_events > GROUP_EVENTS || bytes + more_bytes > GROUP_BYTES);
            let streams = &job.touched.streams;
            let others = &job.touched.others;
            let must_wait = streams
                .iter()
                .chain(others)
                .any(|key| self.under_way.contains(key) || kept_back.contains(key))
                || others
                    .iter()
                    .any(|key| in_group.contains(key) || shared.contains(key))
                // A document that is to stay as it is, and that another one changes.
                || streams.iter().any(|key| in_group.contains(key));
            if full || must_wait {
                kept_back.extend(streams.iter().chain(others));
                left.push_back(job);
            } else {
                in_group.extend(others);
                shared.extend(streams);
                events += more_events;
                bytes += more_bytes;
                jobs.push(job);
            }
            if full || jobs.len() == GROUP || looked == LOOK_AHEAD {
                break;
            }
        }
        while let Some(job) = left.pop_back() {
            self.waiting.push_front(job);
        }
        if jobs.is_empty() {
            self.running -= 1;
            return None;
        }
        for job in &jobs {
            self.under_way
                .extend(job.touched.streams.iter().chain(&job.touched.others));
        }
        Some(Group { jobs })
    }

    /// A lane is gone without having ended. Its callers hear that nothing is known; so do those who wait, if there is no
    /// lane left that could serve them.
    pub(super) fn lane_lost(&mut self, group: Option<Group>) {
        if let Some(group) = group {
            self.done(group);
        }
        self.running -= 1;
        if self.running == 0 {
            self.waiting.clear();
        }
    }

    /// A group has come back.
    pub(super) fn done(&mut self, group: Group) -> Vec<Job> {
        for job in &group.jobs {
            for key in job.touched.streams.iter().chain(&job.touched.others) {
                self.under_way.remove(key);
            }
        }
        group.jobs
    }
}
