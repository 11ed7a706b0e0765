//! The laws of specifications.

use proptest::prelude::*;
use uno_domain::{Specification, all, any};

/// Three rules about a number, told apart by its bits: every combination of answers occurs.
fn bit(index: u32) -> impl Specification<u8> + Copy {
    move |number: &u8| number >> index & 1 == 1
}

#[expect(
    clippy::needless_pass_by_value,
    reason = "so that each law reads as one"
)]
fn same(one: impl Specification<u8>, other: impl Specification<u8>) {
    for number in 0..8 {
        assert_eq!(
            one.is_satisfied_by(&number),
            other.is_satisfied_by(&number),
            "{number:03b}"
        );
    }
}

#[test]
fn and_or_and_not_are_those_of_logic() {
    let (a, b, c) = (bit(0), bit(1), bit(2));
    same(a.and(b), |n: &u8| n & 1 == 1 && n & 2 == 2);
    same(a.or(b), |n: &u8| n & 3 != 0);
    same(a.not(), |n: &u8| n & 1 == 0);

    same(a.not().not(), a);
    same(a.and(b), b.and(a));
    same(a.or(b), b.or(a));
    same(a.and(b).and(c), a.and(b.and(c)));
    same(a.or(b).or(c), a.or(b.or(c)));
    same(a.and(b.or(c)), a.and(b).or(a.and(c)));
    same(a.or(b.and(c)), a.or(b).and(a.or(c)));
    same(a.and(b).not(), a.not().or(b.not()));
    same(a.or(b).not(), a.not().and(b.not()));
    same(a.and(a.or(b)), a);
    same(a.and(a.not()), |_: &u8| false);
    same(a.or(a.not()), |_: &u8| true);
}

proptest! {
    #[test]
    fn all_and_any_are_and_and_or_over_a_list(limits in prop::collection::vec(0..100_i32, 0..10), number in 0..100_i32) {
        let rules = || limits.iter().map(|limit| move |n: &i32| n > limit);
        prop_assert_eq!(all(rules()).is_satisfied_by(&number), limits.iter().all(|limit| number > *limit));
        prop_assert_eq!(any(rules()).is_satisfied_by(&number), limits.iter().any(|limit| number > *limit));
        prop_assert_eq!(
            all(rules()).not().is_satisfied_by(&number),
            any(rules().map(Specification::<i32>::not)).is_satisfied_by(&number)
        );
    }
}

#[test]
fn an_empty_list_asks_for_nothing_and_offers_nothing() {
    type Rule = fn(&u8) -> bool;
    assert!(all(Vec::<Rule>::new()).is_satisfied_by(&0));
    assert!(!any(Vec::<Rule>::new()).is_satisfied_by(&0));
}

#[test]
fn the_second_rule_is_asked_only_when_it_matters() {
    let never = |_: &u8| unreachable!("the first rule has decided it");
    assert!(!(|_: &u8| false).and(never).is_satisfied_by(&0));
    assert!((|_: &u8| true).or(never).is_satisfied_by(&0));
}

struct Even;

impl Specification<u8> for Even {
    fn is_satisfied_by(&self, number: &u8) -> bool {
        number.is_multiple_of(2)
    }
}

fn is_small(number: &u8) -> bool {
    *number < 4
}

#[test]
fn types_functions_closures_and_boxes_can_be_mixed() {
    let rules: Vec<Box<dyn Specification<u8> + Send + Sync>> = vec![
        Box::new(Even),
        Box::new(is_small),
        Box::new(|n: &u8| *n != 0),
        Box::new(Even.and(is_small)),
    ];
    let rule = all(rules).or(|n: &u8| *n == 7);
    let satisfied: Vec<u8> = (0..8)
        .filter(|number| rule.is_satisfied_by(number))
        .collect();
    assert_eq!(satisfied, [2, 7]);
}

#[test]
fn a_rule_can_be_about_what_has_no_size() {
    let rule = (|text: &str| text.contains('@')).and(|text: &str| text.len() > 3);
    assert!(rule.is_satisfied_by("a@b.c"));
    assert!(!rule.is_satisfied_by("a@b"));
}
