//! Ids and times as Postgres keeps them. Written by hand, since sqlx's own features for them draw SQLite into the
//! dependencies of everybody (see `docs/design/postgres-log.md`).

use std::time::Duration;

use chrono::{DateTime, Utc};
use sqlx::{
    Decode, Encode, Postgres, Type,
    encode::IsNull,
    error::BoxDynError,
    postgres::{PgArgumentBuffer, PgHasArrayType, PgTypeInfo, PgValueRef, types::Oid},
};
use uuid::Uuid;

/// A `uuid`: sixteen bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PgUuid(pub(crate) Uuid);

impl Type<Postgres> for PgUuid {
    fn type_info() -> PgTypeInfo {
        PgTypeInfo::with_oid(Oid(2950))
    }
}

impl PgHasArrayType for PgUuid {
    fn array_type_info() -> PgTypeInfo {
        PgTypeInfo::with_oid(Oid(2951))
    }
}

impl Encode<'_, Postgres> for PgUuid {
    fn encode_by_ref(&self, buf: &mut PgArgumentBuffer) -> Result<IsNull, BoxDynError> {
        buf.extend_from_slice(self.0.as_bytes());
        Ok(IsNull::No)
    }
}

impl Decode<'_, Postgres> for PgUuid {
    fn decode(value: PgValueRef<'_>) -> Result<Self, BoxDynError> {
        Ok(Self(Uuid::from_slice(value.as_bytes()?)?))
    }
}

/// A `timestamptz`: microseconds since the year 2000.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PgTime(pub(crate) DateTime<Utc>);

/// From 1970 to 2000, in microseconds.
const EPOCH: i64 = Duration::from_secs(946_684_800).as_micros() as i64;

/// The oldest time there is in Postgres, in the year 4714 before our era.
const OLDEST: i64 = -211_813_488_000_000_000;

impl Type<Postgres> for PgTime {
    fn type_info() -> PgTypeInfo {
        PgTypeInfo::with_oid(Oid(1184))
    }
}

impl PgTime {
    /// As Postgres counts. Older than it knows is as good as the oldest: only bounds of queries come that far.
    pub(crate) fn micros(self) -> i64 {
        self.0.timestamp_micros().saturating_sub(EPOCH).max(OLDEST)
    }
}

impl PgHasArrayType for PgTime {
    fn array_type_info() -> PgTypeInfo {
        PgTypeInfo::with_oid(Oid(1185))
    }
}

impl Encode<'_, Postgres> for PgTime {
    fn encode_by_ref(&self, buf: &mut PgArgumentBuffer) -> Result<IsNull, BoxDynError> {
        buf.extend_from_slice(&self.micros().to_be_bytes());
        Ok(IsNull::No)
    }
}

impl Decode<'_, Postgres> for PgTime {
    fn decode(value: PgValueRef<'_>) -> Result<Self, BoxDynError> {
        let bytes: [u8; 8] = value.as_bytes()?.try_into()?;
        let micros = i64::from_be_bytes(bytes)
            .checked_add(EPOCH)
            .ok_or("a time out of range")?;
        Ok(Self(
            DateTime::from_timestamp_micros(micros).ok_or("a time out of range")?,
        ))
    }
}

/// `json`, sent and received as its text, byte for byte.
#[derive(Debug)]
pub(crate) struct PgJson<'r>(pub(crate) &'r str);

impl Type<Postgres> for PgJson<'_> {
    fn type_info() -> PgTypeInfo {
        PgTypeInfo::with_oid(Oid(114))
    }
}

impl<'r> Decode<'r, Postgres> for PgJson<'r> {
    fn decode(value: PgValueRef<'r>) -> Result<Self, BoxDynError> {
        Ok(Self(value.as_str()?))
    }
}
