//! An append through the store's own function, in somebody else's transaction.

use sqlx::{PgConnection, Row as _};

use super::Placed;
use crate::{
    campaign::batch::{Draft, NAME},
    ids::IdSpace,
    session::{Schema, sql},
};

const COMMIT: &str = "SELECT c.status[1], c.base, c.positions FROM {s}.commit( \
    callers => 1, patient => true, careful => false, lock_timeout => '10s', \
    s_category => $1, s_key => $2, \
    e_caller => array_fill(1, ARRAY[cardinality($2)]), e_stream => $3, \
    e_expected => array_fill(-1::bigint, ARRAY[cardinality($2)]), e_count => $4, \
    v_entry => $5, v_index => $6, v_id => $7::uuid[], v_name => array_fill($9, ARRAY[cardinality($7)]), \
    v_schema => array_fill(1::bigint, ARRAY[cardinality($7)]), v_payload => $8, \
    v_occurred => array_fill(now(), ARRAY[cardinality($7)]), \
    v_correlation => array_fill(NULL::uuid, ARRAY[cardinality($7)]), v_causation => array_fill(NULL::uuid, ARRAY[cardinality($7)]), \
    v_actor => array_fill(NULL::text, ARRAY[cardinality($7)]), v_tenant => array_fill(NULL::text, ARRAY[cardinality($7)]), \
    v_traceparent => array_fill(NULL::text, ARRAY[cardinality($7)]), v_headers => array_fill(NULL::text, ARRAY[cardinality($7)]), \
    v_tags => array_fill(NULL::text, ARRAY[cardinality($7)])) c";

/// Appends a batch at the ends of its streams.
pub(super) async fn append(
    session: &mut PgConnection,
    schema: &Schema,
    draft: &Draft,
    space: IdSpace,
) -> sqlx::Result<Placed> {
    let categories: Vec<String> = draft
        .parts
        .iter()
        .map(|part| part.category.to_owned())
        .collect();
    let keys: Vec<String> = draft.parts.iter().map(|part| part.key.clone()).collect();
    let counts: Vec<i64> = draft
        .parts
        .iter()
        .map(|part| i64::from(part.events))
        .collect();
    let (mut streams, mut entries, mut places, mut ids, mut payloads) =
        (vec![], vec![], vec![], vec![], vec![]);
    for (part, entry) in draft.parts.iter().zip(1_i32..) {
        streams.push(entry);
        for place in 1..=i64::from(part.events) {
            let index = u32::try_from(ids.len()).unwrap_or(u32::MAX);
            entries.push(entry);
            places.push(place);
            ids.push(uuid::Uuid::from_u128(space.id(draft.batch, index)).to_string());
            payloads.push(space.payload(draft.batch, index));
        }
    }
    let query = sqlx::query(sql(schema, COMMIT))
        .bind(categories)
        .bind(keys)
        .bind(streams)
        .bind(counts);
    let query = query
        .bind(entries)
        .bind(places)
        .bind(ids)
        .bind(payloads)
        .bind(NAME);
    let row = query.fetch_one(session).await?;
    let status: i32 = row.try_get(0)?;
    if status != 0 {
        return Err(sqlx::Error::Decode(
            format!("the function commit gave status {status}").into(),
        ));
    }
    let base: Vec<i64> = row.try_get(1)?;
    let positions: Vec<i64> = row.try_get(2)?;
    let firsts = draft
        .parts
        .iter()
        .zip(base)
        .map(|(part, base)| (part.stream(), base.cast_unsigned() + 1))
        .collect();
    let position = positions
        .into_iter()
        .max()
        .unwrap_or_default()
        .cast_unsigned();
    Ok(Placed { position, firsts })
}
