//! The application tells what it is made of, without a store.

use tempfile::TempDir;

use crate::run::finish;

fn told(arguments: &[&str]) -> String {
    let folder = TempDir::new().unwrap();
    let output = finish(folder.path(), arguments);
    assert!(output.status.success(), "{output:?}");
    assert!(!folder.path().join("target").exists());
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn as_json_unless_it_is_told_otherwise() {
    let json = told(&["describe"]);
    assert_eq!(json, told(&["describe", "--json"]));
    let catalogue: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(catalogue["application"], "orders");
    let names = |list: &str| {
        let entries = catalogue[list].as_array().unwrap().iter();
        let names = entries.map(|entry| entry["name"].as_str().unwrap());
        names.collect::<Vec<_>>().join(" ")
    };
    assert!(names("commands").starts_with("add_item allocate_stock cancel_order charge_payment"));
    assert_eq!(names("handlers"), "analytics mail uno.chain.orders");
    assert_eq!(names("sagas"), "fulfilment");
    assert!(names("projections").contains("order_summaries"));
}

#[test]
fn as_a_drawing() {
    let drawing = told(&["describe", "--mermaid"]);
    assert!(drawing.starts_with("flowchart LR\n"), "{drawing}");
    for label in [
        "\"submit_order\"",
        "\"order_placed\"",
        "\"fulfilment\"",
        "\"mail\"",
    ] {
        assert!(drawing.contains(label), "{label} in {drawing}");
    }
    let folder = TempDir::new().unwrap();
    let both = finish(folder.path(), &["describe", "--json", "--mermaid"]);
    assert!(!both.status.success());
}

#[test]
fn as_a_page_and_for_the_world_outside() {
    let page = told(&["describe", "--markdown"]);
    assert!(page.starts_with("# Events of orders\n"), "{page}");
    assert!(page.contains("\n## order_placed\n"), "{page}");
    let document = told(&["describe", "--asyncapi"]);
    let document: serde_json::Value = serde_json::from_str(&document).unwrap();
    assert_eq!(document["info"]["version"], env!("CARGO_PKG_VERSION"));
    let channels = document["channels"].as_object().unwrap();
    assert!(channels.contains_key("order"), "{channels:?}");
}
