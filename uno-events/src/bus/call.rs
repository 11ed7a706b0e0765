//! One call of a handler: begun at once, and finished at leisure if it has to wait.

use std::{
    future::poll_fn,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use tracing::{Instrument as _, Span};
use uno_core::{BoxError, RecordedEvent};

use super::{
    HandlerResult,
    frame::{Frame, within},
    group::Running,
    outcome::Verdict,
    route::Route,
    target::Share,
};
use crate::{
    CallError,
    guard::{Interrupted, error_text, guarded, panic_text},
    handler::Handling,
    layer::CallContext,
    telemetry,
};

/// A call after the first look at it. Most handlers are done by then, and have cost neither a timer nor a place among those
/// that are waited for.
pub(super) enum Begun<'r> {
    Ended(Verdict),
    Pending(Pending<'r>),
}

/// A call that has to wait for something.
pub(super) struct Pending<'r> {
    work: Handling<'r>,
    context: Option<Arc<CallContext>>,
    limit: Option<Duration>,
    span: Option<Span>,
    running: Option<Running>,
}

/// Calls a handler and polls it once, within its frame.
pub(super) fn begin<'r>(
    route: &'r Route,
    share: Share,
    event: &RecordedEvent,
    frame: &mut Option<Frame>,
    limit: Option<Duration>,
    waker: &mut Context<'_>,
) -> Begun<'r> {
    within(frame, || begin_within(route, share, event, limit, waker))
}

/// Calls a handler and polls it once, within the frame that was entered already. `limit` is for the whole call; for each attempt,
/// if the handler has layers.
pub(super) fn begin_within<'r>(
    route: &'r Route,
    share: Share,
    event: &RecordedEvent,
    limit: Option<Duration>,
    waker: &mut Context<'_>,
) -> Begun<'r> {
    let running = match route.group().map(|group| group.enter()) {
        None => None,
        Some(Some(running)) => Some(running),
        Some(None) => return Begun::Ended(Verdict::not_called(HandlerResult::Stopped)),
    };
    let target = route.target();
    let (context, limit) = match target.is_layered() {
        false => (None, limit),
        true => {
            let context = CallContext::new(Arc::clone(route.name()), limit);
            (Some(Arc::new(context)), None)
        }
    };
    // Asked once, as cheaply as can be: a span that nobody wants still costs some.
    let span = tracing::level_enabled!(tracing::Level::DEBUG).then(|| {
        tracing::debug_span!(
            telemetry::HANDLE,
            handler = &**route.name(),
            event = event.name().as_str(),
            event_id = %event.id(),
            position = event.position().get(),
        )
    });
    let look = || {
        let _entered = span.as_ref().map(Span::enter);
        let mut work = target.call(share, context.clone());
        match work.as_mut().poll(waker) {
            Poll::Ready(result) => Ok(result),
            Poll::Pending => Err(work),
        }
    };
    // What a panicking handler leaves behind in its own fields is its own affair.
    match catch_unwind(AssertUnwindSafe(look)) {
        Ok(Ok(result)) => Begun::Ended(verdict(Ok(result), context.as_deref())),
        Ok(Err(work)) => Begun::Pending(Pending {
            work,
            context,
            limit,
            span,
            running,
        }),
        Err(panic) => {
            let panicked = Interrupted::Panicked(panic_text(&*panic));
            Begun::Ended(verdict(Err(panicked), context.as_deref()))
        }
    }
}

impl Pending<'_> {
    /// Waits for the handler, within its frame.
    pub(super) async fn finish(self, mut frame: Option<Frame>) -> Verdict {
        let (mut work, _running) = (self.work, self.running);
        // The future owns the handler, so that a late one is dropped inside of the guard.
        let work = poll_fn(move |waker| within(&mut frame, || work.as_mut().poll(waker)));
        let result = match self.span {
            None => guarded(self.limit, work).await,
            Some(span) => guarded(self.limit, work.instrument(span)).await,
        };
        verdict(result, self.context.as_deref())
    }
}

fn verdict(
    result: Result<Result<(), BoxError>, Interrupted>,
    context: Option<&CallContext>,
) -> Verdict {
    let result = match result {
        Ok(Ok(())) => HandlerResult::Handled,
        Ok(Err(error)) => match CallError::of(&*error) {
            None => HandlerResult::Failed(error_text(&*error).into()),
            Some(CallError::Panicked(message)) => HandlerResult::Panicked(message.as_str().into()),
            Some(CallError::TimedOut(limit)) => HandlerResult::TimedOut(*limit),
            Some(CallError::CircuitOpen(rest)) => HandlerResult::CircuitOpen(*rest),
        },
        Err(Interrupted::Panicked(message)) => HandlerResult::Panicked(message.into()),
        Err(Interrupted::TimedOut(limit)) => HandlerResult::TimedOut(limit),
    };
    let attempts = context.map_or(1, CallContext::attempts);
    Verdict { result, attempts }
}
