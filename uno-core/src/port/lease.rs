//! [`LeaseStore`], of the third tier: which process runs which lane of a subscription.

use std::{fmt, num::NonZeroU16, sync::Arc, time::Duration};

use async_trait::async_trait;
use uuid::Uuid;

use super::{Checkpoint, Fence, Lane, SubscriptionName, parking::storable};
use crate::{CommitError, Position, StoreError};

/// Leases the lanes of subscriptions to processes, so that each lane is run by one at a time.
///
/// A lease runs out by the store's clock alone. It is no proof that its holder has stopped: a process may sleep through the
/// end of its lease and wake up believing in it. That is what the [`Fence`] is for: every write of a lane's holder
/// carries it, and the store refuses one that is not the newest.
///
/// # Contract
/// 1. **One holder.** A lane is granted to one owner at a time. A lane is free when it was never held, was given back, or
///    its lease has run out; and, for a claim that [takes over](LaneClaim::taking_over), when its holder bears the same name. Others of that
///    name do not count among those who share any more.
/// 2. **Fences rise.** Whoever takes a lane gets a higher fence than the lane ever had. Who keeps one keeps its fence.
/// 3. **Shares.** With `m` owners that have claimed within their lease, an owner holds at most its
///    [share](LaneGrant::share): lanes divided by `m`, and of the remainder one more for those who hold most. A claim takes free
///    lanes, lowest first, up to the share; what is held beyond it is kept until it is given back.
/// 4. **Renewal.** A claim renews every lane that its owner holds, also one whose lease has run out if nobody has taken it. A lane
///    that was taken from the owner meanwhile is not among those granted any more.
/// 5. **The first claim** creates the subscription with the lanes it wants (one unless it is said), and where it
///    [starts](LaneClaim::starting_at): a lane never gets a start once the subscription is there. One that was written to before its first
///    claim is there: it has the lanes up to the last that was written to, each where it is.
/// 6. **Another number of lanes.** When a claim wants another number than there are, all lanes are drained to one place, the furthest
///    checkpoint of all of them, told as [`drain_to`](LaneGrant::drain_to). A holder that goes further before it hears of it moves the place. Once all
///    lanes are exactly there, the next claim, or the same if they are already, changes the number: each lane starts from that place,
///    free, with a higher fence, and without attempts or an unexplained end. What was wanted last counts, also when that is the number there is. While lanes are being
///    drained, claims go on granting them.
/// 7. **An unclean end** is told to whoever takes the lane next: [`was_abandoned`](LaneLease::was_abandoned), with the attempt
///    that was noted last. Where no attempt is told, or the zeroth, the end is *unexplained*, which the claim that takes the lane keeps in it: every lease
///    of the lane [tells so](LaneLease::has_unexplained_end), whoever has it, however it is given back, and wherever its checkpoint
///    goes, until an attempt is noted that does not [leave it so](LaneAttempt::leaving_unexplained).
/// 8. **Giving back** frees the lanes that the owner still holds at once, and disturbs no lane that it does not hold.
/// 9. **Attempts.** `note_attempt` takes effect only under the lane's fence, else it is [`Stale`](crate::Stale::Lease). The last
///    one is told with the lease until the lane's checkpoint is at or beyond its position or another one is noted.
/// 10. **Reset.** `reset_lanes` puts every lane to one checkpoint, in one step, frees them with higher fences, forgets the
///     attempts and unexplained ends, and takes off what is parked after that checkpoint. It calls a change of the number of lanes off no more than it
///     has to: the change is carried out at once.
#[async_trait]
pub trait LeaseStore: fmt::Debug + Send + Sync + 'static {
    /// Renews what an owner holds of a subscription, and takes what is free, up to its share.
    ///
    /// # Cancellation
    /// Dropping the future leaves the claim made or not made.
    async fn claim_lanes(&self, claim: LaneClaim) -> Result<LaneGrant, StoreError>;

    /// Gives back lanes, or with [`LaneRelease::leaving`] all of them and the owner's place among those who share.
    async fn release_lanes(&self, release: LaneRelease) -> Result<(), StoreError>;

    /// Notes durably that an event is about to be tried, so that an attempt counts that the process does not survive.
    async fn note_attempt(&self, attempt: LaneAttempt) -> Result<(), CommitError>;

    /// Puts all lanes of a subscription to one checkpoint. Does nothing for a subscription that was never claimed, other than creating
    /// it there with one lane.
    async fn reset_lanes(
        &self,
        subscription: &SubscriptionName,
        to: Checkpoint,
    ) -> Result<(), StoreError>;

    /// Every lane of a subscription as it is now, in order; none when it was never claimed.
    async fn list_lanes(
        &self,
        subscription: &SubscriptionName,
    ) -> Result<Vec<LaneRecord>, StoreError>;
}

const _: fn(&dyn LeaseStore) = |_| {};

/// One run of one process, as it holds leases.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct LeaseOwner {
    id: Uuid,
    name: Arc<str>,
}

impl LeaseOwner {
    /// How many bytes of a name are kept.
    pub const LONGEST_NAME: usize = 256;

    /// An owner like no other, with a name that tells people, and a later run of the same process, who it is.
    ///
    /// A name is cut at [`LONGEST_NAME`](Self::LONGEST_NAME) bytes, or before, at the end of a character, and NUL, which not every store
    /// can keep, is replaced by U+FFFD.
    #[must_use]
    pub fn new(name: impl AsRef<str>) -> Self {
        Self::from_parts(*crate::EventId::new().as_uuid(), name)
    }

    /// An owner as it was stored. For stores.
    #[must_use]
    pub fn from_parts(id: Uuid, name: impl AsRef<str>) -> Self {
        Self {
            id,
            name: storable(name.as_ref(), Self::LONGEST_NAME),
        }
    }

    /// Its id.
    #[must_use]
    pub fn id(&self) -> Uuid {
        self.id
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }
}

/// What an owner asks of a subscription.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LaneClaim {
    subscription: SubscriptionName,
    owner: LeaseOwner,
    lease: Duration,
    lanes: Option<NonZeroU16>,
    start: Option<Checkpoint>,
    takes_over: bool,
}

impl LaneClaim {
    /// A claim that holds for so long. Counted in whole microseconds.
    #[must_use]
    pub fn new(subscription: SubscriptionName, owner: LeaseOwner, lease: Duration) -> Self {
        Self {
            subscription,
            owner,
            lease,
            lanes: None,
            start: None,
            takes_over: false,
        }
    }

    /// Wants the subscription to have so many lanes, [`Lane::MOST`] at most. Said once, when a process starts: else two that want
    /// different numbers would never agree.
    #[must_use]
    pub fn wanting(mut self, lanes: NonZeroU16) -> Self {
        self.lanes = Some(lanes.min(NonZeroU16::new(Lane::MOST).unwrap_or(lanes)));
        self
    }

    /// Where a subscription that is not there yet starts; before the first event unless it is said.
    #[must_use]
    pub fn starting_at(mut self, checkpoint: Checkpoint) -> Self {
        self.start = Some(checkpoint);
        self
    }

    /// Takes lanes from other owners of the same name as if their leases had run out, since they are earlier runs of this one.
    #[must_use]
    pub fn taking_over(mut self) -> Self {
        self.takes_over = true;
        self
    }

    /// Which subscription.
    #[must_use]
    pub fn subscription(&self) -> &SubscriptionName {
        &self.subscription
    }

    /// Who asks.
    #[must_use]
    pub fn owner(&self) -> &LeaseOwner {
        &self.owner
    }

    /// For how long.
    #[must_use]
    pub fn lease(&self) -> Duration {
        self.lease
    }

    /// How many lanes it wants there to be; `None`: as many as there are.
    #[must_use]
    pub fn lanes(&self) -> Option<NonZeroU16> {
        self.lanes
    }

    /// Where a subscription that is not there yet starts.
    #[must_use]
    pub fn start(&self) -> Option<Checkpoint> {
        self.start
    }

    /// Whether it takes over from others of its name.
    #[must_use]
    pub fn takes_over(&self) -> bool {
        self.takes_over
    }
}

/// What an owner was given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LaneGrant {
    lanes: NonZeroU16,
    owners: u32,
    share: u16,
    held: Vec<LaneLease>,
    drain_to: Option<Checkpoint>,
}

impl LaneGrant {
    /// For stores: how many lanes there are, how many owners share them, the share of this one, what it holds in the order
    /// of lanes, and up to where lanes are to be drained.
    #[must_use]
    pub fn new(
        lanes: NonZeroU16,
        owners: u32,
        share: u16,
        held: Vec<LaneLease>,
        drain_to: Option<Checkpoint>,
    ) -> Self {
        Self {
            lanes,
            owners,
            share,
            held,
            drain_to,
        }
    }

    /// How many lanes there are.
    #[must_use]
    pub fn lanes(&self) -> NonZeroU16 {
        self.lanes
    }

    /// How many owners share them, this one included.
    #[must_use]
    pub fn owners(&self) -> u32 {
        self.owners
    }

    /// How many the owner should hold at most. What it holds beyond is to be given back.
    #[must_use]
    pub fn share(&self) -> u16 {
        self.share
    }

    /// What the owner holds, in the order of lanes.
    #[must_use]
    pub fn held(&self) -> &[LaneLease] {
        &self.held
    }

    /// Up to where every lane goes and no further, because their number is to change.
    #[must_use]
    pub fn drain_to(&self) -> Option<Checkpoint> {
        self.drain_to
    }
}

/// A lane on lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LaneLease {
    lane: Lane,
    fence: Fence,
    abandoned: bool,
    attempt: Option<(Position, u32)>,
    unexplained: bool,
}

impl LaneLease {
    /// For stores: the lane, its fence, whether this claim took it from one that did not give it back, and the last attempt
    /// that was noted, unless the checkpoint is at or beyond it.
    #[must_use]
    pub fn new(
        lane: Lane,
        fence: Fence,
        abandoned: bool,
        attempt: Option<(Position, u32)>,
    ) -> Self {
        Self {
            lane,
            fence,
            abandoned,
            attempt,
            unexplained: false,
        }
    }

    /// For stores: whether the lane has an unclean end that no attempt explains; it has none unless it is said.
    #[must_use]
    pub fn with_unexplained_end(mut self, unexplained: bool) -> Self {
        self.unexplained = unexplained;
        self
    }

    /// Which lane.
    #[must_use]
    pub fn lane(&self) -> Lane {
        self.lane
    }

    /// What every write of its holder carries.
    #[must_use]
    pub fn fence(&self) -> Fence {
        self.fence
    }

    /// Whether *this* claim took it, and the holder before did not give it back: it has crashed, or sleeps.
    #[must_use]
    pub fn was_abandoned(&self) -> bool {
        self.abandoned
    }

    /// The event that was tried last, as far as that was noted, and for the how-manieth time.
    #[must_use]
    pub fn attempt(&self) -> Option<(Position, u32)> {
        self.attempt
    }

    /// Whether a holder, the last one or an earlier one, did not give the lane back, and no attempt was noted that could have been
    /// the cause: it may have died of any event that it had in hand.
    #[must_use]
    pub fn has_unexplained_end(&self) -> bool {
        self.unexplained
    }
}

/// Lanes that an owner gives back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LaneRelease {
    subscription: SubscriptionName,
    owner: LeaseOwner,
    lanes: Option<Vec<Lane>>,
}

impl LaneRelease {
    /// Gives these lanes back, and goes on sharing the others.
    #[must_use]
    pub fn of(subscription: SubscriptionName, owner: LeaseOwner, lanes: Vec<Lane>) -> Self {
        Self {
            subscription,
            owner,
            lanes: Some(lanes),
        }
    }

    /// Gives all lanes back, and leaves.
    #[must_use]
    pub fn leaving(subscription: SubscriptionName, owner: LeaseOwner) -> Self {
        Self {
            subscription,
            owner,
            lanes: None,
        }
    }

    /// Of which subscription.
    #[must_use]
    pub fn subscription(&self) -> &SubscriptionName {
        &self.subscription
    }

    /// Whose.
    #[must_use]
    pub fn owner(&self) -> &LeaseOwner {
        &self.owner
    }

    /// Which; `None`: all, and the owner leaves.
    #[must_use]
    pub fn lanes(&self) -> Option<&[Lane]> {
        self.lanes.as_deref()
    }
}

/// An event that is about to be tried.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LaneAttempt {
    subscription: SubscriptionName,
    lane: Lane,
    fence: Fence,
    position: Position,
    attempt: u32,
    leaves_unexplained: bool,
}

impl LaneAttempt {
    /// The `attempt`-th try of the event at `position`, which leaves no unclean end [unexplained](LaneLease::has_unexplained_end).
    #[must_use]
    pub fn new(
        subscription: SubscriptionName,
        lane: Lane,
        fence: Fence,
        position: Position,
        attempt: u32,
    ) -> Self {
        Self {
            subscription,
            lane,
            fence,
            position,
            attempt,
            leaves_unexplained: false,
        }
    }

    /// Whether an unclean end that is unexplained stays so, since an event further on may have been the cause. One that is
    /// explained stays explained.
    #[must_use]
    pub fn leaving_unexplained(mut self, leaves: bool) -> Self {
        self.leaves_unexplained = leaves;
        self
    }

    /// Of which subscription.
    #[must_use]
    pub fn subscription(&self) -> &SubscriptionName {
        &self.subscription
    }

    /// In which lane.
    #[must_use]
    pub fn lane(&self) -> Lane {
        self.lane
    }

    /// Under which lease.
    #[must_use]
    pub fn fence(&self) -> Fence {
        self.fence
    }

    /// Which event.
    #[must_use]
    pub fn position(&self) -> Position {
        self.position
    }

    /// For the how-manieth time, from 1; 0 when nothing of it is to count any more.
    #[must_use]
    pub fn attempt(&self) -> u32 {
        self.attempt
    }

    /// Whether an unclean end that is unexplained stays so.
    #[must_use]
    pub fn leaves_unexplained(&self) -> bool {
        self.leaves_unexplained
    }
}

/// A lane as it is kept, for people to look at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LaneRecord {
    lane: Lane,
    fence: Fence,
    holder: Option<LeaseOwner>,
    runs_out_in: Option<Duration>,
    checkpoint: Option<Checkpoint>,
    attempt: Option<(Position, u32)>,
}

impl LaneRecord {
    /// For stores. A lease that has run out and was not given back runs out in zero.
    #[must_use]
    pub fn new(
        lane: Lane,
        fence: Fence,
        holder: Option<(LeaseOwner, Duration)>,
        checkpoint: Option<Checkpoint>,
        attempt: Option<(Position, u32)>,
    ) -> Self {
        let (holder, runs_out_in) = holder.unzip();
        Self {
            lane,
            fence,
            holder,
            runs_out_in,
            checkpoint,
            attempt,
        }
    }

    /// Which lane.
    #[must_use]
    pub fn lane(&self) -> Lane {
        self.lane
    }

    /// The fence of its last lease; zero when it was never held.
    #[must_use]
    pub fn fence(&self) -> Fence {
        self.fence
    }

    /// Who holds it, or held it last without giving it back.
    #[must_use]
    pub fn holder(&self) -> Option<&LeaseOwner> {
        self.holder.as_ref()
    }

    /// How long its lease still holds, by the store's clock; zero when it has run out, `None` when nobody holds it.
    #[must_use]
    pub fn runs_out_in(&self) -> Option<Duration> {
        self.runs_out_in
    }

    /// Its checkpoint; `None` when it never saved one.
    #[must_use]
    pub fn checkpoint(&self) -> Option<Checkpoint> {
        self.checkpoint
    }

    /// The event that was tried last, as far as that was noted and the checkpoint is before it, and for the how-manieth time.
    #[must_use]
    pub fn attempt(&self) -> Option<(Position, u32)> {
        self.attempt
    }
}
