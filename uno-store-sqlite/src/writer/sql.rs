//! The statements that write.
//!
//! Measured (see `docs/design/sqlite.md`): for rows as wide as events, one statement with as many rows as there are events takes
//! a third to a fifth of what a JSON list takes; for the narrow tables the list costs little, and its text never changes.

use crate::script::Script;

/// How many events one statement inserts at most.
pub(crate) const MAX_EVENTS: usize = 64;

/// How many columns an event has.
pub(crate) const EVENT_COLUMNS: usize = 19;

/// Adds a statement that inserts up to `count` events, and says how many it has room for. Rows whose first column is null
/// are left out; so there are few different statements, and each is prepared once.
pub(crate) fn insert_events(count: usize, script: &mut Script) -> usize {
    let places = count.next_power_of_two();
    let row = format!("(?{})", ",?".repeat(EVENT_COLUMNS - 1));
    let rows = vec![row; places].join(",");
    script.push(&format!(
        "INSERT OR FAIL INTO uno_events SELECT * FROM (VALUES {rows}) WHERE column1 IS NOT NULL"
    ));
    places
}

pub(crate) const STREAMS: &str = "INSERT OR FAIL INTO uno_streams (number, category, key) \
     SELECT value->>0, value->>1, value->>2 FROM jsonb_each(?)";

pub(crate) const SNAPSHOTS: &str = "INSERT OR FAIL INTO uno_snapshots (category, key, version, event_id, shape, checksum, body) \
     SELECT value->>0, value->>1, value->>2, unhex(value->>3), value->>4, value->>5, value->>6 FROM jsonb_each(?) WHERE true \
     ON CONFLICT DO UPDATE SET version = excluded.version, event_id = excluded.event_id, shape = excluded.shape, \
     checksum = excluded.checksum, body = excluded.body WHERE excluded.version >= version";

pub(crate) const PUT_DOCUMENTS: &str = "INSERT OR FAIL INTO uno_documents (collection, key, revision, body, indexed) \
     SELECT value->>0, value->>1, value->>2, value->>3, value->>4 FROM jsonb_each(?) WHERE true \
     ON CONFLICT DO UPDATE SET revision = excluded.revision, body = excluded.body, indexed = excluded.indexed";

/// After the documents: a trigger has taken off what they were found by before.
pub(crate) const PUT_FIELDS: &str = "INSERT OR FAIL INTO uno_document_fields (collection, key, field, value) \
     SELECT value->>0, value->>1, value->>2, unhex(value->>3) FROM jsonb_each(?)";

pub(crate) const REMOVE_DOCUMENTS: &str = "DELETE FROM uno_documents \
     WHERE (collection, key) IN (SELECT value->>0, value->>1 FROM jsonb_each(?))";

pub(crate) const CHECKPOINTS: &str = "INSERT OR FAIL INTO uno_checkpoints (subscription, lane, epoch, position, event_id) \
     SELECT value->>0, value->>1, unhex(value->>2), value->>3, unhex(value->>4) FROM jsonb_each(?) WHERE true \
     ON CONFLICT DO UPDATE SET epoch = excluded.epoch, position = excluded.position, event_id = excluded.event_id";

pub(crate) const EMPTY_PARKED_EVENTS: &str = "DELETE FROM uno_parked_events \
     WHERE (subscription, key) IN (SELECT value->>0, value->>1 FROM jsonb_each(?))";

pub(crate) const EMPTY_PARKED_KEYS: &str = "DELETE FROM uno_parked_keys \
     WHERE (subscription, key) IN (SELECT value->>0, value->>1 FROM jsonb_each(?))";

pub(crate) const REMOVE_PARKED: &str = "DELETE FROM uno_parked_events \
     WHERE (subscription, key, position) IN (SELECT value->>0, value->>1, value->>2 FROM jsonb_each(?))";

pub(crate) const PARK_KEYS: &str = "INSERT OR FAIL INTO uno_parked_keys (subscription, key, attempts, error, fingerprint, parked_at) \
     SELECT value->>0, value->>1, value->>2, value->>3, value->>4, value->>5 FROM jsonb_each(?) WHERE true \
     ON CONFLICT DO UPDATE SET attempts = excluded.attempts, error = excluded.error, fingerprint = excluded.fingerprint, \
     request = NULL, requested = NULL";

pub(crate) const PARK_EVENTS: &str = "INSERT INTO uno_parked_events (subscription, key, position, event_id) \
     SELECT value->>0, value->>1, value->>2, unhex(value->>3) FROM jsonb_each(?) WHERE true \
     ON CONFLICT DO NOTHING";

pub(crate) const PROCESSES: &str = "INSERT OR FAIL INTO uno_processes (process, key, revision, status, body) \
     SELECT value->>0, value->>1, value->>2, value->>3, value->>4 FROM jsonb_each(?) WHERE true \
     ON CONFLICT DO UPDATE SET revision = excluded.revision, status = excluded.status, body = excluded.body";

pub(crate) const HISTORY: &str = "INSERT INTO uno_history (process, key, number, recorded_at, entry) \
     SELECT value->>0, value->>1, value->>2, value->>3, value->>4 FROM jsonb_each(?) WHERE true \
     ON CONFLICT (process, key, number) DO NOTHING";

pub(crate) const REMOVE_TIMERS: &str = "DELETE FROM uno_timers \
     WHERE (process, id) IN (SELECT value->>0, unhex(value->>1) FROM jsonb_each(?))";

pub(crate) const SET_TIMERS: &str = "INSERT OR FAIL INTO uno_timers (process, due_at, id, key, payload, metadata) \
     SELECT value->>0, value->>1, unhex(value->>2), value->>3, value->>4, value->>5 FROM jsonb_each(?)";

pub(crate) const INBOX: &str = "INSERT OR FAIL INTO uno_inbox (consumer, id, handled_at, outputs) \
     SELECT value->>0, unhex(value->>1), value->>2, value->>3 FROM jsonb_each(?)";

/// Some at a time, so that nobody waits for long behind it.
pub(crate) const PRUNE_INBOX: &str = "DELETE FROM uno_inbox WHERE rowid IN \
     (SELECT rowid FROM uno_inbox WHERE consumer = ? AND handled_at < ? ORDER BY handled_at LIMIT ?)";

pub(crate) const REMOVE_MESSAGES: &str = "DELETE FROM uno_messages \
     WHERE (queue, id) IN (SELECT value->>0, unhex(value->>1) FROM jsonb_each(?))";

pub(crate) const ADD_MESSAGES: &str = "INSERT OR FAIL INTO uno_messages (queue, number, id, key, name, payload, metadata, enqueued_at) \
     SELECT value->>0, value->>1, unhex(value->>2), value->>3, value->>4, value->>5, value->>6, value->>7 FROM jsonb_each(?)";

pub(crate) const LAST_NUMBER: &str = "UPDATE uno_meta SET last_number = ?";
