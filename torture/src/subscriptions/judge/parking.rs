//! What is parked, when, and what is behind it.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    judge::Verdict,
    subscriptions::{
        ATTEMPTS, BATCH, DIARY, LEDGER,
        appending::Entry,
        evidence::Evidence,
        poison::{Attempt, Kind, Poison},
    },
};

pub(super) fn judge(evidence: &Evidence, verdict: &mut Verdict) {
    let fatal = fatal(evidence);
    for subscription in [LEDGER, DIARY] {
        judge_parked(evidence, &fatal, subscription, verdict);
        for (entry, poison) in fatal.values() {
            judge_count(evidence, subscription, *entry, *poison, verdict);
        }
    }
    for (subscription, entry) in &evidence.ahead {
        verdict.breach("not held back", 1, || format!("{entry} by {subscription}"));
    }
    verdict.facts.add(
        "keys that were asked for again, since a process died over them",
        evidence.asked_again,
    );
    for key in &evidence.left {
        verdict.breach("left parked", 1, || key.clone());
    }
}

/// The first event of each key that is poisoned for good.
fn fatal(evidence: &Evidence) -> BTreeMap<u64, (Entry, Poison)> {
    let mut fatal = BTreeMap::new();
    for entry in evidence.log.keys() {
        match Poison::of(evidence.recipe, *entry) {
            Some(poison) if poison.fails.is_none() => {
                fatal.entry(entry.key).or_insert((*entry, poison));
            }
            _ => {}
        }
    }
    fatal
}

/// The keys that are to be parked are, each with all that is behind, and no other.
fn judge_parked(
    evidence: &Evidence,
    fatal: &BTreeMap<u64, (Entry, Poison)>,
    subscription: &str,
    verdict: &mut Verdict,
) {
    let mut keys = BTreeSet::new();
    let parked = evidence.parked.iter();
    for parked in parked.filter(|parked| parked.subscription == subscription) {
        let Some(first) = parked.entries.first() else {
            continue;
        };
        let due = fatal.get(&first.key).map(|(entry, _)| entry);
        // An attempt that another event cuts off counts as well, so that one that fails for a while may have used up all of its own.
        let used_up = !evidence.apart
            && Poison::of(evidence.recipe, *first).is_some()
            && due.is_none_or(|due| first < due);
        verdict.facts.add(
            "keys that were parked for an event that fails for a while",
            used_up.into(),
        );
        let caused = due == Some(first) || used_up;
        verdict.breach("parked without cause", u64::from(!caused), || {
            format!("{parked:?}, not {due:?}")
        });
        let rest = *first..=Entry {
            seq: u64::MAX,
            ..*first
        };
        let behind: Vec<Entry> = evidence.log.range(rest).map(|(entry, _)| *entry).collect();
        let held = behind == parked.entries;
        verdict.breach("not held back", u64::from(!held), || {
            format!("{parked:?}, not {behind:?}")
        });
        let told = parked.told == ATTEMPTS;
        verdict.breach("tried too seldom", u64::from(!told), || {
            format!("{parked:?}")
        });
        if caused {
            keys.insert(first.key);
        }
        verdict.facts.add("keys that were parked", 1);
        verdict.facts.add(
            "events that were held back",
            (parked.entries.len() as u64).saturating_sub(1),
        );
        verdict
            .facts
            .add(&format!("keys that were parked: {:?}", parked.request), 1);
    }
    for (key, (entry, poison)) in fatal {
        let missing = !keys.contains(key);
        verdict.breach("not parked", u64::from(missing), || {
            format!("{entry} by {subscription}: {poison:?}")
        });
    }
}

/// How often it was tried before it was parked, as its handler has put down.
fn judge_count(
    evidence: &Evidence,
    subscription: &'static str,
    entry: Entry,
    poison: Poison,
    verdict: &mut Verdict,
) {
    let earlier = |entries: &[Entry]| entries.iter().skip(1).any(|behind| *behind == entry);
    let mut parked = evidence.parked.iter();
    if parked.any(|one| one.subscription == subscription && earlier(&one.entries)) {
        // It waits behind another one, and was not tried yet.
        return;
    }
    let tried = evidence
        .tried
        .get(&(subscription, entry))
        .map_or(&[][..], Vec::as_slice);
    if tried.is_empty() && !evidence.apart {
        // That it is not parked is what another law asks.
        return;
    }
    let (count, most) = (tried.len() as u64, u64::from(ATTEMPTS));
    let excused = excused(evidence, poison, tried);
    verdict.breach("tried too often", u64::from(count > most + excused), || {
        format!("{entry} by {subscription}, {poison:?}: {tried:?}, {excused} excused")
    });
    // A process that dies may take an attempt with it that was counted and not made, or made and not noticed.
    let least = match evidence.apart {
        true if is_suspected_of_another(evidence, entry, poison) => most - 1,
        true => most,
        false => 1,
    };
    verdict.breach("tried too seldom", u64::from(count < least), || {
        format!("{entry} by {subscription}, {poison:?}: {tried:?}")
    });
    let how = match count.cmp(&most) {
        std::cmp::Ordering::Equal => "as often as it is to be",
        std::cmp::Ordering::Less => "less often, since deaths of others were put down to it",
        std::cmp::Ordering::Greater => "more often, since attempts were cut off or in a batch",
    };
    let what = poison.kind.name();
    let alone = if evidence.apart { "apart: " } else { "" };
    verdict
        .facts
        .add(&format!("{alone}poison that {what}, tried {how}"), 1);
}

/// Whether the death of an event that was handled after all may have been put down to this one behind it: nobody can know that it was not
/// its own, since both kill their process and may have been in hand at once. Each death has the suspects of one batch, and begins
/// no further than the end of the one before.
pub(super) fn is_suspected_of_another(evidence: &Evidence, entry: Entry, poison: Poison) -> bool {
    let kills_for_a_while = |other: &Entry| {
        let poison = Poison::of(evidence.recipe, *other);
        poison.is_some_and(|poison| poison.kind == Kind::Abort && poison.fails.is_some())
    };
    let position = evidence.log.get(&entry).map(|logged| logged.position);
    let mut before: Vec<_> = evidence
        .log
        .iter()
        .filter(|(_, logged)| Some(logged.position) < position)
        .map(|(other, logged)| (logged.position, *other))
        .collect();
    before.sort_unstable();
    let mut near = before.iter().rev().take(2 * BATCH);
    poison.kind == Kind::Abort && near.any(|(_, other)| kills_for_a_while(other))
}

/// How many attempts may be there beyond those that count: cut off by something else than the event, or made in a batch, so that
/// nobody knew of which event it failed.
fn excused(evidence: &Evidence, poison: Poison, tried: &[Attempt]) -> u64 {
    let cut: BTreeSet<u32> = tried
        .iter()
        .map(|attempt| attempt.process)
        .filter(|process| {
            // An event that kills its process is no excuse for itself.
            let died = poison.kind != Kind::Abort && evidence.dead.contains(process);
            died || evidence.harmed.contains(process)
        })
        .collect();
    let unknown = tried
        .iter()
        .filter(|attempt| attempt.batch > 1 && matches!(poison.kind, Kind::Panic | Kind::Hang));
    cut.len() as u64 + unknown.count() as u64 + evidence.servers
}
