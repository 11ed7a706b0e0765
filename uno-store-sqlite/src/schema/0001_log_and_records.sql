-- The log, and what is kept beside it. Every table is STRICT, every id 16 bytes, every time in microseconds.

-- One row: what is true of the whole store.
CREATE TABLE uno_meta (
    only INTEGER NOT NULL PRIMARY KEY CHECK (only = 1),
    epoch BLOB NOT NULL CHECK (length(epoch) = 16),
    -- The last number that was given to a message. Kept here, since a number is never used again after its message is gone.
    last_number INTEGER NOT NULL
) STRICT;

-- Keys are often random, and every row at a random place of an index is a page to be written. So streams are numbered as they begin,
-- and only the number is in the index of events: what happens at one time is in the same few pages.
CREATE TABLE uno_streams (
    number INTEGER PRIMARY KEY,
    category TEXT NOT NULL,
    key TEXT NOT NULL,
    UNIQUE (category, key)
) STRICT;

-- Positions are chosen by the writer, behind the last one. No AUTOINCREMENT is needed for that: no event is ever deleted.
CREATE TABLE uno_events (
    position INTEGER PRIMARY KEY,
    id BLOB NOT NULL,
    stream INTEGER NOT NULL,
    category TEXT NOT NULL,
    key TEXT NOT NULL,
    version INTEGER NOT NULL,
    name TEXT NOT NULL,
    schema_version INTEGER NOT NULL,
    payload TEXT NOT NULL,
    occurred_at INTEGER NOT NULL,
    recorded_at INTEGER NOT NULL,
    correlation_id BLOB,
    causation_id BLOB,
    causing_event BLOB,
    actor TEXT,
    tenant TEXT,
    traceparent TEXT,
    headers TEXT,
    tags TEXT
) STRICT;

-- An index holds the position beside its columns, so each of these gives its events in the order of the log.
-- There is none by time: times never fall along the log, so a moment is found by halving it.
CREATE UNIQUE INDEX uno_events_id ON uno_events (id);
CREATE UNIQUE INDEX uno_events_stream ON uno_events (stream, version);
CREATE INDEX uno_events_name ON uno_events (name);
CREATE INDEX uno_events_category ON uno_events (category);
CREATE INDEX uno_events_correlation ON uno_events (correlation_id) WHERE correlation_id IS NOT NULL;
CREATE INDEX uno_events_causation ON uno_events (causation_id) WHERE causation_id IS NOT NULL;
CREATE INDEX uno_events_causing ON uno_events (causing_event) WHERE causing_event IS NOT NULL;
CREATE INDEX uno_events_actor ON uno_events (actor) WHERE actor IS NOT NULL;

CREATE TRIGGER uno_events_no_update BEFORE UPDATE ON uno_events
BEGIN
    SELECT RAISE(ABORT, 'events are never changed');
END;

CREATE TRIGGER uno_events_no_delete BEFORE DELETE ON uno_events
BEGIN
    SELECT RAISE(ABORT, 'events are never removed');
END;

-- With a row id, so that rows are in the order in which they were first written: what is written again soon is in the same few pages.
CREATE TABLE uno_snapshots (
    category TEXT NOT NULL,
    key TEXT NOT NULL,
    version INTEGER NOT NULL,
    event_id BLOB NOT NULL,
    shape TEXT NOT NULL,
    checksum INTEGER NOT NULL,
    body TEXT NOT NULL,
    PRIMARY KEY (category, key)
) STRICT;

CREATE TABLE uno_documents (
    collection TEXT NOT NULL,
    key TEXT NOT NULL,
    revision INTEGER NOT NULL,
    body TEXT NOT NULL,
    -- Whether it has fields.
    indexed INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (collection, key)
) STRICT;

-- What documents are found by: values as bytes that sort as they do.
CREATE TABLE uno_document_fields (
    collection TEXT NOT NULL,
    key TEXT NOT NULL,
    field TEXT NOT NULL,
    value BLOB NOT NULL,
    PRIMARY KEY (collection, key, field)
) STRICT, WITHOUT ROWID;
CREATE INDEX uno_document_fields_value ON uno_document_fields (collection, field, value, key);

-- The fields of a document's last put are the only ones. Documents without fields pay nothing for it.
CREATE TRIGGER uno_documents_put AFTER UPDATE ON uno_documents WHEN old.indexed BEGIN
    DELETE FROM uno_document_fields WHERE collection = old.collection AND key = old.key;
END;
CREATE TRIGGER uno_documents_removed AFTER DELETE ON uno_documents WHEN old.indexed BEGIN
    DELETE FROM uno_document_fields WHERE collection = old.collection AND key = old.key;
END;

-- A row for each lane of a subscription: where it is, and who runs it. Epoch and position are NULL before the first save: the row may
-- be there for its lease.
CREATE TABLE uno_checkpoints (
    subscription TEXT NOT NULL,
    lane INTEGER NOT NULL,
    epoch BLOB,
    position INTEGER,
    event_id BLOB,
    -- The number of its last lease.
    fence INTEGER NOT NULL DEFAULT 0,
    -- NULL when nobody holds it. How long the lease runs stands in the owner's row in uno_members.
    owner BLOB,
    owner_name TEXT,
    -- What was tried last, and how often.
    attempt_position INTEGER,
    attempt INTEGER,
    -- 1 when a holder did not give it back, and no attempt explains why.
    unexplained INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (subscription, lane)
) STRICT, WITHOUT ROWID;

-- Subscriptions that are divided into lanes.
CREATE TABLE uno_subscriptions (
    name TEXT NOT NULL PRIMARY KEY,
    lanes INTEGER NOT NULL,
    -- Another number of lanes, once all are in one place: the furthest.
    wanted INTEGER
) STRICT, WITHOUT ROWID;

-- Who shares a subscription, and until when: the end of all the leases that one holds, since a claim renews them all.
CREATE TABLE uno_members (
    subscription TEXT NOT NULL,
    owner BLOB NOT NULL,
    name TEXT NOT NULL,
    until INTEGER NOT NULL,
    -- 0 for an earlier run of a process that has taken over: its leases run on, but nobody leaves it a share.
    counts INTEGER NOT NULL,
    PRIMARY KEY (subscription, owner)
) STRICT, WITHOUT ROWID;

CREATE TABLE uno_parked_keys (
    subscription TEXT NOT NULL,
    key TEXT NOT NULL,
    attempts INTEGER NOT NULL,
    error TEXT NOT NULL,
    fingerprint TEXT NOT NULL,
    parked_at INTEGER NOT NULL,
    -- What is to be done with it, and the number of that request.
    request TEXT,
    requested INTEGER,
    PRIMARY KEY (subscription, key)
) STRICT;

-- For what is to be carried out: few of many.
CREATE INDEX uno_parked_requests ON uno_parked_keys (subscription, requested, key) WHERE requested IS NOT NULL;

CREATE TABLE uno_parked_events (
    subscription TEXT NOT NULL,
    key TEXT NOT NULL,
    position INTEGER NOT NULL,
    event_id BLOB NOT NULL,
    PRIMARY KEY (subscription, key, position)
) STRICT, WITHOUT ROWID;

CREATE TABLE uno_processes (
    process TEXT NOT NULL,
    key TEXT NOT NULL,
    revision INTEGER NOT NULL,
    status TEXT NOT NULL,
    body TEXT NOT NULL,
    PRIMARY KEY (process, key)
) STRICT;

CREATE TABLE uno_messages (
    queue TEXT NOT NULL,
    number INTEGER NOT NULL,
    id BLOB NOT NULL,
    key TEXT NOT NULL,
    name TEXT NOT NULL,
    payload TEXT NOT NULL,
    metadata TEXT NOT NULL,
    enqueued_at INTEGER NOT NULL,
    PRIMARY KEY (queue, number)
) STRICT, WITHOUT ROWID;

CREATE UNIQUE INDEX uno_messages_id ON uno_messages (queue, id);

-- For what waits behind one instance: few of many.
CREATE INDEX uno_messages_key ON uno_messages (queue, key, number);

-- In the order in which they fire: to look for the due ones is to look at the first rows of a process.
CREATE TABLE uno_timers (
    process TEXT NOT NULL,
    due_at INTEGER NOT NULL,
    id BLOB NOT NULL,
    key TEXT NOT NULL,
    payload TEXT NOT NULL,
    metadata TEXT NOT NULL,
    PRIMARY KEY (process, due_at, id)
) STRICT, WITHOUT ROWID;

CREATE UNIQUE INDEX uno_timers_id ON uno_timers (process, id);
CREATE INDEX uno_timers_key ON uno_timers (process, key);

-- With a row id: what is added goes to the end, and only the numbers to their places in the index.
CREATE TABLE uno_history (
    process TEXT NOT NULL,
    key TEXT NOT NULL,
    number INTEGER NOT NULL,
    recorded_at INTEGER NOT NULL,
    entry TEXT NOT NULL,
    PRIMARY KEY (process, key, number)
) STRICT;

CREATE TABLE uno_inbox (
    consumer TEXT NOT NULL,
    id BLOB NOT NULL,
    handled_at INTEGER NOT NULL,
    outputs TEXT NOT NULL,
    PRIMARY KEY (consumer, id)
) STRICT;

CREATE INDEX uno_inbox_age ON uno_inbox (consumer, handled_at);
