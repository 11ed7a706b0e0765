-- Appends a chunk of an import, whose events lie in the temporary table uno_import already: see docs/design/postgres-import.md.
--
-- Arrays that begin with the same letter run in parallel.
--   s  distinct streams, ascending by (category, key): the order in which they are locked
--   e  appends, in the order of the import: their stream (an index into s), what they take for granted of it (-1 anything,
--      -2 that it exists, else the exact version), and how many events they have
-- uno_import has an event in each row: `item`, an index into e, `place` in it from 1, and `ord`, its place in the chunk from 1.
--
-- Answer: status 0 done, 1 conflict, 6 event id in use; `item`, the append at fault, and with it `actual`, the version of its
-- stream, or `ord`, the event. Unless the status is 0 nothing was done. `repeated`: how many appends were stored before, and
-- are left as they are; `added`: how many events were stored; `reached`: the last position of the chunk.
--
-- SQLSTATE UN001: somebody else was faster in a way that only a fresh start can judge. Nothing was done; call again.
CREATE FUNCTION {schema}.import(
    careful boolean,
    lock_timeout text,
    s_category text[], s_key text[],
    e_stream integer[], e_expected bigint[], e_count bigint[],
    OUT status integer, OUT item integer, OUT actual bigint, OUT ord integer,
    OUT repeated integer, OUT added bigint, OUT reached bigint
) LANGUAGE plpgsql VOLATILE
SET plan_cache_mode = force_generic_plan
SET jit = off
SET enable_bitmapscan = off
AS $$
DECLARE
    s_id bigint[];          -- of a new stream: the id that it would get
    s_version bigint[];     -- before the chunk
    s_new boolean[];
    missing bigint;
    versions bigint[];      -- with the chunk
    base bigint[];          -- of each append: the version before it, or NULL if it is stored already
    ahead bigint[];         -- of each append: how many events are stored before its own
    f_stream bigint[];      -- of each event whose id is stored already: where it is
    f_version bigint[];
    positions bigint[];
    recorded timestamptz;
    again boolean;
    first integer;
    k bigint;               -- how many events the appends before have
    v bigint;
    x bigint;
    bound bigint;
    text_ignored text;
BEGIN
    PERFORM {schema}.refuse_wrong_reader();
    text_ignored := set_config('lock_timeout', import.lock_timeout, true);
    SELECT array_agg(coalesce(l.id, nextval('{schema}.streams_id'))), array_agg(coalesce(l.version, 0)),
           array_agg(l.id IS NULL), count(*) - count(l.id)
    INTO s_id, s_version, s_new, missing
    FROM (SELECT u.* FROM unnest(s_category, s_key) WITH ORDINALITY u(category, key, ord) ORDER BY u.ord) s
    LEFT JOIN LATERAL (
        SELECT t.id, t.version FROM {schema}.streams t WHERE t.category = s.category AND t.key = s.key FOR UPDATE
    ) l ON true;

    <<judge>>
    LOOP
        IF careful THEN
            SELECT array_agg(t.stream ORDER BY u.ord), array_agg(t.version ORDER BY u.ord)
            INTO f_stream, f_version
            FROM pg_temp.uno_import u
            LEFT JOIN LATERAL (SELECT * FROM {schema}.events t WHERE t.id = u.id OFFSET 0) t ON true;
        END IF;
        status := 0;
        repeated := 0;
        added := 0;
        k := 0;
        versions := s_version;
        base := array_fill(NULL::bigint, ARRAY[cardinality(e_stream)]);
        ahead := base;
        FOR i IN 1..cardinality(e_stream) LOOP
            v := versions[e_stream[i]];
            again := careful;   -- whether all its events are stored in this place
            first := 0;         -- the first event that is stored
            IF careful THEN
                x := CASE WHEN e_expected[i] >= 0 THEN e_expected[i] ELSE f_version[k + 1] - 1 END;
                FOR y IN 1..e_count[i] LOOP
                    IF f_stream[k + y] IS NOT NULL AND first = 0 THEN
                        first := k + y;
                    END IF;
                    IF f_stream[k + y] IS DISTINCT FROM s_id[e_stream[i]] OR f_version[k + y] IS DISTINCT FROM x + y THEN
                        again := false;
                    END IF;
                END LOOP;
            END IF;
            IF again THEN
                repeated := repeated + 1;
            ELSIF first > 0 THEN
                status := 6;
                item := i;
                import.ord := first;
                RETURN;
            ELSIF (e_expected[i] >= 0 AND v <> e_expected[i]) OR (e_expected[i] = -2 AND v = 0) THEN
                IF NOT careful THEN
                    careful := true;
                    CONTINUE judge;
                END IF;
                status := 1;
                item := i;
                actual := v;
                RETURN;
            ELSE
                base[i] := v;
                ahead[i] := added;
                added := added + e_count[i];
                versions[e_stream[i]] := v + e_count[i];
            END IF;
            k := k + e_count[i];
        END LOOP;
        EXIT;
    END LOOP;
    IF added = 0 THEN
        RETURN;
    END IF;

    IF missing < cardinality(s_key) THEN
        UPDATE {schema}.streams t SET version = s.version
        FROM unnest(s_id, versions, s_new) s(id, version, new)
        WHERE t.id = s.id AND NOT s.new AND t.version <> s.version;
    END IF;
    IF missing > 0 THEN
        INSERT INTO {schema}.streams (id, category, key, version)
        SELECT s.id, s.category, s.key, s.version
        FROM unnest(s_category, s_key, versions, s_id, s_new) WITH ORDINALITY s(category, key, version, id, new, ord)
        WHERE s.new
        ORDER BY s.ord
        ON CONFLICT DO NOTHING;
        GET DIAGNOSTICS v = ROW_COUNT;
        IF v <> missing THEN
            -- To lock the row now would be out of order.
            RAISE EXCEPTION 'a stream was begun by somebody else at the same time' USING ERRCODE = 'UN001';
        END IF;
    END IF;

    -- Everything is here and decided. From now on nothing is waited for: the lock, the draw, the rows, and the commit.
    bound := {schema}.enter_log();
    SELECT d.positions, d.recorded INTO positions, recorded FROM {schema}.draw(added) d;
    INSERT INTO {schema}.events (position, id, stream, version, name, schema_version, payload, occurred_at, recorded_at,
                                 correlation_id, causation_id, causing_event, actor, tenant, traceparent, headers, tags)
    SELECT positions[ahead[u.item] + u.place], u.id, s_id[e_stream[u.item]], base[u.item] + u.place, u.name, u.schema_version,
           u.payload, u.occurred_at, recorded, u.correlation_id, u.causation_id, u.causing_event, u.actor, u.tenant,
           u.traceparent, u.headers, u.tags
    FROM pg_temp.uno_import u
    WHERE base[u.item] IS NOT NULL
    ORDER BY u.ord;
    reached := positions[added];
END
$$;
