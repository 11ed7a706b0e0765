//! [`Target`]: a handler whose event type is forgotten, and the decoding that handlers of one set share.

use std::{
    any::{Any, TypeId},
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use uno_core::{DecodeError, Decoder, Envelope, EventSet, RecordedEvent};

use super::HandlerResult;
use crate::{
    SharedHandler, SharedRecordedHandler,
    guard::{error_text, panic_text},
    handler::Handling,
    layer::CallContext,
};

/// An event in the form that the handlers of one set take it: a shared envelope (several, or none, when it was split or dropped), or
/// the record itself.
pub(super) type Share = Arc<dyn Any + Send + Sync>;

/// A handler whose event type is forgotten.
pub(super) trait Target: Send + Sync {
    /// The type that tells which shares it takes. Targets with the same key take the same shares.
    fn key(&self) -> TypeId;

    fn decode(&self, decoder: &Decoder, event: &Arc<RecordedEvent>) -> Result<Share, DecodeError>;

    /// Whether the handler has layers, which want a context.
    fn is_layered(&self) -> bool;

    /// Calls the handler with a share of the type that `key` names. It may panic right here, before there is a future.
    fn call(&self, share: Share, context: Option<Arc<CallContext>>) -> Handling<'_>;
}

pub(super) fn typed<E: EventSet>(handler: SharedHandler<E>) -> Box<dyn Target> {
    Box::new(Typed(handler))
}

pub(super) fn recorded(handler: SharedRecordedHandler) -> Box<dyn Target> {
    Box::new(Recorded(handler))
}

struct Typed<E: EventSet>(SharedHandler<E>);

/// What an event is read as that was split, or dropped. The parts are handled one after the other, up to the first that fails.
type Parts<E> = Vec<Arc<Envelope<E>>>;

impl<E: EventSet> Typed<E> {
    fn call_one(&self, share: Arc<Envelope<E>>, context: Option<Arc<CallContext>>) -> Handling<'_> {
        match context {
            None => self.0.call(share),
            Some(context) => self.0.call_in(share, context),
        }
    }
}

impl<E: EventSet> Target for Typed<E> {
    fn key(&self) -> TypeId {
        TypeId::of::<Envelope<E>>()
    }

    fn decode(&self, decoder: &Decoder, event: &Arc<RecordedEvent>) -> Result<Share, DecodeError> {
        let mut parts = decoder.decode_matching::<E>(event)?.into_iter();
        let only = (parts.len() == 1).then(|| parts.next()).flatten();
        Ok(match only {
            Some(envelope) => Arc::new(envelope),
            None => Arc::new(parts.map(Arc::new).collect::<Parts<E>>()),
        })
    }

    fn is_layered(&self) -> bool {
        self.0.is_layered()
    }

    fn call(&self, share: Share, context: Option<Arc<CallContext>>) -> Handling<'_> {
        let parts = match share.downcast() {
            Ok(only) => return self.call_one(only, context),
            Err(parts) => parts
                .downcast::<Parts<E>>()
                .expect("a share is of a type that the target's key names"),
        };
        Box::pin(async move {
            for part in &*parts {
                self.call_one(Arc::clone(part), context.clone()).await?;
            }
            Ok(())
        })
    }
}

struct Recorded(SharedRecordedHandler);

impl Target for Recorded {
    fn key(&self) -> TypeId {
        TypeId::of::<RecordedEvent>()
    }

    fn decode(&self, _: &Decoder, event: &Arc<RecordedEvent>) -> Result<Share, DecodeError> {
        Ok(Arc::clone(event) as Share)
    }

    fn is_layered(&self) -> bool {
        self.0.is_layered()
    }

    fn call(&self, share: Share, context: Option<Arc<CallContext>>) -> Handling<'_> {
        let share = share
            .downcast()
            .expect("a share is of the type that the target's key names");
        match context {
            None => self.0.call(share),
            Some(context) => self.0.call_in(share, context),
        }
    }
}

/// One event, decoded once for each set that its handlers ask for.
pub(super) struct Decoded<'p> {
    decoder: &'p Decoder,
    event: &'p Arc<RecordedEvent>,
    /// Mostly there is one, and it needs no list.
    first: Option<(TypeId, Result<Share, HandlerResult>)>,
    others: Vec<(TypeId, Result<Share, HandlerResult>)>,
}

impl<'p> Decoded<'p> {
    pub(super) fn new(decoder: &'p Decoder, event: &'p Arc<RecordedEvent>) -> Self {
        Self {
            decoder,
            event,
            first: None,
            others: Vec::new(),
        }
    }

    /// The share for a target, or the result of a handler that can't be given one.
    pub(super) fn share_for(&mut self, target: &dyn Target) -> Result<Share, HandlerResult> {
        let key = target.key();
        if let Some((_, share)) = self
            .first
            .iter()
            .chain(&self.others)
            .find(|(of, _)| *of == key)
        {
            return share.clone();
        }
        let share = self.decode(target);
        match self.first {
            None => self.first = Some((key, share.clone())),
            Some(_) => self.others.push((key, share.clone())),
        }
        share
    }

    /// The same, for the only one who asks.
    pub(super) fn decode(&self, target: &dyn Target) -> Result<Share, HandlerResult> {
        // Deserializing and upcasting are the user's code, which may panic.
        match catch_unwind(AssertUnwindSafe(|| target.decode(self.decoder, self.event))) {
            Ok(Ok(share)) => Ok(share),
            Ok(Err(error)) => Err(HandlerResult::Undecodable(error_text(&error).into())),
            Err(panic) => {
                let why = format!("panicked: {}", panic_text(&*panic));
                Err(HandlerResult::Undecodable(why.into()))
            }
        }
    }
}
