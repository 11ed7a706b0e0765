-- Leases of lanes, and what is parked: see docs/design/lanes.md.
--
-- Who locks what, so that nobody waits in a circle, and no claim waits for a commit:
--   * A commit locks rows of checkpoints, by name and lane, then rows of parked_keys, by subscription and key.
--   * A claim locks its row in subscriptions, and of the lanes only those that it takes, passing over locked ones. It reads who holds the
--     others without a lock: their owner and fence change under the lock of the subscription only, or are given back by the owner.
--   * Giving back locks the lanes, by number, and no subscription.
--   * A reset locks the lanes first, by number, and then the subscription: while it waits for a commit, claims go on.

-- What every function here begins with.
CREATE FUNCTION {schema}.begin_lanes(limit_of_locks text) RETURNS void LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    idle interval;
    text_ignored text;
BEGIN
    -- Whoever waited for a row must see it as it is then.
    IF current_setting('transaction_isolation') <> 'read committed' THEN
        PERFORM {schema}.refuse_wrong_reader();
    END IF;
    text_ignored := set_config('lock_timeout', limit_of_locks, true);
    -- A pooler lets the transaction go on after this call: a program that stops there must not keep the others from claiming.
    idle := current_setting('idle_in_transaction_session_timeout')::interval;
    IF idle > interval '10 seconds' OR idle = interval '0' THEN
        text_ignored := set_config('idle_in_transaction_session_timeout', '10s', true);
    END IF;
END
$$;

-- Locks a subscription. One that is not there is made, with the lanes that were written to before, which keep their checkpoints,
-- or else with so many lanes, which start there.
CREATE FUNCTION {schema}.open_lanes(of_subscription text, first_lanes integer, start_epoch uuid, start_position bigint, start_event uuid)
RETURNS {schema}.subscriptions LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    s {schema}.subscriptions;
    last_lane integer;
    there integer;
    made integer;
BEGIN
    SELECT * INTO s FROM {schema}.subscriptions t WHERE t.name = of_subscription FOR UPDATE;
    IF FOUND THEN
        RETURN s;
    END IF;
    -- Whoever writes to a lane of a subscription that is not there takes this lock, too.
    PERFORM pg_advisory_xact_lock({schema}.draw_class(), {schema}.begin_key(of_subscription));
    SELECT max(t.lane), count(*) FILTER (WHERE t.lane < 1024) INTO last_lane, there
    FROM {schema}.checkpoints t WHERE t.name = of_subscription;
    IF last_lane IS NOT NULL THEN
        start_epoch := NULL;
        start_position := NULL;
        start_event := NULL;
    END IF;
    s.name := of_subscription;
    s.lanes := CASE WHEN last_lane IS NULL THEN first_lanes ELSE least(last_lane + 1, 1024) END;
    INSERT INTO {schema}.subscriptions (name, lanes) VALUES (s.name, s.lanes) ON CONFLICT DO NOTHING;
    IF FOUND THEN
        INSERT INTO {schema}.checkpoints (name, lane, epoch, position, event_id)
        SELECT of_subscription, n.lane, start_epoch, start_position, start_event FROM generate_series(0, s.lanes - 1) n(lane)
        ORDER BY n.lane
        ON CONFLICT DO NOTHING;
        GET DIAGNOSTICS made = ROW_COUNT;
        IF made + there = s.lanes THEN
            RETURN s;
        END IF;
    END IF;
    RAISE EXCEPTION 'a subscription was begun by somebody else at the same time' USING ERRCODE = 'UN001';
END
$$;

-- So many lanes in one place, free, with fences that none of them has had.
CREATE FUNCTION {schema}.renew_lanes(of_subscription text, number integer, to_epoch uuid, to_position bigint, to_event uuid)
RETURNS void LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    fresh bigint;
BEGIN
    SELECT max(t.fence) + 1 INTO fresh FROM {schema}.checkpoints t WHERE t.name = of_subscription;
    DELETE FROM {schema}.checkpoints t WHERE t.name = of_subscription AND t.lane >= number;
    INSERT INTO {schema}.checkpoints AS t (name, lane, epoch, position, event_id, fence)
    SELECT of_subscription, n.lane, to_epoch, to_position, to_event, fresh FROM generate_series(0, number - 1) n(lane)
    ORDER BY n.lane
    ON CONFLICT (name, lane) DO UPDATE
    SET epoch = excluded.epoch, position = excluded.position, event_id = excluded.event_id, saved_at = excluded.saved_at,
        fence = excluded.fence, owner = NULL, owner_name = NULL, abandoned_in = NULL, attempt_position = NULL, attempt = NULL,
        unexplained = false;
    UPDATE {schema}.subscriptions t SET lanes = number, wanted = NULL WHERE t.name = of_subscription;
END
$$;

-- Renews what an owner holds, and takes what is free up to its share, as the contract of LeaseStore has it. `this_call` names this claim:
-- sent again, because its answer was lost, it gets the same answer.
CREATE FUNCTION {schema}.claim_lanes(
    limit_of_locks text, this_call uuid, of_subscription text, by_owner uuid, by_name text, lease bigint, wants integer, takes_over boolean,
    start_epoch uuid, start_position bigint, start_event uuid,
    OUT lanes integer, OUT owners integer, OUT share integer,
    OUT drain_epoch uuid, OUT drain_position bigint, OUT drain_event uuid,
    OUT held integer[], OUT fences bigint[], OUT abandoned boolean[], OUT attempt_positions bigint[], OUT attempts bigint[],
    OUT unexplained boolean[]
) LANGUAGE plpgsql VOLATILE
SET plan_cache_mode = force_generic_plan
SET jit = off
SET enable_seqscan = off
AS $$
DECLARE
    s {schema}.subscriptions;
    moment timestamptz;
    locked bigint;
    places bigint;
    ahead bigint;
    mine bigint;
    r record;
BEGIN
    PERFORM {schema}.begin_lanes(limit_of_locks);
    s := {schema}.open_lanes(of_subscription, coalesce(wants, 1), start_epoch, start_position, start_event);
    -- Now that it is the only claim, however long it has waited.
    moment := clock_timestamp();

    IF wants IS NOT NULL AND nullif(wants, s.lanes) IS DISTINCT FROM s.wanted THEN
        s.wanted := nullif(wants, s.lanes);
        UPDATE {schema}.subscriptions t SET wanted = s.wanted WHERE t.name = of_subscription;
    END IF;
    IF s.wanted IS NOT NULL THEN
        SELECT count(DISTINCT ROW (t.epoch, t.position, t.event_id)) INTO places
        FROM {schema}.checkpoints t WHERE t.name = of_subscription AND t.lane < s.lanes;
        IF places = 1 THEN
            -- As it seems. A row that is locked is being moved, or refused to be; so that is for the next claim to see.
            SELECT count(*), count(DISTINCT ROW (l.epoch, l.position, l.event_id)) INTO locked, places
            FROM (
                SELECT t.epoch, t.position, t.event_id FROM {schema}.checkpoints t
                WHERE t.name = of_subscription AND t.lane < s.lanes
                ORDER BY t.lane FOR UPDATE SKIP LOCKED
            ) l;
            IF locked = s.lanes AND places = 1 THEN
                SELECT t.epoch, t.position, t.event_id INTO r
                FROM {schema}.checkpoints t WHERE t.name = of_subscription AND t.lane = 0;
                PERFORM {schema}.renew_lanes(of_subscription, s.wanted, r.epoch, r.position, r.event_id);
                s.lanes := s.wanted;
                s.wanted := NULL;
            END IF;
        END IF;
    END IF;
    lanes := s.lanes;

    -- Who shares. An owner whose time is over has no row any more, so none of its leases has an end that is still to come.
    DELETE FROM {schema}.members t WHERE t.subscription = of_subscription AND t.until <= moment;
    IF takes_over THEN
        UPDATE {schema}.members t SET counts = false
        WHERE t.subscription = of_subscription AND t.name = by_name AND t.owner <> by_owner AND t.counts;
    END IF;
    -- In two parts, for a number of microseconds that a float can't hold.
    INSERT INTO {schema}.members AS t (subscription, owner, name, until, counts)
    VALUES (of_subscription, by_owner, by_name,
            least(moment + lease / 1000000 * interval '1 second' + lease % 1000000 * interval '1 microsecond',
                  timestamptz '9999-12-31 23:59:59.999999+00'),
            true)
    ON CONFLICT (subscription, owner) DO UPDATE SET name = excluded.name, until = excluded.until, counts = true;

    -- The share: the remainder goes to those who hold most, so that as little as possible changes hands.
    SELECT count(*) INTO mine FROM {schema}.checkpoints t
    WHERE t.name = of_subscription AND t.lane < s.lanes AND t.owner = by_owner;
    SELECT count(*), count(*) FILTER (WHERE o.held > mine OR (o.held = mine AND o.owner < by_owner)) INTO owners, ahead
    FROM (
        SELECT m.owner, coalesce(h.held, 0) AS held
        FROM {schema}.members m
        LEFT JOIN (
            SELECT t.owner, count(*) AS held FROM {schema}.checkpoints t
            WHERE t.name = of_subscription AND t.lane < s.lanes AND t.owner IS NOT NULL GROUP BY t.owner
        ) h ON h.owner = m.owner
        WHERE m.subscription = of_subscription AND m.counts
    ) o;
    share := s.lanes / owners + CASE WHEN ahead < s.lanes % owners THEN 1 ELSE 0 END;

    IF mine < share THEN
        -- A row that a commit has locked is passed over, and taken the next time. One that was moved since this began is taken as it
        -- is now: it is looked at again once it is locked.
        WITH free AS MATERIALIZED (
            SELECT t.lane FROM {schema}.checkpoints t
            WHERE t.name = of_subscription AND t.lane < s.lanes
              AND (t.owner IS NULL
                   OR t.owner <> by_owner AND (takes_over AND t.owner_name = by_name OR NOT EXISTS (
                       SELECT FROM {schema}.members m WHERE m.subscription = of_subscription AND m.owner = t.owner
                   )))
            ORDER BY t.lane LIMIT share - mine FOR UPDATE OF t SKIP LOCKED
        )
        UPDATE {schema}.checkpoints t
        SET fence = t.fence + 1, abandoned_in = CASE WHEN t.owner IS NOT NULL THEN this_call END, owner = by_owner, owner_name = by_name,
            unexplained = t.unexplained OR t.owner IS NOT NULL
                AND NOT coalesce(coalesce(t.position, -1) < t.attempt_position AND t.attempt > 0, false)
        FROM free WHERE t.name = of_subscription AND t.lane = free.lane;
    END IF;

    SELECT coalesce(array_agg(l.lane), '{}'), coalesce(array_agg(l.fence), '{}'), coalesce(array_agg(l.abandoned), '{}'),
           coalesce(array_agg(l.attempt_position), '{}'), coalesce(array_agg(l.attempt), '{}'),
           coalesce(array_agg(l.unexplained), '{}')
    INTO held, fences, abandoned, attempt_positions, attempts, unexplained
    FROM (
        SELECT t.lane, t.fence, t.abandoned_in IS NOT DISTINCT FROM this_call AS abandoned,
               CASE WHEN coalesce(t.position, -1) < t.attempt_position THEN t.attempt_position END AS attempt_position, t.attempt,
               t.unexplained
        FROM {schema}.checkpoints t WHERE t.name = of_subscription AND t.lane < s.lanes AND t.owner = by_owner
        ORDER BY t.lane
    ) l;
    IF s.wanted IS NOT NULL THEN
        SELECT t.epoch, t.position, t.event_id INTO drain_epoch, drain_position, drain_event
        FROM {schema}.checkpoints t
        WHERE t.name = of_subscription AND t.lane < s.lanes AND t.position IS NOT NULL
        ORDER BY t.position DESC, t.lane DESC LIMIT 1;
    END IF;
END
$$;

-- Gives back these lanes, or all, and then the owner's place among those who share.
CREATE FUNCTION {schema}.release_lanes(limit_of_locks text, of_subscription text, by_owner uuid, only_lanes integer[])
RETURNS void LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    PERFORM {schema}.begin_lanes(limit_of_locks);
    PERFORM 1 FROM {schema}.checkpoints t
    WHERE t.name = of_subscription AND t.owner = by_owner AND (only_lanes IS NULL OR t.lane = ANY (only_lanes))
    ORDER BY t.lane FOR UPDATE;
    UPDATE {schema}.checkpoints t SET owner = NULL, owner_name = NULL, abandoned_in = NULL
    WHERE t.name = of_subscription AND t.owner = by_owner AND (only_lanes IS NULL OR t.lane = ANY (only_lanes));
    IF only_lanes IS NULL THEN
        DELETE FROM {schema}.members t WHERE t.subscription = of_subscription AND t.owner = by_owner;
    END IF;
END
$$;

-- Notes an attempt, and whether an end that no attempt explains stays so; false when the lane is not on lease under that fence.
CREATE FUNCTION {schema}.note_attempt(limit_of_locks text, of_subscription text, of_lane integer, of_fence bigint, of_position bigint, number bigint,
                                       leaves_unexplained boolean)
RETURNS boolean LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    PERFORM {schema}.begin_lanes(limit_of_locks);
    UPDATE {schema}.checkpoints t SET attempt_position = of_position, attempt = number, unexplained = t.unexplained AND leaves_unexplained
    WHERE t.name = of_subscription AND t.lane = of_lane AND t.fence = of_fence AND t.owner IS NOT NULL;
    RETURN FOUND;
END
$$;

-- Puts all lanes to one place.
CREATE FUNCTION {schema}.reset_lanes(limit_of_locks text, of_subscription text, to_epoch uuid, to_position bigint, to_event uuid)
RETURNS void LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    s {schema}.subscriptions;
BEGIN
    PERFORM {schema}.begin_lanes(limit_of_locks);
    PERFORM 1 FROM {schema}.checkpoints t WHERE t.name = of_subscription ORDER BY t.lane FOR UPDATE;
    s := {schema}.open_lanes(of_subscription, 1, NULL, NULL, NULL);
    PERFORM {schema}.renew_lanes(of_subscription, coalesce(s.wanted, s.lanes), to_epoch, to_position, to_event);
    PERFORM 1 FROM {schema}.parked_keys t WHERE t.subscription = of_subscription ORDER BY t.key FOR UPDATE;
    DELETE FROM {schema}.parked_events t WHERE t.subscription = of_subscription AND t.position > to_position;
    DELETE FROM {schema}.parked_keys t
    WHERE t.subscription = of_subscription AND NOT EXISTS (
        SELECT FROM {schema}.parked_events e WHERE e.subscription = of_subscription AND e.key = t.key
    );
END
$$;

-- Every lane as it is now. `left_over`: for how many microseconds its lease still holds.
CREATE FUNCTION {schema}.list_lanes(of_subscription text)
RETURNS TABLE (lane integer, fence bigint, owner uuid, owner_name text, left_over bigint, epoch uuid, "position" bigint, event_id uuid,
               attempt_position bigint, attempt bigint) LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    moment timestamptz := clock_timestamp();
BEGIN
    RETURN QUERY
        SELECT t.lane, t.fence, t.owner, t.owner_name,
               greatest((extract(epoch FROM m.until) - extract(epoch FROM moment)) * 1000000, 0)::bigint,
               t.epoch, t.position, t.event_id,
               CASE WHEN coalesce(t.position, -1) < t.attempt_position THEN t.attempt_position END, t.attempt
        FROM {schema}.subscriptions s
        JOIN {schema}.checkpoints t ON t.name = s.name AND t.lane < s.lanes
        LEFT JOIN {schema}.members m ON m.subscription = s.name AND m.owner = t.owner
        WHERE s.name = of_subscription
        ORDER BY t.lane;
END
$$;

-- Carries out what is parked and taken off, in order. The number of the first thing that does not find what it takes for granted, at
-- which it stops; 0 if there is none. Called within commit, which has the keys locked that are there.
CREATE FUNCTION {schema}.park(
    subscriptions text[], kinds integer[], keys text[], positions bigint[], events uuid[], attempts bigint[], errors text[],
    fingerprints text[]
) RETURNS integer LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    FOR y IN 1..cardinality(kinds) LOOP
        IF kinds[y] = 0 THEN
            INSERT INTO {schema}.parked_keys (subscription, key, attempts, error, fingerprint, parked_at)
            VALUES (subscriptions[y], keys[y], park.attempts[y], errors[y], fingerprints[y], clock_timestamp())
            ON CONFLICT (subscription, key) DO UPDATE
            SET attempts = excluded.attempts, error = excluded.error, fingerprint = excluded.fingerprint,
                request = NULL, requested = NULL;
        ELSIF kinds[y] = 3 THEN
            DELETE FROM {schema}.parked_keys t WHERE t.subscription = subscriptions[y] AND t.key = keys[y];
        ELSE
            -- Whoever changes the events of a key has the key locked.
            PERFORM 1 FROM {schema}.parked_keys t WHERE t.subscription = subscriptions[y] AND t.key = keys[y] FOR UPDATE;
        END IF;
        IF NOT FOUND THEN
            RETURN y;
        END IF;
        IF kinds[y] <= 1 THEN
            INSERT INTO {schema}.parked_events (subscription, key, position, event_id)
            VALUES (subscriptions[y], keys[y], positions[y], events[y])
            ON CONFLICT DO NOTHING;
        ELSIF kinds[y] = 3 THEN
            DELETE FROM {schema}.parked_events t WHERE t.subscription = subscriptions[y] AND t.key = keys[y];
        ELSE
            DELETE FROM {schema}.parked_events t
            WHERE t.subscription = subscriptions[y] AND t.key = keys[y] AND t.position = positions[y];
            IF NOT FOUND THEN
                RETURN y;
            END IF;
            IF NOT EXISTS (SELECT FROM {schema}.parked_events t WHERE t.subscription = subscriptions[y] AND t.key = keys[y]) THEN
                DELETE FROM {schema}.parked_keys t WHERE t.subscription = subscriptions[y] AND t.key = keys[y];
            END IF;
        END IF;
    END LOOP;
    RETURN 0;
END
$$;

-- Notes what is to be done with a parked key, or with all that have a fingerprint. How many there are.
CREATE FUNCTION {schema}.request_parked(limit_of_locks text, of_subscription text, one_key text, of_fingerprint text, what text)
RETURNS bigint LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    number bigint := nextval('{schema}.request_number');
    noted bigint;
BEGIN
    PERFORM {schema}.begin_lanes(limit_of_locks);
    WITH locked AS MATERIALIZED (
        SELECT t.key FROM {schema}.parked_keys t
        WHERE t.subscription = of_subscription AND (t.key = one_key OR t.fingerprint = of_fingerprint)
        ORDER BY t.key FOR UPDATE
    )
    UPDATE {schema}.parked_keys t SET request = what, requested = number
    FROM locked WHERE t.subscription = of_subscription AND t.key = locked.key;
    GET DIAGNOSTICS noted = ROW_COUNT;
    RETURN noted;
END
$$;
