//! Following causes up and effects down, with a question or two for each step.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use super::{Beginning, CausationLimits, CausationTree, CausedEvent};
use crate::{EventFilter, EventId, EventStore, Position, ReadLog, RecordedEvent, StoreError};

/// Of how many events at a time the effects are asked for.
const ASKED_AT_ONCE: usize = 500;

/// How many events one answer has at most.
const PAGE: usize = 500;

/// `None` when there is no such event.
pub(crate) async fn search<S: EventStore + ?Sized>(
    store: &S,
    event: EventId,
    limits: CausationLimits,
) -> Result<Option<CausationTree>, StoreError> {
    let Some(event) = by_ids(store, vec![event]).await?.pop() else {
        return Ok(None);
    };
    let (causes, beginning) = causes(store, &event, limits).await?;
    let room = limits.events - causes.len();
    let (events, cut) = Effects::of(event, room).follow(store, limits.depth).await?;
    Ok(Some(CausationTree {
        causes,
        beginning,
        events,
        cut,
    }))
}

async fn by_ids<S: EventStore + ?Sized>(
    store: &S,
    ids: Vec<EventId>,
) -> Result<Vec<Arc<RecordedEvent>>, StoreError> {
    let read = ReadLog::after(Position::START).limit(ids.len());
    let page = store.read_log(read.filter(EventFilter::all().ids(ids)));
    Ok(page.await?.into_events())
}

/// The causes of an event, the farthest first, and what they begin with.
async fn causes<S: EventStore + ?Sized>(
    store: &S,
    event: &Arc<RecordedEvent>,
    limits: CausationLimits,
) -> Result<(Vec<Arc<RecordedEvent>>, Beginning), StoreError> {
    let mut causes: Vec<Arc<RecordedEvent>> = Vec::new();
    let mut seen = HashSet::from([event.id()]);
    let beginning = loop {
        let metadata = causes.last().unwrap_or(event).metadata();
        let direct = metadata.causation_id().map(EventId::from_uuid);
        let Some(first) = direct.or(metadata.causing_event()) else {
            break Beginning::Uncaused;
        };
        let mut ids = vec![first];
        ids.extend(metadata.causing_event().filter(|id| *id != first));
        let found = by_ids(store, ids).await?;
        // The direct cause is nearer than the last event before it, if it is an event.
        let cause = found.iter().find(|cause| cause.id() == first);
        let Some(cause) = cause.or(found.first()) else {
            break Beginning::Outside(*first.as_uuid());
        };
        if !seen.insert(cause.id()) {
            break Beginning::Loop(cause.id());
        }
        // One place is for the event itself.
        if causes.len() >= limits.depth.min(limits.events - 1) {
            break Beginning::Cut;
        }
        causes.push(Arc::clone(cause));
    };
    causes.reverse();
    Ok((causes, beginning))
}

/// Effects as they are found: level by level.
struct Effects {
    /// Each once, with its depth and the event that set it off.
    found: Vec<CausedEvent>,
    seen: HashSet<EventId>,
    room: usize,
    cut: bool,
}

impl Effects {
    fn of(event: Arc<RecordedEvent>, room: usize) -> Self {
        Self {
            seen: HashSet::from([event.id()]),
            found: vec![CausedEvent {
                event,
                depth: 0,
                cause: None,
            }],
            room,
            cut: false,
        }
    }

    async fn follow<S: EventStore + ?Sized>(
        mut self,
        store: &S,
        most_steps: usize,
    ) -> Result<(Vec<CausedEvent>, bool), StoreError> {
        let mut level = 0..1;
        let mut depth = 0;
        while !level.is_empty() && !self.cut {
            let above: Vec<EventId> = self.found[level.clone()]
                .iter()
                .map(|effect| effect.event.id())
                .collect();
            depth += 1;
            for asked in above.chunks(ASKED_AT_ONCE) {
                let uuids = asked.iter().map(|id| *id.as_uuid());
                // First what names them as the direct cause, which nobody else has a better claim to.
                for filter in [
                    EventFilter::all().causes(uuids.clone()),
                    EventFilter::all().causing_events(asked.iter().copied()),
                ] {
                    if depth > most_steps {
                        self.cut |= self.is_there_more(store, filter).await?;
                    } else {
                        self.take(store, filter, asked, depth).await?;
                    }
                    if self.cut {
                        break;
                    }
                }
            }
            level = level.end..self.found.len();
        }
        let cut = self.cut;
        Ok((self.depth_first(), cut))
    }

    /// Takes what an answer has, as far as there is room.
    async fn take<S: EventStore + ?Sized>(
        &mut self,
        store: &S,
        filter: EventFilter,
        asked: &[EventId],
        depth: usize,
    ) -> Result<(), StoreError> {
        let asked: HashSet<EventId> = asked.iter().copied().collect();
        let mut after = Position::START;
        loop {
            // Not much more than there is room for; known ones may be among them, so perhaps not all at once.
            let limit = (self.room - self.found.len() + 1).min(PAGE);
            let read = ReadLog::after(after).filter(filter.clone()).limit(limit);
            let page = store.read_log(read).await?.into_events();
            let full = page.len() == limit;
            for event in page {
                after = event.position();
                if self.seen.contains(&event.id()) {
                    continue;
                }
                if self.found.len() >= self.room {
                    self.cut = true;
                    return Ok(());
                }
                let metadata = event.metadata();
                let direct = metadata.causation_id().map(EventId::from_uuid);
                let cause = direct.filter(|id| asked.contains(id));
                self.seen.insert(event.id());
                self.found.push(CausedEvent {
                    cause: cause.or(metadata.causing_event()),
                    event,
                    depth,
                });
            }
            if !full {
                return Ok(());
            }
        }
    }

    /// Whether an answer has anything that is not known yet.
    async fn is_there_more<S: EventStore + ?Sized>(
        &self,
        store: &S,
        filter: EventFilter,
    ) -> Result<bool, StoreError> {
        // Of what is known, so much at most can be in it.
        let read = ReadLog::after(Position::START).limit(self.found.len() + 1);
        let page = store.read_log(read.filter(filter)).await?;
        let is_new = |event: &Arc<RecordedEvent>| !self.seen.contains(&event.id());
        Ok(page.events().iter().any(is_new))
    }

    /// The same, so that what an event set off comes right behind it, in the order of the log.
    fn depth_first(self) -> Vec<CausedEvent> {
        let mut effects: HashMap<EventId, Vec<CausedEvent>> = HashMap::new();
        let (mut ordered, mut next) = (Vec::with_capacity(self.found.len()), Vec::new());
        for effect in self.found {
            match effect.cause {
                Some(cause) => effects.entry(cause).or_default().push(effect),
                None => next.push(effect),
            }
        }
        while let Some(effect) = next.pop() {
            let mut of_it = effects.remove(&effect.event.id()).unwrap_or_default();
            of_it.sort_by_key(|effect| std::cmp::Reverse(effect.event.position()));
            next.append(&mut of_it);
            ordered.push(effect);
        }
        ordered
    }
}
