//! Queries: questions to read models.

use std::{
    any::{Any, TypeId, type_name},
    collections::HashMap,
    fmt,
    future::Future,
    panic::AssertUnwindSafe,
    pin::Pin,
    sync::Arc,
};

use futures_util::FutureExt as _;
use uno_core::BoxError;

use crate::RegisterError;

/// A question, with the type of its answer. It changes nothing.
pub trait Query: Send + Sync + 'static {
    /// The answer.
    type Output: Send + 'static;
}

/// Answers one type of query. Write a plain `async fn`.
#[diagnostic::on_unimplemented(message = "`{Self}` does not answer the query `{Q}`")]
pub trait QueryHandler<Q: Query>: Send + Sync + 'static {
    /// Answers the query.
    ///
    /// # Errors
    /// Whatever went wrong.
    fn handle(&self, query: &Q) -> impl Future<Output = Result<Q::Output, BoxError>> + Send;
}

/// Takes each query to its one handler. Cheap to clone.
///
/// ```
/// use uno_core::BoxError;
/// use uno_cqrs::{Query, QueryBus, QueryHandler};
///
/// struct Sum(i64, i64);
/// impl Query for Sum { type Output = i64; }
///
/// struct Calculator;
/// impl QueryHandler<Sum> for Calculator {
///     async fn handle(&self, query: &Sum) -> Result<i64, BoxError> { Ok(query.0 + query.1) }
/// }
///
/// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
/// let bus = QueryBus::builder().handler::<Sum>(Calculator).build()?;
/// assert_eq!(bus.ask(Sum(2, 3)).await?, 5);
/// # Ok::<(), Box<dyn std::error::Error>>(()) })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Default)]
pub struct QueryBus {
    handlers: Arc<HashMap<TypeId, (&'static str, ErasedQueryHandler)>>,
}

type Answer = Pin<Box<dyn Future<Output = Result<Box<dyn Any + Send>, BoxError>> + Send>>;
type ErasedQueryHandler = Arc<dyn Fn(Box<dyn Any + Send>) -> Answer + Send + Sync>;

impl QueryBus {
    /// Starts a bus.
    #[must_use]
    pub fn builder() -> QueryBusBuilder {
        QueryBusBuilder::default()
    }

    /// Asks.
    ///
    /// # Errors
    /// When nobody handles the query, or its handler failed or panicked.
    ///
    /// # Cancellation
    /// Dropping the future drops the handler's.
    pub async fn ask<Q: Query>(&self, query: Q) -> Result<Q::Output, QueryError> {
        let unknown = QueryError::Unknown(type_name::<Q>());
        let Some((_, handler)) = self.handlers.get(&TypeId::of::<Q>()) else {
            return Err(unknown);
        };
        let answering = async { handler(Box::new(query)).await };
        // A query changes nothing, so a panic leaves nothing half done.
        let answer = AssertUnwindSafe(answering).catch_unwind().await;
        let answer = answer.unwrap_or_else(|_| Err("its handler panicked".into()));
        let answer = answer.map_err(QueryError::Failed)?;
        answer
            .downcast::<Q::Output>()
            .map(|answer| *answer)
            .map_err(|_| unknown)
    }
}

impl fmt::Debug for QueryBus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set()
            .entries(self.handlers.values().map(|(name, _)| name))
            .finish()
    }
}

/// Registers handlers of queries.
#[derive(Default)]
pub struct QueryBusBuilder {
    handlers: HashMap<TypeId, (&'static str, ErasedQueryHandler)>,
    duplicate: Option<&'static str>,
}

impl QueryBusBuilder {
    /// Registers the handler of a query.
    #[must_use]
    pub fn handler<Q: Query>(mut self, handler: impl QueryHandler<Q>) -> Self {
        let handler = Arc::new(handler);
        let erased: ErasedQueryHandler = Arc::new(move |query| {
            let handler = Arc::clone(&handler);
            Box::pin(async move {
                let query = query
                    .downcast::<Q>()
                    .map_err(|_| "the query is not of the type it was registered for")?;
                let answer = handler.handle(&query).await?;
                Ok(Box::new(answer) as Box<dyn Any + Send>)
            })
        });
        if self
            .handlers
            .insert(TypeId::of::<Q>(), (type_name::<Q>(), erased))
            .is_some()
        {
            self.duplicate = Some(type_name::<Q>());
        }
        self
    }

    /// The bus.
    ///
    /// # Errors
    /// When a query has two handlers.
    pub fn build(self) -> Result<QueryBus, RegisterError> {
        match self.duplicate {
            Some(name) => Err(RegisterError {
                what: "query",
                name: name.to_owned(),
            }),
            None => Ok(QueryBus {
                handlers: Arc::new(self.handlers),
            }),
        }
    }
}

impl fmt::Debug for QueryBusBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set()
            .entries(self.handlers.values().map(|(name, _)| name))
            .finish()
    }
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum QueryError {
    /// Nobody handles it.
    #[error("the query {0} has no handler")]
    Unknown(&'static str),
    /// The handler failed.
    #[error("the query failed")]
    Failed(#[source] BoxError),
}
