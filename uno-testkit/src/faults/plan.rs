//! [`Faults`]: which calls fail, and how.

use std::time::Duration;

use fastrand::Rng;

/// A kind of call to a store: one for each method of the ports that can fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Call {
    /// [`EventStore::migrate`](uno_core::EventStore::migrate)
    Migrate,
    /// [`EventStore::append`](uno_core::EventStore::append)
    Append,
    /// [`EventStore::read_stream`](uno_core::EventStore::read_stream)
    ReadStream,
    /// [`EventStore::read_log`](uno_core::EventStore::read_log)
    ReadLog,
    /// [`EventStore::head`](uno_core::EventStore::head)
    Head,
    /// [`Transactional::commit`](uno_core::Transactional::commit)
    Commit,
    /// [`Transactional::load_snapshot`](uno_core::Transactional::load_snapshot)
    LoadSnapshot,
    /// [`DocumentStore::load_documents`](uno_core::DocumentStore::load_documents)
    LoadDocuments,
    /// [`DocumentStore::scan_documents`](uno_core::DocumentStore::scan_documents)
    ScanDocuments,
    /// [`DocumentStore::find_documents`](uno_core::DocumentStore::find_documents)
    FindDocuments,
    /// [`CheckpointStore::load_checkpoint`](uno_core::CheckpointStore::load_checkpoint)
    LoadCheckpoint,
    /// [`CheckpointStore::save_checkpoint`](uno_core::CheckpointStore::save_checkpoint)
    SaveCheckpoint,
    /// [`CheckpointStore::list_checkpoints`](uno_core::CheckpointStore::list_checkpoints)
    ListCheckpoints,
    /// [`LeaseStore::claim_lanes`](uno_core::LeaseStore::claim_lanes)
    ClaimLanes,
    /// [`LeaseStore::release_lanes`](uno_core::LeaseStore::release_lanes)
    ReleaseLanes,
    /// [`LeaseStore::note_attempt`](uno_core::LeaseStore::note_attempt)
    NoteAttempt,
    /// [`LeaseStore::reset_lanes`](uno_core::LeaseStore::reset_lanes)
    ResetLanes,
    /// [`LeaseStore::list_lanes`](uno_core::LeaseStore::list_lanes)
    ListLanes,
    /// [`ParkingStore::list_parked`](uno_core::ParkingStore::list_parked)
    ListParked,
    /// [`ParkingStore::parked_key`](uno_core::ParkingStore::parked_key)
    ParkedKey,
    /// [`ParkingStore::parked_events`](uno_core::ParkingStore::parked_events)
    ParkedEvents,
    /// [`ParkingStore::parked_groups`](uno_core::ParkingStore::parked_groups)
    ParkedGroups,
    /// [`ParkingStore::count_parked`](uno_core::ParkingStore::count_parked)
    CountParked,
    /// [`ParkingStore::request`](uno_core::ParkingStore::request)
    Request,
    /// [`ParkingStore::request_all`](uno_core::ParkingStore::request_all)
    RequestAll,
    /// [`ParkingStore::list_requests`](uno_core::ParkingStore::list_requests)
    ListRequests,
    /// [`ProcessStore::load_processes`](uno_core::ProcessStore::load_processes)
    LoadProcesses,
    /// [`ProcessStore::list_processes`](uno_core::ProcessStore::list_processes)
    ListProcesses,
    /// [`ProcessStore::read_queue`](uno_core::ProcessStore::read_queue)
    ReadQueue,
    /// [`ProcessStore::queue_depth`](uno_core::ProcessStore::queue_depth)
    QueueDepth,
    /// [`ProcessStore::read_queue_of`](uno_core::ProcessStore::read_queue_of)
    ReadQueueOf,
    /// [`ProcessStore::read_history`](uno_core::ProcessStore::read_history)
    ReadHistory,
    /// [`TimerStore::due_timers`](uno_core::TimerStore::due_timers)
    DueTimers,
    /// [`TimerStore::list_timers`](uno_core::TimerStore::list_timers)
    ListTimers,
    /// [`InboxStore::load_inbox`](uno_core::InboxStore::load_inbox)
    LoadInbox,
    /// [`InboxStore::prune_inbox`](uno_core::InboxStore::prune_inbox)
    PruneInbox,
}

impl Call {
    /// Every kind.
    pub const ALL: [Self; 36] = [
        Self::Migrate,
        Self::Append,
        Self::ReadStream,
        Self::ReadLog,
        Self::Head,
        Self::Commit,
        Self::LoadSnapshot,
        Self::LoadDocuments,
        Self::ScanDocuments,
        Self::FindDocuments,
        Self::LoadCheckpoint,
        Self::SaveCheckpoint,
        Self::ListCheckpoints,
        Self::ClaimLanes,
        Self::ReleaseLanes,
        Self::NoteAttempt,
        Self::ResetLanes,
        Self::ListLanes,
        Self::ListParked,
        Self::ParkedKey,
        Self::ParkedEvents,
        Self::ParkedGroups,
        Self::CountParked,
        Self::Request,
        Self::RequestAll,
        Self::ListRequests,
        Self::LoadProcesses,
        Self::ListProcesses,
        Self::ReadQueue,
        Self::QueueDepth,
        Self::ReadQueueOf,
        Self::ReadHistory,
        Self::DueTimers,
        Self::ListTimers,
        Self::LoadInbox,
        Self::PruneInbox,
    ];
}

/// What happens to a call.
///
/// Those that speak of writes treat a read as [`Unavailable`](Self::Unavailable). A write whose errors know no unknown outcome, such as a
/// claim of lanes, is `Unavailable` where another is `Unknown`: done, lost or late all the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// Nothing is done, and the store is not available: [`is_transient`](uno_core::StoreError::is_transient).
    Unavailable,
    /// Nothing is done, and the store has failed for good.
    Broken,
    /// It is done, and the answer is lost: [`Unknown`](uno_core::AppendError::Unknown).
    UnknownStored,
    /// Nothing is done, and the answer is lost: [`Unknown`](uno_core::AppendError::Unknown).
    UnknownLost,
    /// The answer is lost, and it is done only when the next write comes, just before that one: whoever looks
    /// meanwhile does not find it.
    UnknownLate,
    /// Nothing is done, and a stream is said to be at another version: [`Conflict`](uno_core::AppendError::Conflict).
    /// A write without appends is [`Stale`](uno_core::CommitError::Stale) if it can be.
    Conflict,
    /// It is done after this time, by the runtime's clock.
    Delay(Duration),
    /// It panics, with nothing done.
    Panic,
    /// The process dies before it is done: this call and all later ones never return.
    CrashBefore,
    /// The process dies after it is done: this call and all later ones never return.
    CrashAfter,
}

/// A plan of faults: which calls fail, and how. The first rule that picks a call is the one that counts.
///
/// ```
/// use uno_testkit::faults::{Call, Fault, Faults};
/// let faults = Faults::none()
///     .nth(Call::Commit, 3, Fault::Conflict)
///     .every(Call::ReadLog, 10, Fault::Unavailable)
///     .one_in(20, 42, Call::Commit, Fault::UnknownStored);
/// # drop(faults);
/// ```
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct Faults {
    rules: Vec<Rule>,
}

#[derive(Clone, Debug)]
struct Rule {
    call: Call,
    when: When,
    fault: Fault,
}

#[derive(Clone, Copy, Debug)]
enum When {
    Nth(u64),
    From(u64),
    Every(u64),
    OneIn { chances: u64, seed: u64 },
}

impl Faults {
    /// No faults.
    pub fn none() -> Self {
        Self::default()
    }

    /// The `number`-th call of this kind, counted from 1.
    pub fn nth(self, call: Call, number: u64, fault: Fault) -> Self {
        self.rule(call, When::Nth(number), fault)
    }

    /// Every call of this kind from the `number`-th on, counted from 1.
    pub fn from(self, call: Call, number: u64, fault: Fault) -> Self {
        self.rule(call, When::From(number), fault)
    }

    /// Every `step`-th call of this kind.
    pub fn every(self, call: Call, step: u64, fault: Fault) -> Self {
        self.rule(call, When::Every(step), fault)
    }

    /// About one in so many calls of this kind; the same ones for the same seed.
    pub fn one_in(self, chances: u64, seed: u64, call: Call, fault: Fault) -> Self {
        self.rule(call, When::OneIn { chances, seed }, fault)
    }

    fn rule(mut self, call: Call, when: When, fault: Fault) -> Self {
        self.rules.push(Rule { call, when, fault });
        self
    }

    /// What happens to the `number`-th call of this kind.
    pub(crate) fn pick(&self, call: Call, number: u64) -> Option<Fault> {
        let picks = |rule: &&Rule| {
            rule.call == call
                && match rule.when {
                    When::Nth(nth) => number == nth,
                    When::From(first) => number >= first,
                    When::Every(step) => step > 0 && number.is_multiple_of(step),
                    When::OneIn { chances, seed } => chance(seed, call, number, chances),
                }
        };
        self.rules.iter().find(picks).map(|rule| rule.fault)
    }
}

/// Drawn anew for each call from its kind and number, so that calls of other kinds in between change nothing.
fn chance(seed: u64, call: Call, number: u64, chances: u64) -> bool {
    let own = number
        .wrapping_mul(Call::ALL.len() as u64)
        .wrapping_add(call as u64);
    chances > 0
        && Rng::with_seed(seed ^ own.wrapping_mul(0x9e37_79b9_7f4a_7c15)).u64(0..chances) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picked(faults: &Faults, call: Call) -> Vec<u64> {
        (1..=12)
            .filter(|number| faults.pick(call, *number).is_some())
            .collect()
    }

    #[test]
    fn a_rule_picks_calls_of_its_kind_by_their_number() {
        let check = |faults: Faults, expected: &[u64]| {
            assert_eq!(picked(&faults, Call::Commit), expected, "{faults:?}");
            assert_eq!(picked(&faults, Call::Append), [] as [u64; 0], "{faults:?}");
        };
        check(Faults::none(), &[]);
        check(Faults::none().nth(Call::Commit, 3, Fault::Conflict), &[3]);
        check(
            Faults::none().from(Call::Commit, 10, Fault::Conflict),
            &[10, 11, 12],
        );
        check(
            Faults::none().every(Call::Commit, 4, Fault::Conflict),
            &[4, 8, 12],
        );
        check(Faults::none().every(Call::Commit, 0, Fault::Conflict), &[]);
        check(
            Faults::none().one_in(1, 7, Call::Commit, Fault::Conflict),
            &(1..=12).collect::<Vec<_>>(),
        );
    }

    #[test]
    fn a_seed_picks_the_same_calls_again_and_about_as_many_as_it_says() {
        let count = |seed| {
            let faults = Faults::none().one_in(10, seed, Call::Commit, Fault::Conflict);
            let picked: Vec<_> = (1..=10_000)
                .filter(|number| faults.pick(Call::Commit, *number).is_some())
                .collect();
            assert_eq!(
                picked,
                (1..=10_000)
                    .filter(|number| faults.pick(Call::Commit, *number).is_some())
                    .collect::<Vec<_>>()
            );
            assert!(
                (800..1200).contains(&picked.len()),
                "{} of 10,000",
                picked.len()
            );
            picked
        };
        assert_ne!(count(1), count(2));
    }

    #[test]
    fn the_first_rule_that_picks_a_call_counts() {
        let faults = Faults::none().nth(Call::Commit, 2, Fault::Conflict).from(
            Call::Commit,
            1,
            Fault::Broken,
        );
        assert_eq!(faults.pick(Call::Commit, 1), Some(Fault::Broken));
        assert_eq!(faults.pick(Call::Commit, 2), Some(Fault::Conflict));
    }
}
