//! [`Validate`]: what must hold of a command or query before anything is asked of the store.

use std::fmt;

use uno_core::{Backend, Command, Receipt};

use crate::{
    Answer, CommandCall, CommandLayer, CommandNext, ExecuteError, Query, QueryCall, QueryError,
    QueryLayer, QueryNext,
};

/// Says what must hold of a command or query by itself: of its fields, without a look at anything else. What depends on what has
/// happened is the aggregate's decision.
///
/// ```
/// use uno_cqrs::{Invalid, Validate};
///
/// struct Transfer { from: String, to: String, cents: i64 }
///
/// impl Validate for Transfer {
///     fn validate(&self) -> Result<(), Invalid> {
///         Invalid::none()
///             .unless(self.cents > 0, "cents", "must be above zero")
///             .unless(self.from != self.to, "to", "must be another account")
///             .into_result()
///     }
/// }
///
/// let odd = Transfer { from: "ada".into(), to: "ada".into(), cents: 0 };
/// let invalid = odd.validate().unwrap_err();
/// assert_eq!(invalid.to_string(), "cents must be above zero; to must be another account");
/// assert_eq!(invalid.fields().collect::<Vec<_>>(), ["cents", "to"]);
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not say when it is valid",
    note = "implement `Validate` for it, or give a function to `validate_by`"
)]
pub trait Validate {
    /// Whether it is valid. A function of the value alone.
    ///
    /// # Errors
    /// Which fields are not what they must be, and why.
    fn validate(&self) -> Result<(), Invalid>;
}

/// What is wrong with a command or query, field by field.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Invalid {
    problems: Vec<(String, String)>,
}

impl Invalid {
    /// Nothing is wrong yet.
    #[must_use]
    pub fn none() -> Self {
        Self::default()
    }

    /// One thing is wrong.
    #[must_use]
    pub fn field(field: impl Into<String>, reason: impl Into<String>) -> Self {
        Self::none().unless(false, field, reason)
    }

    /// The same; and unless this holds, that is wrong too. The reason goes on from the field's name: `must be above zero`.
    #[must_use]
    pub fn unless(
        mut self,
        holds: bool,
        field: impl Into<String>,
        reason: impl Into<String>,
    ) -> Self {
        if !holds {
            self.problems.push((field.into(), reason.into()));
        }
        self
    }

    /// `Ok` if nothing is wrong.
    ///
    /// # Errors
    /// Itself, if anything is.
    pub fn into_result(self) -> Result<(), Self> {
        if self.problems.is_empty() {
            Ok(())
        } else {
            Err(self)
        }
    }

    /// The fields that are not what they must be, in the order in which they were found.
    pub fn fields(&self) -> impl Iterator<Item = &str> {
        self.problems.iter().map(|(field, _)| field.as_str())
    }

    /// Each of them with what is wrong with it.
    pub fn problems(&self) -> impl Iterator<Item = (&str, &str)> {
        let pairs = self.problems.iter();
        pairs.map(|(field, reason)| (field.as_str(), reason.as_str()))
    }
}

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.problems.is_empty() {
            return f.write_str("it is not valid");
        }
        for (number, (field, reason)) in self.problems.iter().enumerate() {
            let semicolon = if number == 0 { "" } else { "; " };
            write!(f, "{semicolon}{field} {reason}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Invalid {}

/// A layer that lets pass what is valid.
pub(crate) struct Validation<F>(pub(crate) F);

/// A rule for a type of command or query.
pub(crate) struct Rule<T, F> {
    valid: F,
    of: std::marker::PhantomData<fn(&T)>,
}

impl<T, F> Rule<T, F>
where
    F: Fn(&T) -> Result<(), Invalid> + Send + Sync + 'static,
{
    pub(crate) fn layer(valid: F) -> Validation<Self> {
        let of = std::marker::PhantomData;
        Validation(Self { valid, of })
    }
}

impl<B: Backend, C: Command, F> CommandLayer<B> for Validation<Rule<C, F>>
where
    F: Fn(&C) -> Result<(), Invalid> + Send + Sync + 'static,
{
    async fn execute(
        &self,
        call: CommandCall,
        next: CommandNext<'_, B>,
    ) -> Result<Receipt, ExecuteError> {
        match call.command::<C>().map(&self.0.valid) {
            Some(Err(source)) => Err(ExecuteError::Invalid {
                name: call.name().to_owned(),
                source,
            }),
            // The layer is around the handler of this type alone.
            Some(Ok(())) | None => next.run(call).await,
        }
    }
}

impl<Q: Query, F> QueryLayer for Validation<Rule<Q, F>>
where
    F: Fn(&Q) -> Result<(), Invalid> + Send + Sync + 'static,
{
    async fn ask(&self, call: QueryCall, next: QueryNext<'_>) -> Result<Answer, QueryError> {
        match call.query::<Q>().map(&self.0.valid) {
            Some(Err(source)) => Err(QueryError::Invalid {
                name: call.name(),
                source,
            }),
            Some(Ok(())) | None => next.run(call).await,
        }
    }
}
