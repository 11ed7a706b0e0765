//! Entities and value objects.

use std::collections::{BTreeSet, HashSet};

use proptest::prelude::*;
use uno_domain::{ById, Entity, ValueObject, value_object};

#[derive(Debug, PartialEq)]
struct NotAQuantity(u32);

impl std::fmt::Display for NotAQuantity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} is not in 1..=99", self.0)
    }
}

value_object! {
    /// How many of a product.
    #[derive(Copy, PartialOrd, Ord, Hash)]
    struct Quantity(u32): NotAQuantity = |n: u32| if (1..=99).contains(&n) { Ok(n) } else { Err(NotAQuantity(n)) };

    /// A name without space around it.
    struct Name(String): &'static str = tidy;
}

fn tidy(mut name: String) -> Result<String, &'static str> {
    name.truncate(name.trim_end().len());
    name.drain(..name.len() - name.trim_start().len());
    if name.is_empty() {
        Err("a name has at least one letter")
    } else {
        Ok(name)
    }
}

/// The contract, for any value object.
fn check<V>(inner: V::Inner)
where
    V: ValueObject<Error: std::fmt::Debug>
        + std::fmt::Debug
        + serde::Serialize
        + serde::de::DeserializeOwned,
    V::Inner: serde::Serialize,
{
    let json = serde_json::to_string(&inner).unwrap();
    let read = serde_json::from_str::<V>(&json);
    match V::new(inner) {
        Ok(value) => {
            assert_eq!(read.unwrap(), value, "reading goes through the rule");
            let written = serde_json::to_string(&value).unwrap();
            assert_eq!(
                serde_json::from_str::<V>(&written).unwrap(),
                value,
                "what is written reads back equal"
            );
            assert_eq!(
                V::new(value.clone().into_inner()).unwrap(),
                value,
                "a value is taken back as it is"
            );
        }
        Err(_) => assert!(read.is_err(), "nothing gets around the rule"),
    }
}

proptest! {
    #[test]
    fn value_objects_keep_their_contract(number in 0..200_u32, text in " {0,2}[a-z]{0,3} {0,2}") {
        check::<Quantity>(number);
        check::<Name>(text);
    }
}

#[test]
fn a_value_object_says_what_is_wrong() {
    assert_eq!(Quantity::new(0), Err(NotAQuantity(0)));
    assert_eq!(
        Quantity::try_from(99).map(|quantity| *quantity.get()),
        Ok(99)
    );
    assert_eq!(
        Name::new("  ".to_owned()),
        Err("a name has at least one letter")
    );
    assert_eq!(Name::new(" Ada ".to_owned()).unwrap().into_inner(), "Ada");
    let error = serde_json::from_str::<Quantity>("100").unwrap_err();
    assert_eq!(error.to_string(), "100 is not in 1..=99");
}

#[derive(Debug, PartialEq)]
struct Line {
    number: u32,
    quantity: u32,
}

impl Entity for Line {
    type Id = u32;
    fn id(&self) -> &u32 {
        &self.number
    }
}

#[test]
fn an_entity_is_the_same_as_long_as_its_id_is() {
    let (before, after) = (
        Line {
            number: 1,
            quantity: 1,
        },
        Line {
            number: 1,
            quantity: 2,
        },
    );
    assert!(before.is_same(&after));
    assert_ne!(before, after);
    assert!(!before.is_same(&Line {
        number: 2,
        quantity: 1
    }));
    assert_eq!(ById(before), ById(after));
}

#[test]
fn an_entity_is_found_by_its_id() {
    let mut lines = [1, 2, 3].map(|number| Line {
        number,
        quantity: 1,
    });
    Line::find_mut(&mut lines, &2).unwrap().quantity = 5;
    assert_eq!(Line::find(&lines, &2).map(|line| line.quantity), Some(5));
    assert_eq!(Line::find(&lines, &4), None);
}

#[test]
fn sets_of_entities_go_by_id() {
    let lines = || {
        [3, 1, 3]
            .into_iter()
            .zip(1..)
            .map(|(number, quantity)| ById(Line { number, quantity }))
    };
    assert_eq!(lines().collect::<HashSet<_>>().len(), 2);
    let numbers: Vec<u32> = lines()
        .collect::<BTreeSet<_>>()
        .iter()
        .map(|ById(line)| line.number)
        .collect();
    assert_eq!(numbers, [1, 3]);
}
