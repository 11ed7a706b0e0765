//! Golden texts, and texts that try to be more than that.

mod declared;
mod explored;
mod went;

use std::time::Duration;

use serde::{Deserialize, Serialize};
use uno_core::{
    Command, CommandSet, Envelope, Event, EventSet, NewEvent, Position, RecordedEvent, StreamId,
    Version,
};

use super::text::{span, text};

#[derive(Event, Serialize, Deserialize, Clone, Debug)]
struct Placed {
    order: u32,
}

#[derive(Event, Serialize, Deserialize, Clone, Debug)]
struct Cancelled {}

#[derive(EventSet, Clone, Debug)]
enum OrderEvent {
    Placed(Placed),
    Cancelled(Cancelled),
}

#[derive(Command, Serialize, Deserialize, Clone, Debug, PartialEq)]
struct Charge {}

#[derive(Command, Serialize, Deserialize, Clone, Debug, PartialEq)]
struct Refund {}

#[derive(Command, Serialize, Deserialize, Clone, Debug, PartialEq)]
struct Ship {}

#[derive(CommandSet, Clone, Debug, PartialEq)]
enum Sent {
    Charge(Charge),
    Refund(Refund),
    Ship(Ship),
}

fn envelope(event: OrderEvent) -> Envelope<OrderEvent> {
    let stream: StreamId = "order-7".parse().unwrap();
    let new = NewEvent::encode(&event).unwrap();
    let (version, position) = (Version::EMPTY.next(), Position::START.next());
    let time = new.occurred_at();
    let record = RecordedEvent::record(&new, stream, version, position, time);
    Envelope::new(event, record.into())
}

/// Texts that mean something to Mermaid.
const NASTY: [&str; 12] = [
    r#"a"] --> b["c"#,
    "one\ntwo\r\nend",
    "%% comment %%{init: {}}%%",
    "end",
    "END; subgraph x",
    "a-->b",
    "(round) [square] {curly} <b>bold</b>",
    "#quot; #35; &amp;",
    "`markdown` **bold** 1. list",
    "style x:#f00;",
    "\u{0}\u{202e}\u{feff}",
    "",
];

#[test]
fn a_text_is_only_a_text() {
    let check = |raw: &str, expected: &str| assert_eq!(text(raw), expected, "{raw:?}");
    check("process_payment", "process_payment");
    check("order-7, am 5.1.2026", "order-7, am 5.1.2026");
    check("größer 注文", "größer 注文");
    check("a-", "a#45;");
    check("-->", "#45;#45;#62;");
    check("a--b", "a#45;#45;b");
    check("1. x", "1#46; x");
    check("end", "#101;nd");
    check("the End.", "the #69;nd#46;");
    check("send ended end_of bend", "send ended #101;nd_of bend");
    check("a\nb\tc\u{0}", "a b c ");
    check(r#"say "a""#, "say #34;a#34;");
    check("#34;", "#35;34#59;");
    check("%%{init}", "#37;#37;#123;init#125;");
    check("a:b", "a#58;b");
    check("", "#8709;");
    check(" \n", "  #8709;");
    let long = "x".repeat(1000);
    assert_eq!(text(&long), format!("{}#8230;", "x".repeat(119)));
    assert_eq!(text(&"x".repeat(120)), "x".repeat(120));
}

#[test]
fn whatever_a_text_is_nothing_of_it_can_be_more() {
    for raw in NASTY {
        let safe = text(raw);
        assert!(
            !safe.is_empty() && !safe.contains('\n'),
            "{raw:?}: {safe:?}"
        );
        // Outside codes there is nothing but words, and what is harmless between them.
        let mut rest = String::new();
        let mut parts = safe.split('#');
        rest += parts.next().unwrap();
        for part in parts {
            let (code, after) = part.split_once(';').unwrap();
            assert!(
                code.chars().all(|c| c.is_ascii_digit()),
                "{raw:?}: {safe:?}"
            );
            rest += after;
        }
        let harmless = |c: char| c.is_alphanumeric() || "_,-. ".contains(c);
        assert!(rest.chars().all(harmless), "{raw:?}: {safe:?}");
        let words = safe.split(|c: char| !c.is_alphanumeric() && !"#;".contains(c));
        assert!(
            words
                .into_iter()
                .all(|word| !word.eq_ignore_ascii_case("end")),
            "{raw:?}: {safe:?}"
        );
    }
}

#[test]
fn time_spans_are_said_in_their_units() {
    let check = |micros: u64, expected: &str| {
        assert_eq!(span(Duration::from_micros(micros)), expected);
    };
    check(0, "0 s");
    check(1_800_000_000, "30 min");
    check(90_061_002_003, "1 d 1 h 1 min 1 s 2 ms 3 µs");
}

/// No line of a diagram is anything but what it should be.
#[track_caller]
fn assert_lines(diagram: &str, is_right: impl Fn(&str) -> bool) {
    for line in diagram.lines().skip(1) {
        let line = line.strip_prefix("    ").unwrap();
        assert!(is_right(line), "{line}");
    }
}
