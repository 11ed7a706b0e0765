//! [`Kind`]: what differs between read models of documents and of rows.

use std::{fmt, sync::Arc};

use async_trait::async_trait;
use uno_core::{
    Backend, Commit, CommitError, Decoder, DocumentWrite, EventFilter, RegistrationError, Work,
};
use uno_events::Consumer;

use super::RebuildError;
use crate::{
    DocumentProjection, DocumentProjector, Generation, Projector, VersionedProjection,
    document_projection::filter_of, field::FIELDS,
};

/// How many documents are removed in one commit.
const DISCARD: usize = 1_000;

/// A projection, without its type.
#[async_trait]
pub(super) trait Kind<B: Backend>: fmt::Debug + Send + Sync {
    /// The events it reads.
    fn filter(&self) -> EventFilter;

    /// Whether those who commit events may bring them to what is kept, ahead of the checkpoint.
    fn may_be_ahead(&self) -> bool;

    /// What feeds a generation.
    fn consumer(&self, generation: Generation) -> Arc<dyn Consumer>;

    /// What is to be done in the transaction that begins a generation.
    fn create(&self, generation: Generation) -> Option<Work<B::Tx>>;

    /// What is to be done in the transaction that lets a generation serve.
    fn serve(&self, generation: Generation) -> Option<Work<B::Tx>>;

    /// Removes what there is of a generation. May be called again.
    async fn discard(&self, generation: Generation) -> Result<(), RebuildError>;
}

/// A read model of documents.
pub(super) struct DocumentKind<P, B> {
    projection: Arc<P>,
    backend: Arc<B>,
    decoder: Decoder,
    filter: EventFilter,
}

impl<P: DocumentProjection, B: Backend> DocumentKind<P, B> {
    pub(super) fn new(
        projection: P,
        backend: Arc<B>,
        decoder: Decoder,
    ) -> Result<Self, RegistrationError> {
        Ok(Self {
            filter: filter_of::<P>(&decoder)?,
            projection: Arc::new(projection),
            backend,
            decoder,
        })
    }
}

#[async_trait]
impl<P: DocumentProjection, B: Backend> Kind<B> for DocumentKind<P, B> {
    fn filter(&self) -> EventFilter {
        self.filter.clone()
    }

    fn may_be_ahead(&self) -> bool {
        P::OF_STREAMS.is_some()
    }

    fn consumer(&self, generation: Generation) -> Arc<dyn Consumer> {
        Arc::new(DocumentProjector::of_generation(
            Arc::clone(&self.projection),
            Arc::clone(&self.backend),
            self.decoder.clone(),
            self.filter.clone(),
            generation,
        ))
    }

    fn create(&self, _: Generation) -> Option<Work<B::Tx>> {
        None
    }

    fn serve(&self, _: Generation) -> Option<Work<B::Tx>> {
        None
    }

    async fn discard(&self, generation: Generation) -> Result<(), RebuildError> {
        let collection = generation.name_of(P::NAME).into_owned();
        loop {
            let found = self
                .backend
                .scan_documents(&collection, None, DISCARD)
                .await?;
            let is_last = found.is_empty();
            if is_last && P::FIELDS.is_empty() {
                return Ok(());
            }
            let remove =
                |found: &uno_core::Document| DocumentWrite::remove(&*collection, found.key());
            let mut commit = Commit::new();
            commit.documents = match is_last {
                false => found.iter().map(remove).collect(),
                // As long as there are documents, it stands there what they are found by.
                true => vec![DocumentWrite::remove(FIELDS, &*collection)],
            };
            match self.backend.commit(commit).await {
                Ok(_) if is_last => return Ok(()),
                Ok(_) => {}
                // What is left of it is found by the next scan.
                Err(error) if super::is_unknown(&error) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}

impl<P: fmt::Debug, B> fmt::Debug for DocumentKind<P, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.projection, f)
    }
}

/// A read model of rows of one's own.
pub(super) struct RowKind<P, B> {
    projection: Arc<P>,
    backend: Arc<B>,
    decoder: Decoder,
    filter: EventFilter,
}

impl<B: Backend, P: VersionedProjection<B>> RowKind<P, B> {
    pub(super) fn new(
        projection: P,
        backend: Arc<B>,
        decoder: Decoder,
    ) -> Result<Self, RegistrationError> {
        Ok(Self {
            filter: decoder.filter::<P::Event>()?,
            projection: Arc::new(projection),
            backend,
            decoder,
        })
    }
}

#[async_trait]
impl<B: Backend, P: VersionedProjection<B>> Kind<B> for RowKind<P, B> {
    fn filter(&self) -> EventFilter {
        self.filter.clone()
    }

    fn may_be_ahead(&self) -> bool {
        false
    }

    fn consumer(&self, generation: Generation) -> Arc<dyn Consumer> {
        Arc::new(Projector::with_filter(
            self.projection.of_generation(generation),
            Arc::clone(&self.backend),
            self.decoder.clone(),
            self.filter.clone(),
        ))
    }

    fn create(&self, generation: Generation) -> Option<Work<B::Tx>> {
        let projection = self.projection.of_generation(generation);
        Some(Box::new(move |tx| {
            Box::pin(async move { projection.create(tx).await })
        }))
    }

    fn serve(&self, generation: Generation) -> Option<Work<B::Tx>> {
        let projection = self.projection.of_generation(generation);
        Some(Box::new(move |tx| {
            Box::pin(async move { projection.serve(tx).await })
        }))
    }

    async fn discard(&self, generation: Generation) -> Result<(), RebuildError> {
        let projection = self.projection.of_generation(generation);
        let mut commit = Commit::new();
        commit.work.push(Box::new(move |tx| {
            Box::pin(async move { projection.discard(tx).await })
        }));
        match self.backend.commit(commit).await {
            Ok(_) => Ok(()),
            Err(error @ CommitError::Append(_)) if super::is_unknown(&error) => {
                // It is not known to be done, and doing it again does no harm.
                Box::pin(self.discard(generation)).await
            }
            Err(error) => Err(error.into()),
        }
    }
}

impl<P: fmt::Debug, B> fmt::Debug for RowKind<P, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.projection, f)
    }
}
