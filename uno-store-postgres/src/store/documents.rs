//! Documents.

use async_trait::async_trait;
use sqlx::{Row as _, postgres::PgRow};
use uno_core::{Document, DocumentStore, Payload, StoreError};

use super::{PgStore, askable};
use crate::{fault::Fault, reader::limit, value::PgJson};

const LOAD: &str =
    "SELECT key, revision, body FROM {schema}.documents WHERE collection = $1 AND key = ANY ($2)";
const SCAN: &str = "SELECT key, revision, body FROM {schema}.documents WHERE collection = $1 AND key > $2 ORDER BY key LIMIT $3";

#[async_trait]
impl DocumentStore for PgStore {
    async fn load_documents(
        &self,
        collection: &str,
        keys: &[String],
    ) -> Result<Vec<Document>, StoreError> {
        let keys: Vec<String> = keys.iter().filter(|key| askable(key)).cloned().collect();
        if keys.is_empty() || !askable(collection) {
            return Ok(Vec::new());
        }
        let collection = collection.to_owned();
        self.read(move |session| {
            let (collection, keys) = (collection.clone(), keys.clone());
            Box::pin(async move {
                session.ready().await?;
                let query = session.shared().sql(LOAD);
                let query = query
                    .query(session.shared().options.is_prepared())
                    .bind(collection)
                    .bind(keys);
                query
                    .fetch_all(session.connection())
                    .await?
                    .iter()
                    .map(document)
                    .collect()
            })
        })
        .await
    }

    async fn scan_documents(
        &self,
        collection: &str,
        after: Option<&str>,
        max: usize,
    ) -> Result<Vec<Document>, StoreError> {
        if !askable(collection) {
            return Ok(Vec::new());
        }
        // Nothing sorts before a NUL, so what comes after a text with one comes after what precedes it, or is that.
        let after = after.unwrap_or_default().to_owned();
        let collection = collection.to_owned();
        self.read(move |session| {
            let (collection, after) = (collection.clone(), after.clone());
            Box::pin(async move {
                session.ready().await?;
                let query = session.shared().sql(SCAN);
                let query = query.query(session.shared().options.is_prepared());
                let query = query.bind(collection).bind(after).bind(limit(max));
                query
                    .fetch_all(session.connection())
                    .await?
                    .iter()
                    .map(document)
                    .collect()
            })
        })
        .await
    }
}

fn document(row: &PgRow) -> Result<Document, Fault> {
    Ok(Document::new(
        row.try_get(0)?,
        row.try_get::<i64, _>(1)?.cast_unsigned(),
        Payload::from_stored(row.try_get::<PgJson, _>(2)?.0),
    ))
}
