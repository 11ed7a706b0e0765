//! The judge on trial: a good case, what can go wrong with it, and which laws must then be broken.

use super::*;
use crate::saga::provider::Account;

const SEED: u64 = 1;

/// One order of each fate that ends in its own way.
struct Good {
    evidence: Evidence,
}

impl Good {
    fn new() -> Self {
        let evidence = Evidence {
            seed: SEED,
            orders: 200,
            ..Evidence::default()
        };
        let mut good = Self { evidence };
        for number in 0..200 {
            good.add(number);
        }
        good
    }

    fn add(&mut self, number: u64) {
        let fate = Fate::of(SEED, OrderId(number));
        let (events, account, steps, status): (&[&str], _, Vec<Step>, &str) = match fate {
            Fate::Fine | Fate::LateAnswer => (
                &[
                    "order_placed",
                    "payment_charged",
                    "stock_allocated",
                    "parcel_dispatched",
                    "order_shipped",
                ],
                (1, 0),
                both("charge_payment", "succeeded"),
                "completed",
            ),
            Fate::Declined | Fate::NoAnswer => (
                &["order_placed", "order_cancelled"],
                (0, 0),
                both("charge_payment", "succeeded"),
                "compensated",
            ),
            Fate::OutOfStock => (
                &[
                    "order_placed",
                    "payment_charged",
                    "payment_refunded",
                    "order_cancelled",
                ],
                (1, 1),
                both("allocate_stock", "rejected"),
                "compensated",
            ),
            Fate::Undeliverable => (
                &[
                    "order_placed",
                    "payment_charged",
                    "stock_allocated",
                    "stock_released",
                    "payment_refunded",
                    "order_cancelled",
                ],
                (1, 1),
                both("dispatch_parcel", "rejected"),
                "compensated",
            ),
            Fate::LostAnswer => (
                &["order_placed", "payment_refunded", "order_cancelled"],
                (1, 1),
                both("charge_payment", "gave_up"),
                "compensated",
            ),
            Fate::Unrefundable => (
                &["order_placed", "payment_charged"],
                (1, 0),
                both("refund_payment", "rejected"),
                "stuck",
            ),
        };
        let evidence = &mut self.evidence;
        evidence.acknowledged.insert(number);
        let events = events.iter().map(|&name| name.to_owned());
        evidence.events.insert(number, events.collect());
        evidence.instances.insert(number, status.to_owned());
        let (charges, refunds) = account;
        let account = Account { charges, refunds };
        evidence.accounts.insert(number, account);
        let end = Step::Status(status.to_owned());
        let history = steps.into_iter().chain([end]).collect();
        evidence.histories.insert(number, history);
    }

    /// The first order of a fate.
    fn first(fate: Fate) -> u64 {
        let found = (0..200).find(|number| Fate::of(SEED, OrderId(*number)) == fate);
        found.expect("200 orders have every fate")
    }
}

/// A command, and its outcome.
fn both(command: &str, verdict: &str) -> Vec<Step> {
    let id = "1".to_owned();
    let (command, verdict) = (command.to_owned(), verdict.to_owned());
    let sent = Step::Sent {
        id: id.clone(),
        command: command.clone(),
    };
    let outcome = Step::Outcome {
        id,
        command,
        verdict,
        attempts: 1,
    };
    vec![sent, outcome]
}

/// Does something to the good case, and compares the laws that it breaks.
fn check(fate: Fate, harm: impl FnOnce(&mut Evidence, u64), expected: &[&str]) {
    let mut good = Good::new();
    harm(&mut good.evidence, Good::first(fate));
    let verdict = judge(&good.evidence);
    let mut broken: Vec<&str> = verdict.broken.iter().map(|(law, _)| law).collect();
    broken.sort_unstable();
    let mut expected = expected.to_vec();
    expected.sort_unstable();
    assert_eq!(broken, expected, "{:?}", verdict.examples);
}

fn add(evidence: &mut Evidence, order: u64, event: &str) {
    let events = evidence.events.get_mut(&order).expect("it is there");
    events.push(event.to_owned());
}

fn take(evidence: &mut Evidence, order: u64, event: &str) {
    let events = evidence.events.get_mut(&order).expect("it is there");
    events.retain(|name| name != event);
}

fn account(evidence: &mut Evidence, order: u64) -> &mut Account {
    evidence.accounts.entry(order).or_default()
}

fn history(evidence: &mut Evidence, order: u64) -> &mut Vec<Step> {
    evidence.histories.entry(order).or_default()
}

fn status(evidence: &mut Evidence, order: u64, status: &str) {
    evidence.instances.insert(order, status.to_owned());
    let end = Step::Status(status.to_owned());
    history(evidence, order).push(end);
}

#[test]
fn a_good_case_breaks_nothing() {
    check(Fate::Fine, |_, _| {}, &[]);
    let verdict = judge(&Good::new().evidence);
    assert_eq!(verdict.facts.get("sagas"), 200);
    let ends = ["completed", "compensated", "stuck"].map(|status| verdict.facts.get(status));
    assert_eq!(ends.iter().sum::<u64>(), 200);
    assert!(ends.iter().all(|count| *count > 0), "{ends:?}");
}

#[test]
fn a_lost_order_is_seen() {
    let gone = |evidence: &mut Evidence, order| {
        evidence.events.remove(&order);
        evidence.instances.remove(&order);
    };
    check(Fate::Fine, gone, &["not placed", "lost"]);
    let unheard = |evidence: &mut Evidence, order| {
        evidence.instances.remove(&order);
    };
    check(Fate::Fine, unheard, &["no saga"]);
    check(
        Fate::Fine,
        |evidence, order| add(evidence, order, "order_placed"),
        &["not placed", "event doubled"],
    );
}

#[test]
fn money_that_moves_wrongly_is_seen() {
    let charge = |evidence: &mut Evidence, order| account(evidence, order).charges += 1;
    let refund = |evidence: &mut Evidence, order| account(evidence, order).refunds += 1;
    check(Fate::Fine, charge, &["charged more than once"]);
    check(Fate::LostAnswer, charge, &["charged again by a retry"]);
    check(
        Fate::Declined,
        charge,
        &["charged wrongly", "not refunded", "books"],
    );
    check(Fate::Fine, refund, &["refunded wrongly", "books"]);
    check(Fate::OutOfStock, refund, &["refunded more than once"]);
    check(
        Fate::Fine,
        |evidence, order| account(evidence, order).charges = 0,
        &["not charged", "books"],
    );
    check(
        Fate::Undeliverable,
        |evidence, order| account(evidence, order).refunds = 0,
        &["not refunded", "books"],
    );
    check(
        Fate::Undeliverable,
        |evidence, order| take(evidence, order, "payment_refunded"),
        &["books"],
    );
}

#[test]
fn commands_without_their_one_outcome_are_seen() {
    check(
        Fate::Fine,
        |evidence, order| drop(history(evidence, order).remove(1)),
        &["command lost"],
    );
    for step in 0..2 {
        let doubled = |evidence: &mut Evidence, order| {
            let history = history(evidence, order);
            history.insert(0, history[step].clone());
        };
        check(Fate::Fine, doubled, &["command doubled"]);
    }
    check(
        Fate::Fine,
        |evidence, order| drop(history(evidence, order).remove(0)),
        &["command doubled"],
    );
    check(
        Fate::Fine,
        |evidence, _| evidence.left.add("saga.fulfilment.commands", 1),
        &["left over"],
    );
}

#[test]
fn a_wrong_end_is_seen() {
    check(
        Fate::Fine,
        |evidence, order| status(evidence, order, "running"),
        &["not ended", "fate"],
    );
    check(
        Fate::Fine,
        |evidence, order| status(evidence, order, "compensated"),
        &["status", "fate"],
    );
    check(
        Fate::Fine,
        |evidence, order| history(evidence, order).push(Step::Timeout),
        &["fate"],
    );
    check(
        Fate::Fine,
        |evidence, order| drop(history(evidence, order).pop()),
        &["history"],
    );
    check(
        Fate::Fine,
        |evidence, order| take(evidence, order, "order_shipped"),
        &["status"],
    );
    check(
        Fate::Undeliverable,
        |evidence, order| take(evidence, order, "stock_released"),
        &["status"],
    );
    check(
        Fate::Undeliverable,
        |evidence, order| add(evidence, order, "stock_released"),
        &["event doubled"],
    );
    let unproven = |evidence: &mut Evidence, order| {
        let history = history(evidence, order);
        history.drain(..2);
    };
    check(Fate::Unrefundable, unproven, &["stuck without proof"]);
}

#[test]
fn what_is_of_no_order_is_seen() {
    let stray = |evidence: &mut Evidence, _| {
        account(evidence, 200).charges = 1;
    };
    check(Fate::Fine, stray, &["stray"]);
    let elsewhere = |evidence: &mut Evidence, _| {
        evidence.add_event("7", "8", "order_placed".to_owned());
    };
    check(Fate::Fine, elsewhere, &["stray"]);
}

/// A case compares exactly what is broken, so a law that is named by one is broken by one.
#[test]
fn every_law_is_broken_by_a_case() {
    for (law, _) in LAWS {
        let named = format!("\"{law}\"");
        assert!(include_str!("tests.rs").contains(&named), "{law}");
    }
}
