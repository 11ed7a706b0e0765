-- Carries out the commits of one or several callers in one statement: see docs/design/group-append.md.
--
-- Arrays that begin with the same letter run in parallel. `*_caller` says whose a row is, from 1 upwards.
--   s  distinct streams, ascending by (category, key): the order in which they are locked
--   e  what each caller takes for granted of a stream (an index into s): -1 anything, -2 that it exists, else the exact
--      version; and how many events it gets (0: none). All entries of a caller follow one another.
--   v  events: the entry they belong to, their place in it from 1, and what is stored of them. In order of the entries.
--   c  checkpoints   p  process instances   a  acknowledgements   m  messages   d  documents   n  snapshots
--   t  timers, ascending by (process, id): the order in which they are locked. Kind 0 sets, 1 cancels, 2 fires. What is set is
--      due at `at`, or else `after` microseconds from now
--   h  entries in the histories of instances in p   i  messages that were handled
--   k  what is parked and taken off with the moves in c, in the order in which it happens; all of a caller follow one another.
--      Kind 0 parks an event that failed, 1 one behind it, 2 takes one off, 3 takes a key off
-- Across the callers, each of the things in c, p, a, m, d, n, t, i occurs once, no event id occurs twice, and no key in k is that of
-- two callers.
--
-- Answer, for each caller: status 0 done, 1 conflict, 2 stale checkpoint, 3 stale process, 4 stale message, 5 message
-- id in use, 6 event id in use, 7 done before (the same events are stored in this place), 8 a stream is locked by
-- somebody else and `patient` is false, 9 stale timer, 10 message handled before, 11 stale lease, 12 stale parked key, 20 stale
-- document; and in `detail` the index of the row at fault.
-- For each entry: `base`, the version that the stream had before it. For each event: its position. `queued` is the last
-- number that a message got, `transaction` the transaction's id.
-- A caller with any other status than 0 has changed nothing.
--
-- SQLSTATE UN001: somebody else was faster in a way that only a fresh start can judge. Nothing was done; call again.
CREATE FUNCTION {schema}.commit(
    callers integer,
    patient boolean,
    careful boolean,
    lock_timeout text,
    s_category text[], s_key text[],
    e_caller integer[], e_stream integer[], e_expected bigint[], e_count bigint[],
    v_entry integer[], v_index bigint[], v_id uuid[], v_name text[], v_schema bigint[], v_payload text[],
    v_occurred timestamptz[], v_correlation uuid[], v_causation uuid[], v_actor text[], v_tenant text[],
    v_traceparent text[], v_headers text[], v_tags text[],
    -- Without a fence, a lane that nobody has on lease.
    c_caller integer[] DEFAULT NULL, c_name text[] DEFAULT NULL, c_lane integer[] DEFAULT NULL, c_fence bigint[] DEFAULT NULL,
    c_expected bigint[] DEFAULT NULL, c_epoch uuid[] DEFAULT NULL, c_position bigint[] DEFAULT NULL, c_event uuid[] DEFAULT NULL,
    p_caller integer[] DEFAULT NULL, p_process text[] DEFAULT NULL, p_key text[] DEFAULT NULL,
    p_expected bigint[] DEFAULT NULL, p_revision bigint[] DEFAULT NULL, p_status text[] DEFAULT NULL, p_body text[] DEFAULT NULL,
    a_caller integer[] DEFAULT NULL, a_queue text[] DEFAULT NULL, a_id uuid[] DEFAULT NULL,
    m_caller integer[] DEFAULT NULL, m_queue text[] DEFAULT NULL, m_id uuid[] DEFAULT NULL, m_key text[] DEFAULT NULL,
    m_name text[] DEFAULT NULL, m_payload text[] DEFAULT NULL, m_metadata text[] DEFAULT NULL,
    d_caller integer[] DEFAULT NULL, d_collection text[] DEFAULT NULL, d_key text[] DEFAULT NULL,
    d_body text[] DEFAULT NULL,
    n_caller integer[] DEFAULT NULL, n_category text[] DEFAULT NULL, n_key text[] DEFAULT NULL,
    n_version bigint[] DEFAULT NULL, n_event uuid[] DEFAULT NULL, n_shape text[] DEFAULT NULL,
    n_checksum bigint[] DEFAULT NULL, n_body text[] DEFAULT NULL,
    t_caller integer[] DEFAULT NULL, t_kind integer[] DEFAULT NULL, t_process text[] DEFAULT NULL, t_id uuid[] DEFAULT NULL,
    t_key text[] DEFAULT NULL, t_after bigint[] DEFAULT NULL, t_at timestamptz[] DEFAULT NULL,
    t_payload text[] DEFAULT NULL, t_metadata text[] DEFAULT NULL,
    h_caller integer[] DEFAULT NULL, h_process text[] DEFAULT NULL, h_key text[] DEFAULT NULL,
    h_number bigint[] DEFAULT NULL, h_entry text[] DEFAULT NULL,
    i_caller integer[] DEFAULT NULL, i_consumer text[] DEFAULT NULL, i_id uuid[] DEFAULT NULL, i_outputs text[] DEFAULT NULL,
    -- The revision that a document must have: 0 that it must not exist, NULL whatever it has; and whether it stays as it is.
    d_expected bigint[] DEFAULT NULL, d_keep boolean[] DEFAULT NULL,
    k_caller integer[] DEFAULT NULL, k_subscription text[] DEFAULT NULL, k_kind integer[] DEFAULT NULL, k_key text[] DEFAULT NULL,
    k_position bigint[] DEFAULT NULL, k_event uuid[] DEFAULT NULL, k_attempts bigint[] DEFAULT NULL, k_error text[] DEFAULT NULL,
    k_fingerprint text[] DEFAULT NULL,
    -- What a document is found by, as a JSON object of hexadecimal digits; NULL for none.
    d_fields text[] DEFAULT NULL,
    -- Of each event in v, or NULL when none has any.
    v_causing uuid[] DEFAULT NULL,
    OUT status integer[], OUT detail integer[], OUT base bigint[], OUT positions bigint[], OUT queued bigint,
    OUT transaction text
) LANGUAGE plpgsql VOLATILE
SET plan_cache_mode = force_generic_plan
SET jit = off
SET enable_seqscan = off
SET enable_bitmapscan = off
AS $$
DECLARE
    entries integer := cardinality(e_caller);
    events integer := cardinality(v_entry);
    s_id bigint[];          -- of a new stream: the id that it would get
    s_version bigint[];
    s_new boolean[];
    s_touched boolean[];
    missing bigint := 0;    -- how many streams are new, or locked by somebody else
    unsure boolean := false;
    fine boolean := false;  -- whether every caller gets what it wants, and no stream has two entries
    stale boolean := false;
    indexed boolean := false;
    indexed_too boolean := false;
    f_stream bigint[];      -- of each event whose id is stored already: where it is
    f_version bigint[];
    f_position bigint[];
    t_row tid[];            -- of each timer that is there: where
    moment timestamptz;     -- when this takes effect, by the server's clock
    r record;
    i integer;
    j integer;
    k integer;
    who integer;
    v bigint;
    x bigint;
    again boolean;
    stored integer;
    wanted integer;
    numbers bigint[];
    recorded timestamptz;
    micros bigint;
    tries integer := 0;
    number_ignored bigint;
    text_ignored text;
BEGIN
    IF current_setting('transaction_isolation') <> 'read committed' THEN
        PERFORM {schema}.refuse_wrong_reader();
    END IF;
    text_ignored := set_config('lock_timeout', commit.lock_timeout, true);
    status := array_fill(0, ARRAY[callers]);
    detail := array_fill(0, ARRAY[callers]);
    base := '{}';

    -- What the callers take for granted, apart from streams. Rows are locked kind by kind, each in the order of their
    -- keys, by everybody: so nobody waits in a circle.
    IF cardinality(c_name) = 1 THEN
        -- As below, for one by itself.
        SELECT t.position, CASE WHEN t.owner IS NOT NULL THEN t.fence END AS fence INTO r
        FROM {schema}.checkpoints t WHERE t.name = c_name[1] AND t.lane = c_lane[1] FOR UPDATE;
        IF NOT FOUND AND EXISTS (SELECT FROM {schema}.subscriptions s WHERE s.name = c_name[1])
            OR r.fence IS DISTINCT FROM c_fence[1] THEN
            status[c_caller[1]] := 11;
        ELSIF r.position IS DISTINCT FROM c_expected[1] THEN
            status[c_caller[1]] := 2;
        END IF;
        IF status[c_caller[1]] > 0 THEN
            stale := true;
            detail[c_caller[1]] := 1;
        END IF;
    ELSIF c_name IS NOT NULL THEN
        FOR r IN
            WITH found AS MATERIALIZED (
                SELECT t.name, t.lane, t.position, t.fence, t.owner
                FROM unnest(c_name, c_lane) u(name, lane)
                JOIN {schema}.checkpoints t ON t.name = u.name AND t.lane = u.lane
                ORDER BY t.name, t.lane FOR UPDATE OF t
            )
            SELECT c.caller, c.ord,
                   found.name IS NULL AND EXISTS (SELECT FROM {schema}.subscriptions s WHERE s.name = c.name)
                       OR CASE WHEN found.owner IS NOT NULL THEN found.fence END IS DISTINCT FROM c.fence AS fenced_out
            FROM unnest(c_caller, c_name, c_lane, c_fence, c_expected)
                WITH ORDINALITY c(caller, name, lane, fence, expected, ord)
            LEFT JOIN found ON found.name = c.name AND found.lane = c.lane
            WHERE found.position IS DISTINCT FROM c.expected
               OR CASE WHEN found.owner IS NOT NULL THEN found.fence END IS DISTINCT FROM c.fence
               -- A lane that the subscription does not have.
               OR found.name IS NULL AND EXISTS (SELECT FROM {schema}.subscriptions s WHERE s.name = c.name)
            ORDER BY c.ord
        LOOP
            IF status[r.caller] = 0 THEN
                stale := true;
                status[r.caller] := CASE WHEN r.fenced_out THEN 11 ELSE 2 END;
                detail[r.caller] := r.ord;
            END IF;
        END LOOP;
    END IF;
    IF k_key IS NOT NULL THEN
        PERFORM 1
        FROM (SELECT DISTINCT subscription, key FROM unnest(k_subscription, k_key) u(subscription, key)) u
        JOIN {schema}.parked_keys t ON t.subscription = u.subscription AND t.key = u.key
        ORDER BY t.subscription, t.key FOR UPDATE OF t;
        i := 1;
        WHILE i <= cardinality(k_key) LOOP
            who := k_caller[i];
            k := i;
            WHILE k_caller[k + 1] = who LOOP
                k := k + 1;
            END LOOP;
            -- Whether it can be done is tried out, and taken back: the first thing may be what the next one takes for granted.
            BEGIN
                j := {schema}.park(k_subscription[i:k], k_kind[i:k], k_key[i:k], k_position[i:k], k_event[i:k], k_attempts[i:k],
                                   k_error[i:k], k_fingerprint[i:k]);
                RAISE EXCEPTION USING ERRCODE = 'UN000';
            EXCEPTION WHEN SQLSTATE 'UN000' THEN
                IF j > 0 AND status[who] = 0 THEN
                    stale := true;
                    status[who] := 12;
                    detail[who] := i + j - 1;
                END IF;
            END;
            i := k + 1;
        END LOOP;
    END IF;
    IF p_key IS NOT NULL THEN
        FOR r IN
            WITH found AS MATERIALIZED (
                SELECT t.process, t.key, t.revision
                FROM (SELECT DISTINCT process, key FROM unnest(p_process, p_key) u(process, key)) u
                JOIN {schema}.processes t ON t.process = u.process AND t.key = u.key
                ORDER BY t.process, t.key FOR UPDATE OF t
            )
            SELECT p.caller, p.ord
            FROM unnest(p_caller, p_process, p_key, p_expected) WITH ORDINALITY p(caller, process, key, expected, ord)
            LEFT JOIN found ON found.process = p.process AND found.key = p.key
            WHERE coalesce(found.revision, 0) <> p.expected
            ORDER BY p.ord
        LOOP
            IF status[r.caller] = 0 THEN
                stale := true;
                status[r.caller] := 3;
                detail[r.caller] := r.ord;
            END IF;
        END LOOP;
    END IF;
    IF d_expected IS NOT NULL THEN
        -- Only documents of which something is expected are locked here; all others where they are written.
        FOR r IN
            WITH found AS MATERIALIZED (
                SELECT t.collection, t.key, t.revision
                FROM unnest(d_collection, d_key, d_expected) u(collection, key, expected)
                JOIN {schema}.documents t ON t.collection = u.collection AND t.key = u.key
                WHERE u.expected IS NOT NULL
                ORDER BY t.collection, t.key FOR UPDATE OF t
            )
            SELECT d.caller, d.ord
            FROM unnest(d_caller, d_collection, d_key, d_expected) WITH ORDINALITY d(caller, collection, key, expected, ord)
            LEFT JOIN found ON found.collection = d.collection AND found.key = d.key
            WHERE d.expected <> coalesce(found.revision, 0)
            ORDER BY d.ord
        LOOP
            IF status[r.caller] = 0 THEN
                stale := true;
                status[r.caller] := 20;
                detail[r.caller] := r.ord;
            END IF;
        END LOOP;
    END IF;
    IF a_id IS NOT NULL THEN
        FOR r IN
            WITH found AS MATERIALIZED (
                SELECT t.queue, t.id
                FROM (SELECT DISTINCT queue, id FROM unnest(a_queue, a_id) u(queue, id)) u
                JOIN {schema}.queue t ON t.queue = u.queue AND t.id = u.id
                ORDER BY t.queue, t.id FOR UPDATE OF t
            )
            SELECT a.caller, a.ord
            FROM unnest(a_caller, a_queue, a_id) WITH ORDINALITY a(caller, queue, id, ord)
            LEFT JOIN found ON found.queue = a.queue AND found.id = a.id
            WHERE found.id IS NULL
            ORDER BY a.ord
        LOOP
            IF status[r.caller] = 0 THEN
                stale := true;
                status[r.caller] := 4;
                detail[r.caller] := r.ord;
            END IF;
        END LOOP;
    END IF;
    IF t_id IS NOT NULL THEN
        -- A subquery for each row, as with streams below.
        SELECT array_agg(l.place) INTO t_row
        FROM (SELECT u.* FROM unnest(t_process, t_id) WITH ORDINALITY u(process, id, ord) ORDER BY u.ord) s
        LEFT JOIN LATERAL (
            SELECT t.ctid AS place FROM {schema}.timers t WHERE t.process = s.process AND t.id = s.id FOR UPDATE
        ) l ON true;
        FOR y IN 1..cardinality(t_id) LOOP
            who := t_caller[y];
            IF t_kind[y] = 2 AND t_row[y] IS NULL AND status[who] = 0 THEN
                stale := true;
                status[who] := 9;
                detail[who] := y;
            END IF;
        END LOOP;
    END IF;
    IF i_id IS NOT NULL THEN
        FOR r IN
            SELECT s.caller, s.ord
            FROM unnest(i_caller, i_consumer, i_id) WITH ORDINALITY s(caller, consumer, id, ord)
            CROSS JOIN LATERAL (SELECT FROM {schema}.inbox t WHERE t.consumer = s.consumer AND t.id = s.id LIMIT 1) t
            ORDER BY s.ord
        LOOP
            IF status[r.caller] = 0 THEN
                stale := true;
                status[r.caller] := 10;
                detail[r.caller] := r.ord;
            END IF;
        END LOOP;
    END IF;
    IF m_id IS NOT NULL THEN
        FOR r IN
            SELECT m.caller, m.ord
            FROM unnest(m_caller, m_queue, m_id) WITH ORDINALITY m(caller, queue, id, ord)
            JOIN {schema}.queue t ON t.queue = m.queue AND t.id = m.id
            ORDER BY m.ord
        LOOP
            IF status[r.caller] = 0 THEN
                stale := true;
                status[r.caller] := 5;
                detail[r.caller] := r.ord;
            END IF;
        END LOOP;
    END IF;

    IF entries > 0 THEN
        -- The streams, locked in order. The locks, not the unique key, decide conflicts. A subquery for each row, since no
        -- plan can change their order, or look for a few streams by reading all of them.
        IF patient THEN
            SELECT array_agg(coalesce(l.id, nextval('{schema}.streams_id'))), array_agg(coalesce(l.version, 0)),
                   array_agg(l.id IS NULL), count(*) - count(l.id)
            INTO s_id, s_version, s_new, missing
            FROM (SELECT u.* FROM unnest(s_category, s_key) WITH ORDINALITY u(category, key, ord) ORDER BY u.ord) s
            LEFT JOIN LATERAL (
                SELECT t.id, t.version FROM {schema}.streams t WHERE t.category = s.category AND t.key = s.key FOR UPDATE
            ) l ON true;
        ELSE
            SELECT array_agg(coalesce(l.id, nextval('{schema}.streams_id'))), array_agg(coalesce(l.version, 0)),
                   array_agg(l.id IS NULL), count(*) - count(l.id)
            INTO s_id, s_version, s_new, missing
            FROM (SELECT u.* FROM unnest(s_category, s_key) WITH ORDINALITY u(category, key, ord) ORDER BY u.ord) s
            LEFT JOIN LATERAL (
                SELECT t.id, t.version FROM {schema}.streams t WHERE t.category = s.category AND t.key = s.key
                FOR UPDATE SKIP LOCKED
            ) l ON true;
        END IF;

        -- The common case, decided at once: what every caller takes for granted is so, and no stream is wanted twice.
        IF careful OR stale THEN
            fine := false;
        ELSIF entries = 1 THEN
            -- As below, for a caller by itself.
            v := s_version[1];
            x := e_expected[1];
            fine := CASE x WHEN -1 THEN true WHEN -2 THEN v > 0 ELSE v = x END;
            unsure := x = -1;
            base := s_version;
            numbers := ARRAY[v + e_count[1]];
        ELSIF entries = cardinality(s_key) THEN
            SELECT bool_and(CASE e.expected WHEN -1 THEN true WHEN -2 THEN e.version > 0 ELSE e.version = e.expected END),
                   bool_or(e.expected = -1 AND e.new),
                   array_agg(e.version ORDER BY e.ord), array_agg(e.version + e.added ORDER BY e.stream)
            INTO fine, unsure, base, numbers
            FROM (
                SELECT s_version[u.stream] AS version, s_new[u.stream] AS new, u.*
                FROM unnest(e_stream, e_expected, e_count) WITH ORDINALITY u(stream, expected, added, ord)
            ) e;
        END IF;

        IF missing > 0 AND NOT patient AND (unsure OR NOT fine) THEN
            -- A stream that was not found and exists all the same is locked by somebody else: its callers are sent alone.
            -- (Where a stream must not exist, its row is the answer, when it is to be inserted.)
            SELECT array_agg(CASE WHEN s.new AND EXISTS (
                       SELECT FROM {schema}.streams t WHERE t.category = s.category AND t.key = s.key
                   ) THEN -1 ELSE s.version END ORDER BY s.ord)
            INTO s_version
            FROM unnest(s_category, s_key, s_version, s_new) WITH ORDINALITY s(category, key, version, new, ord);
            fine := fine AND array_position(s_version, -1) IS NULL;
        END IF;
        IF fine THEN
            s_version := numbers;
        END IF;
    END IF;

    IF entries > 0 AND NOT fine THEN
        base := array_fill(0::bigint, ARRAY[entries]);

        -- Which events are stored already? Asked only if a caller would fail (or when `careful`): else the unique key of
        -- ids says so, and the whole is tried again with care.
        again := careful OR stale;
        FOR j IN 1..entries LOOP
            v := s_version[e_stream[j]];
            x := e_expected[j];
            IF (x >= 0 AND v <> x) OR (x = -2 AND v = 0) THEN
                again := true;
            END IF;
        END LOOP;
        IF again AND events > 0 THEN
            SELECT array_agg(t.stream ORDER BY e.ord), array_agg(t.version ORDER BY e.ord), array_agg(t.position ORDER BY e.ord)
            INTO f_stream, f_version, f_position
            FROM unnest(v_id) WITH ORDINALITY e(id, ord)
            LEFT JOIN LATERAL (SELECT * FROM {schema}.events t WHERE t.id = e.id OFFSET 0) t ON true;
        END IF;

        i := 1;
        k := 0;  -- the last event of the entries before
        WHILE i <= entries LOOP
            who := e_caller[i];
            again := false;   -- whether all its events are stored in this place
            stored := 0;      -- the first event that is stored
            IF f_stream IS NOT NULL THEN
                again := true;
                x := k;
                j := i;
                WHILE j <= entries AND e_caller[j] = who LOOP
                    IF e_count[j] > 0 THEN
                        IF e_expected[j] >= 0 THEN
                            v := e_expected[j];
                        ELSE
                            v := f_version[x + 1] - 1;
                        END IF;
                        FOR y IN x + 1 .. x + e_count[j] LOOP
                            IF f_stream[y] IS NOT NULL AND stored = 0 THEN
                                stored := y;
                            END IF;
                            IF f_stream[y] IS NULL OR f_stream[y] IS DISTINCT FROM s_id[e_stream[j]]
                                OR f_version[y] IS DISTINCT FROM v + (y - x) THEN
                                again := false;
                            END IF;
                        END LOOP;
                        x := x + e_count[j];
                    END IF;
                    j := j + 1;
                END LOOP;
                again := again AND stored > 0;
            END IF;

            x := k;
            j := i;
            WHILE j <= entries AND e_caller[j] = who LOOP
                v := s_version[e_stream[j]];
                base[j] := v;
                IF again THEN
                    IF e_count[j] > 0 THEN
                        base[j] := f_version[x + 1] - 1;
                    END IF;
                ELSIF v < 0 THEN
                    status[who] := 8;
                    detail[who] := j;
                ELSIF status[who] NOT IN (1, 8) AND ((e_expected[j] >= 0 AND v <> e_expected[j]) OR (e_expected[j] = -2 AND v = 0)) THEN
                    status[who] := 1;
                    detail[who] := j;
                END IF;
                x := x + e_count[j];
                j := j + 1;
            END LOOP;
            IF again THEN
                status[who] := 7;
            ELSIF stored > 0 AND status[who] <> 8 THEN
                -- A stream that was not found may have been begun since, by the very commit that stored these events: its
                -- number is another than the one that was drawn for it here, and so this is not the place of its events.
                IF EXISTS (
                    SELECT FROM unnest(e_stream[i : j - 1]) e(stream)
                    JOIN {schema}.streams t ON t.category = s_category[e.stream] AND t.key = s_key[e.stream]
                    WHERE s_new[e.stream]
                ) THEN
                    RAISE EXCEPTION 'a stream was begun by somebody else at the same time' USING ERRCODE = 'UN001';
                END IF;
                status[who] := 6;
                detail[who] := stored;
            END IF;
            k := x;
            IF status[who] = 0 THEN
                FOR y IN i .. j - 1 LOOP
                    s_version[e_stream[y]] := s_version[e_stream[y]] + e_count[y];
                END LOOP;
            END IF;
            i := j;
        END LOOP;

        s_touched := array_fill(false, ARRAY[cardinality(s_key)]);
        FOR j IN 1..entries LOOP
            IF status[e_caller[j]] = 0 THEN
                s_touched[e_stream[j]] := true;
            END IF;
        END LOOP;
    END IF;

    -- Versions, and the rows of new streams. A stream that must stay without events gets its row too: it is what keeps
    -- others from beginning the stream before this commits.
    IF entries > missing THEN
        UPDATE {schema}.streams t SET version = s.version
        FROM unnest(s_id, s_version, s_new, s_touched) s(id, version, new, touched)
        WHERE t.id = s.id AND NOT s.new AND (fine OR s.touched) AND t.version <> s.version;
    END IF;
    IF missing > 0 THEN
        INSERT INTO {schema}.streams (id, category, key, version)
        SELECT s.id, s.category, s.key, s.version
        FROM unnest(s_category, s_key, s_version, s_id, s_new, s_touched)
            WITH ORDINALITY s(category, key, version, id, new, touched, ord)
        WHERE s.new AND (fine OR s.touched)
        ORDER BY s.ord
        ON CONFLICT DO NOTHING;
        GET DIAGNOSTICS stored = ROW_COUNT;
        IF NOT fine THEN
            SELECT count(*) INTO missing FROM unnest(s_new, s_touched) s(new, touched) WHERE s.new AND s.touched;
        END IF;
        IF stored <> missing THEN
            -- To lock the row now would be out of order.
            RAISE EXCEPTION 'a stream was begun by somebody else at the same time' USING ERRCODE = 'UN001';
        END IF;
    END IF;

    IF c_name IS NOT NULL THEN
        -- Looked at again, for a row that has come since.
        IF cardinality(c_name) > 1 THEN
            UPDATE {schema}.checkpoints t
            SET epoch = c.epoch, position = c.position, event_id = c.event, saved_at = clock_timestamp()
            FROM unnest(c_caller, c_name, c_lane, c_fence, c_expected, c_epoch, c_position, c_event)
                c(caller, name, lane, fence, expected, epoch, position, event)
            WHERE t.name = c.name AND t.lane = c.lane AND status[c.caller] = 0
              AND t.position IS NOT DISTINCT FROM c.expected
              AND CASE WHEN t.owner IS NOT NULL THEN t.fence END IS NOT DISTINCT FROM c.fence;
        ELSE
            UPDATE {schema}.checkpoints t
            SET epoch = c_epoch[1], position = c_position[1], event_id = c_event[1], saved_at = clock_timestamp()
            WHERE t.name = c_name[1] AND t.lane = c_lane[1] AND status[c_caller[1]] = 0
              AND t.position IS NOT DISTINCT FROM c_expected[1]
              AND CASE WHEN t.owner IS NOT NULL THEN t.fence END IS NOT DISTINCT FROM c_fence[1];
        END IF;
        GET DIAGNOSTICS stored = ROW_COUNT;
        IF stored < cardinality(c_name) THEN
            SELECT count(*) - stored INTO wanted FROM unnest(c_caller) c(caller) WHERE status[c.caller] = 0;
            IF wanted > 0 THEN
                -- Nobody may be about to claim the subscription, who would not count this lane among those that were written to.
                PERFORM pg_advisory_xact_lock_shared({schema}.draw_class(), {schema}.begin_key(c.name))
                FROM (SELECT DISTINCT u.name FROM unnest(c_name) u(name) ORDER BY u.name) c;
                INSERT INTO {schema}.checkpoints (name, lane, epoch, position, event_id)
                SELECT c.name, c.lane, c.epoch, c.position, c.event
                FROM unnest(c_caller, c_name, c_lane, c_fence, c_expected, c_epoch, c_position, c_event)
                    c(caller, name, lane, fence, expected, epoch, position, event)
                WHERE c.expected IS NULL AND c.fence IS NULL AND status[c.caller] = 0
                  AND NOT EXISTS (SELECT FROM {schema}.subscriptions s WHERE s.name = c.name)
                ORDER BY c.name, c.lane
                ON CONFLICT DO NOTHING;
                GET DIAGNOSTICS stored = ROW_COUNT;
                IF stored <> wanted THEN
                    RAISE EXCEPTION 'a checkpoint was begun by somebody else at the same time' USING ERRCODE = 'UN001';
                END IF;
            END IF;
        END IF;
    END IF;
    IF k_key IS NOT NULL THEN
        i := 1;
        WHILE i <= cardinality(k_key) LOOP
            who := k_caller[i];
            k := i;
            WHILE k_caller[k + 1] = who LOOP
                k := k + 1;
            END LOOP;
            IF status[who] = 0 AND {schema}.park(k_subscription[i:k], k_kind[i:k], k_key[i:k], k_position[i:k], k_event[i:k],
                                                 k_attempts[i:k], k_error[i:k], k_fingerprint[i:k]) > 0 THEN
                RAISE EXCEPTION 'a key was parked by somebody else at the same time' USING ERRCODE = 'UN001';
            END IF;
            i := k + 1;
        END LOOP;
    END IF;
    IF p_key IS NOT NULL THEN
        UPDATE {schema}.processes t
        SET revision = p.revision, status = p.status, body = p.body::json
        FROM unnest(p_caller, p_process, p_key, p_expected, p_revision, p_status, p_body)
                p(caller, process, key, expected, revision, status, body)
        WHERE t.process = p.process AND t.key = p.key AND p.expected > 0 AND commit.status[p.caller] = 0;
        SELECT count(*) INTO wanted FROM unnest(p_caller, p_expected) p(caller, expected)
        WHERE p.expected = 0 AND commit.status[p.caller] = 0;
        IF wanted > 0 THEN
            INSERT INTO {schema}.processes (process, key, revision, status, body)
            SELECT p.process, p.key, p.revision, p.status, p.body::json
            FROM unnest(p_caller, p_process, p_key, p_expected, p_revision, p_status, p_body)
                p(caller, process, key, expected, revision, status, body)
            WHERE p.expected = 0 AND commit.status[p.caller] = 0
            ORDER BY p.process, p.key
            ON CONFLICT DO NOTHING;
            GET DIAGNOSTICS stored = ROW_COUNT;
            IF stored <> wanted THEN
                RAISE EXCEPTION 'a process was begun by somebody else at the same time' USING ERRCODE = 'UN001';
            END IF;
        END IF;
    END IF;
    IF a_id IS NOT NULL THEN
        DELETE FROM {schema}.queue t USING unnest(a_caller, a_queue, a_id) a(caller, queue, id)
        WHERE t.queue = a.queue AND t.id = a.id AND status[a.caller] = 0;
    END IF;
    IF d_key IS NOT NULL THEN
        -- Removals and changes of rows in one order with those of others.
        PERFORM 1
        FROM unnest(d_caller, d_collection, d_key) d(caller, collection, key)
        JOIN {schema}.documents t ON t.collection = d.collection AND t.key = d.key
        WHERE status[d.caller] = 0
        ORDER BY t.collection, t.key FOR UPDATE OF t;
        WITH gone AS (
            DELETE FROM {schema}.documents t
            USING unnest(d_caller, d_collection, d_key, d_body, d_keep) d(caller, collection, key, body, keep)
            WHERE t.collection = d.collection AND t.key = d.key AND d.body IS NULL AND NOT d.keep AND status[d.caller] = 0
            RETURNING t.indexed
        )
        SELECT coalesce(bool_or(gone.indexed), false) INTO indexed FROM gone;
        IF d_expected IS NOT NULL THEN
            -- Documents that must not exist. One that shall not exist afterwards either gets a row for the time being: it is
            -- what keeps others from putting the document before this commits.
            SELECT count(*) INTO wanted FROM unnest(d_caller, d_expected) d(caller, expected)
            WHERE d.expected = 0 AND status[d.caller] = 0;
            IF wanted > 0 THEN
                INSERT INTO {schema}.documents (collection, key, revision, body, indexed)
                SELECT d.collection, d.key, nextval('{schema}.document_revision'), coalesce(d.body, 'null')::json, d.fields IS NOT NULL
                FROM unnest(d_caller, d_collection, d_key, d_body, d_expected, d_fields)
                    d(caller, collection, key, body, expected, fields)
                WHERE d.expected = 0 AND status[d.caller] = 0
                ORDER BY d.collection, d.key
                ON CONFLICT DO NOTHING;
                GET DIAGNOSTICS stored = ROW_COUNT;
                IF stored <> wanted THEN
                    RAISE EXCEPTION 'a document was put by somebody else at the same time' USING ERRCODE = 'UN001';
                END IF;
                DELETE FROM {schema}.documents t
                USING unnest(d_caller, d_collection, d_key, d_body, d_expected) d(caller, collection, key, body, expected)
                WHERE t.collection = d.collection AND t.key = d.key AND d.body IS NULL AND d.expected = 0
                    AND status[d.caller] = 0;
            END IF;
        END IF;
        WITH put AS (
            INSERT INTO {schema}.documents AS t (collection, key, revision, body, indexed)
            SELECT d.collection, d.key, nextval('{schema}.document_revision'), d.body::json, d.fields IS NOT NULL
            FROM unnest(d_caller, d_collection, d_key, d_body, coalesce(d_expected, array_fill(NULL::bigint, ARRAY[cardinality(d_key)])), d_fields)
                d(caller, collection, key, body, expected, fields)
            WHERE d.body IS NOT NULL AND d.expected IS DISTINCT FROM 0 AND status[d.caller] = 0
            ORDER BY d.collection, d.key
            ON CONFLICT (collection, key) DO UPDATE
            SET revision = excluded.revision, body = excluded.body, indexed = t.indexed OR excluded.indexed
            RETURNING t.indexed
        )
        SELECT coalesce(bool_or(put.indexed), false) INTO indexed_too FROM put;
        IF d_fields IS NOT NULL OR indexed OR indexed_too THEN
            -- In statements of their own, after those that took the rows of the documents: so they see the fields of whoever had
            -- the rows before, and nobody else changes them now. What stays as it is is not written.
            DELETE FROM {schema}.document_fields t
            USING unnest(d_caller, d_collection, d_key, d_keep, d_fields) d(caller, collection, key, keep, fields)
            WHERE t.collection = d.collection AND t.key = d.key AND NOT d.keep AND status[d.caller] = 0
                AND (d.fields::json ->> t.field) IS NULL;
            INSERT INTO {schema}.document_fields AS t (collection, key, field, value)
            SELECT d.collection, d.key, f.key, decode(f.value, 'hex')
            FROM unnest(d_caller, d_collection, d_key, d_fields) d(caller, collection, key, fields), json_each_text(d.fields::json) f
            WHERE status[d.caller] = 0
            ON CONFLICT (collection, key, field) DO UPDATE SET value = excluded.value WHERE t.value <> excluded.value;
        END IF;
    END IF;
    IF n_key IS NOT NULL THEN
        INSERT INTO {schema}.snapshots AS t (category, key, version, event_id, shape, checksum, body)
        SELECT n.category, n.key, n.version, n.event, n.shape, n.checksum, n.body
        FROM unnest(n_caller, n_category, n_key, n_version, n_event, n_shape, n_checksum, n_body)
            n(caller, category, key, version, event, shape, checksum, body)
        WHERE status[n.caller] = 0
        ORDER BY n.category, n.key
        ON CONFLICT (category, key) DO UPDATE
        SET version = excluded.version, event_id = excluded.event_id, shape = excluded.shape,
            checksum = excluded.checksum, body = excluded.body
        WHERE excluded.version >= t.version;
    END IF;
    moment := clock_timestamp();
    IF t_id IS NOT NULL THEN
        DECLARE
            gone tid[];
        BEGIN
            SELECT array_agg(t_row[t.ord]) INTO gone
            FROM unnest(t_caller, t_kind) WITH ORDINALITY t(caller, kind, ord)
            WHERE t.kind > 0 AND t_row[t.ord] IS NOT NULL AND status[t.caller] = 0;
            IF gone IS NOT NULL THEN
                -- They are locked, so they are still there.
                DELETE FROM {schema}.timers t WHERE t.ctid = ANY (gone);
                GET DIAGNOSTICS stored = ROW_COUNT;
                IF stored <> cardinality(gone) THEN
                    RAISE EXCEPTION 'a timer was moved by somebody else at the same time' USING ERRCODE = 'UN001';
                END IF;
            END IF;
        END;
        -- In two parts, for a number of microseconds that a float can't hold.
        INSERT INTO {schema}.timers AS t (process, id, key, due_at, payload, metadata)
        SELECT s.process, s.id, s.key,
               least(coalesce(s.at, moment + s.after / 1000000 * interval '1 second'
                                           + s.after % 1000000 * interval '1 microsecond'),
                     timestamptz '9999-12-31 23:59:59.999999+00'),
               s.payload::json, s.metadata::json
        FROM unnest(t_caller, t_kind, t_process, t_id, t_key, t_after, t_at, t_payload, t_metadata)
            WITH ORDINALITY s(caller, kind, process, id, key, after, at, payload, metadata, ord)
        WHERE s.kind = 0 AND status[s.caller] = 0
        ORDER BY s.ord
        ON CONFLICT (process, id) DO UPDATE
        SET key = excluded.key, due_at = excluded.due_at, payload = excluded.payload, metadata = excluded.metadata;
    END IF;
    IF h_number IS NOT NULL THEN
        -- What is there stays, and of two with one number the first.
        INSERT INTO {schema}.history (process, key, number, recorded_at, entry)
        SELECT h.process, h.key, h.number, moment, h.entry::json
        FROM unnest(h_caller, h_process, h_key, h_number, h_entry) WITH ORDINALITY h(caller, process, key, number, entry, ord)
        WHERE status[h.caller] = 0
        ORDER BY h.process, h.key, h.number, h.ord
        ON CONFLICT DO NOTHING;
    END IF;
    IF i_id IS NOT NULL THEN
        SELECT count(*) INTO wanted FROM unnest(i_caller) s(caller) WHERE status[s.caller] = 0;
        IF wanted > 0 THEN
            INSERT INTO {schema}.inbox (consumer, id, handled_at, outputs)
            SELECT s.consumer, s.id, moment, s.outputs::json
            FROM unnest(i_caller, i_consumer, i_id, i_outputs) s(caller, consumer, id, outputs)
            WHERE status[s.caller] = 0
            ORDER BY s.consumer, s.id
            ON CONFLICT DO NOTHING;
            GET DIAGNOSTICS stored = ROW_COUNT;
            IF stored <> wanted THEN
                RAISE EXCEPTION 'a message was handled by somebody else at the same time' USING ERRCODE = 'UN001';
            END IF;
        END IF;
    END IF;
    IF m_id IS NOT NULL THEN
        SELECT count(*) INTO wanted FROM unnest(m_caller) m(caller) WHERE status[m.caller] = 0;
        IF wanted > 0 THEN
            number_ignored := {schema}.enter_queue();
            SELECT array_agg(nextval('{schema}.queue_number')) INTO numbers FROM unnest(m_caller);
            queued := numbers[cardinality(numbers)];
            INSERT INTO {schema}.queue (number, queue, id, key, name, payload, metadata)
            SELECT numbers[m.ord], m.queue, m.id, m.key, m.name, m.payload::json, m.metadata::json
            FROM unnest(m_caller, m_queue, m_id, m_key, m_name, m_payload, m_metadata)
                WITH ORDINALITY m(caller, queue, id, key, name, payload, metadata, ord)
            WHERE status[m.caller] = 0
            ORDER BY m.queue, m.id
            ON CONFLICT DO NOTHING;
            GET DIAGNOSTICS stored = ROW_COUNT;
            IF stored <> wanted THEN
                RAISE EXCEPTION 'a message was added by somebody else at the same time' USING ERRCODE = 'UN001';
            END IF;
        END IF;
    END IF;

    -- Last of all, so that nothing is waited for while positions are held: first the lock, then the draw, then the rows.
    IF events > 0 THEN
        IF fine THEN
            wanted := events;
        ELSE
            SELECT count(*) INTO wanted FROM unnest(v_entry) v(entry) WHERE status[e_caller[v.entry]] = 0;
        END IF;
        IF wanted > 0 THEN
            number_ignored := {schema}.enter_log();
            -- Positions, and the time of recording that goes with them. The exclusive lock makes the two one step, so that
            -- the time never falls from one position to the next, however many draw at once and whatever the clock does.
            -- It lasts for the draw only, not until the commit: it is taken in a subtransaction that is always rolled
            -- back, which lets go of the lock (on any error too), while what sequences and variables hold stays. It is
            -- tried, not waited for: a queue of waiters would pass it on at the pace of the scheduler.
            BEGIN
                WHILE NOT pg_try_advisory_xact_lock({schema}.draw_class(), 0) LOOP
                    tries := tries + 1;
                    IF tries % 64 = 0 THEN
                        PERFORM pg_sleep(0.001);
                    END IF;
                END LOOP;
                IF wanted = 1 THEN
                    positions := ARRAY[nextval('{schema}.events_position')];
                ELSE
                    SELECT array_agg(nextval('{schema}.events_position')) INTO positions FROM generate_series(1, wanted);
                END IF;
                micros := greatest(pg_sequence_last_value('{schema}.events_clock'),
                                   (extract(epoch FROM clock_timestamp()) * 1000000)::bigint);
                micros := setval('{schema}.events_clock', micros);
                RAISE EXCEPTION USING ERRCODE = 'UN000';
            EXCEPTION WHEN SQLSTATE 'UN000' THEN
                recorded := timestamptz 'epoch' + micros * interval '1 microsecond';
            END;
            IF wanted < events THEN
                numbers := positions;
                positions := array_fill(NULL::bigint, ARRAY[events]);
                k := 0;
                FOR y IN 1..events LOOP
                    IF status[e_caller[v_entry[y]]] = 0 THEN
                        k := k + 1;
                        positions[y] := numbers[k];
                    END IF;
                END LOOP;
            END IF;
            INSERT INTO {schema}.events (position, id, stream, version, name, schema_version, payload, occurred_at,
                                         recorded_at, correlation_id, causation_id, causing_event, actor, tenant, traceparent,
                                         headers, tags)
            SELECT commit.positions[v.ord], v.id, s_id[e_stream[v.entry]], base[v.entry] + v.index, v.name, v.schema,
                   v.payload::json, v.occurred, recorded, v.correlation, v.causation, v.causing, v.actor, v.tenant,
                   v.traceparent, v.headers::json, v.tags::text[]
            FROM unnest(v_entry, v_index, v_id, v_name, v_schema, v_payload, v_occurred, v_correlation, v_causation,
                        v_actor, v_tenant, v_traceparent, v_headers, v_tags, v_causing)
                WITH ORDINALITY v(entry, index, id, name, schema, payload, occurred, correlation, causation, actor, tenant,
                                  traceparent, headers, tags, causing, ord)
            WHERE fine OR status[e_caller[v.entry]] = 0
            ORDER BY v.ord;
        END IF;
    END IF;
    IF f_position IS NOT NULL THEN
        IF positions IS NULL THEN
            positions := f_position;
        ELSE
            FOR y IN 1..events LOOP
                positions[y] := coalesce(positions[y], f_position[y]);
            END LOOP;
        END IF;
    END IF;
    transaction := pg_current_xact_id_if_assigned()::text;
END
$$;
