//! The one place where SQL is put together: from our own text and the checked name of the schema, nothing else.

use std::sync::Arc;

use sqlx::{AssertSqlSafe, SqlSafeStr as _, SqlStr, postgres::PgArguments, query::Query};

use crate::SchemaName;

/// SQL text with the name of the schema in it.
#[derive(Clone, Debug)]
pub(crate) struct Sql(Arc<str>);

impl Sql {
    /// The text with `{schema}` replaced by the quoted name of the schema, and `{name}` by the bare one.
    ///
    /// `text` must come from this crate: it is what vouches for the safety of the result.
    pub(crate) fn new(text: &str, schema: &SchemaName) -> Self {
        Self(
            text.replace("{schema}", &schema.quoted())
                .replace("{name}", schema.as_str())
                .into(),
        )
    }

    /// A query with this text.
    pub(crate) fn query<'q>(&self, prepared: bool) -> Query<'q, sqlx::Postgres, PgArguments> {
        sqlx::query(self.text()).persistent(prepared)
    }

    /// The text for the driver.
    pub(crate) fn text(&self) -> SqlStr {
        // The text is ours, and a schema's name has only letters, digits and `_`.
        AssertSqlSafe(Arc::clone(&self.0)).into_sql_str()
    }
}
