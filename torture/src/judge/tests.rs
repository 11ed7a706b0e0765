//! A judge that finds nothing wrong must have been shown things that are wrong.

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

/// Spoils the good case and looks which laws are broken.
fn check(spoil: impl FnOnce(&mut String, &mut Stored, &mut Vec<Sequence>), expected: &[&str]) {
    let (mut ledger, mut stored, mut sequences) = good();
    spoil(&mut ledger, &mut stored, &mut sequences);
    let verdict = judge(&History::parse(&ledger).unwrap(), &stored, &sequences);
    let broken: Vec<&str> = verdict.broken.iter().map(|(law, _)| law).collect();
    assert_eq!(broken, expected, "{:?}", verdict.examples);
    for law in broken {
        assert!(LAWS.iter().any(|(name, _)| *name == law), "{law}");
    }
}

#[test]
fn a_good_log_breaks_nothing() {
    check(|_, _, _| {}, &[]);
}

#[test]
fn the_log_is_compared_with_the_ledger() {
    check(
        |_, stored, _| {
            let _ = stored.events.pop();
        },
        &["halved", "lost", "phantoms", "stream-rows"],
    );
    check(
        |ledger, _, _| *ledger = ledger.replace("a 2 7 b-1=1,a-1=3\ns 2\n", "f 2 conflict\n"),
        &["resurrected"],
    );
    check(
        |ledger, _, _| *ledger = ledger.replace("i 2 0 a-1=1,b-1=2\na 2 7 b-1=1,a-1=3\ns 2\n", ""),
        &["unintended"],
    );
    check(
        |ledger, _, _| *ledger = ledger.replace("a-1=1,b-1=2", "b-1=1,a-1=2"),
        &["unintended"],
    );
    check(
        |ledger, _, _| *ledger = ledger.replace("i 1 1 a-1=2", "i 1 1 a-1=1"),
        &["halved", "unintended"],
    );
    check(
        |_, stored, sequences| {
            stored.events[0].id = 1;
            sequences[0].events[0].1 = 1;
        },
        &["halved", "lost", "unintended"],
    );
    check(
        |ledger, _, _| ledger.push_str("x 4 what is this\n"),
        &["unexplained"],
    );
}

#[test]
fn receipts_are_compared_with_the_log() {
    check(
        |ledger, _, _| *ledger = ledger.replace("a 1 3 a-1=1", "a 1 2 a-1=1"),
        &["receipts"],
    );
    check(
        |ledger, _, _| *ledger = ledger.replace("a 1 3 a-1=1", "a 1 3 a-1=2"),
        &["receipts"],
    );
    check(
        |ledger, _, _| *ledger = ledger.replace("s 2", "d 2"),
        &["repeats"],
    );
}

#[test]
fn the_log_itself_is_checked() {
    check(
        |_, stored, _| stored.events[1].version = 3,
        &["holes", "shuffled"],
    );
    check(
        |_, stored, sequences| {
            let (first, second) = (stored.events[0].id, stored.events[1].id);
            (stored.events[0].id, stored.events[1].id) = (second, first);
            sequences[0].events[0].1 = second;
            sequences[0].events[1].1 = first;
        },
        &["shuffled"],
    );
    check(|_, stored, _| stored.events[3].recorded = 1, &["recorded"]);
    check(
        |_, stored, _| stored.events[3].own_payload = false,
        &["payloads"],
    );
    check(
        |_, stored, _| {
            let _ = stored.streams.insert(2, ("b-1".to_owned(), Some(3)));
        },
        &["stream-rows"],
    );
    check(
        |_, stored, sequences| {
            let again = StoredEvent {
                position: 8,
                version: 3,
                ..stored.events[4]
            };
            stored.events.push(again);
            stored.streams.insert(2, ("b-1".to_owned(), Some(3)));
            sequences[0].events.push((8, again.id));
        },
        &["doubled", "halved", "receipts", "shuffled"],
    );
}

#[test]
fn the_rows_of_a_unit_of_work_share_its_fate() {
    check(|_, stored, _| stored.rows.clear(), &["rows"]);
    check(
        |_, stored, _| {
            let _ = stored.rows.insert(1, 2);
        },
        &["rows"],
    );
    check(
        |_, stored, _| {
            let _ = stored.rows.insert(4, 1);
        },
        &["rows"],
    );
    check(
        |_, stored, _| {
            let _ = stored.rows.insert(2, 1);
        },
        &["rows"],
    );
}

#[test]
fn a_reader_must_be_given_exactly_the_log() {
    check(
        |_, _, sequences| {
            let _ = sequences[0].events.remove(2);
        },
        &["skipped"],
    );
    check(
        |_, _, sequences| sequences[0].events.swap(0, 3),
        &["disordered"],
    );
    check(
        |_, _, sequences| sequences[0].events.push((7, SPACE.id(2, 2))),
        &["redelivered"],
    );
    check(
        |_, _, sequences| sequences[0].events.push((8, SPACE.id(3, 0))),
        &["phantoms"],
    );
    check(
        |_, _, sequences| sequences[0].checkpoints.push((4, SPACE.id(2, 1))),
        &["checkpoints"],
    );
    check(
        |_, _, sequences| sequences[0].checkpoints.push((4, SPACE.id(2, 1))),
        &["checkpoints"],
    );
    check(
        |_, _, sequences| sequences[0].finished = false,
        &["unfinished"],
    );
    check(
        |_, _, sequences| sequences[0].unexplained.push("oh".to_owned()),
        &["unexplained"],
    );
    // A reader of one category is given what is in it, and nothing else.
    check(
        |_, _, sequences| {
            sequences[0].category = Some("b".to_owned());
            sequences[0].events.drain(..3);
        },
        &[],
    );
    check(
        |_, _, sequences| sequences[0].category = Some("b".to_owned()),
        &["phantoms"],
    );
    // A reader of a stretch is given what is in it, and nothing else.
    check(
        |_, _, sequences| {
            sequences[0].range = Some((3, 6));
            sequences[0].events = sequences[0].events[2..4].to_vec();
        },
        &[],
    );
    check(
        |_, _, sequences| sequences[0].range = Some((2, 6)),
        &["phantoms"],
    );
}
