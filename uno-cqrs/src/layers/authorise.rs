//! [`Authorise`]: a layer that asks whether a command or query is allowed.

use std::{any::Any, fmt, future::Future};

use uno_core::{Backend, Command, Metadata, Receipt};

use crate::{
    Answer, CommandCall, CommandLayer, CommandNext, ExecuteError, Query, QueryCall, QueryError,
    QueryLayer, QueryNext,
};

/// A layer that asks an [`Authority`] whether a command or query may go on. What is refused was not begun, and is
/// [`ExecuteError::Forbidden`] or [`QueryError::Forbidden`].
///
/// ```
/// # use std::sync::Arc;
/// # use uno_core::Metadata;
/// # use uno_cqrs::{Query, QueryHandler};
/// # struct Sales; impl Query for Sales { type Output = i64; }
/// # struct Books;
/// # impl QueryHandler<Sales> for Books { async fn handle(&self, _: &Sales) -> Result<i64, uno_core::BoxError> { Ok(7) } }
/// use uno_cqrs::{Asked, Authorise, Forbidden, QueryBus, QueryError};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let known = Authorise::new(|asked: &Asked<'_>| match asked.metadata().actor() {
///     Some(_) => Ok(()),
///     None => Err(Forbidden::new("log in first")),
/// });
/// let bus = QueryBus::builder().layer(known).handler::<Sales>(Books).build()?;
/// assert!(matches!(bus.ask(Sales).await, Err(QueryError::Forbidden { .. })));
/// assert_eq!(bus.ask_as(Sales, Metadata::new().with_actor("ada")).await?, 7);
/// # Ok(()) }
/// ```
///
/// A command from a queue carries the metadata of what it was sent because of: the authority is asked for it too.
pub struct Authorise<A> {
    authority: A,
}

impl<A: Authority> Authorise<A> {
    /// A layer that asks this authority.
    #[must_use]
    pub fn new(authority: A) -> Self {
        Self { authority }
    }
}

impl<A> fmt::Debug for Authorise<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authorise").finish_non_exhaustive()
    }
}

/// Says what is allowed. A function of [`Asked`] is one; what has to look something up is a type with an `async fn`.
pub trait Authority: Send + Sync + 'static {
    /// Whether it is allowed.
    ///
    /// # Errors
    /// Why not. An authority that can't find out refuses.
    fn check(&self, asked: &Asked<'_>) -> impl Future<Output = Result<(), Forbidden>> + Send;
}

impl<F> Authority for F
where
    F: Fn(&Asked<'_>) -> Result<(), Forbidden> + Send + Sync + 'static,
{
    async fn check(&self, asked: &Asked<'_>) -> Result<(), Forbidden> {
        self(asked)
    }
}

/// What an authority is asked about: a command or a query, and on whose behalf it is.
pub struct Asked<'a> {
    name: &'a str,
    metadata: &'a Metadata,
    body: &'a (dyn Any + Send + Sync),
}

impl Asked<'_> {
    /// The name of the command, or of the query's type.
    #[must_use]
    pub fn name(&self) -> &str {
        self.name
    }

    /// The actor, the tenant, and the rest.
    #[must_use]
    pub fn metadata(&self) -> &Metadata {
        self.metadata
    }

    /// The command, if it is of that type.
    #[must_use]
    pub fn command<C: Command>(&self) -> Option<&C> {
        self.body.downcast_ref()
    }

    /// The query, if it is of that type.
    #[must_use]
    pub fn query<Q: Query>(&self) -> Option<&Q> {
        self.body.downcast_ref()
    }
}

/// Shows what it is, not what it holds.
impl fmt::Debug for Asked<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Asked")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

/// It is not allowed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct Forbidden {
    reason: String,
}

impl Forbidden {
    /// A refusal with its reason, which is shown to whoever asked.
    #[must_use]
    pub fn new(reason: impl Into<String>) -> Self {
        Self {
            reason: reason.into(),
        }
    }

    /// Why.
    #[must_use]
    pub fn reason(&self) -> &str {
        &self.reason
    }
}

impl<B: Backend, A: Authority> CommandLayer<B> for Authorise<A> {
    async fn execute(
        &self,
        call: CommandCall,
        next: CommandNext<'_, B>,
    ) -> Result<Receipt, ExecuteError> {
        let asked = Asked {
            name: call.name(),
            metadata: call.metadata(),
            body: call.any(),
        };
        match self.authority.check(&asked).await {
            Ok(()) => next.run(call).await,
            Err(source) => Err(ExecuteError::Forbidden {
                name: call.name().to_owned(),
                source,
            }),
        }
    }
}

impl<A: Authority> QueryLayer for Authorise<A> {
    async fn ask(&self, call: QueryCall, next: QueryNext<'_>) -> Result<Answer, QueryError> {
        let asked = Asked {
            name: call.name(),
            metadata: call.metadata(),
            body: call.any(),
        };
        match self.authority.check(&asked).await {
            Ok(()) => next.run(call).await,
            Err(source) => Err(QueryError::Forbidden {
                name: call.name(),
                source,
            }),
        }
    }
}
