//! The judge of sagas: looks at the log, the instances, their histories and the provider's books, and believes none of them alone.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use super::{
    evidence::{Evidence, Step},
    orders::{Fate, OrderId},
    provider::Account,
};
use crate::judge::Verdict;

/// What must never be.
pub const LAWS: &[(&str, &str)] = &[
    ("not placed", "orders that are not placed exactly once"),
    (
        "lost",
        "orders that were acknowledged as placed, and are not",
    ),
    ("no saga", "placed orders without a saga"),
    ("stray", "events, sagas or payments of no order of ours"),
    (
        "not ended",
        "sagas that are neither completed, nor compensated, nor stuck",
    ),
    ("left over", "messages and timers that nobody handled"),
    ("command lost", "commands that were sent, without outcome"),
    (
        "command doubled",
        "commands that were sent twice, or have two outcomes, or were not sent",
    ),
    (
        "charged more than once",
        "orders that were charged more than once",
    ),
    (
        "charged again by a retry",
        "the same, where the answer is lost each time",
    ),
    ("not charged", "orders that were shipped, and never charged"),
    (
        "charged wrongly",
        "orders that the bank did not charge, charged",
    ),
    (
        "refunded more than once",
        "orders that were refunded more than once",
    ),
    (
        "not refunded",
        "orders that were cancelled and charged, and not refunded",
    ),
    (
        "refunded wrongly",
        "orders that were refunded, and not cancelled or not charged",
    ),
    (
        "event doubled",
        "events that an order can have once, there twice",
    ),
    (
        "status",
        "sagas whose status is not what the log says of the order",
    ),
    (
        "books",
        "payments that the log and the provider do not agree about",
    ),
    (
        "history",
        "sagas whose history does not end with their status",
    ),
    ("fate", "sagas that ended otherwise than they had to"),
    (
        "stuck without proof",
        "stuck sagas whose history has no compensation that was rejected",
    ),
];

/// The laws that a provider without memory breaks, whatever the saga does.
pub(crate) const FORGETFUL: &[&str] = &[
    "charged more than once",
    "charged again by a retry",
    "refunded more than once",
];

/// Judges a phase that is over.
pub(crate) fn judge(evidence: &Evidence) -> Verdict {
    let mut verdict = Verdict::default();
    for (what, count) in evidence.left.iter() {
        verdict.breach("left over", count, || format!("{count} in {what}"));
    }
    verdict.breach("stray", evidence.strays, || {
        "events in other streams".to_owned()
    });
    for order in evidence
        .events
        .keys()
        .chain(evidence.instances.keys())
        .chain(evidence.accounts.keys())
        .chain(evidence.histories.keys())
    {
        let strange = u64::from(*order >= evidence.orders);
        verdict.breach("stray", strange, || format!("order {order}"));
    }
    for number in 0..evidence.orders {
        Case::of(evidence, number).judge(&mut verdict);
    }
    verdict.facts.add("sagas", evidence.orders);
    verdict.facts.add("calls of the provider", evidence.calls);
    verdict
}

/// What there is about one order.
struct Case<'e> {
    number: u64,
    fate: Fate,
    acknowledged: bool,
    events: BTreeMap<&'e str, u64>,
    status: Option<&'e str>,
    history: &'e [Step],
    account: Account,
}

impl<'e> Case<'e> {
    fn of(evidence: &'e Evidence, number: u64) -> Self {
        let mut events = BTreeMap::new();
        for name in evidence.events.get(&number).into_iter().flatten() {
            *events.entry(name.as_str()).or_default() += 1;
        }
        Self {
            number,
            fate: Fate::of(evidence.seed, OrderId(number)),
            acknowledged: evidence.acknowledged.contains(&number),
            events,
            status: evidence.instances.get(&number).map(String::as_str),
            history: evidence.histories.get(&number).map_or(&[], Vec::as_slice),
            account: evidence.accounts.get(&number).copied().unwrap_or_default(),
        }
    }

    fn judge(&self, verdict: &mut Verdict) {
        let placed = self.count("order_placed");
        self.law(verdict, "not placed", placed == 1);
        self.law(verdict, "lost", placed > 0 || !self.acknowledged);
        self.law(verdict, "no saga", placed == 0 || self.status.is_some());
        let doubled = self.events.values().any(|count| *count > 1);
        self.law(verdict, "event doubled", !doubled);
        let Some(status) = self.status else { return };
        let ended = matches!(status, "completed" | "compensated" | "stuck");
        self.law(verdict, "not ended", ended);
        self.judge_commands(verdict);
        self.judge_money(verdict, status);
        self.judge_end(verdict, status);
        verdict.facts.add(status, 1);
        verdict
            .facts
            .add(&format!("fate: {}, {status}", self.fate.name()), 1);
        verdict.facts.add("events", self.events.values().sum());
        verdict
            .facts
            .add("entries of histories", self.history.len() as u64);
        verdict.facts.add("charges", self.account.charges);
        verdict.facts.add("refunds", self.account.refunds);
        verdict
            .facts
            .add("timeouts that fired", u64::from(self.timed_out()));
    }

    /// What was sent has one outcome, and what has an outcome was sent.
    fn judge_commands(&self, verdict: &mut Verdict) {
        let mut commands: BTreeMap<&str, (u64, u64)> = BTreeMap::new();
        for step in self.history {
            match step {
                Step::Sent { id, .. } => commands.entry(id).or_default().0 += 1,
                Step::Outcome { id, .. } => commands.entry(id).or_default().1 += 1,
                _ => {}
            }
        }
        let lost = commands.values().filter(|(_, outcomes)| *outcomes == 0);
        let lost = lost.count() as u64;
        verdict.breach("command lost", lost, || {
            format!("{lost} of order {}", self.number)
        });
        let doubled = commands
            .values()
            .any(|(sent, outcomes)| *sent != 1 || *outcomes > 1);
        self.law(verdict, "command doubled", !doubled);
        verdict
            .facts
            .add("commands that were sent", commands.len() as u64);
        let again = self
            .history
            .iter()
            .filter(|step| matches!(step, Step::Outcome { attempts, .. } if *attempts > 1));
        verdict.facts.add(
            "commands that one process tried more than once",
            again.count() as u64,
        );
    }

    fn judge_money(&self, verdict: &mut Verdict, status: &str) {
        let Account { charges, refunds } = self.account;
        let (shipped, cancelled) = (self.count("order_shipped"), self.count("order_cancelled"));
        let again = match self.fate {
            Fate::LostAnswer => "charged again by a retry",
            _ => "charged more than once",
        };
        self.law(verdict, again, charges <= 1);
        self.law(verdict, "not charged", shipped == 0 || charges > 0);
        let never = matches!(self.fate, Fate::Declined | Fate::NoAnswer);
        self.law(verdict, "charged wrongly", charges == 0 || !never);
        self.law(verdict, "refunded more than once", refunds <= 1);
        let missing = cancelled > 0 && charges > 0 && refunds == 0;
        self.law(verdict, "not refunded", !missing);
        let wrongly = refunds > 0 && (cancelled == 0 || charges == 0 || shipped > 0);
        self.law(
            verdict,
            "refunded wrongly",
            !wrongly || (status == "stuck" && shipped == 0 && charges > 0),
        );
        // A charge whose answer was lost is in the books alone.
        let told = self.count("payment_charged") > 0 || self.fate == Fate::LostAnswer;
        let agreed = (charges > 0) == told && (refunds > 0) == (self.count("payment_refunded") > 0);
        self.law(verdict, "books", agreed);
    }

    fn judge_end(&self, verdict: &mut Verdict, status: &str) {
        let (shipped, cancelled) = (
            self.count("order_shipped") > 0,
            self.count("order_cancelled") > 0,
        );
        let held = self.count("stock_allocated") > self.count("stock_released");
        let agreed = match status {
            "completed" => shipped && !cancelled && held,
            "compensated" => cancelled && !shipped && !held,
            "stuck" => !shipped && !cancelled && !held,
            _ => true,
        };
        self.law(verdict, "status", agreed);
        let last = self.history.iter().rev().find_map(|step| match step {
            Step::Status(to) => Some(to.as_str()),
            _ => None,
        });
        // Running is what every instance begins as, and no change.
        self.law(
            verdict,
            "history",
            last == Some(status) || (last.is_none() && status == "running"),
        );
        let due = match self.fate {
            Fate::Fine => status == "completed" && !self.timed_out(),
            Fate::LateAnswer if !self.timed_out() => status == "completed",
            Fate::Unrefundable => status == "stuck",
            _ => status == "compensated",
        };
        self.law(verdict, "fate", due);
        let refused = self.history.iter().any(|step| {
            matches!(step, Step::Outcome { command, verdict, .. }
                if command == "refund_payment" && verdict == "rejected")
        });
        self.law(verdict, "stuck without proof", status != "stuck" || refused);
    }

    fn timed_out(&self) -> bool {
        self.history.contains(&Step::Timeout)
    }

    fn count(&self, event: &str) -> u64 {
        self.events.get(event).copied().unwrap_or_default()
    }

    fn law(&self, verdict: &mut Verdict, law: &'static str, kept: bool) {
        verdict.breach(law, u64::from(!kept), || {
            let Self {
                number,
                fate,
                events,
                status,
                account,
                history,
                ..
            } = self;
            let status = status.unwrap_or("absent");
            format!(
                "order {number} ({}) is {status} with {events:?}, {account:?}, {history:?}",
                fate.name()
            )
        });
    }
}
