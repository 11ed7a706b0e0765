-- What keeps the order of the log, of the queues and of timers: see docs/design/postgres-log.md and processes.md.

-- The lock classes as constants, so that the functions below need no look-up.
DO $do$
DECLARE
    m record;
BEGIN
    SELECT * INTO STRICT m FROM {schema}.meta;
    EXECUTE format('CREATE FUNCTION {schema}.log_class() RETURNS integer LANGUAGE sql IMMUTABLE PARALLEL SAFE RETURN %s', m.log_class);
    EXECUTE format('CREATE FUNCTION {schema}.queue_class() RETURNS integer LANGUAGE sql IMMUTABLE PARALLEL SAFE RETURN %s', m.queue_class);
    EXECUTE format('CREATE FUNCTION {schema}.draw_class() RETURNS integer LANGUAGE sql IMMUTABLE PARALLEL SAFE RETURN %s', m.draw_class);
END
$do$;

-- The low 32 bits of a bound, as the signed number that a lock key takes.
CREATE FUNCTION {schema}.low_bits(bound bigint) RETURNS integer LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN (((bound & 4294967295) # 2147483648) - 2147483648)::integer;

-- Called before positions are drawn: takes the shared lock whose key carries a lower bound for them.
-- A second call in a transaction takes the transaction's first key again: still a bound for what it drew and will
-- draw, and one lock object instead of many. The key is remembered in a setting that is local to the transaction, so
-- that ROLLBACK TO SAVEPOINT takes back the setting and the lock together.
CREATE FUNCTION {schema}.enter_log() RETURNS bigint LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    remembered text := current_setting('uno.log_{name}', true);
    idle interval;
    bound bigint;
BEGIN
    IF remembered IS NULL OR remembered = '' THEN
        -- Readers wait for this transaction from now on. One that falls silent has lost its program, or its program the
        -- thread: the server ends it. Whoever has a stricter limit keeps it.
        idle := current_setting('idle_in_transaction_session_timeout')::interval;
        IF idle > interval '10 seconds' OR idle = interval '0' THEN
            remembered := set_config('idle_in_transaction_session_timeout', '10s', true);
        END IF;
        bound := pg_sequence_last_value('{schema}.events_position');
        remembered := set_config('uno.log_{name}', bound::text, true);
    ELSE
        bound := remembered::bigint;
    END IF;
    -- Nobody takes this key exclusively, so the attempt succeeds; it is a little cheaper as an expression.
    IF NOT pg_try_advisory_xact_lock_shared({schema}.log_class(), {schema}.low_bits(bound)) THEN
        PERFORM pg_advisory_xact_lock_shared({schema}.log_class(), {schema}.low_bits(bound));
    END IF;
    RETURN bound;
END
$$;

-- Draws positions, and the time of recording that goes with them: after enter_log(), in the same transaction.
-- The exclusive lock makes the two one step, so that the time never falls from one position to the next, however many draw
-- at once and whatever the clock does. It lasts for the draw only, not until the commit: it is taken in a subtransaction
-- that is always rolled back, which lets go of the lock (on any error too), while what sequences and variables hold stays.
-- It is tried, not waited for: a queue of waiters would pass it on at the pace of the scheduler.
CREATE FUNCTION {schema}.draw(wanted bigint, OUT positions bigint[], OUT recorded timestamptz) LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    tries integer := 0;
    micros bigint;
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
END
$$;

-- The second half of the key of the advisory lock on the beginning of a subscription; the first is that of the draw. Never 0, which is
-- the draw itself.
CREATE FUNCTION {schema}.begin_key(subscription text) RETURNS integer LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN hashtext(subscription) | 1;

-- enter_log() for the numbers of queues.
CREATE FUNCTION {schema}.enter_queue() RETURNS bigint LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    remembered text := current_setting('uno.queue_{name}', true);
    bound bigint;
BEGIN
    IF remembered IS NULL OR remembered = '' THEN
        bound := pg_sequence_last_value('{schema}.queue_number');
        remembered := set_config('uno.queue_{name}', bound::text, true);
    ELSE
        bound := remembered::bigint;
    END IF;
    -- Nobody takes this key exclusively, so the attempt succeeds; it is a little cheaper as an expression.
    IF NOT pg_try_advisory_xact_lock_shared({schema}.queue_class(), {schema}.low_bits(bound)) THEN
        PERFORM pg_advisory_xact_lock_shared({schema}.queue_class(), {schema}.low_bits(bound));
    END IF;
    RETURN bound;
END
$$;

-- The lowest bound among those who hold the lock of a class: the holders' keys, widened again by their signed distance
-- from `reached`, which is the sequence's value as read BEFORE this call.
CREATE FUNCTION {schema}.lowest_bound(class integer, reached bigint) RETURNS bigint LANGUAGE sql VOLATILE AS $$
    SELECT min(reached + ((((l.objid::bigint - reached) & 4294967295) # 2147483648) - 2147483648))
    FROM pg_catalog.pg_locks l
    WHERE l.locktype = 'advisory'
      AND l.database = (SELECT d.oid FROM pg_catalog.pg_database d WHERE d.datname = current_database())
      AND l.classid = class::oid
      AND l.objsubid = 2
      AND l.mode = 'ShareLock'
      AND l.granted
$$;

-- A horizon is only good in a transaction where every statement sees what is committed by then, and on the server
-- where the appenders' locks are.
CREATE FUNCTION {schema}.refuse_wrong_reader() RETURNS void LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    IF current_setting('transaction_isolation') <> 'read committed' THEN
        RAISE EXCEPTION 'the log is read and written in READ COMMITTED only' USING ERRCODE = 'UN002';
    END IF;
    IF pg_is_in_recovery() THEN
        RAISE EXCEPTION 'a standby does not know who is appending' USING ERRCODE = 'UN003';
    END IF;
END
$$;

-- Everything at or below the horizon is visible to the NEXT statement, or will never exist.
-- Never cache it, never use it on another connection, never call it in the statement that scans.
CREATE FUNCTION {schema}.log_horizon() RETURNS bigint LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    reached bigint;
    bound bigint;
BEGIN
    PERFORM {schema}.refuse_wrong_reader();
    reached := pg_sequence_last_value('{schema}.events_position');
    bound := {schema}.lowest_bound({schema}.log_class(), reached);
    RETURN least(reached, coalesce(bound, reached));
END
$$;

CREATE FUNCTION {schema}.queue_horizon() RETURNS bigint LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    reached bigint;
    bound bigint;
BEGIN
    PERFORM {schema}.refuse_wrong_reader();
    reached := pg_sequence_last_value('{schema}.queue_number');
    bound := {schema}.lowest_bound({schema}.queue_class(), reached);
    RETURN least(reached, coalesce(bound, reached));
END
$$;

-- Foreign writers and COPY obey as well: a statement trigger runs before the defaults of the first row are computed.
CREATE FUNCTION {schema}.before_events() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    bound bigint;
BEGIN
    bound := {schema}.enter_log();
    RETURN NULL;
END
$$;
CREATE TRIGGER enter BEFORE INSERT ON {schema}.events FOR EACH STATEMENT EXECUTE FUNCTION {schema}.before_events();

CREATE FUNCTION {schema}.before_queue() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    bound bigint;
BEGIN
    bound := {schema}.enter_queue();
    RETURN NULL;
END
$$;
CREATE TRIGGER enter BEFORE INSERT ON {schema}.queue FOR EACH STATEMENT EXECUTE FUNCTION {schema}.before_queue();

-- The timers of a process that are due, at most `most`, and behind them the first that is not. The first row is the time by
-- the server's clock, which decides. Whatever the planner believes of the table, it goes along the index and no further: what
-- this costs depends on how many are due, not on how many are pending.
CREATE FUNCTION {schema}.due_timers(process text, most bigint)
RETURNS TABLE (key text, id uuid, due_at timestamptz, payload json, metadata json) LANGUAGE plpgsql VOLATILE
SET plan_cache_mode = force_generic_plan
SET jit = off
SET enable_seqscan = off
SET enable_bitmapscan = off
SET enable_sort = off
AS $$
DECLARE
    moment timestamptz := clock_timestamp();
BEGIN
    due_at := moment;
    RETURN NEXT;
    RETURN QUERY
        (SELECT t.key, t.id, t.due_at, t.payload, t.metadata
         FROM {schema}.timers t
         WHERE t.process = due_timers.process AND t.due_at <= moment
         ORDER BY t.due_at, t.id LIMIT most)
        UNION ALL
        (SELECT t.key, t.id, t.due_at, 'null'::json, 'null'::json
         FROM {schema}.timers t
         WHERE t.process = due_timers.process AND t.due_at > moment
         ORDER BY t.due_at, t.id LIMIT 1);
END
$$;

-- Facts stay.
CREATE FUNCTION {schema}.refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'events are never changed or removed' USING ERRCODE = 'UN004';
END
$$;
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON {schema}.events
    FOR EACH STATEMENT EXECUTE FUNCTION {schema}.refuse_change();
