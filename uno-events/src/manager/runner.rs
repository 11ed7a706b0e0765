//! [`Runner`]: the task of one lane of a subscription.

mod ahead;
mod failing;
mod feeding;
mod link;
mod next_page;
mod parking;
mod place;
mod requests;
mod stretch;
mod stride;
mod trouble;

use std::{
    collections::HashSet, convert::Infallible, panic::AssertUnwindSafe, sync::Arc, time::Duration,
};

use futures_util::FutureExt as _;
use tokio::time::Instant;
use uno_core::{Checkpoint, EventFilter, ReadLog, StoreChange};

use self::{
    ahead::Ahead,
    next_page::NextPage,
    place::Place,
    requests::Retrying,
    stretch::Stretch,
    stride::Stride,
    trouble::{Failure, Trouble},
};
use super::{Shared, StopReason, entry::Entry, report::Phase};
use crate::guard::panic_text;

pub(super) use self::link::{LaneEnd, LaneLink, Mailbox};

/// Reads the log from the checkpoint of its lane on and feeds it to the consumer, until it is told to stop, loses the lane, or can't
/// go on.
pub(super) struct Runner {
    shared: Arc<Shared>,
    entry: Arc<Entry>,
    link: LaneLink,
    paused: tokio::sync::watch::Receiver<bool>,
    filter: EventFilter,
    ahead: Ahead,
    next: NextPage,
    stride: Stride,
    trouble: Trouble,
    /// The keys of this lane that are parked. Only the holder of a lane changes them, so what is known is what is.
    parked: HashSet<Arc<str>>,
    /// A key whose events are being tried again.
    retrying: Option<Retrying>,
    /// The checkpoint that is known to belong to this log.
    verified: Option<Checkpoint>,
}

/// Why reading and feeding has come to a halt.
enum Halt {
    /// Somebody asked for it.
    Asked,
    /// What is known of the checkpoint may be wrong: load it again and go on from there.
    Reload,
    /// Another process has the lane.
    Lost,
    /// It can't go on.
    Stop(StopReason),
}

type Step<T> = Result<T, Halt>;

impl Runner {
    pub(super) fn new(shared: Arc<Shared>, entry: Arc<Entry>, link: LaneLink) -> Self {
        let paused = entry.paused.subscribe();
        let (least, most) = (entry.spec.batch_size, entry.spec.batch_most);
        // Whoever had the lane before may have had as much in hand as is ever fed at a time.
        let trouble = Trouble::inherited(&link.lease, link.unheard, most);
        Self {
            shared,
            entry,
            link,
            paused,
            filter: EventFilter::all(),
            ahead: Ahead::default(),
            next: NextPage::default(),
            stride: Stride::new(least, most),
            trouble,
            parked: HashSet::new(),
            retrying: None,
            verified: None,
        }
    }

    /// Runs to the end, and says why it came.
    pub(super) async fn run(mut self) -> LaneEnd {
        // A panic of the consumer is caught closer by; this one is for the store and the consumer's filter.
        match AssertUnwindSafe(self.drive()).catch_unwind().await {
            Ok(end) => end,
            Err(panic) => LaneEnd::Stop(StopReason::Panicked {
                message: panic_text(&*panic).into(),
            }),
        }
    }

    async fn drive(&mut self) -> LaneEnd {
        self.filter = self.entry.spec.consumer.filter();
        loop {
            if self.link.stop.is_cancelled() {
                self.hand_on_attempts().await;
                return LaneEnd::Asked;
            }
            match self.follow().await {
                Err(Halt::Asked) => {
                    self.hand_on_attempts().await;
                    return LaneEnd::Asked;
                }
                Err(Halt::Lost) => return LaneEnd::Lost,
                Err(Halt::Stop(why)) => {
                    self.forget_attempts().await;
                    return LaneEnd::Stop(why);
                }
                Err(Halt::Reload) => {}
                Ok(never) => match never {},
            }
        }
    }

    /// From the checkpoint on.
    async fn follow(&mut self) -> Step<Infallible> {
        let mut place = self.open().await?;
        self.ahead = Ahead::default();
        self.stride.reset();
        loop {
            if self.link.stop.is_cancelled() {
                self.save(&mut place).await?;
                return Err(Halt::Asked);
            }
            if *self.paused.borrow_and_update() {
                self.save(&mut place).await?;
                self.phase(Phase::Paused);
                self.woken(None).await;
                if !*self.paused.borrow() {
                    self.busy();
                }
                continue;
            }
            if !self.link.is_held() {
                // What it would hand out now, another one may be handing out as well.
                self.woken(None).await;
                continue;
            }
            // A store in memory and a handler that never waits would keep the thread from everybody else.
            tokio::task::yield_now().await;
            self.acquit().await?;
            // A part of what is asked for, then a batch of what is new: neither keeps the other waiting.
            self.carry_out_requests(&mut place).await?;
            if self.drain(&mut place).await? {
                continue;
            }
            let limit = self.batch_size(&place);
            if let Some((events, (position, id))) = self.ahead.take(limit) {
                let next = Checkpoint::after(place.epoch(), position, id);
                self.feed(&mut place, events, next).await?;
            } else {
                self.read(&mut place).await?;
            }
        }
    }

    /// Reads on, and waits for more when there is nothing.
    async fn read(&mut self, place: &mut Place) -> Step<()> {
        // Before reading: a commit in between is then noticed at once, not after the next poll.
        let mark = self.shared.store.change();
        let limit = self.entry.spec.batch_most.max(ReadLog::DEFAULT_LIMIT);
        let reading = async {
            match self.next.take(place.position()).await {
                Some(page) => Ok(page),
                None => {
                    let feed = &self.shared.feed;
                    feed.read(place.position(), &self.filter, limit, mark).await
                }
            }
        };
        let page = tokio::select! {
            biased;
            () = self.link.stop.cancelled() => return Ok(()),
            page = reading => page,
        };
        let page = match page {
            Ok(page) => page,
            Err(error) => return Err(self.store_failed(error).await),
        };
        self.trouble.read();
        let Some((position, id)) = page.scanned() else {
            return self.wait_for_more(place, mark).await;
        };
        self.tell_if_behind(place.position());
        if page.events().len() >= limit && !self.trouble.is_singly(position) {
            let mark = self.shared.store.change();
            self.next
                .begin(&self.shared.feed, position, &self.filter, limit, mark);
        }
        self.ahead = Ahead::new(page);
        if self.link.lanes.get() > 1 {
            let mut ahead = std::mem::take(&mut self.ahead);
            ahead.retain(|event| self.is_of_this_lane(event));
            self.ahead = ahead;
        }
        if self.ahead.is_empty() {
            self.pass(place, Checkpoint::after(place.epoch(), position, id))
                .await?;
        }
        Ok(())
    }

    /// Nothing up to there is for this lane.
    async fn pass(&mut self, place: &mut Place, to: Checkpoint) -> Step<()> {
        let to = match *self.link.drain.borrow() {
            Some(drain) if drain.position() < to.position() => drain,
            _ => to,
        };
        if to.position() <= place.position() {
            return Ok(());
        }
        place.pass(to);
        self.trouble.passed(to.position(), 0);
        self.entry.report.passed(self.lane(), to.position());
        if place.unsaved() >= self.shared.settings.save_every {
            self.save(place).await?;
        }
        Ok(())
    }

    /// While the number of lanes is being changed: goes exactly to the place that was fixed, and waits there. Whether it is there.
    async fn drain(&mut self, place: &mut Place) -> Step<bool> {
        let Some(to) = *self.link.drain.borrow_and_update() else {
            return Ok(false);
        };
        if self.ahead.cut(to) {
            self.pass(place, to).await?;
        }
        if place.position() < to.position() {
            return Ok(false);
        }
        if place.is_saved_before(to) {
            // What was passed over beyond it is passed over again, by the lanes that come.
            place.go_back(to);
            self.save(place).await?;
        }
        // The claim that finds all lanes there changes their number.
        self.entry.poke.notify_one();
        self.phase(Phase::Running);
        if !self.has_requests() {
            self.woken(Some(self.shared.settings.poll_interval)).await;
        }
        Ok(true)
    }

    fn batch_size(&self, place: &Place) -> usize {
        if self.trouble.is_singly(place.position()) {
            1
        } else {
            self.stride.now()
        }
    }

    /// At the end of the log: saves what is due, and waits for more.
    async fn wait_for_more(&mut self, place: &mut Place, mark: StoreChange) -> Step<()> {
        if place.unsaved() > 0 && place.unsaved_for() >= self.shared.settings.save_after {
            self.save(place).await?;
        }
        if self.has_requests() {
            return Ok(());
        }
        self.trouble.caught_up();
        self.phase(Phase::CaughtUp);
        let changed = self.shared.store.changed(mark);
        tokio::select! {
            () = self.link.wanted(&mut self.paused) => {}
            () = changed => {}
            () = tokio::time::sleep(self.shared.settings.poll_interval) => {}
        }
        Ok(())
    }

    /// Waits, but no longer than until somebody wants something.
    async fn woken(&mut self, at_most: Option<Duration>) {
        let timer = async {
            match at_most {
                Some(wait) => tokio::time::sleep(wait).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = self.link.wanted(&mut self.paused) => {}
            () = timer => {}
        }
    }

    /// Waits for as long as a failure asks for, but no longer than until it is to stop or to pause.
    async fn wait(&mut self, wait: Duration) {
        let until = Instant::now() + wait;
        tokio::select! {
            () = self.link.stop.cancelled() => {}
            _ = self.paused.changed() => {}
            () = tokio::time::sleep_until(until) => {}
        }
    }
}
