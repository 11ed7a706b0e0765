//! [`HandlerFaults`]: a layer that has handlers fail by plan.

use std::{
    collections::HashMap,
    fmt,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use uno_core::BoxError;
use uno_events::{HandlerCall, HandlerLayer};

/// What happens to a call of a handler.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum HandlerFault {
    /// It fails, and the handler is not called.
    Fails,
    /// The handler is called, and what it returned is lost: it fails after it has done its work.
    FailsAfter,
    /// It panics, and the handler is not called.
    Panics,
    /// The handler is called this much later.
    Delay(Duration),
    /// It never ends, as if it waited for an answer that does not come.
    Hangs,
    /// The process aborts before the handler is called: nothing of the event is done.
    CrashBefore,
    /// The process aborts when the handler has succeeded, before whoever has called it hears of that: its effects are there, and
    /// the checkpoint does not say so.
    CrashAfter,
}

/// A layer that has handlers fail by plan: at their first call, at their third, always, or for events with some name.
///
/// A clone has the same plan and the same count. The innermost place is the right one for it, where it stands for the
/// handler.
///
/// A handler with several effects can have points of its own between them, by name, at which a fault can be planned as well:
/// see [`point`](Self::point).
///
/// A crash really ends the process, by [`std::process::abort`]: have a child process run the part of the test that is to die.
///
/// ```
/// use std::sync::Arc;
/// # use serde::{Deserialize, Serialize};
/// # use uno_core::{Clock, Envelope, Event, NewEvent, Position, RecordedEvent, SystemClock, Version};
/// use uno_events::{EventBus, HandlerOptions, Layers, Retry, RetryPolicy};
/// use uno_testkit::faults::{HandlerFault, HandlerFaults};
/// # #[derive(Event, Serialize, Deserialize)] struct OrderPlaced {}
/// # tokio::runtime::Builder::new_current_thread().enable_time().build()?.block_on(async {
/// # let event = NewEvent::encode(&OrderPlaced {})?;
/// # let one = (Version::new(1)?, Position::new(1)?);
/// # let event = RecordedEvent::record(&event, "order-1".parse()?, one.0, one.1, SystemClock::new().now());
///
/// let faults = HandlerFaults::none().nth(1, HandlerFault::Fails).nth(2, HandlerFault::Panics);
/// let retry = Retry::by(RetryPolicy::new().base(std::time::Duration::ZERO));
/// let layers = Layers::new().layer(retry).layer(faults.clone());
/// let bus = EventBus::new();
/// bus.subscribe_with("mail", HandlerOptions::new().layers(layers), |_: Arc<Envelope<OrderPlaced>>| async { Ok(()) });
///
/// assert!(bus.publish(Arc::new(event)).await.is_ok());
/// assert_eq!(faults.calls(), 3);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Default)]
pub struct HandlerFaults(Arc<Plan>);

#[derive(Default)]
struct Plan {
    calls: AtomicU64,
    /// Held for as long as it takes to look or to plan.
    faults: Mutex<Planned>,
}

#[derive(Default)]
struct Planned {
    nth: HashMap<u64, HandlerFault>,
    named: HashMap<String, HandlerFault>,
    points: HashMap<String, (u64, HandlerFault)>,
    always: Option<HandlerFault>,
}

impl HandlerFaults {
    /// Nothing fails.
    #[must_use]
    pub fn none() -> Self {
        Self::default()
    }

    /// At the call with this number, from 1 upwards. Goes before all others.
    #[must_use]
    pub fn nth(self, call: u64, fault: HandlerFault) -> Self {
        self.plan(|planned| {
            planned.nth.insert(call, fault);
        })
    }

    /// At each call for an event with this stored name.
    #[must_use]
    pub fn named(self, event: impl Into<String>, fault: HandlerFault) -> Self {
        self.plan(|planned| {
            planned.named.insert(event.into(), fault);
        })
    }

    /// At the named point within the handler, when that is reached for the `time`-th time from now on, from 1 upwards.
    #[must_use]
    pub fn at_point(self, point: impl Into<String>, time: u64, fault: HandlerFault) -> Self {
        self.plan(|planned| {
            planned.points.insert(point.into(), (time, fault));
        })
    }

    /// At each call that nothing else is planned for.
    #[must_use]
    pub fn always(self, fault: HandlerFault) -> Self {
        self.plan(|planned| planned.always = Some(fault))
    }

    /// Nothing fails any more, for all clones.
    pub fn heal(&self) {
        *self.planned() = Planned::default();
    }

    /// A point in the course of a handler, by name, which its tests can have fail.
    ///
    /// ```
    /// # use uno_core::BoxError;
    /// use uno_testkit::faults::{HandlerFault, HandlerFaults};
    ///
    /// async fn handle(faults: &HandlerFaults, charged: &mut u32) -> Result<(), BoxError> {
    ///     *charged += 1;
    ///     faults.point("charged").await?;
    ///     // … send the receipt
    ///     Ok(())
    /// }
    /// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
    ///
    /// let faults = HandlerFaults::none().at_point("charged", 2, HandlerFault::Fails);
    /// let mut charged = 0;
    /// assert!(handle(&faults, &mut charged).await.is_ok());
    /// assert!(handle(&faults, &mut charged).await.is_err());
    /// assert_eq!(charged, 2);
    /// # });
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// At a point there is nothing to be called: those faults that come after a handler are the same as those before.
    ///
    /// # Errors
    /// When it is planned to.
    ///
    /// # Panics
    /// When it is planned to.
    pub async fn point(&self, point: &str) -> Result<(), BoxError> {
        match self.reached(point) {
            None => Ok(()),
            Some(fault) => strike(fault).await,
        }
    }

    /// How many calls have come by.
    #[must_use]
    pub fn calls(&self) -> u64 {
        self.0.calls.load(Ordering::SeqCst)
    }

    fn plan(self, plan: impl FnOnce(&mut Planned)) -> Self {
        plan(&mut self.planned());
        self
    }

    fn planned(&self) -> std::sync::MutexGuard<'_, Planned> {
        self.0.faults.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is planned for a point that is reached.
    fn reached(&self, point: &str) -> Option<HandlerFault> {
        let mut planned = self.planned();
        let (left, fault) = planned.points.get_mut(point)?;
        *left = left.checked_sub(1)?;
        (*left == 0).then_some(*fault)
    }

    fn next(&self, event: &str) -> Option<HandlerFault> {
        let call = self.0.calls.fetch_add(1, Ordering::SeqCst) + 1;
        let planned = self.planned();
        let by_number = planned.nth.get(&call);
        by_number
            .or_else(|| planned.named.get(event))
            .copied()
            .or(planned.always)
    }
}

impl HandlerLayer for HandlerFaults {
    async fn handle(&self, call: HandlerCall<'_>) -> Result<(), BoxError> {
        let Some(fault) = self.next(call.event().name().as_str()) else {
            return call.next().await;
        };
        match fault {
            HandlerFault::FailsAfter | HandlerFault::CrashAfter => {
                call.next().await?;
                strike(fault).await
            }
            HandlerFault::Delay(_) => {
                strike(fault).await?;
                call.next().await
            }
            fault => strike(fault).await,
        }
    }
}

/// Has it happen.
async fn strike(fault: HandlerFault) -> Result<(), BoxError> {
    match fault {
        HandlerFault::Fails => Err("planned failure".into()),
        HandlerFault::FailsAfter => Err("planned failure after the work".into()),
        HandlerFault::Panics => panic!("planned panic"),
        HandlerFault::Delay(delay) => {
            tokio::time::sleep(delay).await;
            Ok(())
        }
        HandlerFault::Hangs => std::future::pending().await,
        HandlerFault::CrashBefore | HandlerFault::CrashAfter => std::process::abort(),
    }
}

impl fmt::Debug for HandlerFaults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HandlerFaults")
            .field("calls", &self.calls())
            .finish_non_exhaustive()
    }
}
