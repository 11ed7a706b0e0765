//! [`CircuitBreaker`]: a handler that keeps failing is left alone for a while.

use std::{
    collections::VecDeque,
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;
use uno_core::{BoxError, EventId};

use super::{CallError, HandlerCall, HandlerLayer};
use crate::{fingerprint, guard::error_text, telemetry};

/// Leaves what is further within alone once it has failed several times in a row: calls fail at once with
/// [`CallError::CircuitOpen`], and what it speaks to may recover.
///
/// After a while one call is let through as a trial. If it succeeds, all are let through again; if it fails, the circuit
/// stays open for as long again.
///
/// A trial that fails as another event has failed before it, by the [`fingerprint`] of its error and with no success in between, says
/// that what is outside is still away, and nothing of its event. A durable subscription counts it as no attempt at the event, as
/// if the circuit had let nothing through: an outage parks no events that are innocent of it. What can't be told from an outage is
/// several bad events in a row that fail in the same way; so that they hold nobody up for ever, that is for an hour, or
/// [as long as you say](Self::outages_up_to).
///
/// A clone is the same breaker: put clones around all handlers that speak to one thing outside.
#[derive(Clone)]
pub struct CircuitBreaker(Arc<Breaker>);

struct Breaker {
    failures: u32,
    rest: Duration,
    outage: Duration,
    /// Held for as long as it takes to look and to note, never across an await.
    now: Mutex<Now>,
}

struct Now {
    gate: Gate,
    /// What has failed since something last succeeded, by how it failed: what is away may say so in several ways.
    runs: VecDeque<Run>,
}

enum Gate {
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

/// Failures that look alike, without a success in between.
struct Run {
    fingerprint: String,
    first: EventId,
    /// Whether another event than the first has failed in the same way: then it is none of theirs.
    shared: bool,
    since: Instant,
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
    /// For how long failures that look alike are put down to an outage unless it is said.
    const OUTAGE: Duration = Duration::from_secs(3600);

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
            outage: Self::OUTAGE,
            now: Mutex::new(Now::closed()),
        }))
    }

    /// For how long failures that look alike are put down to what is outside, and trials that fail in this way are no attempts
    /// at their events: an hour unless it is said. Zero: each trial is an attempt.
    ///
    /// For breakers that were not used yet: clones that were made before keep theirs.
    #[must_use]
    pub fn outages_up_to(self, outage: Duration) -> Self {
        Self(Arc::new(Breaker {
            failures: self.0.failures,
            rest: self.0.rest,
            outage,
            now: Mutex::new(Now::closed()),
        }))
    }

    /// What it does with calls at the moment.
    #[must_use]
    pub fn state(&self) -> CircuitState {
        match self.0.lock().gate {
            Gate::Closed { failures } => CircuitState::Closed { failures },
            Gate::Trial { .. } => CircuitState::HalfOpen,
            Gate::Open { until } => match until.saturating_duration_since(Instant::now()) {
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
        // Before the lock: the text may be long, and is the user's code.
        let failed = result.as_ref().err().map(|error| Failed {
            event: call.event().id(),
            fingerprint: fingerprint(&error_text(&**error)),
        });
        let told = pass.settle(failed);
        if told.outage {
            call.was_outage(self.0.rest);
        }
        if told.opened {
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

/// A call that has failed.
struct Failed {
    event: EventId,
    fingerprint: String,
}

/// What follows from how a call ended.
#[derive(Default)]
struct Told {
    /// The circuit has opened because of it.
    opened: bool,
    /// It was a trial, and failed as others did before it.
    outage: bool,
}

impl Now {
    /// How many ways of failing are remembered.
    const RUNS: usize = 8;

    fn closed() -> Self {
        Self {
            gate: Gate::Closed { failures: 0 },
            runs: VecDeque::new(),
        }
    }

    /// Counts a failure to those that look like it; whether it is, for so long at most, none of its event.
    fn note(&mut self, failed: Failed, outage: Duration) -> bool {
        let like_it = |run: &&mut Run| run.fingerprint == failed.fingerprint;
        if let Some(run) = self.runs.iter_mut().find(like_it) {
            run.shared |= run.first != failed.event;
            return run.shared && run.since.elapsed() < outage;
        }
        if self.runs.len() == Self::RUNS {
            self.runs.pop_front();
        }
        self.runs.push_back(Run {
            fingerprint: failed.fingerprint,
            first: failed.event,
            shared: false,
            since: Instant::now(),
        });
        false
    }
}

impl Breaker {
    fn lock(&self) -> std::sync::MutexGuard<'_, Now> {
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets a call through, or says for how long it does not.
    fn enter(&self) -> Result<Pass<'_>, Duration> {
        let mut now = self.lock();
        let trial = match now.gate {
            Gate::Closed { .. } => None,
            // How long the trial takes is not known; who comes meanwhile may come again at once.
            Gate::Trial { .. } => return Err(Duration::ZERO),
            Gate::Open { until } => {
                let rest = until.saturating_duration_since(Instant::now());
                if !rest.is_zero() {
                    return Err(rest);
                }
                let begun = fastrand::u64(..);
                now.gate = Gate::Trial { begun };
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
    /// Notes how the call ended, and what follows from it.
    fn settle(mut self, failed: Option<Failed>) -> Told {
        let trial = self.trial.take();
        let mut now = self.breaker.lock();
        let failures = match now.gate {
            Gate::Closed { failures } => failures,
            Gate::Trial { begun } if trial == Some(begun) => self.breaker.failures - 1,
            // It began before the circuit opened, and no longer matters.
            Gate::Open { .. } | Gate::Trial { .. } => return Told::default(),
        };
        let Some(failed) = failed else {
            *now = Now::closed();
            return Told::default();
        };
        let outage = now.note(failed, self.breaker.outage) && trial.is_some();
        let failures = failures + 1;
        let opened = failures >= self.breaker.failures;
        now.gate = if opened {
            let until = Instant::now() + self.breaker.rest;
            Gate::Open { until }
        } else {
            Gate::Closed { failures }
        };
        Told { opened, outage }
    }
}

impl Drop for Pass<'_> {
    /// A trial that was dropped has decided nothing: the next one is a trial as well.
    fn drop(&mut self) {
        if let Some(mine) = self.trial {
            let mut now = self.breaker.lock();
            if matches!(now.gate, Gate::Trial { begun } if begun == mine) {
                now.gate = Gate::Open {
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
