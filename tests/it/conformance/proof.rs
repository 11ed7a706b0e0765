//! The proof that every case can fail: each is run on a store that is broken in a way it must notice.

mod table;

use std::{
    collections::{HashMap, HashSet},
    sync::{Mutex, MutexGuard, PoisonError},
    thread,
    time::Duration,
};

use uno_testkit::conformance::{Case, attempt, cases};

use self::table::table;
use super::broken::{BrokenHarness, Fault};

/// How long a case may take on a store that is broken.
const PATIENCE: Duration = Duration::from_secs(60);

/// How long it may take where it waits for what never comes.
const SHORT_PATIENCE: Duration = Duration::from_secs(2);

/// The faults that a case notices by waiting for what never comes. With any other, a case that is not done in time
/// has noticed nothing.
const HANGING: [Fault; 5] = [
    Fault::NeverTellsOfChanges,
    Fault::ForgetsTheMark,
    Fault::LocksInTheOrderOfTheRequest,
    Fault::HoldsOneLockThroughout,
    Fault::StaysBusyWhenDropped,
];

/// How many cases run at once. More than there are processors, since some only wait.
const THREADS: usize = 6;

#[test]
fn every_case_has_a_fault_to_notice() {
    let cases: Vec<_> = cases::<BrokenHarness>().iter().map(Case::name).collect();
    let listed: Vec<_> = table().iter().map(|(name, _)| *name).collect();
    assert_eq!(
        listed.iter().collect::<HashSet<_>>().len(),
        listed.len(),
        "a case is listed once"
    );
    let missing: Vec<_> = cases.iter().filter(|name| !listed.contains(name)).collect();
    assert!(missing.is_empty(), "cases without a fault: {missing:#?}");
    let unknown: Vec<_> = listed.iter().filter(|name| !cases.contains(name)).collect();
    assert!(unknown.is_empty(), "faults of no case: {unknown:#?}");
    assert!(
        table()
            .iter()
            .all(|(_, faults)| !faults.is_empty() && !faults.contains(&Fault::None))
    );
}

/// The control: the store that is broken in no way passes, so what the cases notice is the fault and nothing else.
#[test]
fn every_case_passes_on_a_store_that_is_not_broken() {
    let jobs = cases::<BrokenHarness>()
        .iter()
        .map(|case| (case.name(), Fault::None))
        .collect();
    let failed: Vec<_> = run(jobs)
        .into_iter()
        .filter_map(|(case, _, ended)| Some((case, ended.err()?)))
        .collect();
    assert!(failed.is_empty(), "{failed:#?}");
}

#[test]
fn every_case_fails_on_a_store_that_is_broken_in_its_way() {
    let jobs = table()
        .iter()
        .flat_map(|(case, faults)| faults.iter().map(|fault| (*case, *fault)))
        .collect();
    let mut missed: Vec<_> = run(jobs)
        .into_iter()
        .filter(|(_, fault, ended)| match ended {
            Ok(()) => true,
            Err(reason) => reason.starts_with("was not done") && !HANGING.contains(fault),
        })
        .collect();
    missed.sort_by_key(|(case, _, _)| *case);
    assert!(missed.is_empty(), "cases that notice nothing: {missed:#?}");
}

/// Runs cases on stores with a fault, several at once.
fn run(jobs: Vec<(&'static str, Fault)>) -> Vec<(&'static str, Fault, Result<(), String>)> {
    let cases: HashMap<_, _> = cases()
        .into_iter()
        .map(|case: Case<BrokenHarness>| (case.name(), case.function()))
        .collect();
    let (jobs, ended) = (Mutex::new(jobs), Mutex::new(Vec::new()));
    // A function, so that the lock is let go before the case runs.
    let next = || lock(&jobs).pop();
    thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                while let Some((name, fault)) = next() {
                    let patience = if HANGING.contains(&fault) {
                        SHORT_PATIENCE
                    } else {
                        PATIENCE
                    };
                    let result = attempt(|| BrokenHarness { fault }, cases[name], patience);
                    lock(&ended).push((name, fault, result));
                }
            });
        }
    });
    ended.into_inner().unwrap_or_else(PoisonError::into_inner)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
