//! Enriching: what is loaded for all events of a batch in one question, before the first of them is projected.

use std::sync::Arc;

use uno_core::{BoxError, CommitError, Envelope, StoreError};
use uno_events::ConsumeError;

use crate::{DocumentProjection, ReadDocumentError, ServingError};

/// The projection as it is to see these events.
pub(crate) async fn enriched<P: DocumentProjection>(
    projection: &Arc<P>,
    events: &[Envelope<P::Event>],
) -> Result<Arc<P>, BoxError> {
    if events.is_empty() {
        return Ok(Arc::clone(projection));
    }
    let enriched = projection.enrich(events).await?;
    Ok(enriched.map_or_else(|| Arc::clone(projection), Arc::new))
}

/// Why a batch could not be enriched.
pub(crate) fn not_enriched<E>(events: &[Envelope<E>], error: BoxError) -> ConsumeError {
    match store_error(error) {
        Ok(error) => ConsumeError::Store(error),
        Err(error) => unplaced(events, error),
    }
}

/// What befell several events together: which of them is at fault is not known, unless there is one.
pub(crate) fn unplaced<E>(events: &[Envelope<E>], source: BoxError) -> ConsumeError {
    match events {
        [event] => ConsumeError::Handler {
            position: event.position(),
            source,
        },
        // The subscription then feeds them one at a time.
        _ => ConsumeError::Commit(CommitError::Work(source)),
    }
}

/// The failure of a store, if that is what it is.
pub(crate) fn store_error(error: BoxError) -> Result<StoreError, BoxError> {
    let error = match error.downcast::<StoreError>() {
        Ok(error) => return Ok(*error),
        Err(error) => error,
    };
    match error.downcast::<ReadDocumentError>() {
        Ok(error) => match *error {
            ReadDocumentError::Store(error)
            | ReadDocumentError::Serving(ServingError::Store(error)) => Ok(error),
            other => Err(other.into()),
        },
        Err(error) => Err(error),
    }
}
