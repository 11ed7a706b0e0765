//! [`QueryLayer`]: what is done around the handlers of queries.

use std::{any::Any, fmt, future::Future, pin::Pin, sync::Arc};

use uno_core::Metadata;

use crate::{Query, QueryError, query::QueryRoute};

/// Something that is done around the handlers of queries: it may look at a query, refuse it, send it on, look at the answer, or
/// answer itself. Write a plain `async fn`.
///
/// Layers of the bus are outside those of the query, and what is added first is outside what is added later, as for
/// [`CommandLayer`](crate::CommandLayer)s.
///
/// ```
/// use uno_cqrs::{Answer, Query, QueryCall, QueryError, QueryLayer, QueryNext};
///
/// struct Sales; impl Query for Sales { type Output = i64; }
///
/// /// Answers from memory.
/// struct Remembered(i64);
///
/// impl QueryLayer for Remembered {
///     async fn ask(&self, call: QueryCall, next: QueryNext<'_>) -> Result<Answer, QueryError> {
///         match call.query::<Sales>() {
///             Some(Sales) => Ok(Answer::to::<Sales>(self.0)),
///             None => next.run(call).await,
///         }
///     }
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a layer around queries",
    note = "implement `QueryLayer` for it"
)]
pub trait QueryLayer: Send + Sync + 'static {
    /// Answers the call, or does not.
    ///
    /// # Errors
    /// Why there is no answer.
    ///
    /// # Cancellation
    /// The future may be dropped at any await.
    fn ask(
        &self,
        call: QueryCall,
        next: QueryNext<'_>,
    ) -> impl Future<Output = Result<Answer, QueryError>> + Send;
}

impl<L: QueryLayer> QueryLayer for Arc<L> {
    fn ask(
        &self,
        call: QueryCall,
        next: QueryNext<'_>,
    ) -> impl Future<Output = Result<Answer, QueryError>> + Send {
        L::ask(self, call, next)
    }
}

/// A query on its way to its handler.
#[derive(Clone)]
pub struct QueryCall {
    pub(crate) name: &'static str,
    pub(crate) query: Arc<dyn Any + Send + Sync>,
    pub(crate) metadata: Metadata,
}

impl QueryCall {
    /// The name of the query's type, for people.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// The query, if it is of that type.
    #[must_use]
    pub fn query<Q: Query>(&self) -> Option<&Q> {
        self.query.downcast_ref()
    }

    /// On whose behalf it is asked.
    #[must_use]
    pub fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    /// The same, with this metadata.
    #[must_use]
    pub fn with_metadata(mut self, metadata: Metadata) -> Self {
        self.metadata = metadata;
        self
    }

    pub(crate) fn any(&self) -> &(dyn Any + Send + Sync) {
        &*self.query
    }
}

/// Shows what it is, not what it holds: that is the user's data and stays out of logs.
impl fmt::Debug for QueryCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("QueryCall")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

/// The answer to a query of any type.
pub struct Answer(Box<dyn Any + Send>);

impl Answer {
    /// An answer to a query of this type.
    #[must_use]
    pub fn to<Q: Query>(output: Q::Output) -> Self {
        Self(Box::new(output))
    }

    /// The answer, if it is one to a query of that type.
    #[must_use]
    pub fn output<Q: Query>(&self) -> Option<&Q::Output> {
        self.0.downcast_ref()
    }

    /// The answer itself.
    ///
    /// # Errors
    /// This, if it is no answer to a query of that type.
    pub fn downcast<Q: Query>(self) -> Result<Q::Output, Self> {
        self.0.downcast().map(|output| *output).map_err(Self)
    }
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Answer").finish_non_exhaustive()
    }
}

/// The way from a layer inwards.
pub struct QueryNext<'a> {
    pub(crate) route: &'a QueryRoute,
    /// Those of the bus, and those of the query, that come yet.
    pub(crate) layers: [&'a [SharedQueryLayer]; 2],
}

impl QueryNext<'_> {
    /// Sends a query on.
    ///
    /// # Errors
    /// What the layers further in, or the handler, say.
    ///
    /// # Cancellation
    /// Dropping the future drops the handler's.
    pub async fn run(self, call: QueryCall) -> Result<Answer, QueryError> {
        let route = self.route;
        let (layer, layers) = match self.layers {
            [[first, outer @ ..], own] => (first, [outer, own]),
            [[], [first, own @ ..]] => (first, [&[][..], own]),
            [[], []] => {
                return (route.handler)(call.query)
                    .await
                    .map_err(QueryError::Failed);
            }
        };
        layer.0.erased(call, QueryNext { route, layers }).await
    }
}

impl fmt::Debug for QueryNext<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("QueryNext")
            .field("layers", &(self.layers[0].len() + self.layers[1].len()))
            .finish_non_exhaustive()
    }
}

type AskFuture<'a> = Pin<Box<dyn Future<Output = Result<Answer, QueryError>> + Send + 'a>>;

/// A layer of any type, and its name.
pub(crate) type SharedQueryLayer = (Arc<dyn ErasedQueryLayer>, &'static str);

/// A layer of any type.
pub(crate) trait ErasedQueryLayer: Send + Sync {
    fn erased<'a>(&'a self, call: QueryCall, next: QueryNext<'a>) -> AskFuture<'a>;
}

impl<L: QueryLayer> ErasedQueryLayer for L {
    fn erased<'a>(&'a self, call: QueryCall, next: QueryNext<'a>) -> AskFuture<'a> {
        Box::pin(self.ask(call, next))
    }
}
