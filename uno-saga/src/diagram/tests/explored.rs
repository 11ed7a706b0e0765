//! States that are found by asking.

use super::*;
use crate::{Input, Outputs, Route, Saga, Steps, Stepwise, diagram};

/// Charges, then ships; is cancelled, or does not wait longer than it must.
#[derive(Serialize, Deserialize, Default, Clone, Debug)]
struct Fulfilment {
    paid: bool,
}

#[derive(Serialize, Deserialize, Clone, Debug)]
struct Overdue;

impl Saga for Fulfilment {
    const NAME: &'static str = "fulfilment";
    type Event = OrderEvent;
    type Command = Sent;
    type Timeout = Overdue;

    fn route(event: &Envelope<OrderEvent>) -> Route {
        match event.event() {
            OrderEvent::Placed(placed) => Route::StartStrict(placed.order.to_string()),
            OrderEvent::Cancelled(_) => Route::Continue("7".to_owned()),
        }
    }

    fn react(&mut self, input: Input<'_, OrderEvent, Overdue>) -> Outputs<Sent, Overdue> {
        match input {
            Input::Event(event) => match event.event() {
                OrderEvent::Placed(_) => Outputs::send(Charge {})
                    .undo(Refund {})
                    .and_after(Duration::from_secs(60), Overdue),
                OrderEvent::Cancelled(_) => Outputs::compensate(),
            },
            Input::Outcome(outcome) if !outcome.is_success() => Outputs::compensate(),
            Input::Outcome(outcome) if outcome.is_of::<Charge>() => {
                self.paid = true;
                Outputs::cancel(Overdue)
                    .and_complete()
                    .and_message("mail", "thanks", "you")
            }
            _ => Outputs::compensate(),
        }
    }
}

fn events() -> Vec<Envelope<OrderEvent>> {
    vec![
        envelope(Placed { order: 7 }.into()),
        envelope(Cancelled {}.into()),
    ]
}

#[test]
fn all_states_are_found_that_an_instance_may_come_to() {
    let golden = r##"stateDiagram-v2
    state "running<br/>under way#58; charge<br/>to undo#58; refund<br/>timeouts#58; null<br/>#123;#34;paid#34;#58;false#125;" as s0
    state "compensating<br/>under way#58; charge<br/>to undo#58; refund<br/>#123;#34;paid#34;#58;false#125;" as s1
    state "completed<br/>#123;#34;paid#34;#58;true#125;" as s2
    state "compensated<br/>#123;#34;paid#34;#58;false#125;" as s3
    state "compensating<br/>undoes by refund<br/>to undo#58; refund<br/>#123;#34;paid#34;#58;false#125;" as s4
    state "stuck<br/>to undo#58; refund<br/>#123;#34;paid#34;#58;false#125;" as s5
    state "parked" as parked
    [*] --> s0 : placed<br/>sends charge
    s0 --> parked : placed<br/>instance 7 has started already
    s0 --> s1 : cancelled
    s0 --> s2 : charge succeeded<br/>tells thanks
    s0 --> s3 : charge rejected
    s0 --> s4 : charge gave up<br/>sends refund
    s0 --> s1 : timeout null
    s1 --> parked : placed<br/>instance 7 has started already
    s1 --> s4 : charge succeeded<br/>sends refund
    s1 --> s3 : charge rejected
    s1 --> s4 : charge gave up<br/>sends refund
    s2 --> parked : placed<br/>instance 7 has started already
    s3 --> parked : placed<br/>instance 7 has started already
    s4 --> parked : placed<br/>instance 7 has started already
    s4 --> s3 : refund succeeded
    s4 --> s5 : refund rejected
    s4 --> s5 : refund gave up
    s5 --> parked : placed<br/>instance 7 has started already
    s2 --> [*]
    s3 --> [*]
"##;
    assert_eq!(
        diagram::of_states::<Fulfilment>(&events(), 100).unwrap(),
        golden
    );
}

#[test]
fn what_is_beyond_the_bound_is_drawn_as_one() {
    let diagram = diagram::of_states::<Fulfilment>(&events(), 2).unwrap();
    assert!(
        diagram.contains(r#"state "more than 2 states" as more"#),
        "{diagram}"
    );
    assert!(diagram.contains("    s0 --> more : charge succeeded<br/>tells thanks\n"));
    assert!(!diagram.contains(" s2"), "{diagram}");
}

/// Goes on without end.
#[derive(Serialize, Deserialize, Default, Clone, Debug)]
struct Counting {
    inputs: u32,
    said: String,
}

impl Saga for Counting {
    const NAME: &'static str = "counting";
    type Event = OrderEvent;
    type Command = Sent;
    type Timeout = String;

    fn route(event: &Envelope<OrderEvent>) -> Route {
        match event.event() {
            OrderEvent::Placed(_) => Route::Start("7".to_owned()),
            OrderEvent::Cancelled(_) => Route::Ignore,
        }
    }

    fn react(&mut self, _: Input<'_, OrderEvent, String>) -> Outputs<Sent, String> {
        let said = NASTY[self.inputs as usize % NASTY.len()];
        self.inputs += 1;
        self.said = said.to_owned();
        Outputs::after(Duration::from_secs(1), said).and_message("x", said, said)
    }
}

#[test]
fn no_state_breaks_a_diagram_and_one_without_end_has_an_end() {
    let diagram = diagram::of_states::<Counting>(&events(), 30).unwrap();
    assert_eq!(diagram.matches(" as s").count(), 30);
    assert_eq!(
        diagram,
        diagram::of_states::<Counting>(&events(), 30).unwrap()
    );
    assert_lines(&diagram, |line| match line.split_once(" : ") {
        Some((arrow, label)) => {
            arrow.split(' ').count() == 3 && !label.contains(['"', ':', '%', '{'])
        }
        None => line.starts_with("state \"") && line.matches('"').count() == 2,
    });
}

/// The other form of sagas can be asked as well.
#[derive(Serialize, Deserialize, Clone, Debug)]
struct Charging {}

impl crate::StepSaga for Charging {
    const NAME: &'static str = "charging";
    type Event = OrderEvent;
    type Command = Sent;

    fn key(_: &Envelope<OrderEvent>) -> Option<String> {
        Some("7".to_owned())
    }

    fn start(event: &Envelope<OrderEvent>) -> Option<Self> {
        matches!(event.event(), OrderEvent::Placed(_)).then_some(Self {})
    }

    fn steps() -> Steps<Self> {
        Steps::<Self>::new().step("charge", |_| Charge {})
    }
}

#[test]
fn events_of_one_name_are_told_apart() {
    let twice = [1, 2].map(|order| envelope(Placed { order }.into()));
    let diagram = diagram::of_states::<Stepwise<Charging>>(&twice, 100).unwrap();
    for line in ["[*] --> s0 : placed 1<br/>", "[*] --> s0 : placed 2<br/>"] {
        assert!(diagram.contains(line), "{diagram}");
    }
    // Why it was undone makes two of one.
    assert_eq!(diagram.matches(" as s").count(), 4, "{diagram}");
}
