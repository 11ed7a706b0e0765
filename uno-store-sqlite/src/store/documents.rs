//! Documents.

use std::collections::BTreeSet;

use async_trait::async_trait;
use sqlx::sqlite::SqliteRow;
use uno_core::{
    Direction, Document, DocumentStore, FieldValue, FindDocuments, FoundDocument, StoreError,
};

use super::SqliteStore;
use crate::{error::store_error, reader::Point, row};

#[async_trait]
impl DocumentStore for SqliteStore {
    async fn load_documents(
        &self,
        collection: &str,
        keys: &[String],
    ) -> Result<Vec<Document>, StoreError> {
        let (collection, keys) = (collection.to_owned(), distinct(keys));
        self.readers()
            .point(|reply| Point::Documents(collection, keys, reply))
            .await
    }

    async fn scan_documents(
        &self,
        collection: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<Document>, StoreError> {
        let location = self.core().settings.location.clone();
        // No key is empty, so every key comes after an empty one.
        let (collection, after) = (collection.to_owned(), after.unwrap_or_default().to_owned());
        let documents = self.readers().scan(move |connection| {
            Box::pin(async move {
                let rows = sqlx::query("SELECT key, revision, body FROM uno_documents WHERE collection = ? AND key > ? ORDER BY key LIMIT ?")
                    .bind(collection)
                    .bind(after)
                    .bind(i64::try_from(limit).unwrap_or(i64::MAX))
                    .fetch_all(connection)
                    .await
                    .map_err(|error| store_error(&location, error))?;
                rows.iter().map(document).collect()
            })
        });
        documents.await
    }

    async fn find_documents(&self, find: FindDocuments) -> Result<Vec<FoundDocument>, StoreError> {
        let location = self.core().settings.location.clone();
        let documents = self.readers().scan(move |connection| {
            Box::pin(async move {
                let (after, before) = find.places();
                let rows = sqlx::query(find_sql(find.direction()))
                    .bind(find.collection())
                    .bind(find.field())
                    .bind(after.0)
                    .bind(after.1)
                    .bind(before.0)
                    .bind(before.1)
                    .bind(i64::try_from(find.max_documents()).unwrap_or(i64::MAX))
                    .fetch_all(connection)
                    .await
                    .map_err(|error| store_error(&location, error))?;
                rows.iter().map(found).collect()
            })
        });
        documents.await
    }
}

/// The documents between two places in the order of a field.
fn find_sql(direction: Direction) -> &'static str {
    match direction {
        Direction::Forward => include_str!("documents/find.sql"),
        Direction::Backward => include_str!("documents/find_backward.sql"),
    }
}

fn found(row: &SqliteRow) -> Result<FoundDocument, StoreError> {
    let value = FieldValue::from_stored(row::column(row, 0)?);
    Ok(FoundDocument::new(value, row::document(row, 1)?))
}

/// Each key once, and none that no record can have: JSON would cut it off at the NUL.
pub(super) fn distinct(keys: &[String]) -> Vec<String> {
    let keys: BTreeSet<&String> = keys.iter().filter(|key| !key.contains('\0')).collect();
    keys.into_iter().cloned().collect()
}

fn document(row: &SqliteRow) -> Result<Document, StoreError> {
    row::document(row, 0)
}
