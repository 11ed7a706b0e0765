//! Whether a type has a JSON Schema, asked without a bound on it.
//!
//! Two traits have a method of one name. For `(&Probe::<T>::new()).describe()` the compiler looks first at methods that take a
//! `&Probe<T>`, and there is one only if `T` is a `JsonSchema`; if it is not, the compiler goes on to those that take a `&&Probe<T>`.
//! Derived events have no type parameters, so the type is known where this is asked.

use std::{fmt, marker::PhantomData};

use serde_json::Value;

/// Asks about `T`.
pub struct Probe<T>(PhantomData<fn() -> T>);

impl<T> Probe<T> {
    /// The question.
    #[must_use]
    #[expect(clippy::new_without_default, reason = "only derives make it")]
    pub const fn new() -> Self {
        Self(PhantomData)
    }
}

impl<T> fmt::Debug for Probe<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Probe")
    }
}

/// For types that are a `JsonSchema`; without the feature `schema`, for none.
pub trait HasSchema {
    /// The schema.
    fn describe(&self) -> Option<Value>;
}

#[cfg(feature = "schema")]
impl<T: schemars::JsonSchema> HasSchema for Probe<T> {
    fn describe(&self) -> Option<Value> {
        // The generator's defaults: draft 2020-12, and what may be read.
        Some(
            schemars::SchemaGenerator::default()
                .into_root_schema_for::<T>()
                .into(),
        )
    }
}

/// For all others.
pub trait NoSchema {
    /// Nothing.
    fn describe(&self) -> Option<Value>;
}

impl<T> NoSchema for &Probe<T> {
    fn describe(&self) -> Option<Value> {
        None
    }
}
