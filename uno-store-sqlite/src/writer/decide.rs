//! Decides a commit against the facts. The order of the checks is that of the store in memory, so that all stores give
//! the same verdict on a commit with several faults.

use std::collections::{HashMap, HashSet};

use uno_core::{
    AppendError, CommitError, EventId, ExpectedVersion, Position, Receipt, Refusal, Stale,
    StreamAppend, StreamAppended, StreamId, TimerWrite, Version,
};

use super::{
    facts::{Facts, Place},
    job::Plain,
};

/// What is to become of a commit.
pub(crate) enum Verdict {
    /// Carry it out.
    Go,
    /// It can't be carried out as things are. That may be because it was carried out before, which is known once its events
    /// are looked up, by [`Facts::stored`]. If they are stored nowhere, this is why not.
    LookUp(Option<CommitError>),
    /// It can't be carried out.
    No(CommitError),
}

impl<'c> Facts<'c> {
    /// Looks at everything that a commit takes for granted, and changes nothing.
    pub(crate) fn decide(&self, commit: &Plain) -> Verdict {
        if self.find(&commit.appends).is_some() {
            return Verdict::LookUp(None);
        }
        match self.check(commit) {
            Ok(()) => Verdict::Go,
            Err(error) if commit.appends.is_empty() => Verdict::No(error),
            Err(error) => Verdict::LookUp(Some(error)),
        }
    }

    /// What an append of events that were looked up comes to: the first receipt, if it was carried out before.
    pub(crate) fn stored(
        &self,
        appends: &[StreamAppend],
        otherwise: Option<CommitError>,
    ) -> Result<Receipt, CommitError> {
        let Some(found) = self.find(appends) else {
            // There is always one: without, an event was found before, and what is stored stays.
            return Err(otherwise.unwrap_or_else(|| unknown_cause().into()));
        };
        match self.repeated(appends) {
            Some(receipt) if !found.doubled => Ok(receipt),
            _ => Err(AppendError::DuplicateEvent {
                stream: found.stream.clone(),
                id: found.id,
            }
            .into()),
        }
    }

    /// The first event that is stored already, or else the first that occurs twice.
    fn find<'a>(&self, appends: &'a [StreamAppend]) -> Option<Found<'a>> {
        let mut seen = HashSet::new();
        let (mut stored, mut doubled) = (None, None);
        for append in appends {
            let stream = append.stream();
            for event in append.events() {
                let id = event.id();
                if stored.is_none() && self.places.contains_key(&id) {
                    stored = Some((stream, id));
                }
                if !seen.insert(id) {
                    doubled = doubled.or(Some((stream, id)));
                }
            }
        }
        let (stream, id) = stored.or(doubled)?;
        Some(Found {
            stream,
            id,
            doubled: doubled.is_some(),
        })
    }

    /// Where the events are, if all of them are where this append would have put them.
    fn repeated(&self, appends: &[StreamAppend]) -> Option<Receipt> {
        let mut last = Position::START;
        let mut streams = Vec::with_capacity(appends.len());
        for append in appends {
            let place_of = |id: EventId| -> Option<&Place<'_>> {
                let place = self.places.get(&id)?;
                (place.stream == Some(append.stream())).then_some(place)
            };
            let first = match append.expected() {
                ExpectedVersion::NoStream => Version::EMPTY.next(),
                ExpectedVersion::Exact(version) => version.next(),
                ExpectedVersion::Any | ExpectedVersion::StreamExists => {
                    place_of(append.events().first()?.id())?.version
                }
            };
            let mut version = first.previous();
            for event in append.events() {
                let place = place_of(event.id())?;
                version = version.next();
                if place.version != version {
                    return None;
                }
                last = last.max(place.position);
            }
            streams.push(StreamAppended::new(append.stream().clone(), first, version));
        }
        Some(Receipt::new(self.epoch, Some(last), streams))
    }

    fn check(&self, commit: &Plain) -> Result<(), CommitError> {
        for append in &commit.appends {
            self.check_version(append.stream(), append.expected())?;
        }
        for (stream, version) in &commit.unchanged {
            self.check_version(stream, ExpectedVersion::Exact(*version))?;
        }
        self.check_checkpoints(commit).map_err(CommitError::Stale)?;
        self.check_processes(commit).map_err(CommitError::Stale)?;
        self.check_documents(commit).map_err(CommitError::Stale)?;
        self.check_acknowledgements(commit)
            .map_err(CommitError::Stale)?;
        self.check_timers(commit).map_err(CommitError::Stale)?;
        self.check_inbox(commit).map_err(CommitError::Stale)?;
        self.check_messages(commit)?;
        self.check_room(commit)
    }

    pub(crate) fn version(&self, stream: &StreamId) -> Version {
        self.heads
            .get(stream)
            .map_or(Version::EMPTY, |head| head.version)
    }

    fn check_version(
        &self,
        stream: &StreamId,
        expected: ExpectedVersion,
    ) -> Result<(), AppendError> {
        let actual = self.version(stream);
        if expected.allows(actual) {
            return Ok(());
        }
        Err(AppendError::Conflict {
            stream: stream.clone(),
            expected,
            actual,
        })
    }

    /// The moves of a commit are made one after the other.
    fn check_checkpoints(&self, commit: &Plain) -> Result<(), Stale> {
        let mut moved = HashMap::new();
        for write in &commit.checkpoints {
            let (subscription, lane) = (write.subscription(), write.of_lane());
            let found = self.lanes.get(&(subscription, lane)).copied();
            let found = found.unwrap_or_default();
            if found.is_missing || found.lease != write.fence() {
                let subscription = subscription.clone();
                return Err(Stale::Lease { subscription, lane });
            }
            let moved_to = moved.insert((subscription, lane), write.checkpoint().position());
            if moved_to.or(found.position) != write.expected() {
                return Err(Stale::Checkpoint(subscription.clone()));
            }
        }
        self.parked.check(&commit.checkpoints)
    }

    /// The saves of a commit are made one after the other.
    fn check_processes(&self, commit: &Plain) -> Result<(), Stale> {
        let mut saved = HashMap::new();
        for write in &commit.processes {
            let instance = (write.process(), write.key());
            let stored = || self.processes.get(&instance).copied().unwrap_or(0);
            let revision = saved.get(&instance).copied().unwrap_or_else(stored);
            if revision != write.expected_revision() {
                let (process, key) = (instance.0.to_owned(), instance.1.to_owned());
                return Err(Stale::Process { process, key });
            }
            saved.insert(instance, revision + 1);
        }
        Ok(())
    }

    /// What is expected of a document is expected of it before the commit, however often the commit writes it.
    fn check_documents(&self, commit: &Plain) -> Result<(), Stale> {
        for write in &commit.documents {
            let document = (write.collection(), write.key());
            let actual = self.documents.get(&document).copied().unwrap_or(0);
            if write
                .expected_revision()
                .is_some_and(|expected| expected != actual)
            {
                let (collection, key) = (document.0.to_owned(), document.1.to_owned());
                return Err(Stale::Document { collection, key });
            }
        }
        Ok(())
    }

    fn check_acknowledgements(&self, commit: &Plain) -> Result<(), Stale> {
        let mut gone = HashSet::new();
        for acknowledgement in &commit.acknowledgements {
            let message = (acknowledgement.queue(), acknowledgement.id());
            if !self.messages.contains(&message) || !gone.insert(message) {
                return Err(Stale::Message {
                    queue: message.0.to_owned(),
                    id: message.1,
                });
            }
        }
        Ok(())
    }

    /// A timer occurs once in a commit.
    fn check_timers(&self, commit: &Plain) -> Result<(), Stale> {
        for write in &commit.timers {
            let (process, id) = (write.process(), write.id());
            if matches!(write, TimerWrite::Fire { .. }) && !self.timers.contains(&(process, id)) {
                let process = process.to_owned();
                return Err(Stale::Timer { process, id });
            }
        }
        Ok(())
    }

    fn check_inbox(&self, commit: &Plain) -> Result<(), Stale> {
        let mut new = HashSet::new();
        for handled in &commit.inbox {
            let name = (handled.consumer(), handled.id());
            if self.inbox.contains(&name) || !new.insert(name) {
                let (consumer, id) = (name.0.to_owned(), name.1);
                return Err(Stale::Inbox { consumer, id });
            }
        }
        Ok(())
    }

    fn check_messages(&self, commit: &Plain) -> Result<(), AppendError> {
        let mut new = HashSet::new();
        for message in &commit.messages {
            let message = (message.queue(), message.id());
            if self.messages.contains(&message) || !new.insert(message) {
                let reason = format!("{} is in queue {} already", message.1, message.0);
                return Err(AppendError::Refused(Refusal::new("message.id", reason)));
            }
        }
        Ok(())
    }

    fn check_room(&self, commit: &Plain) -> Result<(), CommitError> {
        let used_up = |what| AppendError::Refused(Refusal::new(what, "are used up"));
        for append in &commit.appends {
            let room = self
                .version(append.stream())
                .checked_add(append.events().len() as u64);
            room.ok_or_else(|| used_up("versions"))?;
        }
        // With holes, every event may take several positions.
        let room = self.last.checked_add(4 * commit.events() as u64);
        room.ok_or_else(|| used_up("positions"))?;
        Ok(())
    }
}

struct Found<'a> {
    stream: &'a StreamId,
    id: EventId,
    /// Whether an event occurs twice in the append itself, so that it can't have been carried out before.
    doubled: bool,
}

fn unknown_cause() -> AppendError {
    AppendError::Store(uno_core::StoreError::Backend(
        "an event was found, and then not".into(),
    ))
}
