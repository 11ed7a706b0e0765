//! [`Entry`]: an event of the campaign; and those who append them.

use std::{
    fmt,
    str::FromStr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use anyhow::{Context as _, Error, Result, bail};
use fastrand::Rng;
use tokio::time::{Instant, sleep};
use uno_core::{
    AppendError, EventId, EventName, EventStore, ExpectedVersion, NewEvent, Payload, RecordedEvent,
    SchemaVersion, StreamAppend, StreamId, Version,
};
use uuid::Uuid;

use crate::campaign::plan::mix;

/// The category of all streams.
pub(crate) const CATEGORY: &str = "line";
/// How many append at once; each has keys of its own.
pub(crate) const APPENDERS: u64 = 3;

/// An event: which one of which key, from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Entry {
    pub(crate) key: u64,
    pub(crate) seq: u64,
}

impl Entry {
    /// Its id: the same however often it is appended.
    pub(crate) fn id(self, seed: u64) -> Uuid {
        Uuid::from_u64_pair(mix(seed, self.key), mix(self.seq, self.key))
    }

    /// What an event of the log says that it is.
    pub(crate) fn read(event: &RecordedEvent) -> Result<Self> {
        let key = event.stream().key().parse();
        let seq = serde_json::from_str::<serde_json::Value>(event.payload().as_str())?;
        Ok(Self {
            key: key.context("a key is a number")?,
            seq: seq["seq"].as_u64().context("an event has a number")?,
        })
    }

    fn event(self, seed: u64) -> Result<NewEvent> {
        let payload = Payload::from_json(format!(r#"{{"seq":{}}}"#, self.seq))?;
        let name = EventName::new("counted")?;
        let event = NewEvent::from_payload(name, SchemaVersion::FIRST, payload);
        Ok(event.with_id(EventId::from_uuid(self.id(seed))))
    }
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.key, self.seq)
    }
}

impl FromStr for Entry {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let Some((key, seq)) = text.split_once(':') else {
            bail!("{text} is no entry");
        };
        Ok(Self {
            key: key.parse()?,
            seq: seq.parse()?,
        })
    }
}

/// What was acknowledged to those who append.
#[derive(Clone, Debug, Default)]
pub(crate) struct Acknowledged(Arc<Mutex<Vec<Entry>>>);

impl Acknowledged {
    pub(crate) fn all(&self) -> Vec<Entry> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

/// Appends events of the keys with this number, modulo [`APPENDERS`], until the time is over. What is under way is carried through.
pub(crate) async fn append(
    store: Arc<dyn EventStore>,
    seed: u64,
    keys: u64,
    share: u64,
    until: Instant,
    acknowledged: Acknowledged,
) -> Result<()> {
    let mut rng = Rng::with_seed(mix(seed, 1_000 + share));
    let mine: Vec<u64> = (0..keys).filter(|key| key % APPENDERS == share).collect();
    let mut last = vec![0; mine.len()];
    while Instant::now() < until {
        let which = rng.usize(..mine.len());
        let count = rng.u64(1..=3);
        let entries: Vec<Entry> = (1..=count)
            .map(|n| Entry {
                key: mine[which],
                seq: last[which] + n,
            })
            .collect();
        append_until_known(&*store, seed, last[which], &entries).await?;
        last[which] += count;
        acknowledged
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .extend(entries);
        sleep(Duration::from_millis(rng.u64(10..90))).await;
    }
    Ok(())
}

async fn append_until_known(
    store: &dyn EventStore,
    seed: u64,
    version: u64,
    entries: &[Entry],
) -> Result<()> {
    let events: Vec<NewEvent> = entries
        .iter()
        .map(|entry| entry.event(seed))
        .collect::<Result<_>>()?;
    let stream = StreamId::new(CATEGORY, entries[0].key.to_string())?;
    let expected = match version {
        0 => ExpectedVersion::NoStream,
        version => ExpectedVersion::Exact(Version::new(version)?),
    };
    loop {
        let append = StreamAppend::new(stream.clone(), expected, events.clone());
        match store.append(vec![append]).await {
            Ok(_) => return Ok(()),
            // The same again is definite.
            Err(AppendError::Unknown(_)) => {}
            Err(error) if error.is_transient() => {}
            Err(error) => return Err(error).context("an append was refused"),
        }
        sleep(Duration::from_millis(20)).await;
    }
}
