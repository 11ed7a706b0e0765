//! [`Facts`]: what a group of commits is decided against, read once for all of them and then kept up to date in memory.

use std::collections::{HashMap, HashSet};

use chrono::{DateTime, Utc};
use serde::de::DeserializeOwned;
use sqlx::{SqliteConnection, sqlite::SqliteRow};
use uno_core::{
    EventId, Fence, Lane, Position, StoreEpoch, StoreError, StreamId, SubscriptionName, TimerWrite,
    Version,
};
use uuid::Uuid;

use super::{
    job::Plain,
    parking::{Key, Parked, each},
};
use crate::{
    error::{Location, corrupt},
    row::{self, column},
    schema,
    script::Script,
};

/// The store as a group of commits finds it, as far as the commits are about it.
pub(crate) struct Facts<'c> {
    pub(crate) epoch: StoreEpoch,
    /// The last position of the log, as it was found.
    pub(crate) before: Position,
    /// The last position of the log.
    pub(crate) last: Position,
    pub(crate) last_recorded_at: DateTime<Utc>,
    /// The last number that was given to a message, or to a document as its revision.
    pub(crate) last_number: u64,
    /// The last number that was given to a stream.
    pub(crate) last_stream: i64,
    /// The streams that have events.
    pub(crate) heads: HashMap<&'c StreamId, StreamHead>,
    /// Where events are stored, as far as that was looked up, or they were stored by this group.
    pub(crate) places: HashMap<EventId, Place<'c>>,
    /// Lanes that there is a row for, or that are missing.
    pub(crate) lanes: HashMap<(&'c SubscriptionName, Lane), LaneFact>,
    pub(crate) parked: Parked<'c>,
    /// The revisions of process instances, by process and key.
    pub(crate) processes: HashMap<(&'c str, &'c str), u64>,
    /// Messages that wait, by queue and id.
    pub(crate) messages: HashSet<(&'c str, Uuid)>,
    /// The revisions of documents, by collection and key, as far as they were asked about or written by this group.
    pub(crate) documents: HashMap<(&'c str, &'c str), u64>,
    /// Timers that are pending, by process and id, as far as one is to be fired.
    pub(crate) timers: HashSet<(&'c str, Uuid)>,
    /// Messages that were handled, by consumer and id.
    pub(crate) inbox: HashSet<(&'c str, Uuid)>,
}

/// A stream that has events.
#[derive(Clone, Copy)]
pub(crate) struct StreamHead {
    pub(crate) number: i64,
    pub(crate) version: Version,
}

/// A lane as it is.
#[derive(Clone, Copy, Default)]
pub(crate) struct LaneFact {
    /// Where its checkpoint is, if it was ever saved.
    pub(crate) position: Option<Position>,
    /// The fence of its lease, if somebody holds it.
    pub(crate) lease: Option<Fence>,
    /// Whether the subscription was claimed, and does not have it.
    pub(crate) is_missing: bool,
}

/// Where an event is stored.
#[derive(Clone, Copy)]
pub(crate) struct Place<'c> {
    /// `None` for a stream that no commit of the group appends to.
    pub(crate) stream: Option<&'c StreamId>,
    pub(crate) version: Version,
    pub(crate) position: Position,
}

/// What to find out about a group of commits.
#[derive(Default)]
pub(crate) struct Questions<'c> {
    /// Whether the store as a whole is asked about. Its answer would take back what a group has noted.
    whole: bool,
    streams: Vec<&'c StreamId>,
    ids: Vec<EventId>,
    lanes: Vec<(&'c SubscriptionName, Lane)>,
    parked_keys: Vec<Key<'c>>,
    parked_events: Vec<(Key<'c>, Position)>,
    processes: Vec<(&'c str, &'c str)>,
    messages: Vec<(&'c str, Uuid)>,
    documents: Vec<(&'c str, &'c str)>,
    timers: Vec<(&'c str, Uuid)>,
    inbox: Vec<(&'c str, Uuid)>,
}

/// All of it in one statement that gives one row: every row is handed from SQLite's thread to ours by itself, and often wakes it up.
///
/// A parameter is a list of what is asked about. Its answer is a list of pairs, the first of which says about which.
const FACTS: &str = "SELECT \
     (SELECT epoch FROM uno_meta), (SELECT last_number FROM uno_meta), (SELECT max(version) FROM uno_migrations), \
     (SELECT json_array(position, recorded_at) FROM uno_events ORDER BY position DESC LIMIT 1), \
     (SELECT ifnull(max(number), 0) FROM uno_streams), \
     (SELECT json_group_array(json_array(r.key, s.number, \
        (SELECT e.version FROM uno_events e WHERE e.stream = s.number ORDER BY e.version DESC LIMIT 1))) \
        FROM jsonb_each(?) r CROSS JOIN uno_streams s ON s.category = r.value->>0 AND s.key = r.value->>1), \
     (SELECT json_group_array(json_array(r.key, e.category, e.key, e.version, e.position)) \
        FROM json_each(?) r CROSS JOIN uno_events e ON e.id = unhex(r.value)), \
     (SELECT json_group_array(json_array(r.key, c.position, CASE WHEN c.owner IS NOT NULL THEN c.fence END, c.lane)) \
        FROM jsonb_each(?) r LEFT JOIN uno_checkpoints c ON c.subscription = r.value->>0 AND c.lane = r.value->>1 \
        WHERE c.lane IS NOT NULL OR EXISTS (SELECT 1 FROM uno_subscriptions s WHERE s.name = r.value->>0)), \
     (SELECT json_group_array(json_array(r.key, p.revision)) FROM jsonb_each(?) r CROSS JOIN uno_processes p \
        ON p.process = r.value->>0 AND p.key = r.value->>1), \
     (SELECT json_group_array(json_array(r.key)) FROM jsonb_each(?) r CROSS JOIN uno_messages m \
        ON m.queue = r.value->>0 AND m.id = unhex(r.value->>1)), \
     (SELECT json_group_array(json_array(r.key, d.revision)) FROM jsonb_each(?) r CROSS JOIN uno_documents d \
        ON d.collection = r.value->>0 AND d.key = r.value->>1), \
     (SELECT json_group_array(json_array(r.key)) FROM jsonb_each(?) r CROSS JOIN uno_timers t INDEXED BY uno_timers_id \
        ON t.process = r.value->>0 AND t.id = unhex(r.value->>1)), \
     (SELECT json_group_array(json_array(r.key)) FROM jsonb_each(?) r CROSS JOIN uno_inbox i \
        ON i.consumer = r.value->>0 AND i.id = unhex(r.value->>1)), \
     (SELECT json_group_array(json_array(r.key, \
        (SELECT count(*) FROM uno_parked_events e WHERE e.subscription = k.subscription AND e.key = k.key))) \
        FROM jsonb_each(?) r CROSS JOIN uno_parked_keys k ON k.subscription = r.value->>0 AND k.key = r.value->>1), \
     (SELECT json_group_array(json_array(r.key)) FROM jsonb_each(?) r CROSS JOIN uno_parked_events e \
        ON e.subscription = r.value->>0 AND e.key = r.value->>1 AND e.position = r.value->>2)";

impl<'c> Questions<'c> {
    /// What must be known to decide these commits; with the places of their events only if `ids` is set.
    pub(crate) fn about(commits: impl IntoIterator<Item = &'c Plain>, ids: bool) -> Self {
        let mut questions = Self {
            whole: true,
            ..Self::default()
        };
        for commit in commits {
            questions
                .streams
                .extend(commit.appends.iter().map(|append| append.stream()));
            questions
                .streams
                .extend(commit.unchanged.iter().map(|(stream, _)| stream));
            if ids {
                let events = commit.appends.iter().flat_map(|append| append.events());
                questions.ids.extend(events.map(|event| event.id()));
            }
            let moves = &commit.checkpoints;
            let lanes = moves
                .iter()
                .map(|write| (write.subscription(), write.of_lane()));
            questions.lanes.extend(lanes);
            for (subscription, write) in each(moves) {
                let key = (subscription, write.key());
                questions.parked_keys.push(key);
                let event = write.position().map(|position| (key, position));
                questions.parked_events.extend(event);
            }
            questions.processes.extend(
                commit
                    .processes
                    .iter()
                    .map(|write| (write.process(), write.key())),
            );
            questions.messages.extend(
                commit
                    .messages
                    .iter()
                    .map(|message| (message.queue(), message.id())),
            );
            let acknowledged = commit
                .acknowledgements
                .iter()
                .map(|ack| (ack.queue(), ack.id()));
            questions.messages.extend(acknowledged);
            let guarded = commit
                .documents
                .iter()
                .filter(|write| write.expected_revision().is_some());
            questions
                .documents
                .extend(guarded.map(|write| (write.collection(), write.key())));
            // What is set or cancelled may be there or not.
            let fired = commit
                .timers
                .iter()
                .filter(|write| matches!(write, TimerWrite::Fire { .. }));
            questions
                .timers
                .extend(fired.map(|write| (write.process(), write.id())));
            let handled = commit
                .inbox
                .iter()
                .map(|handled| (handled.consumer(), handled.id()));
            questions.inbox.extend(handled);
        }
        // The same stream often occurs many times in a group, and so do keys that are parked.
        questions.streams.sort_unstable();
        questions.streams.dedup();
        questions.parked_keys.sort_unstable();
        questions.parked_keys.dedup();
        questions
    }

    /// Only where the events of these commits are stored.
    pub(crate) fn about_ids(commits: impl IntoIterator<Item = &'c Plain>) -> Self {
        let events = commits
            .into_iter()
            .flat_map(|commit| &commit.appends)
            .flat_map(|append| append.events());
        Self {
            ids: events.map(|event| event.id()).collect(),
            ..Self::default()
        }
    }

    fn ask(&self, script: &mut Script) {
        let streams = self
            .streams
            .iter()
            .map(|stream| (stream.category().as_str(), stream.key()));
        let ids = self.ids.iter().map(|id| id.as_uuid().simple().to_string());
        let lanes = self.lanes.iter();
        let lanes = lanes.map(|(name, lane)| (name.as_str(), lane.get()));
        let parked_keys = self.parked_keys.iter();
        let parked_keys = parked_keys.map(|(name, key)| (name.as_str(), key));
        let parked_events = self.parked_events.iter();
        let parked_events =
            parked_events.map(|((name, key), position)| (name.as_str(), key, position.as_i64()));
        script
            .push(FACTS)
            .bind_json(&streams.collect::<Vec<_>>())
            .bind_json(&ids.collect::<Vec<_>>())
            .bind_json(&lanes.collect::<Vec<_>>())
            .bind_json(&self.processes)
            .bind_json(&names(&self.messages))
            .bind_json(&self.documents)
            .bind_json(&names(&self.timers))
            .bind_json(&names(&self.inbox))
            .bind_json(&parked_keys.collect::<Vec<_>>())
            .bind_json(&parked_events.collect::<Vec<_>>());
    }
}

impl<'c> Facts<'c> {
    pub(crate) fn new() -> Self {
        Self {
            epoch: StoreEpoch::from_uuid(Uuid::nil()),
            before: Position::START,
            last: Position::START,
            last_recorded_at: DateTime::UNIX_EPOCH,
            last_number: 0,
            last_stream: 0,
            heads: HashMap::new(),
            places: HashMap::new(),
            lanes: HashMap::new(),
            parked: Parked::default(),
            processes: HashMap::new(),
            messages: HashSet::new(),
            documents: HashMap::new(),
            timers: HashSet::new(),
            inbox: HashSet::new(),
        }
    }

    /// Finds out by a script that may have begun already.
    pub(crate) async fn find_out(
        &mut self,
        questions: &Questions<'c>,
        mut script: Script,
        location: &Location,
        connection: &mut SqliteConnection,
    ) -> Result<(), StoreError> {
        questions.ask(&mut script);
        let answer = script.run(connection, |_, row| self.learn(questions, row, location));
        answer
            .await
            .map_err(|failure| failure.into_store_error(location))
    }

    fn learn(
        &mut self,
        questions: &Questions<'c>,
        row: &SqliteRow,
        location: &Location,
    ) -> Result<(), StoreError> {
        if questions.whole {
            self.learn_store(row, location)?;
        }
        for (index, number, version) in read::<Vec<(usize, i64, i64)>>(column(row, 5)?)? {
            let version = Version::try_from(version).map_err(|_| corrupt("a negative version"))?;
            self.heads.insert(
                asked(&questions.streams, index)?,
                StreamHead { number, version },
            );
        }
        for (index, category, key, version, position) in
            read::<Vec<(usize, String, String, i64, i64)>>(column(row, 6)?)?
        {
            let id = *asked(&questions.ids, index)?;
            let (version, position) = (Version::try_from(version), Position::try_from(position));
            let (Ok(stream), Ok(version), Ok(position)) =
                (StreamId::new(category, key), version, position)
            else {
                return Err(corrupt(format!("the event {id}")));
            };
            let stream = self.heads.get_key_value(&stream).map(|(stream, _)| *stream);
            self.places.insert(
                id,
                Place {
                    stream,
                    version,
                    position,
                },
            );
        }
        type Lanes = Vec<(usize, Option<i64>, Option<u64>, Option<u16>)>;
        for (index, position, fence, lane_there) in read::<Lanes>(column(row, 7)?)? {
            let (name, lane) = *asked(&questions.lanes, index)?;
            let position = position.map(Position::try_from).transpose();
            let position = position.map_err(|_| corrupt(format!("the checkpoint of {name}")))?;
            let fact = LaneFact {
                position,
                lease: fence.map(Fence::new),
                is_missing: lane_there.is_none(),
            };
            self.lanes.insert((name, lane), fact);
        }
        for (index, revision) in read::<Vec<(usize, u64)>>(column(row, 8)?)? {
            self.processes
                .insert(*asked(&questions.processes, index)?, revision);
        }
        for (index,) in read::<Vec<(usize,)>>(column(row, 9)?)? {
            self.messages.insert(*asked(&questions.messages, index)?);
        }
        for (index, revision) in read::<Vec<(usize, u64)>>(column(row, 10)?)? {
            self.documents
                .insert(*asked(&questions.documents, index)?, revision);
        }
        for (index,) in read::<Vec<(usize,)>>(column(row, 11)?)? {
            self.timers.insert(*asked(&questions.timers, index)?);
        }
        for (index,) in read::<Vec<(usize,)>>(column(row, 12)?)? {
            self.inbox.insert(*asked(&questions.inbox, index)?);
        }
        for (index, events) in read::<Vec<(usize, u64)>>(column(row, 13)?)? {
            let key = *asked(&questions.parked_keys, index)?;
            self.parked.learn_key(key, events);
        }
        for (index,) in read::<Vec<(usize,)>>(column(row, 14)?)? {
            let (key, position) = *asked(&questions.parked_events, index)?;
            self.parked.learn_event(key, position);
        }
        Ok(())
    }

    fn learn_store(&mut self, row: &SqliteRow, location: &Location) -> Result<(), StoreError> {
        let version: i64 = column(row, 2)?;
        if version > schema::KNOWN {
            return Err(schema::newer(location, version));
        }
        let fault = || corrupt("what is kept of the store as a whole");
        self.epoch = row::uuid(column(row, 0)?)
            .map(StoreEpoch::from_uuid)
            .ok_or_else(fault)?;
        self.last_number = u64::try_from(column::<i64>(row, 1)?).map_err(|_| fault())?;
        self.last_stream = column(row, 4)?;
        if let Some(last) = column::<Option<&str>>(row, 3)? {
            let (position, recorded_at): (i64, i64) = read(last)?;
            self.before = Position::try_from(position).map_err(|_| fault())?;
            self.last = self.before;
            self.last_recorded_at = row::time(recorded_at).ok_or_else(fault)?;
        }
        Ok(())
    }
}

fn names<'c>(pairs: &[(&'c str, Uuid)]) -> Vec<(&'c str, String)> {
    let name = |(name, id): &(&'c str, Uuid)| (*name, id.simple().to_string());
    pairs.iter().map(name).collect()
}

/// What SQLite has written as JSON.
fn read<T: DeserializeOwned>(text: &str) -> Result<T, StoreError> {
    serde_json::from_str(text)
        .map_err(|error| corrupt(format!("an answer that can't be read: {error}")))
}

fn asked<Q>(questions: &[Q], index: usize) -> Result<&Q, StoreError> {
    questions
        .get(index)
        .ok_or_else(|| corrupt("an answer without a question"))
}
