//! [`BusCase`]: a named function of the suite, the list of all of them, and how one is run.

use std::{fmt, sync::Arc, time::Duration};

use super::BusHarness;
use crate::conformance::{CaseFuture, TIME_LIMIT, judge, two_workers};

/// A case as a function.
pub type BusCaseFn<H> = for<'t> fn(&'t H) -> CaseFuture<'t>;

/// A case with its name.
pub struct BusCase<H: BusHarness> {
    name: &'static str,
    function: BusCaseFn<H>,
}

impl<H: BusHarness> BusCase<H> {
    /// Its name within the suite, such as `routing::all_events_come_to_who_wants_all`.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// The case itself.
    #[must_use]
    pub fn function(&self) -> BusCaseFn<H> {
        self.function
    }
}

impl<H: BusHarness> fmt::Debug for BusCase<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BusCase({})", self.name)
    }
}

/// Makes a list of the cases.
macro_rules! listed {
    ($($group:ident { $($case:ident)* })*) => {
        vec![$($(BusCase {
            name: concat!(stringify!($group), "::", stringify!($case)),
            function: |harness| Box::pin(super::$group::$case(harness)),
        },)*)*]
    };
}

/// Every case.
#[must_use]
pub fn cases<H: BusHarness>() -> Vec<BusCase<H>> {
    crate::__bus_conformance!([listed])
}

/// Runs a case as a test: panics when it fails. What [`bus_conformance!`](crate::bus_conformance!) calls.
///
/// # Panics
/// When the case fails.
pub fn run<H: BusHarness>(harness: impl FnOnce() -> H, case: BusCaseFn<H>) {
    if let Err(failure) = attempt(harness, case, TIME_LIMIT) {
        panic!("{failure}");
    }
}

/// Runs a case on a runtime with two workers, and says how it failed if it did.
///
/// # Errors
/// When the case panics or returns an error, or when it takes longer than `limit`.
pub fn attempt<H: BusHarness>(
    harness: impl FnOnce() -> H,
    case: BusCaseFn<H>,
    limit: Duration,
) -> Result<(), String> {
    let runtime = two_workers()?;
    let ended = runtime.block_on(async {
        let harness = Arc::new(harness());
        judge(limit, async move { case(&harness).await }).await
    });
    runtime.shutdown_background();
    ended
}
