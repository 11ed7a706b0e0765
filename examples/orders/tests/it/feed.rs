//! The live feed: gone on with at any place, it has no gap and no double.

use serde_json::json;
use tempfile::TempDir;

use crate::server::{Answer, Server};

const ON_FILE: [&str; 4] = ["--store", "sqlite:shop.db", "--cooling-off", "86400"];

/// An event as it was received.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Told {
    id: String,
    name: String,
    data: String,
}

/// What is told after a place, up to where it has caught up.
async fn told_after(server: &Server, last: &str) -> Vec<Told> {
    let request = server.client.get(format!("{}/api/feed", server.url));
    let mut feed = request.header("last-event-id", last).send().await.unwrap();
    assert_eq!(feed.status(), 200);
    let mut text = String::new();
    while !text.contains("event: caught_up\n") {
        let chunk = feed.chunk().await.unwrap().expect("the feed goes on");
        text.push_str(std::str::from_utf8(&chunk).unwrap());
    }
    let told = text.split("\n\n").filter_map(|event| {
        let field = |name: &str| {
            let line = event.lines().find_map(|line| line.strip_prefix(name))?;
            Some(line.trim_start().to_owned())
        };
        Some(Told {
            id: field("id:")?,
            name: field("event:")?,
            data: field("data:")?,
        })
    });
    told.collect()
}

#[tokio::test]
async fn from_each_of_its_events_it_goes_on_with_the_next_also_after_a_crash() {
    let folder = TempDir::new().unwrap();
    let server = Server::start(folder.path(), &ON_FILE);
    let overview = server.get("/api/overview").await;
    let start = overview.body["as_of"].as_str().unwrap().to_owned();
    let mut last = String::new();
    for number in 1..=6 {
        let (order, receipt) = server.place("ada", number).await;
        last = receipt;
        if number % 2 == 0 {
            let path = format!("/api/orders/{order}/cancellation");
            let answer = server.post(&path, &json!({"reason": "test"})).await;
            last = answer.body["receipt"].as_str().unwrap().to_owned();
        }
    }
    let all = told_after(&server, &start).await;
    let names: Vec<_> = all.iter().map(|told| told.name.as_str()).collect();
    let (p, c) = ("order_placed", "order_cancelled");
    assert_eq!(names, [p, p, c, p, p, c, p, p, c]);
    assert_eq!(
        all.last().unwrap().id,
        last,
        "a receipt is a place of the feed"
    );

    server.kill();
    let server = Server::start(folder.path(), &ON_FILE);
    for (place, told) in all.iter().enumerate() {
        assert_eq!(told_after(&server, &told.id).await, all[place + 1..]);
    }
    // And so does whoever has the overview, whatever it is of.
    let overview = server.get("/api/overview").await;
    let as_of = overview.body["as_of"].as_str().unwrap();
    let seen = all.iter().position(|told| told.id == as_of).unwrap();
    let placed = all[..=seen].iter().filter(|told| told.name == p).count();
    assert_eq!(overview.body["placed"], placed);
}

#[tokio::test]
async fn a_place_in_another_log_is_gone() {
    let (one, other) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let one = Server::start(one.path(), &ON_FILE);
    let other = Server::start(other.path(), &ON_FILE);
    let (_, receipt) = one.place("ada", 1).await;
    other.place("ada", 1).await;
    for path in ["/api/feed", "/api/orders"] {
        let answer = other.get(&format!("{path}?after={receipt}")).await;
        assert_eq!(
            (answer.status.as_u16(), answer.faults()),
            (410, vec!["after"])
        );
    }
    let request = other.client.get(format!("{}/api/feed", other.url));
    let response = request.header("last-event-id", &receipt).send().await;
    let answer = Answer::of(response.unwrap()).await;
    assert_eq!(
        (answer.status.as_u16(), answer.faults()),
        (410, vec!["Last-Event-ID"])
    );
}
