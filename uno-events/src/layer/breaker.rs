//! [`CircuitBreaker`]: a handler that keeps failing is left alone for a while.

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;
use uno_core::BoxError;

use super::{CallError, HandlerCall, HandlerLayer};
use crate::telemetry;

/// Leaves what is further within alone once it has failed several times in a row: calls fail at once with
/// [`CallError::CircuitOpen`], and what it speaks to may recover.
///
/// After a while one call is let through as a trial. If it succeeds, all are let through again; if it fails, the circuit
/// stays open for as long again.
///
/// A clone is the same breaker: put clones around all handlers that speak to one thing outside.
#[derive(Clone)]
pub struct CircuitBreaker(Arc<Breaker>);

struct Breaker {
    failures: u32,
    rest: Duration,
    /// Held for as long as it takes to look and to note, never across an await.
    now: Mutex<Now>,
}

enum Now {
    Closed {
        failures: u32,
    },
    Open {
        until: Instant,
    },
    /// One call is under way that decides.
    Trial {
        begun: u64,
    },
}

/// What a breaker does with calls at the moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CircuitState {
    /// Lets them through. So many have failed since one last succeeded.
    Closed {
        /// Failures in a row.
        failures: u32,
    },
    /// Lets none through for this much longer.
    Open(Duration),
    /// The next one is let through as a trial, or is under way.
    HalfOpen,
}

impl CircuitBreaker {
    /// Opens after five failures in a row, for thirty seconds.
    #[must_use]
    pub fn new() -> Self {
        Self::with(5, Duration::from_secs(30))
    }

    /// Opens after so many failures in a row, at least one, for so long.
    #[must_use]
    pub fn with(failures: u32, rest: Duration) -> Self {
        Self(Arc::new(Breaker {
            failures: failures.max(1),
            rest,
            now: Mutex::new(Now::Closed { failures: 0 }),
        }))
    }

    /// What it does with calls at the moment.
    #[must_use]
    pub fn state(&self) -> CircuitState {
        match *self.0.lock() {
            Now::Closed { failures } => CircuitState::Closed { failures },
            Now::Trial { .. } => CircuitState::HalfOpen,
            Now::Open { until } => match until.saturating_duration_since(Instant::now()) {
                Duration::ZERO => CircuitState::HalfOpen,
                rest => CircuitState::Open(rest),
            },
        }
    }
}

impl HandlerLayer for CircuitBreaker {
    async fn handle(&self, call: HandlerCall<'_>) -> Result<(), BoxError> {
        let pass = self.0.enter().map_err(CallError::CircuitOpen)?;
        call.let_through();
        let result = call.next().await;
        let opened = pass.settle(result.is_ok());
        if opened {
            tracing::warn!(
                name: telemetry::CIRCUIT_OPENED,
                handler = call.handler(),
                rest_ms = u64::try_from(self.0.rest.as_millis()).unwrap_or(u64::MAX),
                "a handler keeps failing and is left alone"
            );
        }
        result
    }
}

impl Breaker {
    fn lock(&self) -> std::sync::MutexGuard<'_, Now> {
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets a call through, or says for how long it does not.
    fn enter(&self) -> Result<Pass<'_>, Duration> {
        let mut now = self.lock();
        let trial = match *now {
            Now::Closed { .. } => None,
            // How long the trial takes is not known; who comes meanwhile may come again at once.
            Now::Trial { .. } => return Err(Duration::ZERO),
            Now::Open { until } => {
                let rest = until.saturating_duration_since(Instant::now());
                if !rest.is_zero() {
                    return Err(rest);
                }
                let begun = fastrand::u64(..);
                *now = Now::Trial { begun };
                Some(begun)
            }
        };
        let breaker = self;
        Ok(Pass { breaker, trial })
    }
}

/// A call that was let through.
struct Pass<'b> {
    breaker: &'b Breaker,
    trial: Option<u64>,
}

impl Pass<'_> {
    /// Notes how the call ended; whether the circuit has opened because of it.
    fn settle(mut self, well: bool) -> bool {
        let trial = self.trial.take();
        let mut now = self.breaker.lock();
        let failures = match *now {
            Now::Closed { failures } => failures,
            Now::Trial { begun } if trial == Some(begun) => self.breaker.failures - 1,
            // It began before the circuit opened, and no longer matters.
            Now::Open { .. } | Now::Trial { .. } => return false,
        };
        *now = match (well, failures + 1) {
            (true, _) => Now::Closed { failures: 0 },
            (false, failures) if failures >= self.breaker.failures => {
                let until = Instant::now() + self.breaker.rest;
                *now = Now::Open { until };
                return true;
            }
            (false, failures) => Now::Closed { failures },
        };
        false
    }
}

impl Drop for Pass<'_> {
    /// A trial that was dropped has decided nothing: the next one is a trial as well.
    fn drop(&mut self) {
        if let Some(mine) = self.trial {
            let mut now = self.breaker.lock();
            if matches!(*now, Now::Trial { begun } if begun == mine) {
                *now = Now::Open {
                    until: Instant::now(),
                };
            }
        }
    }
}

impl Default for CircuitBreaker {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for CircuitBreaker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CircuitBreaker")
            .field("failures", &self.0.failures)
            .field("rest", &self.0.rest)
            .field("state", &self.state())
            .finish()
    }
}
