//! The judge of subscriptions: compares the log with the table and the diary, and knows nothing of subscriptions.

mod parking;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use super::{DIARY, LEDGER, appending::Entry, evidence::Evidence, poison::Poison};
use crate::judge::Verdict;

/// What must never be.
pub const LAWS: &[(&str, &str)] = &[
    (
        "append lost",
        "events that were acknowledged, and are not in the log",
    ),
    ("hole", "keys whose events are not numbered without a hole"),
    ("not handled", "events that are not in the table"),
    ("doubled", "events that are in the table more than once"),
    (
        "out of order",
        "rows of the table that come after a later event of their key",
    ),
    ("stray", "rows of the table that are of no event of the log"),
    (
        "stale",
        "rows of the table that were written under a lease that had ended",
    ),
    ("diary: not handled", "events that are not in the diary"),
    (
        "diary: out of order",
        "events whose first time in the diary comes after a later event of their key",
    ),
    (
        "diary: stray",
        "lines of the diary that are of no event of the log",
    ),
    (
        "not tried",
        "poisoned events that are handled though they were tried too seldom to be",
    ),
    (
        "parked without cause",
        "keys that are parked for an event that is not poisoned, or not the first that is poisoned for good",
    ),
    (
        "not parked",
        "keys with an event that is poisoned for good, that are not parked for it",
    ),
    (
        "not held back",
        "events behind a parked one that are not parked, or were handled",
    ),
    (
        "tried too often",
        "poisoned events that were tried more often than they are to be",
    ),
    (
        "tried too seldom",
        "poisoned events that were parked before they were tried as often as they are to be",
    ),
    (
        "left parked",
        "keys that are parked though it was said what to do with them",
    ),
    (
        "passed over, and handled",
        "events that were to be passed over, and were handled",
    ),
    (
        "stopped",
        "subscriptions that have stopped of their own accord",
    ),
    ("process", "processes that ended by themselves"),
];

/// Judges a phase that is over.
pub(crate) fn judge(evidence: &Evidence) -> Verdict {
    let mut verdict = Verdict::default();
    judge_log(evidence, &mut verdict);
    judge_table(evidence, &mut verdict);
    judge_leases(evidence, &mut verdict);
    judge_diary(evidence, &mut verdict);
    judge_attempts(evidence, &mut verdict);
    parking::judge(evidence, &mut verdict);
    for why in &evidence.stops {
        verdict.breach("stopped", 1, || why.clone());
    }
    for end in &evidence.ends {
        verdict.breach("process", 1, || end.clone());
    }
    verdict
}

fn judge_log(evidence: &Evidence, verdict: &mut Verdict) {
    for entry in &evidence.acknowledged {
        let there = evidence.log.contains_key(entry);
        verdict.breach("append lost", u64::from(!there), || entry.to_string());
    }
    let mut last: BTreeMap<u64, u64> = BTreeMap::new();
    for (entry, logged) in &evidence.log {
        let before = last.insert(entry.key, entry.seq).unwrap_or_default();
        let fits = entry.seq == before + 1 && logged.id == entry.id(evidence.seed).as_u128();
        verdict.breach("hole", u64::from(!fits), || entry.to_string());
    }
    verdict.facts.add("events", evidence.log.len() as u64);
    verdict.facts.add("keys", last.len() as u64);
}

fn judge_table(evidence: &Evidence, verdict: &mut Verdict) {
    let mut seen: BTreeSet<Entry> = BTreeSet::new();
    let mut last: BTreeMap<u64, u64> = BTreeMap::new();
    for row in &evidence.rows {
        let logged = evidence.log.get(&row.entry);
        let is_of_it =
            logged.is_some_and(|logged| logged.id == row.id && logged.position == row.position);
        verdict.breach("stray", u64::from(!is_of_it), || format!("{row:?}"));
        let again = !seen.insert(row.entry);
        verdict.breach("doubled", u64::from(again), || format!("{row:?}"));
        let before = last.entry(row.entry.key).or_default();
        let late = row.entry.seq < *before;
        verdict.breach("out of order", u64::from(late), || {
            format!("{row:?} after {before}")
        });
        *before = row.entry.seq.max(*before);
    }
    judge_all_handled(evidence, &seen, LEDGER, "not handled", verdict);
    verdict.facts.add("rows", evidence.rows.len() as u64);
}

/// Within a lane, fences rise in the order in which rows were written: who has lost the lane writes nothing after who has it.
fn judge_leases(evidence: &Evidence, verdict: &mut Verdict) {
    let mut fences: BTreeMap<u64, u64> = BTreeMap::new();
    for row in &evidence.rows {
        let newest = fences.entry(row.stamp.lane).or_insert(row.stamp.fence);
        let stale = row.stamp.fence < *newest;
        verdict.breach("stale", u64::from(stale), || {
            format!("{row:?} after fence {newest}")
        });
        if row.stamp.fence > *newest {
            verdict.facts.add("lanes that changed hands", 1);
            *newest = row.stamp.fence;
        }
    }
    let processes: BTreeSet<u32> = evidence.rows.iter().map(|row| row.process).collect();
    verdict
        .facts
        .add("processes that wrote rows", processes.len() as u64);
}

fn judge_diary(evidence: &Evidence, verdict: &mut Verdict) {
    let mut seen: BTreeSet<Entry> = BTreeSet::new();
    let mut last: BTreeMap<u64, u64> = BTreeMap::new();
    for line in &evidence.diary {
        let logged = evidence.log.get(&line.entry);
        let is_of_it = logged.is_some_and(|logged| logged.id == line.id);
        verdict.breach("diary: stray", u64::from(!is_of_it), || format!("{line:?}"));
        if !seen.insert(line.entry) {
            verdict.facts.add("lines of the diary that came again", 1);
            continue;
        }
        let before = last.entry(line.entry.key).or_default();
        let late = line.entry.seq < *before;
        verdict.breach("diary: out of order", u64::from(late), || {
            format!("{line:?} after {before}")
        });
        *before = line.entry.seq.max(*before);
    }
    judge_all_handled(evidence, &seen, DIARY, "diary: not handled", verdict);
    verdict
        .facts
        .add("lines of the diary", evidence.diary.len() as u64);
}

/// Everything is handled but for what was to be passed over, and that is not.
fn judge_all_handled(
    evidence: &Evidence,
    seen: &BTreeSet<Entry>,
    subscription: &str,
    law: &str,
    verdict: &mut Verdict,
) {
    let passed: BTreeSet<Entry> = evidence
        .parked
        .iter()
        .filter(|parked| parked.subscription == subscription)
        .flat_map(|parked| parked.passed_over().iter().copied())
        .collect();
    for entry in evidence.log.keys() {
        let (handled, pass) = (seen.contains(entry), passed.contains(entry));
        let what = || format!("{entry} by {subscription}");
        verdict.breach(law, u64::from(!handled && !pass), what);
        verdict.breach("passed over, and handled", u64::from(handled && pass), what);
    }
    verdict
        .facts
        .add("events that were passed over", passed.len() as u64);
}

/// What fails for a while works in the end, and was tried as often as that takes.
fn judge_attempts(evidence: &Evidence, verdict: &mut Verdict) {
    for subscription in [LEDGER, DIARY] {
        for entry in evidence.log.keys() {
            let Some(poison) = Poison::of(evidence.recipe, *entry) else {
                continue;
            };
            let attempts = evidence
                .attempts
                .get(&(subscription, *entry))
                .map_or(&[][..], Vec::as_slice);
            let count = attempts.len() as u64;
            let parked = || {
                let mut all = evidence.parked.iter();
                all.any(|one| one.subscription == subscription && one.entries.contains(entry))
            };
            // That it is handled is what the other laws ask for; then one attempt was made beyond those that fail.
            let seldom = poison
                .fails
                .is_some_and(|fails| count <= u64::from(fails) && !parked());
            verdict.breach("not tried", u64::from(seldom), || {
                format!("{entry} for {subscription}: {attempts:?} of {poison:?}")
            });
            let how = match poison.fails {
                Some(_) => "for a while",
                None => "for good",
            };
            verdict
                .facts
                .add(&format!("poison that {} {how}", poison.kind.name()), 1);
            verdict.facts.add("attempts at poison", count);
        }
    }
}
