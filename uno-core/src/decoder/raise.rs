//! [`Raise`]: the way of one stored event to the shape of today.

use std::{
    borrow::Cow,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use serde_json::Value;

use super::{
    DecodeError, Decoded, Fault,
    error::{Panicked, Undeclared},
    rules::{OfName, Rules, Step},
};
use crate::{
    BoxError, Envelope, EventDescriptor, EventPart, EventSet, Part, RecordedEvent, SchemaVersion,
};

/// What becomes of a part that the set does not have.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Outside {
    /// It is an error.
    Unknown,
    /// It is left out.
    Skipped,
}

/// The way of one stored event to the shape of today.
pub(super) struct Raise<'r> {
    rules: &'r Rules,
    record: &'r Arc<RecordedEvent>,
    outside: Outside,
}

/// A stored event, or a part of one, on its way.
struct Piece<'p> {
    name: Cow<'p, str>,
    version: SchemaVersion,
    payload: Form<'p>,
    /// Whether it came out of a split.
    is_part: bool,
}

/// The text until a step needs the tree.
enum Form<'p> {
    Text(&'p str),
    Tree(Value),
}

impl Form<'_> {
    fn into_tree(self) -> Result<Value, serde_json::Error> {
        match self {
            Self::Text(text) => serde_json::from_str(text),
            Self::Tree(tree) => Ok(tree),
        }
    }
}

/// What became of a piece.
enum Arrived<S> {
    Event(S),
    /// It counts as a part, though not of this set.
    Outside,
    Dropped,
    Split(Vec<EventPart>),
}

impl<'r> Raise<'r> {
    pub(super) fn new(rules: &'r Rules, record: &'r Arc<RecordedEvent>, outside: Outside) -> Self {
        Self {
            rules,
            record,
            outside,
        }
    }

    pub(super) fn decode<S: EventSet>(&self) -> Result<Decoded<S>, DecodeError> {
        let piece = Piece {
            name: Cow::Borrowed(self.record.name().as_str()),
            version: self.record.schema_version(),
            payload: Form::Text(self.record.payload().as_str()),
            is_part: false,
        };
        match self.follow(piece)? {
            Arrived::Event(event) => Ok(Decoded::one(event, self.record)),
            Arrived::Outside | Arrived::Dropped => Ok(Decoded::some(self.record, Vec::new())),
            Arrived::Split(parts) => self.decode_parts(parts),
        }
    }

    /// The parts, in order; what a part is split into stands in its place.
    fn decode_parts<S: EventSet>(&self, parts: Vec<EventPart>) -> Result<Decoded<S>, DecodeError> {
        let mut events = Vec::with_capacity(parts.len());
        // Registered rules have no cycle, so this comes to an end.
        let mut waiting: Vec<EventPart> = parts.into_iter().rev().collect();
        let mut count: u32 = 0;
        while let Some(part) = waiting.pop() {
            let piece = Piece {
                name: Cow::Owned(part.name().to_owned()),
                version: part.version(),
                payload: Form::Tree(part.into_payload()),
                is_part: true,
            };
            match self.follow(piece)? {
                Arrived::Event(event) => {
                    events.push((event, count));
                    count = count.saturating_add(1);
                }
                Arrived::Outside => count = count.saturating_add(1),
                Arrived::Dropped => {}
                Arrived::Split(parts) => waiting.extend(parts.into_iter().rev()),
            }
        }
        let envelope = |(event, index)| {
            Envelope::new(event, Arc::clone(self.record)).with_part(Part::new(index, count))
        };
        Ok(Decoded::some(
            self.record,
            events.into_iter().map(envelope).collect(),
        ))
    }

    /// Takes one step after the other, up to an event of the set, a split, or nothing.
    fn follow<S: EventSet>(&self, mut piece: Piece<'_>) -> Result<Arrived<S>, DecodeError> {
        loop {
            let descriptor = S::EVENTS
                .iter()
                .find(|descriptor| descriptor.is_stored_as(&piece.name));
            if let Some(descriptor) = descriptor {
                if piece.version >= descriptor.version() {
                    return self.arrive(descriptor, piece).map(Arrived::Event);
                }
                if let Form::Text(text) = piece.payload
                    && let Some(event) = self.follow_types(descriptor, &piece, text)?
                {
                    return Ok(Arrived::Event(event));
                }
                let own = descriptor
                    .upcasters()
                    .iter()
                    .find(|upcaster| upcaster.from() == piece.version);
                if let Some(upcaster) = own {
                    piece = self.step(piece, |payload| upcaster.apply(payload))?;
                    continue;
                }
            }
            // The rules are for the name as it is stored, and for the one of today.
            let of_name = self
                .rules
                .get(&piece.name)
                .or_else(|| self.rules.get(descriptor?.name()));
            match of_name {
                Some(OfName::Renamed(to)) => piece.name = Cow::Owned(to.as_str().to_owned()),
                Some(OfName::Retired(_)) => return Ok(Arrived::Dropped),
                Some(OfName::Steps(steps)) => match steps.get(&piece.version) {
                    Some(Step::Next(step)) => piece = self.step(piece, |payload| step(payload))?,
                    Some(Step::Split { parts, split }) => {
                        let (name, from) = (piece.name.clone().into_owned(), piece.version);
                        let found =
                            self.guarded(&name, from, || split(piece.payload.into_tree()?))?;
                        let is_declared = |part: &&EventPart| {
                            !parts.iter().any(|(name, version)| {
                                name.as_str() == part.name() && *version == part.version()
                            })
                        };
                        if let Some(part) = found.iter().find(is_declared) {
                            let undeclared = Undeclared {
                                name: part.name().to_owned(),
                                version: part.version(),
                            };
                            return Err(self.upcast(&name, from, undeclared.into()));
                        }
                        return Ok(Arrived::Split(found));
                    }
                    None if descriptor.is_some() => return Err(self.no_upcaster(&piece)),
                    None => return self.outside::<S>(&piece),
                },
                None if descriptor.is_some() => return Err(self.no_upcaster(&piece)),
                None => return self.outside::<S>(&piece),
            }
        }
    }

    /// A piece in the shape of today.
    fn arrive<S: EventSet>(
        &self,
        descriptor: &EventDescriptor,
        piece: Piece<'_>,
    ) -> Result<S, DecodeError> {
        if piece.version > descriptor.version() {
            return Err(DecodeError::NewerSchema {
                fault: self.fault(),
                known: descriptor.version(),
            });
        }
        let event = match piece.payload {
            Form::Text(text) => S::from_json(descriptor.name(), text),
            Form::Tree(tree) => S::from_tree(descriptor.name(), tree),
        };
        event
            .ok_or_else(|| DecodeError::UnknownEvent(self.fault()))?
            .map_err(|source| self.malformed(source))
    }

    /// All steps at once, if they are all between types.
    fn follow_types<S: EventSet>(
        &self,
        descriptor: &EventDescriptor,
        piece: &Piece<'_>,
        text: &str,
    ) -> Result<Option<S>, DecodeError> {
        self.guarded(&piece.name, piece.version, || {
            S::from_older(descriptor.name(), piece.version, text)
                .transpose()
                .map_err(BoxError::from)
        })
    }

    fn step<'p>(
        &self,
        piece: Piece<'p>,
        step: impl FnOnce(Value) -> Result<Value, BoxError>,
    ) -> Result<Piece<'p>, DecodeError> {
        let payload = piece.payload.into_tree();
        let payload = payload.map_err(|source| self.malformed(source))?;
        let raised = self.guarded(&piece.name, piece.version, || step(payload))?;
        Ok(Piece {
            version: piece.version.next(),
            payload: Form::Tree(raised),
            ..piece
        })
    }

    /// Steps are the user's code, on data of years ago: a panic is one event that can't be read, and not the end of its reader.
    fn guarded<T>(
        &self,
        name: &str,
        from: SchemaVersion,
        step: impl FnOnce() -> Result<T, BoxError>,
    ) -> Result<T, DecodeError> {
        // What the step leaves half done is its argument, which it owns.
        let result = catch_unwind(AssertUnwindSafe(step)).unwrap_or_else(|panic| {
            let text = panic
                .downcast_ref::<&'static str>()
                .map(|text| (*text).to_owned())
                .or_else(|| panic.downcast_ref::<String>().cloned());
            Err(Panicked(text.unwrap_or_else(|| "without a text".to_owned())).into())
        });
        result.map_err(|source| self.upcast(name, from, source))
    }

    fn outside<S: EventSet>(&self, piece: &Piece<'_>) -> Result<Arrived<S>, DecodeError> {
        if S::IGNORED.contains(&&*piece.name) {
            return Ok(Arrived::Outside);
        }
        match (piece.is_part, self.outside) {
            (true, Outside::Skipped) => Ok(Arrived::Outside),
            (true, Outside::Unknown) => Err(DecodeError::UnknownPart {
                fault: self.fault(),
                part: piece.name.clone().into_owned(),
            }),
            (false, _) => Err(DecodeError::UnknownEvent(self.fault())),
        }
    }

    fn no_upcaster(&self, piece: &Piece<'_>) -> DecodeError {
        DecodeError::NoUpcaster {
            fault: self.fault(),
            name: piece.name.clone().into_owned(),
            from: piece.version,
        }
    }

    fn upcast(&self, name: &str, from: SchemaVersion, source: BoxError) -> DecodeError {
        DecodeError::Upcast {
            fault: self.fault(),
            name: name.to_owned(),
            from,
            source,
        }
    }

    fn malformed(&self, source: serde_json::Error) -> DecodeError {
        DecodeError::Malformed {
            fault: self.fault(),
            source: source.into(),
        }
    }

    fn fault(&self) -> Fault {
        Fault::new(self.record)
    }
}
