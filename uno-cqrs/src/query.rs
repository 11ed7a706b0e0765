//! Queries: questions to read models.

use std::{
    any::{Any, TypeId, type_name},
    collections::HashMap,
    fmt,
    future::Future,
    panic::AssertUnwindSafe,
    pin::Pin,
    sync::Arc,
    time::Duration,
};

use futures_util::FutureExt as _;
use uno_core::{BoxError, Metadata};

use crate::{
    Forbidden, Invalid, QueryCall, QueryLayer, QueryNext, RegisterError, Validate,
    describe::short_name,
    layers::Rule,
    query_layer::{Answer, SharedQueryLayer},
};

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
    pub(crate) inner: Arc<QueryInner>,
}

#[derive(Default)]
pub(crate) struct QueryInner {
    pub(crate) routes: HashMap<TypeId, QueryRoute>,
    pub(crate) layers: Vec<SharedQueryLayer>,
}

/// The way to the handler of one query.
pub(crate) struct QueryRoute {
    pub(crate) name: &'static str,
    pub(crate) handler_name: &'static str,
    pub(crate) handler: ErasedQueryHandler,
    pub(crate) layers: Vec<SharedQueryLayer>,
}

type AnswerFuture = Pin<Box<dyn Future<Output = Result<Answer, BoxError>> + Send>>;
type AnyQuery = Arc<dyn Any + Send + Sync>;
type ErasedQueryHandler = Arc<dyn Fn(AnyQuery) -> AnswerFuture + Send + Sync>;

impl QueryBus {
    /// Starts a bus.
    #[must_use]
    pub fn builder() -> QueryBusBuilder {
        QueryBusBuilder::default()
    }

    /// Asks.
    ///
    /// # Errors
    /// See [`QueryError`].
    ///
    /// # Cancellation
    /// Dropping the future drops the handler's.
    pub async fn ask<Q: Query>(&self, query: Q) -> Result<Q::Output, QueryError> {
        self.ask_as(query, Metadata::new()).await
    }

    /// Asks on behalf of somebody: layers see the metadata, such as one that [authorises](crate::Authorise).
    ///
    /// # Errors
    /// See [`QueryError`].
    ///
    /// # Cancellation
    /// As [`ask`](Self::ask).
    pub async fn ask_as<Q: Query>(
        &self,
        query: Q,
        metadata: Metadata,
    ) -> Result<Q::Output, QueryError> {
        let name = type_name::<Q>();
        let Some(route) = self.inner.routes.get(&TypeId::of::<Q>()) else {
            return Err(QueryError::Unknown(name));
        };
        let call = QueryCall {
            name,
            query: Arc::new(query),
            metadata,
        };
        let next = QueryNext {
            route,
            layers: [&self.inner.layers, &route.layers],
        };
        let answering = async { next.run(call).await };
        // A query changes nothing, so a panic leaves nothing half done.
        let answer = AssertUnwindSafe(answering).catch_unwind().await;
        let answer =
            answer.unwrap_or_else(|_| Err(QueryError::Failed("its handler panicked".into())))?;
        answer
            .downcast::<Q>()
            .map_err(|_| QueryError::Failed("a layer answered another question".into()))
    }

    /// Whether a query has a handler.
    #[must_use]
    pub fn handles<Q: Query>(&self) -> bool {
        self.inner.routes.contains_key(&TypeId::of::<Q>())
    }
}

impl fmt::Debug for QueryBus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        names(&self.inner.routes, f)
    }
}

fn names(routes: &HashMap<TypeId, QueryRoute>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let mut names: Vec<_> = routes.values().map(|route| route.name).collect();
    names.sort_unstable();
    f.debug_set().entries(names).finish()
}

/// Registers handlers of queries, and the layers around them.
#[derive(Default)]
pub struct QueryBusBuilder {
    inner: QueryInner,
    required: Vec<(String, TypeId, &'static str)>,
    duplicate: Option<&'static str>,
}

impl QueryBusBuilder {
    /// Registers the handler of a query.
    #[must_use]
    pub fn handler<Q: Query>(self, handler: impl QueryHandler<Q>) -> Self {
        self.handler_with::<Q, _>(handler, |options| options)
    }

    /// Registers the handler of a query, with what is to be done around it.
    #[must_use]
    pub fn handler_with<Q: Query, H: QueryHandler<Q>>(
        mut self,
        handler: H,
        options: impl FnOnce(QueryOptions<Q>) -> QueryOptions<Q>,
    ) -> Self {
        let handler = Arc::new(handler);
        let erased: ErasedQueryHandler = Arc::new(move |query| {
            let handler = Arc::clone(&handler);
            Box::pin(async move {
                let query = query
                    .downcast::<Q>()
                    .map_err(|_| "the query is not of the type it was registered for")?;
                Ok(Answer::to::<Q>(handler.handle(&query).await?))
            })
        });
        let options = options(QueryOptions {
            layers: Vec::new(),
            query: std::marker::PhantomData,
        });
        let route = QueryRoute {
            name: type_name::<Q>(),
            handler_name: short_name::<H>(),
            handler: erased,
            layers: options.layers,
        };
        if self.inner.routes.insert(TypeId::of::<Q>(), route).is_some() {
            self.duplicate = Some(type_name::<Q>());
        }
        self
    }

    /// Puts a layer around all queries, within those that are there: what is added first sees a query first, and its answer last.
    #[must_use]
    pub fn layer<L: QueryLayer>(mut self, layer: L) -> Self {
        self.inner.layers.push((Arc::new(layer), short_name::<L>()));
        self
    }

    /// Says that `asker` asks this query: the bus is not built unless it has a handler.
    #[must_use]
    pub fn requires<Q: Query>(mut self, asker: &str) -> Self {
        let required = (asker.to_owned(), TypeId::of::<Q>(), type_name::<Q>());
        self.required.push(required);
        self
    }

    /// The bus.
    ///
    /// # Errors
    /// When a query has two handlers, or one that is required has none.
    pub fn build(self) -> Result<QueryBus, RegisterError> {
        if let Some(name) = self.duplicate {
            return Err(RegisterError::TwoHandlers {
                what: "query",
                name: name.to_owned(),
            });
        }
        let missing = |(_, id, _): &&(String, TypeId, &str)| !self.inner.routes.contains_key(id);
        if let Some((sender, _, name)) = self.required.iter().find(missing) {
            return Err(RegisterError::NoHandler {
                what: "query",
                name: (*name).to_owned(),
                sender: sender.clone(),
            });
        }
        Ok(QueryBus {
            inner: Arc::new(self.inner),
        })
    }
}

impl fmt::Debug for QueryBusBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        names(&self.inner.routes, f)
    }
}

/// What is done around the handler of one query.
pub struct QueryOptions<Q> {
    layers: Vec<SharedQueryLayer>,
    query: std::marker::PhantomData<fn(&Q)>,
}

impl<Q: Query> QueryOptions<Q> {
    /// Puts a layer around this query's handler, within those that are there.
    #[must_use]
    pub fn layer<L: QueryLayer>(mut self, layer: L) -> Self {
        self.layers.push((Arc::new(layer), short_name::<L>()));
        self
    }

    /// Refuses a query that is not [valid](Validate), here among the layers.
    #[must_use]
    pub fn validate(self) -> Self
    where
        Q: Validate,
    {
        self.validate_by(Q::validate)
    }

    /// Refuses a query that this function finds fault with, here among the layers.
    #[must_use]
    pub fn validate_by<F>(self, valid: F) -> Self
    where
        F: Fn(&Q) -> Result<(), Invalid> + Send + Sync + 'static,
    {
        self.layer(Rule::layer(valid))
    }
}

impl<Q> fmt::Debug for QueryOptions<Q> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let layers = self.layers.iter().map(|(_, name)| name);
        f.debug_list().entries(layers).finish()
    }
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum QueryError {
    /// Nobody handles it.
    #[error("the query {0} has no handler")]
    Unknown(&'static str),
    /// A field is not what it must be.
    #[error("the query {name} is not valid")]
    Invalid {
        /// The type of the query.
        name: &'static str,
        /// Which fields, and what is wrong with them.
        source: Invalid,
    },
    /// It is not allowed to whoever asks.
    #[error("the query {name} is not allowed")]
    Forbidden {
        /// The type of the query.
        name: &'static str,
        /// Why.
        source: Forbidden,
    },
    /// It took longer than its [`TimeLimit`](crate::TimeLimit).
    #[error("the query {name} was not answered within {limit:?}")]
    TimedOut {
        /// The type of the query.
        name: &'static str,
        /// The limit.
        limit: Duration,
    },
    /// The handler, or a layer, failed.
    #[error("the query failed")]
    Failed(#[source] BoxError),
}

impl QueryError {
    /// In one word, for traces.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Unknown(_) => "unknown_query",
            Self::Invalid { .. } => "invalid",
            Self::Forbidden { .. } => "forbidden",
            Self::TimedOut { .. } => "timed_out",
            Self::Failed(_) => "failed",
        }
    }
}
