//! Filters of the log: every condition, and all of them together.

use uno_core::{
    BoxError, CorrelationId, Direction, EventFilter, EventId, EventName, EventStore as _,
    ExpectedVersion::Any, Metadata, NewEvent, Position, ReadLog,
};

use crate::conformance::{
    Harness, Outcome, Trial,
    fixture::{HOSTILE, event, event_name, events, ids, named, new_ids, stream, stream_in},
};

/// [`EventFilter::names`]: one name, several, one that nothing has, and part of a name.
pub async fn a_filter_by_name<H: Harness>(t: &Trial<H>) -> Outcome {
    let notes = stream("a");
    let [red, blue, reddish] = ["red", "blue", "red.ish"].map(|name| named(name, "{}"));
    t.append(&notes, Any, &[red.clone(), blue.clone(), reddish.clone()])
        .await?;
    for (names, found) in [
        (vec!["red"], vec![&red]),
        (vec!["blue", "red"], vec![&red, &blue]),
        (vec!["red.ish", "green"], vec![&reddish]),
        (vec!["green"], vec![]),
        (vec!["re"], vec![]),
        (vec!["red_ish"], vec![]),
    ] {
        let filter = EventFilter::all().names(names.iter().map(|name| event_name(name)));
        let found: Vec<_> = found.into_iter().map(NewEvent::id).collect();
        assert_eq!(ids(&t.matching(filter).await?), found, "{names:?}");
    }
    Ok(())
}

/// [`EventFilter::names`]: of no names, nothing has one.
pub async fn a_filter_by_no_name_at_all_fits_nothing<H: Harness>(t: &Trial<H>) -> Outcome {
    t.append(&stream("a"), Any, &events(3)).await?;
    let last = t.store().head().await?.last();
    for filter in [
        EventFilter::all().names([]),
        EventFilter::all().categories([]),
    ] {
        let page = t
            .store()
            .read_log(ReadLog::after(Position::START).filter(filter))
            .await?;
        assert_eq!((page.events(), page.scanned()), ([].as_slice(), last));
    }
    Ok(())
}

/// [`EventFilter::names`]: a great many names.
pub async fn a_filter_by_a_thousand_names<H: Harness>(t: &Trial<H>) -> Outcome {
    let (notes, wanted) = (stream("a"), named("n999", "{}"));
    t.append(&notes, Any, &[event(), wanted.clone(), event()])
        .await?;
    let names = (0..1000).map(|number| event_name(&format!("n{number}")));
    assert_eq!(
        ids(&t.matching(EventFilter::all().names(names)).await?),
        [wanted.id()]
    );
    Ok(())
}

/// [`EventFilter::categories`]: the whole category, and nothing that only begins like it.
pub async fn a_filter_by_category<H: Harness>(t: &Trial<H>) -> Outcome {
    let streams = [
        stream_in("order", "1"),
        stream_in("orders", "1"),
        stream_in("order.line", "1"),
        stream_in("order", "2-order_line"),
        stream_in("order_line", "order"),
    ];
    let new = events(5);
    for (notes, event) in streams.iter().zip(&new) {
        t.append(notes, Any, std::slice::from_ref(event)).await?;
    }
    for (categories, found) in [
        (vec!["order"], vec![0, 3]),
        (vec!["order.line", "orders"], vec![1, 2]),
        (vec!["order_line"], vec![4]),
        (vec!["orde"], vec![]),
    ] {
        let wanted = categories
            .iter()
            .map(|name| stream_in(name, "x").category().clone());
        let found: Vec<_> = found.into_iter().map(|at: usize| new[at].id()).collect();
        assert_eq!(
            ids(&t.matching(EventFilter::all().categories(wanted)).await?),
            found,
            "{categories:?}"
        );
    }
    Ok(())
}

/// [`EventFilter::correlation_id`]: what belongs together, across streams.
pub async fn a_filter_by_correlation<H: Harness>(t: &Trial<H>) -> Outcome {
    let (one, two) = (CorrelationId::new(), CorrelationId::new());
    let with = |id| event().with_metadata(Metadata::new().with_correlation_id(id));
    // A causation id is not a correlation id, though it may be the same UUID.
    let caused = event().with_metadata(Metadata::new().with_causation_id(*one.as_uuid()));
    let (a, b) = ([with(one), with(two), caused], [with(one), event()]);
    t.append(&stream("a"), Any, &a).await?;
    t.append(&stream("b"), Any, &b).await?;
    assert_eq!(
        ids(&t.matching(EventFilter::all().correlation_id(one)).await?),
        [a[0].id(), b[0].id()]
    );
    assert_eq!(
        ids(&t.matching(EventFilter::all().correlation_id(two)).await?),
        [a[1].id()]
    );
    assert_eq!(
        t.matching(EventFilter::all().correlation_id(CorrelationId::new()))
            .await?,
        []
    );
    Ok(())
}

/// [`EventFilter::ids`]: these events in the order of the log, however they are asked for; of no ids, nothing has one.
pub async fn a_filter_by_ids<H: Harness>(t: &Trial<H>) -> Outcome {
    let new = events(40);
    // An event that names another one as its cause does not have that one's id.
    let caused = event().with_metadata(Metadata::new().with_causation_id(*new[3].id().as_uuid()));
    t.append(&stream("a"), Any, &new).await?;
    t.append(&stream("b"), Any, std::slice::from_ref(&caused))
        .await?;
    let strange = EventId::new();
    for (wanted, found) in [
        (vec![new[3].id()], vec![new[3].id()]),
        (
            vec![caused.id(), strange, new[7].id(), new[2].id(), new[7].id()],
            vec![new[2].id(), new[7].id(), caused.id()],
        ),
        (new.iter().rev().map(NewEvent::id).collect(), new_ids(&new)),
        (vec![strange], vec![]),
        (vec![], vec![]),
    ] {
        let filter = EventFilter::all().ids(wanted.iter().copied());
        assert_eq!(ids(&t.matching(filter).await?), found, "{wanted:?}");
    }
    Ok(())
}

/// [`EventFilter::causes`]: what each of these set off directly, across streams, in the order of the log.
pub async fn a_filter_by_causes<H: Harness>(t: &Trial<H>) -> Outcome {
    let causes: Vec<_> = (0..40).map(|_| *EventId::new().as_uuid()).collect();
    let by = |cause| event().with_metadata(Metadata::new().with_causation_id(cause));
    let new: Vec<_> = causes.iter().map(|cause| by(*cause)).collect();
    let again = [event(), by(causes[1])];
    // A correlation id is not a causation id, though it may be the same UUID; nor is the event's own id.
    let correlated = Metadata::new().with_correlation_id(CorrelationId::from_uuid(causes[1]));
    let others = [
        event().with_metadata(correlated),
        event().with_id(EventId::from_uuid(causes[1])),
    ];
    t.append(&stream("a"), Any, &new).await?;
    t.append(&stream("b"), Any, &again).await?;
    t.append(&stream("a"), Any, &others).await?;
    for (wanted, found) in [
        (vec![causes[0]], vec![new[0].id()]),
        (vec![causes[1]], vec![new[1].id(), again[1].id()]),
        (
            vec![causes[5], causes[1], causes[5]],
            vec![new[1].id(), new[5].id(), again[1].id()],
        ),
        (
            causes.iter().rev().copied().collect(),
            new_ids(&new).into_iter().chain([again[1].id()]).collect(),
        ),
        (vec![*new[0].id().as_uuid()], vec![]),
        (vec![], vec![]),
    ] {
        let filter = EventFilter::all().causes(wanted.iter().copied());
        assert_eq!(ids(&t.matching(filter).await?), found, "{wanted:?}");
    }
    Ok(())
}

/// [`EventFilter::causing_events`]: what each of these set off, whatever was in between, across streams, in the order of the log.
pub async fn a_filter_by_causing_events<H: Harness>(t: &Trial<H>) -> Outcome {
    let causing: Vec<_> = (0..40).map(|_| EventId::new()).collect();
    let by = |id| {
        // Through a command, which is the direct cause.
        let metadata = Metadata::new().with_causing_event(id);
        event().with_metadata(metadata.with_causation_id(*EventId::new().as_uuid()))
    };
    let new: Vec<_> = causing.iter().map(|id| by(*id)).collect();
    let again = [event(), by(causing[1])];
    // The direct cause is another matter, and so is the event's own id.
    let directly = Metadata::new().with_causation_id(*causing[1].as_uuid());
    let others = [event().with_metadata(directly), event().with_id(causing[1])];
    t.append(&stream("a"), Any, &new).await?;
    t.append(&stream("b"), Any, &again).await?;
    t.append(&stream("a"), Any, &others).await?;
    for (wanted, found) in [
        (vec![causing[0]], vec![new[0].id()]),
        (vec![causing[1]], vec![new[1].id(), again[1].id()]),
        (
            vec![causing[5], causing[1], causing[5]],
            vec![new[1].id(), new[5].id(), again[1].id()],
        ),
        (
            causing.iter().rev().copied().collect(),
            new_ids(&new).into_iter().chain([again[1].id()]).collect(),
        ),
        (vec![new[0].id()], vec![]),
        (vec![], vec![]),
    ] {
        let filter = EventFilter::all().causing_events(wanted.iter().copied());
        assert_eq!(ids(&t.matching(filter).await?), found, "{wanted:?}");
    }
    Ok(())
}

/// [`EventFilter::actor`]: exactly this text, whatever it holds; no actor is not the empty actor.
pub async fn a_filter_by_actor<H: Harness>(t: &Trial<H>) -> Outcome {
    let notes = stream("a");
    let mut actors = vec!["ada", "Ada", "ada ", "ad", "", "\u{e9}", "e\u{301}"];
    actors.extend(HOSTILE);
    let new: Vec<_> = actors
        .iter()
        .map(|actor| event().with_metadata(Metadata::new().with_actor(*actor)))
        .collect();
    t.append(&notes, Any, &new).await?;
    t.append(&notes, Any, &[event()]).await?;
    for (actor, event) in actors.into_iter().zip(&new) {
        assert_eq!(
            ids(&t.matching(EventFilter::all().actor(actor)).await?),
            [event.id()],
            "{actor:?}"
        );
    }
    assert_eq!(t.matching(EventFilter::all().actor("nobody")).await?, []);
    Ok(())
}

/// [`EventFilter::recorded_from`] and [`recorded_before`](EventFilter::recorded_before): the first is included, the second is not.
pub async fn a_filter_by_time_of_recording<H: Harness>(t: &Trial<H>) -> Outcome {
    for _ in 0..4 {
        t.later(&stream("a")).await?;
    }
    let log = t.log().await?;
    let micro = chrono::TimeDelta::microseconds(1);
    for event in &log {
        let time = event.recorded_at();
        for time in [time - micro, time, time + micro] {
            let from: Vec<_> = log
                .iter()
                .filter(|event| event.recorded_at() >= time)
                .cloned()
                .collect();
            assert_eq!(
                t.matching(EventFilter::all().recorded_from(time)).await?,
                from,
                "from {time:?}"
            );
            let before: Vec<_> = log
                .iter()
                .filter(|event| event.recorded_at() < time)
                .cloned()
                .collect();
            assert_eq!(
                t.matching(EventFilter::all().recorded_before(time)).await?,
                before,
                "before {time:?}"
            );
        }
        let only = EventFilter::all()
            .recorded_from(time)
            .recorded_before(time + micro);
        assert!(t.matching(only).await?.contains(event), "at {time:?}");
        assert_eq!(
            t.matching(EventFilter::all().recorded_from(time).recorded_before(time))
                .await?,
            []
        );
    }
    Ok(())
}

/// [`EventFilter`]: an event fits if it fits every condition, just as [`EventFilter::matches`] says, in both directions.
pub async fn conditions_are_joined_as_the_filter_itself_says<H: Harness>(t: &Trial<H>) -> Outcome {
    let correlation = CorrelationId::new();
    varied(t, correlation).await?;
    let log = t.log().await?;
    let middle = log[log.len() / 2].recorded_at();
    // Every second one.
    let some: Vec<_> = log.iter().step_by(2).map(|event| event.id()).collect();
    let causing = log[0].id();
    // Few at a time, and nearly all of them.
    let masks = (0..512_u16).filter(|mask| mask.count_ones() < 4 || mask.count_ones() > 7);
    for mask in masks {
        let mut filter = EventFilter::all();
        if mask & 1 > 0 {
            filter = filter.names([event_name("red"), event_name("never")]);
        }
        if mask & 2 > 0 {
            filter = filter.categories([stream("a").category().clone()]);
        }
        if mask & 4 > 0 {
            filter = filter.correlation_id(correlation);
        }
        if mask & 8 > 0 {
            filter = filter.actor("ada");
        }
        if mask & 16 > 0 {
            filter = filter.recorded_from(middle);
        }
        if mask & 32 > 0 {
            filter = filter.recorded_before(log[log.len() - 1].recorded_at());
        }
        if mask & 64 > 0 {
            filter = filter.ids(some.iter().copied());
        }
        if mask & 128 > 0 {
            filter = filter.causes([*correlation.as_uuid()]);
        }
        if mask & 256 > 0 {
            filter = filter.causing_events([causing]);
        }
        let mut fits: Vec<_> = log
            .iter()
            .filter(|event| filter.matches(event))
            .cloned()
            .collect();
        assert_eq!(t.matching(filter.clone()).await?, fits, "{filter:?}");
        fits.reverse();
        assert_eq!(
            t.paged(&filter, Direction::Backward, 5).await?,
            fits,
            "{filter:?}, backward"
        );
    }
    Ok(())
}

/// [`ReadLog::limit`]: a limit counts what fits, not what is looked at.
pub async fn a_limit_counts_what_fits<H: Harness>(t: &Trial<H>) -> Outcome {
    let (notes, wanted) = (
        stream("a"),
        [named("red", "1"), named("red", "2"), named("red", "3")],
    );
    for event in &wanted {
        t.append(&notes, Any, &events(20)).await?;
        t.append(&notes, Any, std::slice::from_ref(event)).await?;
    }
    let red = EventFilter::all().names([event_name("red")]);
    let page = t
        .store()
        .read_log(ReadLog::after(Position::START).filter(red.clone()).limit(2))
        .await?;
    assert_eq!(ids(page.events()), new_ids(&wanted[..2]));
    let page = t
        .store()
        .read_log(ReadLog::before(Position::MAX).filter(red).limit(2))
        .await?;
    assert_eq!(ids(page.events()), [wanted[2].id(), wanted[1].id()]);
    Ok(())
}

/// Events that differ in everything a filter can ask for.
async fn varied<H: Harness>(t: &Trial<H>, correlation: CorrelationId) -> Result<(), BoxError> {
    let names: [EventName; 3] = ["red", "blue", "green"].map(event_name);
    let mut causing = None;
    for number in 0..48_usize {
        let mut metadata = Metadata::new();
        if number % 2 == 0 {
            metadata = metadata.with_correlation_id(correlation);
        }
        if number % 5 < 3 {
            metadata = metadata.with_actor(["ada", "bob", "ada"][number % 5]);
        }
        if number % 7 < 3 {
            metadata = metadata.with_causation_id(*correlation.as_uuid());
        }
        if let Some(id) = causing.filter(|_| number % 3 == 0) {
            metadata = metadata.with_causing_event(id);
        }
        let event = named(names[number % 3].as_str(), "{}").with_metadata(metadata);
        let notes = stream_in(
            ["note", "order"][number / 2 % 2],
            &format!("{}", number % 4),
        );
        causing.get_or_insert(event.id());
        t.append(&notes, Any, &[event]).await?;
        if number % 16 == 0 {
            t.later(&notes).await?;
        }
    }
    Ok(())
}
