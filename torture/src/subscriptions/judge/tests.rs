//! The judge on trial: a case in which nothing is wrong, and what is done to it.
//!
//! Long because each harm is a row of one list.

use super::*;
use crate::subscriptions::{
    ATTEMPTS, BATCH,
    diary::Line,
    evidence::Logged,
    ledger::{Row, Stamp},
    poison::{Attempt, Kind, Recipe},
    relief::Parked,
};
use uno_core::ParkingRequest;

const SEED: u64 = 42;
const RECIPE: Option<Recipe> = Some(Recipe::new(SEED, false));
const KEYS: u64 = 8;
const EVENTS: u64 = 60;

/// Everything handled once, in order, by two processes that took the lane from one another.
fn good() -> Evidence {
    let mut evidence = Evidence {
        seed: SEED,
        recipe: RECIPE,
        apart: true,
        ..Evidence::default()
    };
    let (mut position, mut late) = (0, Vec::new());
    for seq in 1..=EVENTS {
        for key in 0..KEYS {
            let entry = Entry { key, seq };
            let id = entry.id(SEED).as_u128();
            position += 2;
            evidence.log.insert(entry, Logged { position, id });
            evidence.acknowledged.insert(entry);
            let half = u64::from(seq > EVENTS / 2);
            let row = Row {
                entry,
                id,
                position,
                stamp: Stamp {
                    lane: key % 2,
                    fence: 1 + half,
                },
                process: 100 + u32::try_from(half).unwrap(),
            };
            let line = Line { entry, id };
            // What comes behind an event that is poisoned for good waits, and is handled in the end, or never.
            if let Some((fatal, request)) = fatal(key).filter(|(fatal, _)| fatal.seq <= seq) {
                let passed = match request {
                    ParkingRequest::Retry => false,
                    ParkingRequest::Skip => entry == fatal,
                    ParkingRequest::Discard => true,
                };
                if !passed {
                    late.push((row, line));
                }
            } else {
                evidence.rows.push(row);
                evidence.diary.push(line);
            }
            if let Some(poison) = Poison::of(RECIPE, entry) {
                let attempt = Attempt {
                    process: 100,
                    batch: 1,
                };
                let due = fatal(key).is_none_or(|(fatal, _)| entry <= fatal);
                let count = if due {
                    poison.fails.unwrap_or(ATTEMPTS - 1) as usize + 1
                } else {
                    4
                };
                for subscription in [LEDGER, DIARY] {
                    let attempts = vec![attempt; count];
                    evidence
                        .tried
                        .insert((subscription, entry), attempts.clone());
                    evidence.attempts.insert((subscription, entry), attempts);
                }
            }
        }
    }
    for (mut row, line) in late {
        row.stamp.fence = 3;
        evidence.rows.push(row);
        evidence.diary.push(line);
    }
    for key in 0..KEYS {
        let Some((fatal, request)) = fatal(key) else {
            continue;
        };
        for subscription in [LEDGER, DIARY] {
            evidence.parked.push(Parked {
                subscription,
                entries: (fatal.seq..=EVENTS).map(|seq| Entry { key, seq }).collect(),
                told: ATTEMPTS,
                error: String::new(),
                request,
            });
        }
    }
    evidence
}

/// The first event of a key that is poisoned for good, and what is to be done with it.
fn fatal(key: u64) -> Option<(Entry, ParkingRequest)> {
    let entry = (1..=EVENTS)
        .map(|seq| Entry { key, seq })
        .find(|entry| Poison::of(RECIPE, *entry).is_some_and(|poison| poison.fails.is_none()))?;
    let request = match key % 3 {
        0 => ParkingRequest::Retry,
        1 => ParkingRequest::Skip,
        _ => ParkingRequest::Discard,
    };
    Some((entry, request))
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

/// An event of a key that is never parked, in the middle.
const SOME: Entry = Entry { key: CALM, seq: 20 };
const CALM: u64 = 1;

fn row(evidence: &Evidence, entry: Entry) -> usize {
    let found = evidence.rows.iter().position(|row| row.entry == entry);
    found.unwrap()
}

fn line(evidence: &Evidence, entry: Entry) -> usize {
    let found = evidence.diary.iter().position(|line| line.entry == entry);
    found.unwrap()
}

/// The first event that fails for a while, or for good.
fn poisoned(for_good: bool) -> Entry {
    let all = (0..KEYS).flat_map(|key| (1..=EVENTS).map(move |seq| Entry { key, seq }));
    all.into_iter()
        .find(|entry| {
            let due = fatal(entry.key).is_none_or(|(fatal, _)| *entry <= fatal);
            let poison = Poison::of(RECIPE, *entry);
            due && poison.is_some_and(|poison| poison.fails.is_none() == for_good)
        })
        .unwrap()
}

/// The first key that is parked and of which this is asked.
fn asked(evidence: &Evidence, request: ParkingRequest) -> usize {
    let found = evidence
        .parked
        .iter()
        .position(|parked| parked.request == request);
    found.unwrap()
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
            again.stamp.fence = 3;
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
            let entry = poisoned(false);
            let fails = Poison::of(RECIPE, entry).unwrap().fails.unwrap();
            let attempts = e.attempts.get_mut(&(LEDGER, entry)).unwrap();
            attempts.truncate(fails as usize);
        },
        &["not tried"],
    ),
    (
        |e| {
            e.attempts.remove(&(DIARY, poisoned(false)));
        },
        &["not tried"],
    ),
    (
        |e| {
            let at = asked(e, ParkingRequest::Retry);
            e.parked.remove(at);
        },
        &["not parked"],
    ),
    (
        // A key that nothing is the matter with.
        |e| {
            e.parked.push(Parked {
                subscription: LEDGER,
                entries: (20..=EVENTS).map(|seq| Entry { seq, ..SOME }).collect(),
                told: ATTEMPTS,
                error: String::new(),
                request: ParkingRequest::Retry,
            });
        },
        &["parked without cause"],
    ),
    (
        // One that comes behind is not there.
        |e| {
            let at = asked(e, ParkingRequest::Retry);
            e.parked[at].entries.pop();
        },
        &["not held back"],
    ),
    (
        |e| {
            let at = asked(e, ParkingRequest::Retry);
            let last = *e.parked[at].entries.last().unwrap();
            e.ahead.push((LEDGER, last));
        },
        &["not held back"],
    ),
    (
        |e| {
            let tried = e.tried.get_mut(&(LEDGER, poisoned(true))).unwrap();
            tried.push(tried[0]);
        },
        &["tried too often"],
    ),
    (
        // The same, by a process that was killed meanwhile.
        |e| {
            let tried = e.tried.get_mut(&(LEDGER, poisoned(true))).unwrap();
            let cut = Attempt {
                process: 200,
                ..tried[0]
            };
            tried.push(cut);
            e.harmed.insert(200);
        },
        &[],
    ),
    (
        |e| {
            let tried = e.tried.get_mut(&(DIARY, poisoned(true))).unwrap();
            tried.truncate(ATTEMPTS as usize - 2);
        },
        &["tried too seldom"],
    ),
    (
        |e| {
            let at = asked(e, ParkingRequest::Retry);
            e.parked[at].told -= 1;
        },
        &["tried too seldom"],
    ),
    (
        // Where others die it may be another's death.
        |e| {
            let tried = e.tried.get_mut(&(DIARY, poisoned(true))).unwrap();
            tried.truncate(ATTEMPTS as usize - 2);
            e.apart = false;
        },
        &[],
    ),
    (|e| e.left.push("diary line-1".to_owned()), &["left parked"]),
    (
        |e| {
            let at = asked(e, ParkingRequest::Skip);
            let entry = e.parked[at].entries[0];
            let id = entry.id(SEED).as_u128();
            let behind = e
                .diary
                .iter()
                .position(|line| line.entry.key == entry.key && line.entry > entry);
            e.diary.insert(behind.unwrap(), Line { entry, id });
        },
        &["passed over, and handled"],
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
fn the_death_of_one_that_is_handled_after_all_may_be_put_down_to_one_behind_it() {
    let kills = |for_good: bool| {
        let entries = (0..10_000).map(|seq| Entry { key: 1, seq });
        let mut entries = entries.filter_map(|entry| Some((entry, Poison::of(RECIPE, entry)?)));
        let found = entries
            .find(|(_, poison)| poison.kind == Kind::Abort && poison.fails.is_none() == for_good);
        found.unwrap()
    };
    let ((gentle, _), (fatal, poison)) = (kills(false), kills(true));
    let filling = (0..).map(|seq| Entry { key: 2, seq });
    let filling: Vec<_> = filling
        .filter(|entry| Poison::of(RECIPE, *entry).is_none())
        .take(2 * BATCH)
        .collect();
    let is_suspected = |order: Vec<Entry>| {
        let logged = |position| Logged { position, id: 0 };
        let log = (1..).zip(order).map(|(n, entry)| (entry, logged(n)));
        let evidence = Evidence {
            recipe: RECIPE,
            apart: true,
            log: log.collect(),
            ..Evidence::default()
        };
        parking::is_suspected_of_another(&evidence, fatal, poison)
    };
    let between = |count: usize| filling.iter().copied().take(count);
    let behind = |count| [gentle].into_iter().chain(between(count)).chain([fatal]);
    assert!(is_suspected(behind(0).collect()));
    assert!(is_suspected(behind(2 * BATCH - 1).collect()));
    assert!(!is_suspected(behind(2 * BATCH).collect()), "too far behind");
    assert!(!is_suspected(vec![fatal, gentle]), "before it");
    assert!(!is_suspected(between(5).chain([fatal]).collect()), "alone");
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
