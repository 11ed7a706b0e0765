//! [`Record`]: which generations of a read model there are. A stored format: change it with care.

use serde::{Deserialize, Serialize};
use uno_core::{Payload, Position};

use super::Switched;
use crate::Generation;

/// The collection that the records of all read models are in, by their names.
pub(crate) const CATALOGUE: &str = "uno.read_models";

/// What is stored of a read model: its generations, as far as they are not dropped.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Record {
    /// The number of the next one. Numbers are never used again: a reader that still knows an old one must not take another for it.
    next: Generation,
    generations: Vec<Entry>,
    /// Those whose rows are being removed. A process that has not noticed yet may still add to them, so each that feeds one removes
    /// what is there once it has stopped, and whoever begins the next generations.
    dropped: Vec<Generation>,
    /// The one that all others give way to, because it can't get ahead of the one that serves otherwise.
    hurry: Option<Hurry>,
}

/// A generation that is in a hurry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Hurry {
    pub(crate) generation: Generation,
    /// Another number each time that somebody says so: who sees the same one for long takes it that nobody does any more.
    pub(crate) beat: u64,
}

/// A generation that is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Entry {
    pub(crate) number: Generation,
    /// Of the code that builds it.
    pub(crate) version: u32,
    pub(crate) state: GenerationState,
    /// Where its side effects begin: those of events up to there belong to another one, or to nobody.
    pub(crate) live_after: Option<Position>,
    /// Where they end.
    pub(crate) live_to: Option<Position>,
}

/// What a generation of a read model is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum GenerationState {
    /// It is being built, and nobody reads it.
    Building,
    /// It is the one that is read.
    Serving,
    /// It served before and is kept fed, so that one can go back to it.
    Kept,
}

impl Record {
    /// How many of those that were dropped last are swept again when the next generation is begun.
    const SWEPT_AGAIN: usize = 2;

    /// Of a read model that is new, in a log that has come to there.
    pub(crate) fn new(version: u32, head: Position) -> Self {
        Self {
            next: Generation::FIRST.next(),
            generations: vec![Entry {
                number: Generation::FIRST,
                version,
                state: GenerationState::Serving,
                live_after: Some(head),
                live_to: None,
            }],
            dropped: Vec::new(),
            hurry: None,
        }
    }

    pub(crate) fn decode(body: &Payload) -> Result<Self, serde_json::Error> {
        serde_json::from_str(body.as_str())
    }

    pub(crate) fn encode(&self) -> Payload {
        // Numbers and short texts: serde_json has nothing to object to.
        Payload::from_stored(serde_json::json!(self).to_string())
    }

    pub(crate) fn entries(&self) -> &[Entry] {
        &self.generations
    }

    pub(crate) fn entry(&self, number: Generation) -> Option<&Entry> {
        self.generations.iter().find(|entry| entry.number == number)
    }

    pub(crate) fn serving(&self) -> Option<&Entry> {
        self.generations
            .iter()
            .find(|entry| entry.state == GenerationState::Serving)
    }

    pub(crate) fn building(&self) -> Option<&Entry> {
        self.generations
            .iter()
            .find(|entry| entry.state == GenerationState::Building)
    }

    /// The generation that code of this version reads: the one that serves, or the newest of its own version that is kept.
    pub(crate) fn readable_by(&self, version: u32) -> Option<Generation> {
        let readable = |state| {
            let fitting = self
                .generations
                .iter()
                .filter(move |entry| entry.version == version && entry.state == state);
            fitting.map(|entry| entry.number).max()
        };
        readable(GenerationState::Serving).or_else(|| readable(GenerationState::Kept))
    }

    /// Adds one that is being built. The rows of those that were dropped are to be removed before; those of the last ones are once more the
    /// next time, since who feeds them may not have noticed yet, and may die before it cleans up.
    pub(crate) fn begin(&mut self, version: u32) -> Generation {
        let earlier = self.dropped.len().saturating_sub(Self::SWEPT_AGAIN);
        self.dropped.drain(..earlier);
        let number = self.next;
        self.next = number.next();
        self.generations.push(Entry {
            number,
            version,
            state: GenerationState::Building,
            live_after: None,
            live_to: None,
        });
        number
    }

    /// Lets all others give way to this one, from now on for a while.
    pub(crate) fn let_hurry(&mut self, generation: Generation) {
        let beat = self.hurry.map_or(0, |hurry| hurry.beat).wrapping_add(1);
        self.hurry = Some(Hurry { generation, beat });
    }

    pub(crate) fn hurries(&self) -> Option<Hurry> {
        self.hurry
    }

    /// Lets another one serve, whose side effects begin at this position.
    pub(crate) fn switch(&mut self, to: Generation, at: Position) -> Switched {
        self.hurry = None;
        let mut from = to;
        for entry in &mut self.generations {
            if entry.number == to {
                entry.state = GenerationState::Serving;
                (entry.live_after, entry.live_to) = (Some(at), None);
            } else if entry.state == GenerationState::Serving {
                from = entry.number;
                entry.state = GenerationState::Kept;
                entry.live_to = Some(at);
            }
        }
        Switched { from, to, at }
    }

    /// Takes a generation out, whose rows are then to be removed.
    pub(crate) fn drop_generation(&mut self, number: Generation) {
        self.generations.retain(|entry| entry.number != number);
        self.dropped.push(number);
        self.hurry = self.hurry.filter(|hurry| hurry.generation != number);
    }

    pub(crate) fn dropped(&self) -> &[Generation] {
        &self.dropped
    }
}

impl Entry {
    /// Whether the side effects of an event there belong to this generation.
    pub(crate) fn is_live_at(&self, position: Position) -> bool {
        self.live_after.is_some_and(|after| position > after)
            && self.live_to.is_none_or(|to| position <= to)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(position: u64) -> Position {
        Position::new(position).unwrap()
    }

    #[test]
    fn side_effects_of_a_position_belong_to_one_generation() {
        let mut record = Record::new(1, at(10));
        let second = record.begin(1);
        let owners = |record: &Record, position| -> Vec<u32> {
            let live = record
                .entries()
                .iter()
                .filter(|entry| entry.is_live_at(at(position)));
            live.map(|entry| entry.number.get()).collect()
        };
        // What was there before the first is nobody's; the one that is being built has none.
        assert_eq!(owners(&record, 10), [] as [u32; 0]);
        assert_eq!(owners(&record, 11), [1]);
        record.switch(second, at(20));
        assert_eq!(
            (owners(&record, 20), owners(&record, 21)),
            (vec![1], vec![2])
        );
        record.switch(Generation::FIRST, at(30));
        assert_eq!(
            (owners(&record, 30), owners(&record, 31)),
            (vec![2], vec![1])
        );
    }

    #[test]
    fn code_reads_what_it_can_read() {
        let mut record = Record::new(1, at(0));
        let second = record.begin(2);
        assert_eq!(record.readable_by(1), Some(Generation::FIRST));
        assert_eq!(record.readable_by(2), None, "it is not complete");
        record.switch(second, at(5));
        assert_eq!(record.readable_by(2), Some(second));
        assert_eq!(
            record.readable_by(1),
            Some(Generation::FIRST),
            "old code goes on"
        );
        record.drop_generation(Generation::FIRST);
        assert_eq!(record.readable_by(1), None);
        assert_eq!(record.begin(1).get(), 3, "a number is never used again");
    }

    #[test]
    fn the_stored_shape() {
        let mut record = Record::new(1, at(7));
        record.begin(2);
        let stored = r#"{"dropped":[],"generations":[{"live_after":7,"live_to":null,"number":1,"state":"serving","version":1},{"live_after":null,"live_to":null,"number":2,"state":"building","version":2}],"hurry":null,"next":3}"#;
        // The order of fields is another one when somebody has `serde_json` keep it.
        let fields = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
        assert_eq!(fields(record.encode().as_str()), fields(stored));
        assert_eq!(
            Record::decode(&Payload::from_json(stored).unwrap()).unwrap(),
            record
        );
        record.let_hurry(Generation::FIRST.next());
        record.let_hurry(Generation::FIRST.next());
        let hurry = &fields(record.encode().as_str())["hurry"];
        assert_eq!(hurry, &fields(r#"{"generation":2,"beat":2}"#));
        assert_eq!(Record::decode(&record.encode()).unwrap(), record);
        record.drop_generation(Generation::FIRST.next());
        assert_eq!(record.hurries(), None);
    }
}
