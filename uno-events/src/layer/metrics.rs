//! [`HandlerMetrics`]: how often handlers were called, what came of it, and how long it took.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use histogram::{AtomicHistogram, Histogram};
use tokio::time::Instant;
use uno_core::BoxError;

use super::{CallError, HandlerCall, HandlerLayer};

/// Counts calls and their results, and keeps how long they took, such that true quantiles can be told.
///
/// A clone counts together with it: put clones around the handlers that are to be seen as one. Outside of
/// [`Retry`](super::Retry) it counts calls, and the waits belong to their durations; inside, attempts.
///
/// ```
/// use uno_events::HandlerMetrics;
///
/// let metrics = HandlerMetrics::new();
/// // … put clones of it around handlers, then, whenever somebody asks:
/// let p99 = metrics.durations().quantile(0.99);
/// assert_eq!((metrics.counts().calls(), p99), (0, None));
/// ```
#[derive(Clone)]
pub struct HandlerMetrics(Arc<Kept>);

struct Kept {
    running: AtomicU64,
    results: [AtomicU64; RESULTS],
    durations: AtomicHistogram,
}

/// Places of the results in their array.
const HANDLED: usize = 0;
const FAILED: usize = 1;
const PANICKED: usize = 2;
const TIMED_OUT: usize = 3;
const CIRCUIT_OPEN: usize = 4;
const CANCELLED: usize = 5;
const RESULTS: usize = 6;

/// Buckets are less than 1 % wide: 2 to the power of this many of them for each doubling.
const FINENESS: u8 = 7;
/// The longest duration that is told apart, as a power of two of nanoseconds: 73 minutes.
const LONGEST: u8 = 42;

impl HandlerMetrics {
    /// Nothing counted yet. Takes about 36 KiB.
    #[expect(
        clippy::missing_panics_doc,
        reason = "it does not, as its message proves"
    )]
    #[must_use]
    pub fn new() -> Self {
        Self(Arc::new(Kept {
            running: AtomicU64::new(0),
            results: Default::default(),
            durations: AtomicHistogram::new(FINENESS, LONGEST)
                .expect("the powers are constants in the order that it asks for"),
        }))
    }

    /// What came of the calls so far.
    #[must_use]
    pub fn counts(&self) -> HandlerCounts {
        let results = std::array::from_fn(|n| self.0.results[n].load(Ordering::Relaxed));
        let running = self.0.running.load(Ordering::Relaxed);
        HandlerCounts { running, results }
    }

    /// How long the calls took that came to an end.
    #[must_use]
    pub fn durations(&self) -> CallDurations {
        CallDurations(self.0.durations.load())
    }
}

impl HandlerLayer for HandlerMetrics {
    async fn handle(&self, call: HandlerCall<'_>) -> Result<(), BoxError> {
        self.0.running.fetch_add(1, Ordering::Relaxed);
        let mut running = Running {
            kept: &self.0,
            result: CANCELLED,
        };
        let start = Instant::now();
        let result = call.next().await;
        let took = u64::try_from(start.elapsed().as_nanos()).unwrap_or(u64::MAX);
        // Never refused: the value is within the range.
        let _ = self.0.durations.increment(took.min((1 << LONGEST) - 1));
        running.result = match result.as_ref().map_err(|error| CallError::of(&**error)) {
            Ok(()) => HANDLED,
            Err(None) => FAILED,
            Err(Some(CallError::Panicked(_))) => PANICKED,
            Err(Some(CallError::TimedOut(_))) => TIMED_OUT,
            Err(Some(CallError::CircuitOpen(_))) => CIRCUIT_OPEN,
        };
        result
    }
}

/// A call that is counted when it ends, also when it is dropped.
struct Running<'k> {
    kept: &'k Kept,
    result: usize,
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.kept.running.fetch_sub(1, Ordering::Relaxed);
        self.kept.results[self.result].fetch_add(1, Ordering::Relaxed);
    }
}

impl Default for HandlerMetrics {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for HandlerMetrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HandlerMetrics")
            .field("counts", &self.counts())
            .finish_non_exhaustive()
    }
}

/// What came of calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HandlerCounts {
    running: u64,
    results: [u64; RESULTS],
}

impl HandlerCounts {
    /// Calls that ended, however they did.
    #[must_use]
    pub fn calls(&self) -> u64 {
        self.results.iter().sum()
    }

    /// Calls that are under way.
    #[must_use]
    pub fn running(&self) -> u64 {
        self.running
    }

    /// Events that were handled.
    #[must_use]
    pub fn handled(&self) -> u64 {
        self.results[HANDLED]
    }

    /// Calls that returned an error of the handler or of a layer.
    #[must_use]
    pub fn failed(&self) -> u64 {
        self.results[FAILED]
    }

    /// Calls that panicked.
    #[must_use]
    pub fn panicked(&self) -> u64 {
        self.results[PANICKED]
    }

    /// Calls that a time limit ended further within.
    #[must_use]
    pub fn timed_out(&self) -> u64 {
        self.results[TIMED_OUT]
    }

    /// Calls that an open circuit breaker ended further within.
    #[must_use]
    pub fn circuit_open(&self) -> u64 {
        self.results[CIRCUIT_OPEN]
    }

    /// Calls that were dropped before they ended: by a time limit further out, or since the publish was.
    #[must_use]
    pub fn cancelled(&self) -> u64 {
        self.results[CANCELLED]
    }
}

/// How long calls took.
#[derive(Clone, Debug)]
pub struct CallDurations(Histogram);

impl CallDurations {
    /// The duration that this share of the calls did not exceed, less than 1 % too long; `None` when there were none.
    /// A share below 0 counts as 0, one above 1 as 1.
    #[must_use]
    pub fn quantile(&self, share: f64) -> Option<Duration> {
        let bucket = self.0.quantile_bucket(share.clamp(0.0, 1.0)).ok()??;
        Some(Duration::from_nanos(bucket.end()))
    }

    /// How many calls it is about.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.0.as_slice().iter().sum()
    }
}
