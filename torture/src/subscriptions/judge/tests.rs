//! The judge on trial: a case in which nothing is wrong, and what is done to it.

use super::*;
use crate::subscriptions::{
    diary::Line,
    evidence::Logged,
    ledger::{Row, Stamp},
    poison::Kind,
};

const SEED: u64 = 42;
const KEYS: u64 = 8;
const EVENTS: u64 = 60;

/// Everything handled once, in order, by two processes that took the lane from one another.
fn good() -> Evidence {
    let mut evidence = Evidence {
        seed: SEED,
        ..Evidence::default()
    };
    let mut position = 0;
    for seq in 1..=EVENTS {
        for key in 0..KEYS {
            let entry = Entry { key, seq };
            let id = entry.id(SEED).as_u128();
            position += 2;
            evidence.log.insert(entry, Logged { position, id });
            evidence.acknowledged.insert(entry);
            let half = u64::from(seq > EVENTS / 2);
            evidence.rows.push(Row {
                entry,
                id,
                position,
                stamp: Stamp {
                    lane: key % 2,
                    fence: 1 + half,
                },
                process: 100 + u32::try_from(half).unwrap(),
            });
            evidence.diary.push(Line { entry, id });
            if let Some(poison) = Poison::of(SEED, entry) {
                let attempt = Attempt {
                    process: 100,
                    batch: 1,
                };
                let attempts = vec![attempt; poison.fails as usize + 1];
                for subscription in [LEDGER, DIARY] {
                    evidence
                        .attempts
                        .insert((subscription, entry), attempts.clone());
                }
            }
        }
    }
    evidence
}

fn broken(harm: impl FnOnce(&mut Evidence)) -> Vec<String> {
    let mut evidence = good();
    harm(&mut evidence);
    let verdict = judge(&evidence);
    verdict
        .broken
        .iter()
        .map(|(law, _)| law.to_owned())
        .collect()
}

const SOME: Entry = Entry { key: 3, seq: 20 };

fn row(evidence: &Evidence, entry: Entry) -> usize {
    let found = evidence.rows.iter().position(|row| row.entry == entry);
    found.unwrap()
}

fn line(evidence: &Evidence, entry: Entry) -> usize {
    let found = evidence.diary.iter().position(|line| line.entry == entry);
    found.unwrap()
}

/// The first event with this kind of poison.
fn poisoned(kind: Kind) -> Entry {
    let all = (0..KEYS).flat_map(|key| (1..=EVENTS).map(move |seq| Entry { key, seq }));
    all.into_iter()
        .find(|entry| Poison::of(SEED, *entry).is_some_and(|poison| poison.kind == kind))
        .unwrap()
}

type Harm = fn(&mut Evidence);

/// What is done to the good case, and the laws that it breaks.
const HARMS: &[(Harm, &[&str])] = &[
    (|_| {}, &[]),
    (
        |e| {
            e.acknowledged.insert(Entry {
                key: 0,
                seq: EVENTS + 1,
            });
        },
        &["append lost"],
    ),
    (
        |e| {
            let at = (row(e, SOME), line(e, SOME));
            e.log.remove(&SOME);
            e.acknowledged.remove(&SOME);
            e.rows.remove(at.0);
            e.diary.remove(at.1);
        },
        &["hole"],
    ),
    (
        |e| {
            let at = row(e, SOME);
            e.rows.remove(at);
        },
        &["not handled"],
    ),
    (
        |e| {
            let at = row(e, SOME);
            e.rows.insert(at + 1, e.rows[at]);
        },
        &["doubled"],
    ),
    (
        // Long after, as who wakes up late would write it.
        |e| {
            let at = row(e, SOME);
            let mut again = e.rows[at];
            again.stamp.fence = 2;
            e.rows.push(again);
        },
        &["doubled", "out of order"],
    ),
    (
        |e| {
            let (at, next) = (row(e, SOME), row(e, Entry { seq: 21, ..SOME }));
            e.rows.swap(at, next);
        },
        &["out of order"],
    ),
    (
        |e| {
            let at = row(e, SOME);
            e.rows[at].id ^= 1;
        },
        &["stray"],
    ),
    (
        |e| {
            let at = row(e, SOME);
            e.rows[at].position += 1;
        },
        &["stray"],
    ),
    (
        |e| {
            let mut at = e.rows[0];
            at.entry.key = 77;
            e.rows.insert(0, at);
        },
        &["stray"],
    ),
    (
        // The last row of a lane under the fence of its first.
        |e| {
            e.rows.last_mut().unwrap().stamp.fence = 1;
        },
        &["stale"],
    ),
    (
        |e| {
            let at = line(e, SOME);
            e.diary.remove(at);
        },
        &["diary: not handled"],
    ),
    (
        |e| {
            let at = line(e, SOME);
            let line = e.diary.remove(at);
            e.diary.push(line);
        },
        &["diary: out of order"],
    ),
    (
        // Once more is no fault, wherever it is.
        |e| {
            let at = line(e, SOME);
            e.diary.push(e.diary[at]);
        },
        &[],
    ),
    (
        |e| {
            let at = line(e, SOME);
            e.diary[at].id ^= 1;
        },
        &["diary: stray"],
    ),
    (
        |e| {
            let entry = poisoned(Kind::Abort);
            e.attempts.get_mut(&(LEDGER, entry)).unwrap().pop();
        },
        &["not tried"],
    ),
    (
        |e| {
            e.attempts.remove(&(DIARY, poisoned(Kind::Error)));
        },
        &["not tried"],
    ),
    (|e| e.stops.push("ledger: failed".to_owned()), &["stopped"]),
    (|e| e.ends.push("exit status: 1".to_owned()), &["process"]),
];

#[test]
fn every_fault_is_seen_for_what_it_is() {
    for (number, (harm, laws)) in HARMS.iter().enumerate() {
        assert_eq!(broken(harm), *laws, "harm {number}");
    }
}

#[test]
fn every_law_is_broken_by_some_fault() {
    for (law, _) in LAWS {
        assert!(
            HARMS.iter().any(|(_, laws)| laws.contains(law)),
            "nothing breaks the law {law:?}"
        );
    }
}
