//! Documents.

use async_trait::async_trait;
use sqlx::{Row as _, postgres::PgRow};
use uno_core::{
    Direction, Document, DocumentStore, FieldValue, FindDocuments, FoundDocument, Payload,
    StoreError,
};

use super::{PgStore, askable};
use crate::{fault::Fault, reader::limit, value::PgJson};

const LOAD: &str =
    "SELECT key, revision, body FROM {schema}.documents WHERE collection = $1 AND key = ANY ($2)";
const SCAN: &str = "SELECT key, revision, body FROM {schema}.documents WHERE collection = $1 AND key > $2 ORDER BY key LIMIT $3";
const FIND: &str = "SELECT d.key, d.revision, d.body, f.value FROM {schema}.document_fields f \
     JOIN {schema}.documents d ON d.collection = f.collection AND d.key = f.key \
     WHERE f.collection = $1 AND f.field = $2 AND (f.value, f.key) > ($3, $4) AND (f.value, f.key) < ($5, $6) \
     ORDER BY f.value, f.key LIMIT $7";
const FIND_BACKWARD: &str = "SELECT d.key, d.revision, d.body, f.value FROM {schema}.document_fields f \
     JOIN {schema}.documents d ON d.collection = f.collection AND d.key = f.key \
     WHERE f.collection = $1 AND f.field = $2 AND (f.value, f.key) > ($3, $4) AND (f.value, f.key) < ($5, $6) \
     ORDER BY f.value DESC, f.key DESC LIMIT $7";

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

    async fn find_documents(&self, find: FindDocuments) -> Result<Vec<FoundDocument>, StoreError> {
        if !askable(find.collection()) || !askable(find.field()) {
            return Ok(Vec::new());
        }
        self.read(move |session| {
            let find = find.clone();
            Box::pin(async move {
                session.ready().await?;
                let (after, before) = find.places();
                let query = session.shared().sql(match find.direction() {
                    Direction::Forward => FIND,
                    Direction::Backward => FIND_BACKWARD,
                });
                let query = query
                    .query(session.shared().options.is_prepared())
                    .bind(find.collection().to_owned())
                    .bind(find.field().to_owned())
                    .bind(after.0)
                    .bind(after.1)
                    .bind(before.0)
                    .bind(before.1)
                    .bind(limit(find.max_documents()));
                query
                    .fetch_all(session.connection())
                    .await?
                    .iter()
                    .map(found)
                    .collect()
            })
        })
        .await
    }
}

fn found(row: &PgRow) -> Result<FoundDocument, Fault> {
    let value = FieldValue::from_stored(row.try_get(3)?);
    Ok(FoundDocument::new(value, document(row)?))
}

fn document(row: &PgRow) -> Result<Document, Fault> {
    Ok(Document::new(
        row.try_get(0)?,
        row.try_get::<i64, _>(1)?.cast_unsigned(),
        Payload::from_stored(row.try_get::<PgJson<'_>, _>(2)?.0),
    ))
}
