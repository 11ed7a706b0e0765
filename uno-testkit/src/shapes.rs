//! [`EventShapes`]: the stored shapes of events, kept in a lock file, and stored events of every version, kept for ever.

mod compare;
mod golden;
mod notation;

use std::{
    collections::BTreeMap,
    fmt, fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;
use uno_core::{Decoder, Event, EventDescriptor, NewEvent, RecordedEvent};
use uno_cqrs::Catalogue;

use self::{
    compare::changes,
    notation::{mismatch, of_schema, to_schema},
};
use crate::{
    conformance::chain,
    golden::{HOW_TO_WRITE, is_to_be_written, write_if_new},
};

/// The stored shapes of events, as the code has them now.
///
/// [`assert_locked`](Self::assert_locked) compares them with a file that is checked in. A test that calls it fails when
/// the stored shape of an event was changed without a new version, and says what to do:
///
/// ```
/// use schemars::JsonSchema;
/// use serde::{Deserialize, Serialize};
/// use uno_core::Event;
/// use uno_testkit::shapes::EventShapes;
///
/// #[derive(Event, Serialize, Deserialize, JsonSchema)]
/// struct OrderPlaced { total_cents: i64 }
///
/// let folder = tempfile::tempdir()?;
/// let shapes = EventShapes::new().of([OrderPlaced { total_cents: 1999 }]);
/// let faults = shapes.check(folder.path(), false).unwrap_err();
/// assert!(faults.to_string().contains("order_placed version 1 is not in the lock file yet"));
/// shapes.check(folder.path(), true)?;               // as with UNO_GOLDEN=write in the environment
/// shapes.check(folder.path(), false)?;              // and from now on it holds
///
/// #[derive(Event, Serialize, Deserialize, JsonSchema)]
/// #[event(name = "order_placed")]
/// struct Changed { total_cents: String }
///
/// let shapes = EventShapes::new().of([Changed { total_cents: "1999".into() }]);
/// let faults = shapes.check(folder.path(), true).unwrap_err();
/// assert!(faults.to_string().contains("field `total_cents` was integer and is text"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # What is kept
/// In one folder: `events.lock.json` with the shape of every version that there ever was, and for each version a file
/// `order_placed.2.txt` with stored events, byte for byte, each followed by what it is read as now. All of it is only ever added to.
/// With `UNO_GOLDEN=write` in the environment, new versions and compatible changes are written down; what is stored already is never
/// written anew.
///
/// # What it can't see
/// A change of what a field means. And it believes the type's JSON Schema, which schemars derives from the same serde attributes; where
/// `Serialize` is written by hand, the samples are what shows that the schema is that of what is stored.
#[derive(Default)]
pub struct EventShapes {
    events: BTreeMap<&'static str, Known>,
    decoder: Decoder,
}

/// An event type of today.
struct Known {
    descriptor: EventDescriptor,
    shape: Value,
    /// Samples as they are stored now.
    samples: Vec<Result<NewEvent, String>>,
    /// What is stored as an event of this type is read as, as JSON of today.
    read: fn(&Decoder, &Arc<RecordedEvent>) -> Result<Vec<String>, String>,
}

impl EventShapes {
    /// No shapes.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds an event type, with samples: at least one, and better one for each form that it can have.
    #[must_use]
    pub fn of<E: Event + JsonSchema>(mut self, samples: impl IntoIterator<Item = E>) -> Self {
        let schema = schemars::SchemaGenerator::default().into_root_schema_for::<E>();
        let encode = |event: &E| NewEvent::encode(event).map_err(|error| chain(&error));
        let known = Known {
            descriptor: E::DESCRIPTOR,
            shape: of_schema(&Value::from(schema)),
            samples: samples.into_iter().map(|event| encode(&event)).collect(),
            read: golden::read::<E>,
        };
        self.events.insert(E::NAME, known);
        self
    }

    /// Reads old events with this decoder.
    #[must_use]
    pub fn decoder(mut self, decoder: Decoder) -> Self {
        self.decoder = decoder;
        self
    }

    /// Panics unless the shapes are those in the folder, and what is stored there is read as it was. With `UNO_GOLDEN=write` in
    /// the environment, it first writes down what may be.
    ///
    /// # Panics
    /// When a shape has changed, is not in the folder, or what is stored can't be read: the text says what to do.
    #[track_caller]
    pub fn assert_locked(&self, folder: impl AsRef<Path>) {
        let write = is_to_be_written();
        if let Err(faults) = self.check(folder.as_ref(), write) {
            panic!("{faults}");
        }
    }

    /// Completes the events of a catalogue with what the folder keeps: samples that were stored, and schemas of former versions for which there
    /// is no type any more.
    ///
    /// # Errors
    /// When the folder can't be read, or is not what [`check`](Self::check) would accept.
    pub fn complete(&self, catalogue: &mut Catalogue, folder: &Path) -> Result<(), ShapeFaults> {
        let lock = Lock::read(&folder.join("events.lock.json"))
            .map_err(|error| ShapeFaults(vec![error]))?;
        for event in &mut catalogue.events {
            let names = std::iter::once(&event.name).chain(&event.formerly);
            let names: Vec<_> = names.cloned().collect();
            for version in &mut event.versions {
                let number = version.version;
                for name in &names {
                    let Some(shape) = lock.0.get(name).and_then(|of| of.get(&number)) else {
                        continue;
                    };
                    if version.schema.is_none() {
                        let mut schema = to_schema(shape);
                        schema["$schema"] = "https://json-schema.org/draft/2020-12/schema".into();
                        schema["title"] = format!("{name} version {number}").into();
                        version.set_schema(Some(schema));
                    }
                    let stored = golden::stored(folder, name, number);
                    if let Some(first) = stored.map_err(|fault| ShapeFaults(vec![fault]))?.first() {
                        let sample = serde_json::from_str(first);
                        let sample =
                            sample.map_err(|error| ShapeFaults(vec![error.to_string()]))?;
                        version.set_sample(sample);
                        break;
                    }
                }
            }
        }
        Ok(())
    }

    /// Compares the shapes with those in the folder; with `write`, writes down first what may be.
    ///
    /// # Errors
    /// Everything that is not as it should be.
    pub fn check(&self, folder: &Path, write: bool) -> Result<(), ShapeFaults> {
        let mut faults = Faults::default();
        let path = folder.join("events.lock.json");
        let mut lock = Lock::read(&path).unwrap_or_else(|error| {
            faults.add(format!("{} can't be read: {error}", path.display()));
            Lock::default()
        });
        if faults.0.is_empty() {
            for (name, known) in &self.events {
                self.check_shape(name, known, &mut lock, write, &mut faults);
            }
            self.check_gone(&lock, &mut faults);
            if write && let Err(error) = lock.write(&path) {
                faults.add(format!("{} can't be written: {error}", path.display()));
            }
            self.check_golden(folder, &lock, write, &mut faults);
        }
        match faults.0.is_empty() {
            true => Ok(()),
            false => Err(ShapeFaults(faults.0)),
        }
    }

    fn check_shape(
        &self,
        name: &str,
        known: &Known,
        lock: &mut Lock,
        write: bool,
        faults: &mut Faults,
    ) {
        let version = known.descriptor.version().get();
        let locked = lock.0.entry(name.to_owned()).or_default();
        let newest = locked.keys().next_back().copied().unwrap_or(0);
        if version < newest {
            return faults.add(format!(
                "{name} is at version {version}, but version {newest} was stored before: a version never goes back, since what is \
                 stored could not be read. Give it version {}",
                newest + 1
            ));
        }
        if version > newest + 1 {
            faults.add(format!(
                "{name} is at version {version}, and of version {} no stored event is kept: put a file {name}.{}.txt with events of \
                 that version beside the lock file, and its shape into it; or give the event version {}",
                newest + 1, newest + 1, newest + 1
            ));
            return;
        }
        if version == newest + 1 {
            if write {
                locked.insert(version, known.shape.clone());
            } else {
                faults.add(format!(
                    "{name} version {version} is not in the lock file yet: {HOW_TO_WRITE}"
                ));
            }
            return;
        }
        let changes = locked
            .get(&version)
            .map(|shape| changes(shape, &known.shape))
            .unwrap_or_default();
        let breaking: Vec<_> = changes
            .iter()
            .filter(|change| !change.is_compatible)
            .collect();
        if !breaking.is_empty() {
            let what: Vec<_> = breaking.iter().map(|change| &*change.what).collect();
            let next = version + 1;
            faults.add(format!(
                "the stored shape of {name} version {version} has changed: {}. Events of that version are stored already. Give the new \
                 shape version {next}, `#[event(version = {next}, upcast({version}: Old))]`, where `Old` is a type with the shape that \
                 it had and `From<Old>` makes today's of it; or make the change one that both can live with, an optional field more",
                what.join("; ")
            ));
        } else if !changes.is_empty() {
            if write {
                locked.insert(version, known.shape.clone());
            } else {
                let what: Vec<_> = changes.iter().map(|change| &*change.what).collect();
                faults.add(format!(
                    "the stored shape of {name} version {version} has changed in a way that old and new code can both live with: {}. \
                     The version stays; {HOW_TO_WRITE}",
                    what.join("; ")
                ));
            }
        }
    }

    /// Whether what is stored under this name is read as something, or dropped on purpose.
    fn accounts_for(&self, name: &str) -> bool {
        let mut events = self.events.values();
        self.decoder.has_rule(name) || events.any(|known| known.descriptor.is_stored_as(name))
    }

    /// What was stored, and is no event type any more, must be accounted for.
    fn check_gone(&self, lock: &Lock, faults: &mut Faults) {
        for name in lock.0.keys() {
            if !self.accounts_for(name) {
                faults.add(format!(
                    "{name} was stored, and is no event any more: say what becomes of it, with `#[event(formerly({name:?}))]` on the event \
                     that it is now, or with a rule of the decoder that is given here: rename, split or retire"
                ));
            }
        }
    }
}

/// Of each stored name, the shape of each version.
#[derive(Default)]
struct Lock(BTreeMap<String, BTreeMap<u32, Value>>);

/// As it is written.
#[derive(Serialize)]
struct LockFile<'l> {
    events: &'l BTreeMap<String, BTreeMap<u32, Value>>,
    format: u32,
}

impl Lock {
    fn read(path: &Path) -> Result<Self, String> {
        let text = match fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Ok(Self::default());
            }
            Err(error) => return Err(error.to_string()),
        };
        let file: Value = serde_json::from_str(&text).map_err(|error| error.to_string())?;
        if file["format"] != 1 {
            return Err("its format is not 1".to_owned());
        }
        serde_json::from_value(file["events"].clone())
            .map(Self)
            .map_err(|error| error.to_string())
    }

    fn write(&self, path: &Path) -> Result<(), String> {
        // Not by `json!`: a feature of serde_json that anybody may switch on would change the order.
        let file = LockFile {
            events: &self.0,
            format: 1,
        };
        let mut text = serde_json::to_string_pretty(&file).map_err(|error| error.to_string())?;
        text.push('\n');
        write_if_new(path, &text).map_err(|error| error.to_string())
    }
}

#[derive(Default)]
struct Faults(Vec<String>);

impl Faults {
    fn add(&mut self, fault: String) {
        self.0.push(fault);
    }
}

/// What is not as it should be with stored shapes, each with what to do about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShapeFaults(Vec<String>);

impl ShapeFaults {
    /// One by one.
    #[must_use]
    pub fn faults(&self) -> &[String] {
        &self.0
    }
}

impl fmt::Display for ShapeFaults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let faults = self.0.len();
        write!(f, "{faults} stored shapes are not as they should be:")?;
        self.0.iter().try_for_each(|fault| write!(f, "\n* {fault}"))
    }
}

impl std::error::Error for ShapeFaults {}

impl fmt::Debug for EventShapes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventShapes")
            .field("events", &self.events.keys().collect::<Vec<_>>())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
