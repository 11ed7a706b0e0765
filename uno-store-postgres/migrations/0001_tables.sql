-- The tables of a store. {schema} is the checked and quoted name of its schema.
-- Append-only: a migration that was released is never changed, and its checksum is kept.

-- What names the store. The classes are the first halves of its advisory lock keys: positive, and as good as unique
-- among all the stores of a database.
CREATE TABLE {schema}.meta (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    -- The schema's name at its migration, which the texts of the functions have in them. Another one now means that it was
    -- renamed, and that they would look elsewhere.
    home text NOT NULL DEFAULT '{name}',
    epoch uuid NOT NULL,
    log_class integer NOT NULL,
    queue_class integer NOT NULL,
    draw_class integer NOT NULL,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

INSERT INTO {schema}.meta (epoch, log_class, queue_class, draw_class)
SELECT gen_random_uuid(), a, b, c
FROM (
    SELECT ('x' || substr(u, 1, 8))::bit(32)::integer & 2147483647 AS a,
           ('x' || substr(u, 9, 8))::bit(32)::integer & 2147483647 AS b,
           ('x' || substr(u, 17, 8))::bit(32)::integer & 2147483647 AS c
    FROM (SELECT md5(gen_random_uuid()::text) AS u) random
) classes;

-- Identifier columns are COLLATE "C": they are compared byte by byte, like the keys in the program.
CREATE SEQUENCE {schema}.streams_id AS bigint;
CREATE TABLE {schema}.streams (
    id bigint PRIMARY KEY DEFAULT nextval('{schema}.streams_id'),
    category text COLLATE "C" NOT NULL,
    key text COLLATE "C" NOT NULL,
    version bigint NOT NULL CHECK (version >= 0),
    UNIQUE (category, key)
) WITH (fillfactor = 80);

-- One number for each event. It must be handed out one by one (CACHE 1) or positions would not rise with time.
CREATE SEQUENCE {schema}.events_position AS bigint INCREMENT BY 1 CACHE 1 NO CYCLE;
-- From now on last_value is always a number that was drawn (is_called), so that it can be read as a bound.
SELECT setval('{schema}.events_position', 1, true);

-- The last time of recording, in microseconds since 1970: memory beside the transactions, so that it never falls.
CREATE SEQUENCE {schema}.events_clock AS bigint INCREMENT BY 1 CACHE 1 NO CYCLE;
SELECT setval('{schema}.events_clock', 1, true);

-- The log. No foreign key to streams: the function that appends has the stream's row locked, and the check would cost
-- more than the insert.
CREATE TABLE {schema}.events (
    position bigint PRIMARY KEY DEFAULT nextval('{schema}.events_position') CHECK (position > 0),
    id uuid NOT NULL CONSTRAINT events_id_once UNIQUE,
    stream bigint NOT NULL,
    version bigint NOT NULL CHECK (version > 0),
    schema_version bigint NOT NULL,
    occurred_at timestamptz NOT NULL,
    recorded_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    correlation_id uuid,
    causation_id uuid,
    causing_event uuid,
    name text COLLATE "C" NOT NULL,
    payload json NOT NULL,
    actor text COLLATE "C",
    tenant text COLLATE "C",
    traceparent text COLLATE "C",
    headers json,
    tags text[] COLLATE "C",
    CONSTRAINT events_version_once UNIQUE (stream, version)
);

CREATE INDEX events_correlation ON {schema}.events (correlation_id, position) WHERE correlation_id IS NOT NULL;
-- Causes are ids of commands as a rule, and causing events are ids of events: whoever follows what happened asks for both.
CREATE INDEX events_causation ON {schema}.events (causation_id, position) WHERE causation_id IS NOT NULL;
CREATE INDEX events_causing ON {schema}.events (causing_event, position) WHERE causing_event IS NOT NULL;
-- An actor may be longer than an index entry.
CREATE INDEX events_actor ON {schema}.events (hashtextextended(actor, 0), position) WHERE actor IS NOT NULL;

-- Tags are indexed by their hashes: a tag may be longer than an index entry. Look for `tag_keys(tags) @> tag_keys(wanted)`
-- and for `tags @> wanted`.
CREATE FUNCTION {schema}.tag_keys(tags text[]) RETURNS bigint[] LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN (SELECT array_agg(hashtextextended(t.tag, 0)) FROM unnest(tags) t(tag));
CREATE INDEX events_tags ON {schema}.events USING gin ({schema}.tag_keys(tags)) WHERE tags IS NOT NULL;

CREATE TABLE {schema}.snapshots (
    category text COLLATE "C" NOT NULL,
    key text COLLATE "C" NOT NULL,
    version bigint NOT NULL,
    event_id uuid NOT NULL,
    shape text NOT NULL,
    checksum bigint NOT NULL,
    body text NOT NULL,
    PRIMARY KEY (category, key)
);

-- A row for each lane of a subscription: where it is, and who runs it. What every move of the checkpoint has to look at stands in
-- the row that it changes anyway.
CREATE TABLE {schema}.checkpoints (
    name text COLLATE "C" NOT NULL,
    lane integer NOT NULL CHECK (lane >= 0),
    -- NULL before the first save: the row may be there for its lease.
    epoch uuid,
    position bigint,
    event_id uuid,
    saved_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    -- The number of its last lease.
    fence bigint NOT NULL DEFAULT 0,
    -- NULL when nobody holds it. How long the lease runs stands in the owner's row in members.
    owner uuid,
    owner_name text COLLATE "C",
    -- The claim that took it from an owner who did not give it back: asked once more, it gets the same answer.
    abandoned_in uuid,
    -- What was tried last, and how often.
    attempt_position bigint,
    attempt bigint,
    -- Whether an owner did not give it back, and no attempt explains why.
    unexplained boolean NOT NULL DEFAULT false,
    PRIMARY KEY (name, lane),
    CHECK ((epoch IS NULL) = (position IS NULL)),
    CHECK ((owner IS NULL) = (owner_name IS NULL))
) WITH (fillfactor = 50);

-- Subscriptions that are divided into lanes. Whoever changes how they are held has this row locked, so claims never interleave.
CREATE TABLE {schema}.subscriptions (
    name text COLLATE "C" PRIMARY KEY,
    lanes integer NOT NULL CHECK (lanes > 0),
    -- Another number of lanes, once all are in one place: the furthest.
    wanted integer CHECK (wanted > 0)
) WITH (fillfactor = 50);

-- Who shares a subscription, and until when: the end of all the leases that one holds, since a claim renews them all. So a renewal
-- changes one row, and waits for no commit that has a lane's row locked.
CREATE TABLE {schema}.members (
    subscription text COLLATE "C" NOT NULL,
    owner uuid NOT NULL,
    name text COLLATE "C" NOT NULL,
    until timestamptz NOT NULL,
    -- False for an earlier run of a process that has taken over: its leases run on, but nobody leaves it a share.
    counts boolean NOT NULL,
    PRIMARY KEY (subscription, owner)
) WITH (fillfactor = 50);

CREATE TABLE {schema}.parked_keys (
    subscription text COLLATE "C" NOT NULL,
    key text COLLATE "C" NOT NULL,
    attempts bigint NOT NULL,
    error text NOT NULL,
    fingerprint text COLLATE "C" NOT NULL,
    parked_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    -- What is to be done with it, and the number of that request.
    request text COLLATE "C",
    requested bigint,
    PRIMARY KEY (subscription, key),
    CHECK ((request IS NULL) = (requested IS NULL))
);
-- For what is to be carried out: few of many.
CREATE INDEX parked_requests ON {schema}.parked_keys (subscription, requested, key) WHERE request IS NOT NULL;
CREATE SEQUENCE {schema}.request_number AS bigint INCREMENT BY 1 CACHE 1 NO CYCLE;

CREATE TABLE {schema}.parked_events (
    subscription text COLLATE "C" NOT NULL,
    key text COLLATE "C" NOT NULL,
    position bigint NOT NULL,
    event_id uuid NOT NULL,
    PRIMARY KEY (subscription, key, position)
);

CREATE TABLE {schema}.documents (
    collection text COLLATE "C" NOT NULL,
    key text COLLATE "C" NOT NULL,
    -- Another one after each put, and never one that the document had before, also if it was removed in between.
    revision bigint NOT NULL,
    body json NOT NULL,
    -- Whether it has, or ever had, fields.
    indexed boolean NOT NULL DEFAULT false,
    PRIMARY KEY (collection, key)
);
-- What documents are found by: values as bytes that sort as they do. Written by whoever holds the row of the document only.
CREATE TABLE {schema}.document_fields (
    collection text COLLATE "C" NOT NULL,
    key text COLLATE "C" NOT NULL,
    field text COLLATE "C" NOT NULL,
    value bytea NOT NULL,
    PRIMARY KEY (collection, key, field)
);
CREATE INDEX document_fields_value ON {schema}.document_fields (collection, field, value, key);
CREATE SEQUENCE {schema}.document_revision AS bigint INCREMENT BY 1 NO CYCLE;

CREATE TABLE {schema}.processes (
    process text COLLATE "C" NOT NULL,
    key text COLLATE "C" NOT NULL,
    revision bigint NOT NULL,
    status text COLLATE "C" NOT NULL,
    body json NOT NULL,
    PRIMARY KEY (process, key)
);
CREATE INDEX processes_status ON {schema}.processes (process, status, key);

CREATE SEQUENCE {schema}.queue_number AS bigint INCREMENT BY 1 CACHE 1 NO CYCLE;
SELECT setval('{schema}.queue_number', 1, true);

CREATE TABLE {schema}.queue (
    number bigint PRIMARY KEY DEFAULT nextval('{schema}.queue_number'),
    queue text COLLATE "C" NOT NULL,
    id uuid NOT NULL,
    key text COLLATE "C" NOT NULL,
    name text COLLATE "C" NOT NULL,
    payload json NOT NULL,
    metadata json NOT NULL,
    enqueued_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT queue_id_once UNIQUE (queue, id)
);
CREATE INDEX queue_order ON {schema}.queue (queue, number);
-- For what waits behind one instance: few of many.
CREATE INDEX queue_keys ON {schema}.queue (queue, key, number);

-- Rows come and go at the front of the order, so they are tidied up long before a fifth of them is dead.
CREATE TABLE {schema}.timers (
    process text COLLATE "C" NOT NULL,
    id uuid NOT NULL,
    key text COLLATE "C" NOT NULL,
    due_at timestamptz NOT NULL,
    payload json NOT NULL,
    metadata json NOT NULL,
    PRIMARY KEY (process, id)
) WITH (autovacuum_vacuum_scale_factor = 0.01);
-- The order in which they fire: to look for the due ones is to look at the first entries of a process.
CREATE INDEX timers_order ON {schema}.timers (process, due_at, id);
CREATE INDEX timers_keys ON {schema}.timers (process, key);

CREATE TABLE {schema}.history (
    process text COLLATE "C" NOT NULL,
    key text COLLATE "C" NOT NULL,
    number bigint NOT NULL CHECK (number > 0),
    recorded_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    entry json NOT NULL,
    PRIMARY KEY (process, key, number)
);

CREATE TABLE {schema}.inbox (
    consumer text COLLATE "C" NOT NULL,
    id uuid NOT NULL,
    handled_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    outputs json NOT NULL,
    PRIMARY KEY (consumer, id)
);
CREATE INDEX inbox_age ON {schema}.inbox (consumer, handled_at);
