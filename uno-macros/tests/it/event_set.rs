//! `#[derive(EventSet)]`.

use serde::{Deserialize, Serialize};
use uno_core::{Event, EventSet, IntoEvents, NewEvent};

#[derive(Event, Serialize, Deserialize, Clone, Debug, PartialEq)]
struct Measured {
    celsius: f64,
}

#[derive(Event, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[event(version = 2, upcast_elsewhere)]
struct Calibrated {
    by: String,
}

#[derive(Event, Serialize, Deserialize, Clone, Debug, PartialEq)]
struct Unrelated {}

#[derive(EventSet, Clone, Debug, PartialEq)]
enum SensorEvent {
    Measured(Measured),
    Calibrated(Calibrated),
}

fn all() -> [SensorEvent; 2] {
    [
        Measured { celsius: 21.5 }.into(),
        Calibrated {
            by: "ada".to_owned(),
        }
        .into(),
    ]
}

#[test]
fn the_events_are_those_of_the_variants_in_order() {
    let events: Vec<_> = SensorEvent::EVENTS
        .iter()
        .map(|event| (event.name(), event.version().get()))
        .collect();
    assert_eq!(events, [("measured", 1), ("calibrated", 2)]);
    for (event, descriptor) in all().iter().zip(SensorEvent::EVENTS) {
        assert_eq!(event.descriptor().name(), descriptor.name());
    }
}

#[test]
fn a_value_reads_back_equal_and_is_stored_as_the_event_alone() {
    for event in all() {
        let json = event.to_json().unwrap();
        let back = SensorEvent::from_json(event.descriptor().name(), &json);
        assert_eq!(back.unwrap().unwrap(), event);
    }
    assert_eq!(all()[0].to_json().unwrap(), r#"{"celsius":21.5}"#);
}

#[test]
fn a_name_that_is_not_in_the_set_is_none_and_a_payload_that_does_not_fit_an_error() {
    assert!(SensorEvent::from_json(Unrelated::NAME, "{}").is_none());
    assert!(SensorEvent::from_json("Measured", "{}").is_none());
    assert!(
        SensorEvent::from_json(Measured::NAME, "{}")
            .unwrap()
            .is_err()
    );
}

#[test]
fn the_check_is_that_of_the_event() {
    assert!(all().iter().all(|event| event.check().is_ok()));
    let refusal = SensorEvent::from(Measured { celsius: f64::NAN })
        .check()
        .unwrap_err();
    assert_eq!(refusal.field(), "payload.celsius");
}

#[test]
fn what_a_decision_returns_becomes_events_of_the_set() {
    fn events(decided: impl IntoEvents<SensorEvent>) -> Vec<SensorEvent> {
        decided.into_events()
    }
    let [measured, calibrated] = all();
    let one = vec![measured.clone()];
    assert_eq!(events(Measured { celsius: 21.5 }), one);
    assert_eq!(events(measured.clone()), one);
    let both = (
        measured.clone(),
        Some(Calibrated {
            by: "ada".to_owned(),
        }),
    );
    assert_eq!(events(both), [measured, calibrated]);
    assert_eq!(events(Vec::<SensorEvent>::new()), []);
    assert_eq!(events(()), []);
}

#[test]
fn a_set_is_encoded_as_its_event() {
    for event in all() {
        let encoded = NewEvent::encode(&event).unwrap();
        assert_eq!(encoded.name().as_str(), event.descriptor().name());
        assert_eq!(encoded.schema_version(), event.descriptor().version());
    }
}

/// A set whose parts come from two macros and the place where they are called.
macro_rules! declare {
    ($set:ident, $variant:ident, $payload:ty) => {
        #[derive(EventSet, Debug, PartialEq)]
        enum $set {
            $variant($payload),
            Own($crate::event_set::Calibrated),
        }
    };
}

declare!(DeclaredEvent, Given, Measured);

#[test]
fn a_set_can_be_declared_by_a_macro() {
    let event = DeclaredEvent::from(Calibrated {
        by: "ada".to_owned(),
    });
    let json = event.to_json().unwrap();
    assert_eq!(
        DeclaredEvent::from_json("calibrated", &json)
            .unwrap()
            .unwrap(),
        event
    );
    assert_eq!(DeclaredEvent::EVENTS.len(), 2);
}
