//! Stored events of every version, byte for byte, and what they are read as.

use std::{fs, path::Path, sync::Arc};

use serde_json::Value;
use uno_core::{
    Clock as _, Decoder, Envelope, EventName, EventSet, NewEvent, Payload, Position, RecordedEvent,
    SchemaVersion, SystemClock, Version,
};

use super::{EventShapes, Faults, HOW_TO_WRITE, Lock, PathBuf, mismatch, write_if_new};
use crate::conformance::chain;

/// What stands before what a stored event is read as.
const READ_AS: &str = "  -> ";

impl EventShapes {
    pub(super) fn check_golden(
        &self,
        folder: &Path,
        lock: &Lock,
        write: bool,
        faults: &mut Faults,
    ) {
        // Of the others it was said already what is wrong.
        let names = lock.0.iter().filter(|(name, _)| self.accounts_for(name));
        for (name, versions) in names {
            for (version, shape) in versions {
                let path = folder.join(format!("{name}.{version}.txt"));
                let known = self.events.get(name.as_str());
                let current = known.filter(|known| known.descriptor.version().get() == *version);
                let samples = current.map_or(&[][..], |known| &known.samples);
                let file = File {
                    name,
                    version: *version,
                    path,
                };
                if let Err(fault) = self.check_file(&file, shape, current.is_some(), samples, write)
                {
                    faults.add(fault);
                }
            }
        }
    }

    fn check_file(
        &self,
        file: &File<'_>,
        shape: &Value,
        is_current: bool,
        samples: &[Result<NewEvent, String>],
        write: bool,
    ) -> Result<(), String> {
        let (name, version) = (file.name, file.version);
        let mut pairs = file.read()?;
        for sample in samples {
            let sample = sample
                .as_ref()
                .map_err(|error| format!("a sample of {name} can't be stored: {error}"))?;
            let text = sample.payload().as_str();
            if !pairs.iter().any(|(stored, _)| stored == text) {
                if !write {
                    return Err(format!(
                        "{name} version {version} is written as {text}, which is not among the stored events in {}. If it was written \
                         otherwise before, what changed is not what the shape says; if the sample is new, {HOW_TO_WRITE}",
                        file.path.display()
                    ));
                }
                pairs.push((text.to_owned(), None));
            }
        }
        if pairs.is_empty() {
            return Err(match is_current {
                true => format!(
                    "there is no sample of {name}: give one, so that it is kept how it is stored"
                ),
                false => format!(
                    "no stored event of {name} version {version} is kept: {} is missing or empty, and was there once",
                    file.path.display()
                ),
            });
        }
        for (stored, read) in &mut pairs {
            let value: Value = serde_json::from_str(stored).map_err(|error| {
                format!("{}: {stored} is no JSON: {error}", file.path.display())
            })?;
            if let Some(at) = mismatch(shape, &value, name) {
                return Err(format!(
                    "{name} version {version} is stored as {stored}, which is not as the lock file says: look at {at}"
                ));
            }
            let now = self.read(name, version, stored)?;
            match read {
                Some(read) if *read == now => {}
                Some(read) if self.is_of_older_code(read) => {
                    if !write {
                        return Err(format!(
                            "what {name} version {version} stored as {stored} is read as has a new version: {HOW_TO_WRITE}"
                        ));
                    }
                    *read = now;
                }
                Some(read) => {
                    return Err(format!(
                        "{name} version {version} stored as {stored} was read as\n  {}\n  and is read as\n  {}\n  now: events that are \
                         stored have changed their meaning. If that is meant, take the lines out of {} and write them anew",
                        read.join("\n  "),
                        now.join("\n  "),
                        file.path.display()
                    ));
                }
                None if write => *read = Some(now),
                None => {
                    return Err(format!(
                        "it is not written down what {name} version {version} stored as {stored} is read as: {HOW_TO_WRITE}"
                    ));
                }
            }
        }
        match write {
            true => file.write(&pairs),
            false => Ok(()),
        }
    }

    /// Whether what was read was in an older version of an event than today's.
    fn is_of_older_code(&self, read: &[String]) -> bool {
        read.iter().any(|line| {
            let mut words = line.split(' ').skip(1);
            let known = words.next().and_then(|name| self.events.get(name));
            let version = words.next().and_then(|version| version.parse().ok());
            known
                .zip(version)
                .is_some_and(|(known, version): (_, u32)| {
                    version < known.descriptor.version().get()
                })
        })
    }

    /// What a stored event is read as, by every event type that has a part in it.
    fn read(&self, name: &str, version: u32, stored: &str) -> Result<Vec<String>, String> {
        let record = record(name, version, stored)?;
        let mut parts = Vec::new();
        for known in self.events.values() {
            let reads = known.descriptor.is_stored_as(name) || self.decoder.has_rule(name);
            if reads {
                parts.extend((known.read)(&self.decoder, &record)?);
            }
        }
        // By the number of the part, which each begins with.
        parts.sort();
        Ok(parts)
    }
}

/// The stored events of a version, byte for byte.
pub(super) fn stored(folder: &Path, name: &str, version: u32) -> Result<Vec<String>, String> {
    let path = folder.join(format!("{name}.{version}.txt"));
    let file = File {
        name,
        version,
        path,
    };
    let pairs = file.read()?;
    Ok(pairs.into_iter().map(|(stored, _)| stored).collect())
}

struct File<'f> {
    name: &'f str,
    version: u32,
    path: PathBuf,
}

/// A stored event, and what it is read as, if that is known.
type Pair = (String, Option<Vec<String>>);

impl File<'_> {
    fn read(&self) -> Result<Vec<Pair>, String> {
        let text = match fs::read_to_string(&self.path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
            Err(error) => return Err(format!("{} can't be read: {error}", self.path.display())),
        };
        let mut pairs: Vec<Pair> = Vec::new();
        for line in text.lines() {
            match (line.strip_prefix(READ_AS), pairs.last_mut()) {
                (Some(read), Some((_, reads))) => {
                    let reads = reads.get_or_insert_default();
                    if read != NOTHING {
                        reads.push(read.to_owned());
                    }
                }
                (Some(_), None) => {
                    return Err(format!("{} begins in the middle", self.path.display()));
                }
                (None, _) => pairs.push((line.to_owned(), None)),
            }
        }
        Ok(pairs)
    }

    fn write(&self, pairs: &[Pair]) -> Result<(), String> {
        let mut text = String::new();
        for (stored, read) in pairs {
            text.push_str(stored);
            text.push('\n');
            let nothing = [NOTHING.to_owned()];
            let read = read.as_deref().unwrap_or_default();
            let lines = if read.is_empty() { &nothing } else { read };
            for line in lines {
                text.push_str(READ_AS);
                text.push_str(line);
                text.push('\n');
            }
        }
        write_if_new(&self.path, &text)
            .map_err(|error| format!("{} can't be written: {error}", self.path.display()))
    }
}

/// What is read of an event that is dropped.
const NOTHING: &str = "nothing";

fn record(name: &str, version: u32, stored: &str) -> Result<Arc<RecordedEvent>, String> {
    let name = EventName::new(name.to_owned()).map_err(|error| error.to_string())?;
    let event = NewEvent::from_payload(
        name,
        SchemaVersion::new(version),
        Payload::from_json(stored).map_err(|error| error.to_string())?,
    );
    let stream = "golden-1".parse().map_err(|error| format!("{error}"))?;
    let first = Version::EMPTY.next();
    let position = Position::new(1).map_err(|error| error.to_string())?;
    let now = SystemClock::new().now();
    Ok(Arc::new(RecordedEvent::record(
        &event, stream, first, position, now,
    )))
}

/// What a stored event is read as, as events of one type: the number of the part, the name and version of today, and the JSON.
pub(super) fn read<E: EventSet>(
    decoder: &Decoder,
    record: &Arc<RecordedEvent>,
) -> Result<Vec<String>, String> {
    let text = |envelope: Envelope<E>| {
        let json = envelope
            .event()
            .to_json()
            .map_err(|error| error.to_string())?;
        let (number, event) = (envelope.part().index() + 1, envelope.event().descriptor());
        Ok(format!(
            "{number}. {} {} {json}",
            event.name(),
            event.version()
        ))
    };
    match decoder.decode_matching::<E>(record) {
        Ok(decoded) => decoded.into_iter().map(text).collect(),
        // Rules lead from this name to other types.
        Err(uno_core::DecodeError::UnknownEvent(_)) => Ok(Vec::new()),
        Err(error) => Err(format!(
            "a stored event can't be read any more: {}",
            chain(&error)
        )),
    }
}
