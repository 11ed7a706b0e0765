//! A catalogue that is kept is noticed when it is not true any more.

use std::fs;

use serde::{Deserialize, Serialize};
use tempfile::TempDir;
use uno_core::{Event, EventSet};
use uno_cqrs::Catalogue;

use super::check;

/// A customer has placed an order.
#[derive(Event, Serialize, Deserialize)]
struct OrderPlaced {
    total: i64,
}

#[derive(Event, Serialize, Deserialize)]
struct OrderCancelled {}

fn shop() -> Catalogue {
    let mut shop = Catalogue::new("shop");
    shop.add_events(OrderPlaced::EVENTS);
    shop
}

fn fault(shop: &Catalogue, folder: &TempDir, write: bool) -> String {
    let faults = check(shop, "1.0.0", folder.path(), write).unwrap_err();
    assert_eq!(faults.faults().len(), 1, "{faults}");
    faults.to_string()
}

#[test]
fn what_was_changed_by_hand_or_left_over_is_found() {
    let folder = tempfile::tempdir().unwrap();
    check(&shop(), "1.0.0", folder.path(), true).unwrap();

    let page = folder.path().join("README.md");
    let good = fs::read_to_string(&page).unwrap();
    fs::write(&page, good.replacen("order_placed", "order_put", 1)).unwrap();
    let fault_of_page = fault(&shop(), &folder, false);
    assert!(
        fault_of_page.contains("README.md is not what it would be now, from line 7 on"),
        "{fault_of_page}"
    );
    assert!(
        fault_of_page.contains("UNO_GOLDEN=write"),
        "{fault_of_page}"
    );

    check(&shop(), "1.0.0", folder.path(), true).unwrap();
    fs::create_dir_all(folder.path().join("schemas")).unwrap();
    fs::write(folder.path().join("schemas/gone.1.json"), "{}").unwrap();
    let stranger = fault(&shop(), &folder, false);
    assert!(stranger.contains("is of no event that there is"));
    check(&shop(), "1.0.0", folder.path(), true).unwrap();
    assert!(!folder.path().join("schemas/gone.1.json").exists());
}

#[test]
fn an_event_without_a_doc_comment_fails_also_when_it_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let mut shop = shop();
    shop.add_events(OrderCancelled::EVENTS);
    let fault = fault(&shop, &folder, true);
    assert!(
        fault.contains("order_cancelled has no doc comment"),
        "{fault}"
    );
}
