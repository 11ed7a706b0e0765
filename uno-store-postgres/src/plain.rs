//! [`Plain`]: a commit without work, checked: nothing but data, so it can be grouped, and carried out again.

use std::{
    collections::{HashMap, HashSet},
    hash::{DefaultHasher, Hash, Hasher},
};

use uno_core::{
    Acknowledgement, AppendError, CheckpointWrite, Commit, CommitError, DocumentChange,
    DocumentWrite, FieldValue, InboxWrite, Limits, NewMessage, ParkedFailure, ParkingWrite,
    Payload, ProcessWrite, Refusal, Snapshot, Stale, StreamAppend, StreamId, SubscriptionName,
    TimerWrite, Version, Work,
};

/// A commit without work, checked.
#[derive(Debug, Default)]
pub(crate) struct Plain {
    pub(crate) appends: Vec<StreamAppend>,
    pub(crate) unchanged: Vec<(StreamId, Version)>,
    pub(crate) snapshots: Vec<Snapshot>,
    pub(crate) documents: Vec<DocumentWrite>,
    pub(crate) checkpoints: Vec<CheckpointWrite>,
    /// What is parked and taken off with them, in order.
    pub(crate) parking: Vec<(SubscriptionName, ParkingWrite)>,
    pub(crate) processes: Vec<Save>,
    pub(crate) messages: Vec<NewMessage>,
    pub(crate) acknowledgements: Vec<Acknowledgement>,
    pub(crate) timers: Vec<TimerWrite>,
    pub(crate) inbox: Vec<InboxWrite>,
}

/// What a commit touches, as hashes: two that share one are not carried out together.
#[derive(Debug, Default)]
pub(crate) struct Touched {
    /// Streams, and documents that are only to stay as they are. Commits in one group may share these: they take their turns within it.
    pub(crate) streams: Vec<u64>,
    /// Everything else, event ids included.
    pub(crate) others: Vec<u64>,
}

impl Plain {
    /// The data of a commit, and its work.
    pub(crate) fn from_commit<Tx>(
        commit: Commit<Tx>,
        limits: &Limits,
    ) -> Result<(Self, Vec<Work<Tx>>), CommitError> {
        limits.check_commit(&commit).map_err(AppendError::Refused)?;
        let parking = parking(&commit.checkpoints);
        let plain = Self {
            appends: commit.appends,
            unchanged: commit.unchanged,
            snapshots: newest(commit.snapshots),
            documents: last(commit.documents)?,
            checkpoints: moves(commit.checkpoints)?,
            parking,
            processes: saves(commit.processes)?,
            messages: commit.messages,
            acknowledgements: commit.acknowledgements,
            timers: commit.timers,
            inbox: commit.inbox,
        };
        plain.check_ids()?;
        plain.check_queues()?;
        Ok((plain, commit.work))
    }

    /// The move of a checkpoint alone.
    pub(crate) fn from_checkpoint(
        write: CheckpointWrite,
        limits: &Limits,
    ) -> Result<Self, CommitError> {
        limits
            .check_checkpoint(&write)
            .map_err(AppendError::Refused)?;
        let checkpoints = vec![write];
        Ok(Self {
            parking: parking(&checkpoints),
            checkpoints,
            ..Self::default()
        })
    }

    /// Events alone.
    pub(crate) fn from_appends(
        appends: Vec<StreamAppend>,
        limits: &Limits,
    ) -> Result<Self, AppendError> {
        limits
            .check_appends(&appends)
            .map_err(AppendError::Refused)?;
        let plain = Self {
            appends,
            ..Self::default()
        };
        plain.check_ids()?;
        Ok(plain)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.appends.is_empty() && self.unchanged.is_empty() && !self.has_others()
    }

    /// Whether there is anything but streams and events.
    pub(crate) fn has_others(&self) -> bool {
        !(self.snapshots.is_empty()
            && self.documents.is_empty()
            && self.checkpoints.is_empty()
            && self.processes.is_empty()
            && self.messages.is_empty()
            && self.acknowledgements.is_empty()
            && self.timers.is_empty()
            && self.inbox.is_empty())
    }

    /// How many events there are.
    pub(crate) fn event_count(&self) -> usize {
        self.appends
            .iter()
            .map(|append| append.events().len())
            .sum()
    }

    /// About how many bytes are to be sent.
    pub(crate) fn size(&self) -> usize {
        let events = self
            .appends
            .iter()
            .flat_map(StreamAppend::events)
            .map(|event| event.payload().len() + 200);
        let documents = self
            .documents
            .iter()
            .filter_map(|write| Some(write.body()?.len() + 50 + fields_size(write)));
        let processes = self
            .processes
            .iter()
            .map(|save| save.write.body().len() + 50);
        let histories = self
            .processes
            .iter()
            .flat_map(Save::history)
            .map(|(_, _, entry)| entry.len() + 100);
        let timers = self.timers.iter().map(|timer| match timer {
            TimerWrite::Set(timer) => timer.payload().len() + 200,
            TimerWrite::Cancel { .. } | TimerWrite::Fire { .. } => 50,
        });
        let inbox = self
            .inbox
            .iter()
            .map(|handled| handled.outputs().len() + 50);
        let messages = self
            .messages
            .iter()
            .map(|message| message.payload().len() + 200);
        let snapshots = self
            .snapshots
            .iter()
            .map(|snapshot| snapshot.body().len() + 100);
        let parking = self.parking.iter().map(|(_, write)| match write {
            ParkingWrite::Park {
                failure: Some(failure),
                ..
            } => write.key().len() + failure_size(failure) + 150,
            _ => write.key().len() + 150,
        });
        events.sum::<usize>()
            + parking.sum::<usize>()
            + documents.sum::<usize>()
            + processes.sum::<usize>()
            + histories.sum::<usize>()
            + timers.sum::<usize>()
            + inbox.sum::<usize>()
            + messages.sum::<usize>()
            + snapshots.sum::<usize>()
    }

    pub(crate) fn touched(&self) -> Touched {
        let streams = self
            .appends
            .iter()
            .map(StreamAppend::stream)
            .chain(self.unchanged.iter().map(|(stream, _)| stream));
        let mut others = Vec::new();
        others.extend(
            self.appends
                .iter()
                .flat_map(StreamAppend::events)
                .map(|event| hash((0, event.id()))),
        );
        others.extend(
            self.snapshots
                .iter()
                .map(|snapshot| hash((1, snapshot.stream()))),
        );
        // What several commits take for granted, and none of them changes, keeps them from no group. One that must not exist gets a row for
        // the time being, which only one of them can put there.
        let stays = |write: &&DocumentWrite| {
            write.change() == DocumentChange::Keep
                && write
                    .expected_revision()
                    .is_some_and(|revision| revision > 0)
        };
        let (kept, changed): (Vec<_>, Vec<_>) = self.documents.iter().partition(stays);
        let document = |write: &DocumentWrite| hash((2, write.collection(), write.key()));
        others.extend(changed.into_iter().map(document));
        others.extend(
            self.checkpoints
                .iter()
                .map(|checkpoint| hash((3, checkpoint.subscription(), checkpoint.of_lane()))),
        );
        others.extend(
            self.parking
                .iter()
                .map(|(subscription, write)| hash((8, subscription, write.key()))),
        );
        others.extend(
            self.processes
                .iter()
                .map(|save| hash((4, save.write.process(), save.write.key()))),
        );
        others.extend(
            self.messages
                .iter()
                .map(|message| hash((5, message.queue(), message.id()))),
        );
        others.extend(
            self.acknowledgements
                .iter()
                .map(|ack| hash((5, ack.queue(), ack.id()))),
        );
        others.extend(
            self.timers
                .iter()
                .map(|timer| hash((6, timer.process(), timer.id()))),
        );
        others.extend(
            self.inbox
                .iter()
                .map(|handled| hash((7, handled.consumer(), handled.id()))),
        );
        Touched {
            streams: streams
                .map(hash)
                .chain(kept.into_iter().map(document))
                .collect(),
            others,
        }
    }

    /// An event id that occurs twice is stored elsewhere than in its place, whichever that is.
    fn check_ids(&self) -> Result<(), AppendError> {
        let mut ids = HashSet::new();
        for append in &self.appends {
            for event in append.events() {
                if !ids.insert(event.id()) {
                    let (stream, id) = (append.stream().clone(), event.id());
                    return Err(AppendError::DuplicateEvent { stream, id });
                }
            }
        }
        Ok(())
    }

    /// What can't be, whatever the store holds.
    fn check_queues(&self) -> Result<(), CommitError> {
        let mut ids = HashSet::new();
        for ack in &self.acknowledgements {
            if !ids.insert((ack.queue(), ack.id())) {
                let (queue, id) = (ack.queue().to_owned(), ack.id());
                return Err(CommitError::Stale(Stale::Message { queue, id }));
            }
        }
        ids.clear();
        for message in &self.messages {
            if !ids.insert((message.queue(), message.id())) {
                return Err(message_in_use(message).into());
            }
        }
        ids.clear();
        for handled in &self.inbox {
            if !ids.insert((handled.consumer(), handled.id())) {
                let (consumer, id) = (handled.consumer().to_owned(), handled.id());
                return Err(CommitError::Stale(Stale::Inbox { consumer, id }));
            }
        }
        Ok(())
    }
}

/// The refusal of a message whose id is in its queue already.
pub(crate) fn message_in_use(message: &NewMessage) -> AppendError {
    let reason = format!("{} is in queue {} already", message.id(), message.queue());
    AppendError::Refused(Refusal::new("message.id", reason))
}

/// What is parked and taken off with these moves, in order.
fn parking(writes: &[CheckpointWrite]) -> Vec<(SubscriptionName, ParkingWrite)> {
    let of = |write: &CheckpointWrite| {
        let subscription = write.subscription().clone();
        let parked = write.parked().iter().cloned();
        parked
            .map(move |parked| (subscription.clone(), parked))
            .collect::<Vec<_>>()
    };
    writes.iter().flat_map(of).collect()
}

fn fields_size(write: &DocumentWrite) -> usize {
    let size = |(field, value): (&String, &FieldValue)| field.len() + 2 * value.as_bytes().len();
    write.fields().iter().map(size).sum()
}

fn failure_size(failure: &ParkedFailure) -> usize {
    failure.error().len() + failure.fingerprint().len()
}

/// The moves of each checkpoint as one: they take effect together.
fn moves(writes: Vec<CheckpointWrite>) -> Result<Vec<CheckpointWrite>, CommitError> {
    let mut kept: Vec<CheckpointWrite> = Vec::with_capacity(writes.len());
    for write in writes {
        let (name, lane) = (write.subscription(), write.of_lane());
        let same = |earlier: &&mut CheckpointWrite| {
            (earlier.subscription(), earlier.of_lane()) == (name, lane)
        };
        match kept.iter_mut().find(same) {
            None => kept.push(write),
            // A lane has one lease at a time.
            Some(earlier) if write.fence() != earlier.fence() => {
                let subscription = name.clone();
                return Err(CommitError::Stale(Stale::Lease { subscription, lane }));
            }
            Some(earlier) if write.expected() == Some(earlier.checkpoint().position()) => {
                let whole =
                    CheckpointWrite::new(name.clone(), earlier.expected(), write.checkpoint());
                *earlier = match write.fence() {
                    Some(fence) => whole.fenced(lane, fence),
                    None => whole.lane(lane),
                };
            }
            Some(_) => return Err(CommitError::Stale(Stale::Checkpoint(name.clone()))),
        }
    }
    Ok(kept)
}

/// A save of a process instance, or several in a row.
#[derive(Debug)]
pub(crate) struct Save {
    /// The revision before the first.
    pub(crate) expected: i64,
    /// The revision after the last.
    pub(crate) revision: i64,
    /// The last.
    pub(crate) write: ProcessWrite,
    /// Those before it, for their histories.
    earlier: Vec<ProcessWrite>,
}

impl Save {
    /// What is added to the instance's history, in order: the save, the entry's number and the entry.
    pub(crate) fn history(&self) -> impl Iterator<Item = (&ProcessWrite, u64, &Payload)> {
        let writes = self.earlier.iter().chain([&self.write]);
        writes.flat_map(|write| {
            let numbers = write.first_entry()..;
            numbers
                .zip(write.history())
                .map(move |(number, entry)| (write, number, entry))
        })
    }
}

/// The saves of each instance as one: they take effect together.
fn saves(writes: Vec<ProcessWrite>) -> Result<Vec<Save>, CommitError> {
    let mut kept: Vec<Save> = Vec::with_capacity(writes.len());
    for write in writes {
        let same = |save: &&mut Save| {
            save.write.process() == write.process() && save.write.key() == write.key()
        };
        // A revision that no store can have reached is not the one that is stored.
        let expected = i64::try_from(write.expected_revision())
            .ok()
            .filter(|revision| *revision < i64::MAX);
        let earlier = kept.iter_mut().find(same);
        match (expected, earlier) {
            (Some(expected), None) => kept.push(Save {
                expected,
                revision: expected + 1,
                write,
                earlier: Vec::new(),
            }),
            (Some(expected), Some(earlier)) if expected == earlier.revision => {
                earlier.revision += 1;
                let before = std::mem::replace(&mut earlier.write, write);
                if !before.history().is_empty() {
                    earlier.earlier.push(before);
                }
            }
            _ => {
                let (process, key) = (write.process().to_owned(), write.key().to_owned());
                return Err(CommitError::Stale(Stale::Process { process, key }));
            }
        }
    }
    Ok(kept)
}

/// The last write of each document: what there would be after all of them. What any of them expects is expected of the
/// document before the commit.
fn last(writes: Vec<DocumentWrite>) -> Result<Vec<DocumentWrite>, CommitError> {
    let mut places: HashMap<(String, String), usize> = HashMap::new();
    let mut kept: Vec<DocumentWrite> = Vec::with_capacity(writes.len());
    for write in writes {
        let place = *places
            .entry((write.collection().to_owned(), write.key().to_owned()))
            .or_insert(kept.len());
        let Some(earlier) = kept.get_mut(place) else {
            kept.push(write);
            continue;
        };
        let (before, now) = (earlier.expected_revision(), write.expected_revision());
        if before.is_some() && now.is_some() && before != now {
            let (collection, key) = (write.collection().to_owned(), write.key().to_owned());
            return Err(CommitError::Stale(Stale::Document { collection, key }));
        }
        if write.change() != DocumentChange::Keep {
            *earlier = write;
        }
        if let Some(revision) = before.or(now) {
            *earlier = earlier.clone().expecting(revision);
        }
    }
    Ok(kept)
}

/// The newest snapshot of each stream.
fn newest(snapshots: Vec<Snapshot>) -> Vec<Snapshot> {
    let mut kept: Vec<Snapshot> = Vec::with_capacity(snapshots.len());
    for snapshot in snapshots {
        match kept
            .iter_mut()
            .find(|earlier| earlier.stream() == snapshot.stream())
        {
            Some(earlier) if earlier.version() > snapshot.version() => {}
            Some(earlier) => *earlier = snapshot,
            None => kept.push(snapshot),
        }
    }
    kept
}

fn hash(value: impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}
