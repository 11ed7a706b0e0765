//! A judge that finds nothing wrong must have been shown things that are wrong.

use std::collections::BTreeSet;

use super::*;
use crate::ids::IdSpace;

const SPACE: IdSpace = IdSpace::new(9);

/// Two acknowledged batches in two streams, one failed, one unknown, and a reader who was given it all.
fn good() -> (String, Stored, Vec<Sequence>) {
    let ledger = "space 9\n\
        i 1 1 a-1=2\na 1 3 a-1=1\n\
        i 2 0 a-1=1,b-1=2\na 2 7 b-1=1,a-1=3\ns 2\n\
        i 3 0 a-1=1\nf 3 conflict\n\
        i 4 1 b-1=1\nu 4\n"
        .to_owned();
    let event = |position, batch, index, stream, version| StoredEvent {
        position,
        id: SPACE.id(batch, index),
        stream,
        version,
        recorded: position * 10,
        own_payload: true,
    };
    let events = vec![
        event(2, 1, 0, 1, 1),
        event(3, 1, 1, 1, 2),
        event(5, 2, 0, 1, 3),
        event(6, 2, 1, 2, 1),
        event(7, 2, 2, 2, 2),
    ];
    let streams = [
        (1, ("a-1".to_owned(), Some(3))),
        (2, ("b-1".to_owned(), Some(2))),
    ]
    .into();
    let stored = Stored {
        events,
        streams,
        rows: [(1, 1)].into(),
        times_rise: true,
    };
    let sequence = Sequence {
        name: "r".to_owned(),
        category: None,
        range: None,
        events: stored
            .events
            .iter()
            .map(|event| (event.position, event.id))
            .collect(),
        checkpoints: vec![(6, SPACE.id(2, 1))],
        unexplained: Vec::new(),
        finished: true,
    };
    (ledger, stored, vec![sequence])
}

/// Something that is done to the good case, and the laws that are broken then, and no others.
type Fault = (&'static str, fn(&mut Case), &'static [&'static str]);

struct Case {
    ledger: String,
    stored: Stored,
    readers: Vec<Sequence>,
}

impl Case {
    fn good() -> Self {
        let (ledger, stored, readers) = good();
        Self {
            ledger,
            stored,
            readers,
        }
    }

    /// The ledger says something else.
    fn says(&mut self, before: &str, after: &str) {
        assert!(self.ledger.contains(before), "{before}");
        self.ledger = self.ledger.replace(before, after);
    }

    /// The reader is given the log as it is.
    fn read_again(&mut self) {
        let given = |event: &StoredEvent| (event.position, event.id);
        self.readers[0].events = self.stored.events.iter().map(given).collect();
    }

    fn store(&mut self, position: i64, batch: u64, index: u32, stream: i64, version: i64) {
        self.stored.events.push(StoredEvent {
            position,
            id: SPACE.id(batch, index),
            stream,
            version,
            recorded: position * 10,
            own_payload: true,
        });
        let name = self.stored.name(stream).to_owned();
        self.stored.streams.insert(stream, (name, Some(version)));
        self.read_again();
    }
}

/// No fault at all, however it looks.
const FINE: &[Fault] = &[
    ("nothing is done", |_| {}, &[]),
    (
        "what nobody knows was carried out after all, row and all",
        |case| {
            case.store(9, 4, 0, 2, 3);
            case.stored.rows.insert(4, 1);
        },
        &[],
    ),
    (
        "a reader of one category is given what is in it, and nothing else",
        |case| {
            case.readers[0].category = Some("b".to_owned());
            case.readers[0].events.drain(..3);
        },
        &[],
    ),
    (
        "a reader of a stretch is given what is in it, and nothing else",
        |case| {
            case.readers[0].range = Some((3, 6));
            case.readers[0].events = case.readers[0].events[2..4].to_vec();
        },
        &[],
    ),
    (
        "times fall where somebody wrote past the functions",
        |case| {
            case.stored.times_rise = false;
            case.stored.events[3].recorded = 1;
        },
        &[],
    ),
];

const FAULTS: &[Fault] = &[
    (
        "an acknowledged event is lost",
        |case| {
            case.stored.events.pop();
        },
        &["halved", "lost", "phantoms", "stream-rows"],
    ),
    (
        "an acknowledged batch is lost",
        |case| {
            case.stored.events.drain(..2);
            case.read_again();
        },
        // What is left of the stream begins at version 3, and the row of the unit of work has no events.
        &["holes", "lost", "rows"],
    ),
    (
        "a batch that was a conflict is stored",
        |case| case.says("a 2 7 b-1=1,a-1=3\ns 2\n", "f 2 conflict\n"),
        &["resurrected"],
    ),
    (
        "a batch that was rolled back, and never acknowledged, shows up",
        |case| {
            case.says("f 3 conflict", "u 3\nf 3 rolled-back");
            case.store(9, 3, 0, 1, 4);
        },
        &["resurrected"],
    ),
    (
        "nobody intended a batch",
        |case| case.says("i 2 0 a-1=1,b-1=2\na 2 7 b-1=1,a-1=3\ns 2\n", ""),
        &["unintended"],
    ),
    (
        "an event is in another stream than intended",
        |case| case.says("a-1=1,b-1=2", "b-1=1,a-1=2"),
        &["unintended"],
    ),
    (
        "a batch has more events than intended",
        |case| case.says("i 1 1 a-1=2", "i 1 1 a-1=1"),
        &["halved", "unintended"],
    ),
    (
        "an event has an id that nobody gave it",
        |case| {
            case.stored.events[0].id = 1;
            case.read_again();
        },
        &["halved", "lost", "unintended"],
    ),
    (
        "half of a batch that nobody knows about is stored",
        |case| {
            case.says("i 4 1 b-1=1", "i 4 1 b-1=2");
            case.store(9, 4, 0, 2, 3);
            case.stored.rows.insert(4, 1);
        },
        &["halved"],
    ),
    (
        "a writer was told an error that nothing explains",
        |case| case.ledger.push_str("x 4 what is this\n"),
        &["unexplained"],
    ),
    (
        "a receipt names another position",
        |case| case.says("a 1 3 a-1=1", "a 1 2 a-1=1"),
        &["receipts"],
    ),
    (
        "a receipt names another version",
        |case| case.says("a 1 3 a-1=1", "a 1 3 a-1=2"),
        &["receipts"],
    ),
    (
        "the same append again had another receipt",
        |case| case.says("s 2", "d 2"),
        &["repeats"],
    ),
    (
        "a stream has a hole",
        |case| case.stored.events[1].version = 3,
        &["holes", "shuffled"],
    ),
    (
        "positions fall as versions rise",
        |case| {
            case.stored.events[0].version = 2;
            case.stored.events[1].version = 1;
        },
        &["disordered", "holes", "shuffled"],
    ),
    (
        "two events of a batch changed places",
        |case| {
            let (first, second) = (case.stored.events[0].id, case.stored.events[1].id);
            (case.stored.events[0].id, case.stored.events[1].id) = (second, first);
            case.read_again();
        },
        &["shuffled"],
    ),
    (
        "a time of recording falls",
        |case| case.stored.events[3].recorded = 1,
        &["recorded"],
    ),
    (
        "an event has another payload",
        |case| case.stored.events[3].own_payload = false,
        &["payloads"],
    ),
    (
        "a stream's own record is ahead of its events",
        |case| {
            case.stored.streams.insert(2, ("b-1".to_owned(), Some(3)));
        },
        &["stream-rows"],
    ),
    (
        "an event is stored twice",
        |case| case.store(8, 2, 2, 2, 3),
        &["doubled", "halved", "receipts", "shuffled"],
    ),
    (
        "the row of a unit of work is lost",
        |case| case.stored.rows.clear(),
        &["rows"],
    ),
    (
        "the row of a unit of work is there twice",
        |case| {
            case.stored.rows.insert(1, 2);
        },
        &["rows"],
    ),
    (
        "the row of a unit of work is there without its events",
        |case| {
            case.stored.rows.insert(4, 1);
        },
        &["rows"],
    ),
    (
        "a batch without rows has one",
        |case| {
            case.stored.rows.insert(2, 1);
        },
        &["rows"],
    ),
    (
        "a reader is not given an event",
        |case| {
            case.readers[0].events.remove(2);
        },
        &["skipped"],
    ),
    (
        "a reader is given two events the wrong way round",
        |case| case.readers[0].events.swap(0, 1),
        &["disordered"],
    ),
    (
        "a reader is given events of two streams the wrong way round",
        |case| case.readers[0].events.swap(2, 3),
        &["disordered"],
    ),
    (
        "a reader is given an event twice",
        |case| {
            let last = case.readers[0].events[4];
            case.readers[0].events.push(last);
        },
        &["redelivered"],
    ),
    (
        "a reader is given an event that was rolled back",
        |case| case.readers[0].events.push((8, SPACE.id(3, 0))),
        &["phantoms"],
    ),
    (
        "a reader is given an event at another position",
        |case| case.readers[0].events[4].0 = 8,
        &["phantoms", "skipped"],
    ),
    (
        "a reader of one category is given others",
        |case| case.readers[0].category = Some("b".to_owned()),
        &["phantoms"],
    ),
    (
        "a reader of a stretch is given what lies outside",
        |case| case.readers[0].range = Some((2, 6)),
        &["phantoms"],
    ),
    (
        "a checkpoint is at a position that no event has",
        |case| case.readers[0].checkpoints.push((4, SPACE.id(2, 1))),
        &["checkpoints"],
    ),
    (
        "a checkpoint names another event than the one at its position",
        |case| case.readers[0].checkpoints.push((6, SPACE.id(2, 0))),
        &["checkpoints"],
    ),
    (
        "a reader does not come to the end",
        |case| case.readers[0].finished = false,
        &["unfinished"],
    ),
    (
        "a reader was told an error that nothing explains",
        |case| case.readers[0].unexplained.push("oh".to_owned()),
        &["unexplained"],
    ),
];

/// The laws that are broken in the good case after this was done to it.
fn broken((name, spoil, expected): &Fault) -> BTreeSet<String> {
    let mut case = Case::good();
    spoil(&mut case);
    let history = History::parse(&case.ledger).unwrap();
    let verdict = judge(&history, &case.stored, &case.readers);
    let broken: BTreeSet<String> = verdict
        .broken
        .iter()
        .map(|(law, _)| law.to_owned())
        .collect();
    let expected: BTreeSet<String> = expected.iter().map(|&law| law.to_owned()).collect();
    assert_eq!(broken, expected, "{name}: {:?}", verdict.examples);
    broken
}

#[test]
fn what_is_fine_breaks_no_law() {
    FINE.iter().for_each(|case| drop(broken(case)));
}

#[test]
fn every_law_is_broken_by_some_fault() {
    let mut caught: BTreeSet<String> = FAULTS.iter().flat_map(broken).collect();
    // These two are counted while a phase runs, not read from its files.
    for law in ["own-appends", "deadlocks"] {
        assert!(caught.insert(law.to_owned()));
    }
    let laws = LAWS.iter().map(|(law, _)| (*law).to_owned());
    assert_eq!(caught, laws.collect::<BTreeSet<String>>());
}
