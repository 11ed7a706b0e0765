//! `orders audit` and `orders why`: asked of the log that a run has left behind.

use tempfile::TempDir;

use crate::run::{complaint, finish, input, report};

/// A line of `orders audit`, in words.
struct Line {
    position: u64,
    time: String,
    id: String,
    name: String,
}

fn lines(text: &str) -> Vec<Line> {
    let line = |line: &str| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let [position, day, time, id, name, _stream, _actor] = words.as_slice() else {
            panic!("{line}");
        };
        Line {
            position: position.parse().unwrap(),
            time: format!("{day}T{time}Z"),
            id: (*id).to_owned(),
            name: (*name).to_owned(),
        }
    };
    text.lines().map(line).collect()
}

#[test]
fn the_log_is_asked_and_an_event_is_explained() {
    let folder = TempDir::new().unwrap();
    let input = input(folder.path(), 40);
    report(&finish(
        folder.path(),
        &["--store", "sqlite:a.db", "--input", &input],
    ));
    let told = |arguments: &[&str]| {
        let all = [&["--store", "sqlite:a.db"], arguments].concat();
        let output = finish(folder.path(), &all);
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    let audit = |arguments: &[&str]| lines(&told(&[&["audit"], arguments].concat()));

    let newest = audit(&[]);
    assert_eq!(newest.len(), 20);
    assert!(newest.is_sorted_by(|a, b| a.position > b.position));
    let place = newest[4].position.to_string();
    let next = audit(&["--after", &place, "--limit", "5"]);
    assert!(
        next.iter()
            .map(|line| &line.id)
            .eq(newest[5..10].iter().map(|line| &line.id))
    );

    let shipped = audit(&["--type", "order_shipped", "--oldest", "--limit", "3"]);
    assert_eq!(shipped.len(), 3);
    assert!(shipped.iter().all(|line| line.name == "order_shipped"));
    let first = &shipped[0];
    // As it was just then, it is the last event of the log, or recorded together with the last ones.
    let then = audit(&["--at", &first.time, "--type", "order_shipped"]);
    assert!(then.iter().any(|line| line.id == first.id));
    assert!(then.iter().all(|line| line.time <= first.time));
    let later = audit(&["--since", &first.time, "--oldest", "--limit", "1"]);
    assert_eq!(later[0].time, first.time);
    assert!(audit(&["--actor", "nobody"]).is_empty());

    // An order was shipped because it was placed, across the commands of the saga.
    let why = told(&["why", &first.id]);
    let placed = why.lines().find(|line| line.contains(" order_placed of "));
    assert!(placed.is_some(), "{why}");
    assert!(why.lines().any(|line| line.starts_with("* ")), "{why}");
    let drawn = told(&["why", &first.id, "--mermaid"]);
    assert!(drawn.starts_with("flowchart TD\n"), "{drawn}");
    assert!(drawn.contains("order_placed<br/>"), "{drawn}");
}

#[test]
fn what_is_not_there_is_said() {
    let folder = TempDir::new().unwrap();
    let nobody = "00000000-0000-0000-0000-000000000001";
    let unknown = finish(folder.path(), &["--store", "memory", "why", nobody]);
    assert_eq!(
        complaint(&unknown),
        format!("orders: there is no event {nobody}\n")
    );
    let fresh = finish(folder.path(), &["--fresh", "audit"]);
    assert!(complaint(&fresh).contains("--fresh would remove the events"));
}
