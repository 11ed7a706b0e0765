//! `orders rebuild`.

use tempfile::TempDir;

use crate::run::{complaint, finish, input, report};

#[test]
fn read_models_are_rebuilt_and_what_they_say_is_the_same() {
    let folder = TempDir::new().unwrap();
    let input = input(folder.path(), 40);
    let store = ["--store", "sqlite:a.db", "--input", &input];
    let before = report(&finish(folder.path(), &store));
    let rebuild = |arguments: &[&str]| {
        let output = finish(
            folder.path(),
            &[&store[..], &["rebuild"], arguments].concat(),
        );
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };

    let told = rebuild(&["--drop"]);
    let lines: Vec<&str> = told.lines().collect();
    assert_eq!(lines.len(), 4, "{told}");
    for line in lines {
        let (_, told) = line
            .split_once(": generation 2 serves, built from ")
            .unwrap();
        let (events, rest) = told.split_once(" events").unwrap();
        assert!(events.parse::<u64>().unwrap() >= 39, "{line}");
        assert_eq!(rest, "; generation 1 is dropped");
    }
    let told = rebuild(&["sales_per_month"]);
    assert!(
        told.starts_with("sales_per_month: generation 3 serves, built from ")
            && told.ends_with("; generation 2 is kept\n"),
        "{told}"
    );
    // The report reads whichever serve, and compares them with the log.
    assert_eq!(report(&finish(folder.path(), &store)), before);
}

#[test]
fn what_can_not_be_rebuilt_is_named() {
    let folder = TempDir::new().unwrap();
    let unknown = finish(folder.path(), &["--store", "memory", "rebuild", "sales"]);
    assert_eq!(
        complaint(&unknown),
        "orders: there is no read model sales; there are order_summaries, customer_totals, sales_per_month, shop_window\n"
    );
    let fresh = finish(folder.path(), &["--fresh", "rebuild"]);
    assert!(complaint(&fresh).contains("--fresh would remove the events"));
}
