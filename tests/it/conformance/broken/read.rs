//! What is read is not what is there: streams, the log and its end.

use std::sync::{Arc, atomic::Ordering};

use uno_core::{
    AsOf, Direction, EventFilter, EventStore as _, Head, LogPage, Position, ReadLog, ReadStream,
    RecordedEvent, StoreEpoch, StoreError, StreamId, Version,
};

use super::{
    Fault,
    distort::{distort, with_payload},
    fault::{Condition, Field},
    store::Broken,
};

type Events = Vec<Arc<RecordedEvent>>;

impl Broken {
    /// Everything that shows, as it shows.
    async fn visible(&self) -> Result<Events, StoreError> {
        let all = self
            .inner
            .read_log(ReadLog::after(Position::START).limit(usize::MAX))
            .await?
            .into_events();
        let notes = self.notes.get();
        let mut visible: Events = all
            .into_iter()
            .filter(|event| notes.floor.is_none_or(|floor| event.position() > floor))
            .filter(|event| {
                notes
                    .ceiling
                    .is_none_or(|ceiling| event.position() <= ceiling)
            })
            .filter(|event| !notes.hidden.contains(&event.id()))
            .collect();
        for event in &mut visible {
            if let Some(payload) = notes.overwritten.get(&event.id()) {
                *event = with_payload(event, payload.clone());
            }
            if let Fault::Distorts(field) = self.fault
                && field != Field::InTheLogOnly
            {
                *event = distort(event, field);
            }
        }
        if self.has(Fault::ReopensWithoutTheLastEvent) && self.again {
            visible.pop();
        }
        Ok(visible)
    }

    pub(crate) async fn stretch(&self, read: &ReadStream) -> Result<Events, StoreError> {
        let mut events: Events = self
            .visible()
            .await?
            .into_iter()
            .filter(|event| self.same(event.stream(), read.stream()))
            .collect();
        let newest = events
            .last()
            .map_or(Version::EMPTY, |event| event.version());
        if self.has(Fault::FailsOnMissing) && events.is_empty() {
            return Err(StoreError::Backend("there is no such stream".into()));
        }
        if self.has(Fault::FailsBeyondTheStream)
            && (read.first() > newest.next() || read.first() == Version::EMPTY)
        {
            return Err(StoreError::Backend("there is no such version".into()));
        }
        if !self.has(Fault::IgnoresTheStretch) {
            events
                .retain(|event| event.version() >= read.first() && event.version() <= read.last());
        }
        if self.has(Fault::ExcludesTheFirst) && read.first() > Version::EMPTY.next() {
            events.retain(|event| event.version() > read.first());
        }
        if self.has(Fault::ExcludesTheLast) {
            events.retain(|event| event.version() < read.last());
        }
        self.as_of(&mut events, read.moment());
        Ok(self.limited(events, read.direction(), read.max_events()))
    }

    pub(crate) async fn page(&self, read: &ReadLog) -> Result<LogPage, StoreError> {
        let mut window = self.visible().await?;
        let head = window.last().cloned();
        let forward = read.direction() == Direction::Forward;
        window.retain(|event| match self.fault {
            Fault::IncludesTheStart if event.position() == read.start() => true,
            _ if forward => event.position() > read.start(),
            _ => event.position() < read.start(),
        });
        if self.has(Fault::SkipsOneAtTheStart)
            && read.start() > Position::START
            && forward
            && !window.is_empty()
        {
            window.remove(0);
        }
        let whole = window.last().cloned();
        self.as_of(&mut window, read.moment());
        let end = if forward {
            window.last()
        } else {
            window.first()
        }
        .cloned();
        let fits = |event: &Arc<RecordedEvent>| self.fits(read.events(), event, forward);
        let mut events = if self.has(Fault::FiltersAfterTheLimit) {
            let page = self.limited(window, read.direction(), read.max_events());
            page.into_iter().filter(fits).collect()
        } else {
            let window = window.into_iter().filter(fits).collect();
            self.limited(window, read.direction(), read.max_events())
        };
        match self.fault {
            Fault::ShowsTheLogByStream => events.sort_by(|a, b| a.stream().cmp(b.stream())),
            Fault::ShowsTheLogTwice => events.extend(events.first().cloned()),
            Fault::Distorts(Field::InTheLogOnly) => {
                events = events
                    .iter()
                    .map(|event| distort(event, Field::InTheLogOnly))
                    .collect();
            }
            _ => {}
        }
        let full = events.len() >= read.max_events();
        let right = if full { events.last().cloned() } else { end };
        let scanned = match self.fault {
            Fault::ScansToTheHead => head.filter(|head| !forward || head.position() > read.start()),
            Fault::ScansToTheLastMatch => events.last().cloned(),
            Fault::ScansBeyondAsOf if !full && forward => whole,
            Fault::ScansNothingBackward if !forward => None,
            _ => right,
        };
        let mut scanned = scanned.map(|event| (event.position(), event.id()));
        if self.has(Fault::ScansToANumber) && !full {
            scanned = scanned.map(|(position, id)| (position.next(), id));
        }
        Ok(LogPage::new(events, scanned))
    }

    pub(crate) async fn end(&self) -> Result<Head, StoreError> {
        let head = self.inner.head().await?;
        let visible = self.visible().await?;
        let last = visible.last().map(|event| (event.position(), event.id()));
        Ok(match self.fault {
            Fault::ShowsEventsBelowTheHead => head,
            Fault::HeadIsTheCount => {
                let count = Position::new(visible.len() as u64).unwrap_or(Position::MAX);
                Head::new(head.epoch(), last.map(|(_, id)| (count, id)))
            }
            Fault::HeadIsAhead => Head::new(
                head.epoch(),
                last.map(|(position, id)| (position.next(), id)),
            ),
            Fault::HeadIsOfAnotherEpoch => Head::new(StoreEpoch::new(), last),
            Fault::HeadOfAnEmptyLogFails if last.is_none() => {
                return Err(StoreError::Backend("there is no last row".into()));
            }
            Fault::MigratingBeginsAnotherLife if self.notes.stuck.load(Ordering::SeqCst) => {
                Head::new(StoreEpoch::new(), last)
            }
            _ => Head::new(head.epoch(), last),
        })
    }

    fn same(&self, stored: &StreamId, asked: &StreamId) -> bool {
        match self.fault {
            Fault::FoldsNames => {
                stored.category() == asked.category()
                    && stored.key().trim().eq_ignore_ascii_case(asked.key().trim())
            }
            // The stream is found by the whole name, and shown under the short one.
            Fault::Distorts(Field::LongNames) => asked
                .key()
                .starts_with(&*stored.key().chars().take(120).collect::<String>()),
            _ => stored == asked,
        }
    }

    fn as_of(&self, events: &mut Events, moment: Option<AsOf>) {
        let Some(moment) = moment else { return };
        match (self.fault, moment) {
            (Fault::IgnoresAsOf, _) => {}
            (Fault::ExcludesAsOf, AsOf::Position(position)) => {
                events.retain(|event| event.position() < position);
            }
            (Fault::ExcludesAsOf, AsOf::Time(time)) => {
                events.retain(|event| event.recorded_at() < time);
            }
            _ => events.retain(|event| moment.includes(event)),
        }
    }

    /// What is read first, in the order of reading.
    pub(crate) fn limited<T>(
        &self,
        mut items: Vec<T>,
        direction: Direction,
        limit: usize,
    ) -> Vec<T> {
        let limit = self.limit(limit);
        match direction {
            Direction::Forward => {}
            Direction::Backward if self.has(Fault::ReadsForwardWhenBackward) => {}
            Direction::Backward if self.has(Fault::LimitsBackwardFromTheOtherEnd) => {
                items.truncate(limit);
                items.reverse();
            }
            Direction::Backward => items.reverse(),
        }
        items.truncate(limit);
        items
    }

    pub(crate) fn limit(&self, limit: usize) -> usize {
        match self.fault {
            Fault::IgnoresLimits => usize::MAX,
            Fault::OverflowsLimits if limit > usize::MAX >> 1 => 0,
            Fault::TakesALimitOfZeroForNone if limit == 0 => usize::MAX,
            Fault::CapsPagesAt(cap) => limit.min(cap),
            Fault::HasNoDefaultLimit if limit == ReadLog::DEFAULT_LIMIT => usize::MAX,
            _ => limit,
        }
    }

    fn fits(&self, filter: &EventFilter, event: &RecordedEvent, forward: bool) -> bool {
        if self.has(Fault::IgnoresTheFilterBackward) && !forward {
            return true;
        }
        let ignores = |condition| self.has(Fault::IgnoresTheFilter(condition));
        let loose = |condition| self.has(Fault::LoosensTheFilter(condition));
        let empty_is_all = self.has(Fault::TakesNoNamesForAll);
        let names = filter.wanted_names().is_none_or(|names| {
            let names = if let Fault::CountsFilteredNames(count) = self.fault {
                &names[..names.len().min(count)]
            } else {
                names
            };
            ignores(Condition::Names)
                || empty_is_all && names.is_empty()
                || names.iter().any(|name| {
                    name == event.name()
                        || loose(Condition::Names)
                            && event.name().as_str().starts_with(name.as_str())
                })
        });
        let categories = filter.wanted_categories().is_none_or(|categories| {
            ignores(Condition::Categories)
                || empty_is_all && categories.is_empty()
                || categories.iter().any(|category| {
                    let stored = event.stream().category();
                    category == stored
                        || loose(Condition::Categories)
                            && stored.as_str().starts_with(category.as_str())
                })
        });
        let correlation = filter.wanted_correlation_id().is_none_or(|id| {
            ignores(Condition::Correlation)
                || event.metadata().correlation_id() == Some(id)
                || loose(Condition::Correlation)
                    && event.metadata().causation_id() == Some(*id.as_uuid())
        });
        let ids = filter.wanted_ids().is_none_or(|ids| {
            ignores(Condition::Ids)
                || ids.contains(&event.id())
                || loose(Condition::Ids) && ids.iter().any(|id| event.metadata().is_caused_by(*id))
        });
        let causes = filter.wanted_causes().is_none_or(|causes| {
            let metadata = event.metadata();
            let correlation = metadata.correlation_id().map(|id| *id.as_uuid());
            ignores(Condition::Causes)
                || metadata
                    .causation_id()
                    .is_some_and(|id| causes.contains(&id))
                || loose(Condition::Causes) && correlation.is_some_and(|id| causes.contains(&id))
        });
        let causing = filter.wanted_causing_events().is_none_or(|ids| {
            ignores(Condition::CausingEvents)
                || event
                    .metadata()
                    .causing_event()
                    .is_some_and(|id| ids.contains(&id))
                || loose(Condition::CausingEvents)
                    && ids.iter().any(|id| event.metadata().is_caused_by(*id))
        });
        let actor = filter.wanted_actor().is_none_or(|actor| {
            let stored = event.metadata().actor();
            ignores(Condition::Actor)
                || stored == Some(actor)
                || loose(Condition::Actor) && stored.unwrap_or_default().eq_ignore_ascii_case(actor)
        });
        let from = filter.wanted_recorded_from().is_none_or(|time| {
            ignores(Condition::From)
                || if loose(Condition::From) {
                    event.recorded_at() > time
                } else {
                    event.recorded_at() >= time
                }
        });
        let before = filter.wanted_recorded_before().is_none_or(|time| {
            ignores(Condition::Before)
                || if loose(Condition::Before) {
                    event.recorded_at() <= time
                } else {
                    event.recorded_at() < time
                }
        });
        names && categories && correlation && ids && causes && causing && actor && from && before
    }
}
