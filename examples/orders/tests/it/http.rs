//! What is asked over HTTP, and what is answered.

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::server::{Server, order};

/// Nothing is charged while the test runs.
const PATIENT: [&str; 4] = ["--store", "memory", "--cooling-off", "86400"];

#[tokio::test]
async fn an_order_is_placed_read_listed_and_cancelled_by_whoever_brings_the_receipt() {
    let folder = TempDir::new().unwrap();
    let server = Server::start(folder.path(), &PATIENT);
    let mut all = Vec::new();
    for number in 1..=7 {
        let (order, receipt) = server.place("ada", number).await;
        let seen = server
            .get(&format!("/api/orders/{order}?after={receipt}"))
            .await;
        assert_eq!(seen.status, 200, "{seen:?}");
        let expected = json!({"order": order, "customer": "ada", "ordered_on": "2026-11-25",
            "item_count": 2, "total": number, "status": "placed"});
        assert_eq!(seen.body, expected);
        all.push(order);
    }
    all.sort();

    let (mut listed, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = server.get(&format!("/api/orders?limit=3{cursor}")).await;
        let orders = page.body["orders"].as_array().unwrap();
        assert!((1..=3).contains(&orders.len()), "{page:?}");
        listed.extend(orders.iter().map(|order| text(&order["order"])));
        match page.body.get("next") {
            Some(next) => cursor = format!("&cursor={}", next.as_str().unwrap()),
            None => break,
        }
    }
    assert_eq!(listed, all);

    let path = format!("/api/orders/{}", all[0]);
    let reason = json!({"reason": "too many"});
    for time in 1..=2 {
        let answer = server.post(&format!("{path}/cancellation"), &reason).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        // To cancel it twice is to cancel it once: there is nothing new to wait for.
        let receipt = answer.body.get("receipt").map(text);
        assert_eq!(receipt.is_some(), time == 1);
        let after = receipt.map_or(String::new(), |receipt| format!("?after={receipt}"));
        let seen = server.get(&format!("{path}{after}")).await;
        assert_eq!(seen.body["status"], "cancelled");
    }
}

#[tokio::test]
async fn what_is_wrong_with_a_request_is_told_by_the_name_of_the_field() {
    let folder = TempDir::new().unwrap();
    let server = Server::start(folder.path(), &PATIENT);
    let with = |pointer: &str, value: Value| {
        let mut order = order("ada", 1);
        *order.pointer_mut(pointer).unwrap() = value;
        order
    };
    let without = |object: &str, field: &str| {
        let mut order = order("ada", 1);
        let object = order.pointer_mut(object).unwrap().as_object_mut().unwrap();
        object.remove(field).unwrap();
        order
    };
    let mut more = order("ada", 1);
    more["colour"] = json!("red");
    for (body, fields) in [
        (with("/customer", json!("")), &["/customer"][..]),
        (with("/customer", json!(" \t ")), &["/customer"]),
        (with("/customer", json!("x".repeat(101))), &["/customer"]),
        (with("/customer", json!(7)), &["/customer"]),
        (with("/ordered_on", json!("2026-02-30")), &["/ordered_on"]),
        (with("/items", json!([])), &["/items"]),
        (with("/items", json!("none")), &["/items"]),
        (with("/items/0/quantity", json!(0)), &["/items/0/quantity"]),
        (with("/items/0/quantity", json!(-1)), &["/items/0/quantity"]),
        (
            with("/items/0/quantity", json!(1.5)),
            &["/items/0/quantity"],
        ),
        (
            with("/items/0/quantity", json!(1_000_001)),
            &["/items/0/quantity"],
        ),
        (with("/items/0/amount", json!(-1)), &["/items/0/amount"]),
        (
            with("/items/0/amount", json!(100_000_000_001_i64)),
            &["/items/0/amount"],
        ),
        (with("/items/0/amount", json!(1e300)), &["/items/0/amount"]),
        (
            with("/items/0/product", json!("\u{0}")),
            &["/items/0/product"],
        ),
        (without("", "customer"), &["/customer"]),
        (without("", "items"), &["/items"]),
        (without("/items/0", "amount"), &["/items/0/amount"]),
        (more, &["/colour"]),
        (
            with(
                "/items/0",
                json!({"product": "", "quantity": 0, "amount": -1}),
            ),
            &["/items/0/product", "/items/0/quantity", "/items/0/amount"],
        ),
    ] {
        let answer = server.post("/api/orders", &body).await;
        assert_eq!(answer.status, 422, "{body}: {answer:?}");
        assert_eq!(answer.kind, "application/problem+json");
        assert_eq!(answer.faults(), fields, "{body}: {answer:?}");
    }

    // Counted in characters, as the document says.
    let longest = with("/customer", json!("é".repeat(100)));
    let answer = server.post("/api/orders", &longest).await;
    assert_eq!(answer.status, 201, "{answer:?}");
    let path = format!("/api/orders/{}/cancellation", text(&answer.body["order"]));
    for reason in ["", " ", "\n", &"x".repeat(101)] {
        let answer = server.post(&path, &json!({"reason": reason})).await;
        assert_eq!(
            (answer.status.as_u16(), answer.faults()),
            (422, vec!["/reason"])
        );
    }

    let raw = |body: &str| {
        let post = server.client.post(format!("{}/api/orders", server.url));
        post.header("content-type", "application/json")
            .body(body.to_owned())
    };
    let valid = order("ada", 1).to_string();
    for text in [
        "",
        "{",
        "{\"customer\": \"\\ud800\"}",
        "nonsense",
        &format!("{valid} {valid}"),
    ] {
        let answer = server.ask(raw(text)).await;
        assert_eq!(answer.status, 400, "{text}: {answer:?}");
        assert_eq!(answer.body["type"], "/problems/malformed");
    }
    for (path, field) in [
        ("/api/orders?limit=0", "limit"),
        ("/api/orders?limit=101", "limit"),
        ("/api/orders?limit=many", "limit"),
        ("/api/orders?cursor=7", "cursor"),
        ("/api/orders?after=7", "after"),
        ("/api/orders/7", "order"),
        ("/api/feed?after=7", "after"),
    ] {
        let answer = server.get(path).await;
        assert_eq!(
            (answer.status.as_u16(), answer.faults()),
            (400, vec![field]),
            "{path}"
        );
    }
    let answer = server.ask(raw(&valid).header("idempotency-key", "")).await;
    assert_eq!(
        (answer.status.as_u16(), answer.faults()),
        (400, vec!["Idempotency-Key"])
    );

    let receipt = text(&answer_of_one(&server).await["receipt"]);
    let list = server.get(&format!("/api/orders?after={receipt}")).await;
    let orders = list.body["orders"].as_array().unwrap();
    assert_eq!(orders.len(), 2, "the two that were valid: {list:?}");
}

#[tokio::test]
async fn a_request_with_a_key_is_one_wish_also_after_a_crash() {
    let folder = TempDir::new().unwrap();
    let on_file = ["--store", "sqlite:shop.db", "--cooling-off", "86400"];
    let server = Server::start(folder.path(), &on_file);
    let send = async |server: &Server, body: &Value| {
        let post = server.client.post(format!("{}/api/orders", server.url));
        server
            .ask(post.header("idempotency-key", "one wish").json(body))
            .await
    };
    let wish = order("ada", 500);
    let first = send(&server, &wish).await;
    assert_eq!(first.status, 201, "{first:?}");
    let again = send(&server, &wish).await;
    assert_eq!(
        (again.body, again.location),
        (first.body.clone(), first.location.clone())
    );
    let other = send(&server, &order("ada", 501)).await;
    assert_eq!(
        (other.status.as_u16(), other.faults()),
        (422, vec!["Idempotency-Key"])
    );
    assert_eq!(other.body["type"], "/problems/key-reused");

    server.kill();
    let server = Server::start(folder.path(), &on_file);
    let again = send(&server, &wish).await;
    assert_eq!(
        (again.body, again.location),
        (first.body.clone(), first.location)
    );
    let list = server
        .get(&format!(
            "/api/orders?after={}",
            text(&first.body["receipt"])
        ))
        .await;
    assert_eq!(list.body["orders"].as_array().unwrap().len(), 1, "{list:?}");
}

#[tokio::test]
async fn asked_to_stop_it_ends_by_itself_with_its_feeds() {
    let folder = TempDir::new().unwrap();
    let server = Server::start(folder.path(), &PATIENT);
    let mut feed = server
        .client
        .get(format!("{}/api/feed", server.url))
        .send()
        .await
        .unwrap();
    assert!(feed.chunk().await.unwrap().is_some(), "it has caught up");
    let status = server.terminate();
    assert!(status.success(), "{status}");
    while feed.chunk().await.unwrap().is_some() {}
}

#[tokio::test]
async fn the_page_loads_nothing_from_elsewhere() {
    let folder = TempDir::new().unwrap();
    let server = Server::start(folder.path(), &PATIENT);
    assert!(
        server.url.starts_with("http://127.0.0.1:"),
        "{}",
        server.url
    );
    for (path, kind) in [
        ("/", "text/html; charset=utf-8"),
        ("/page.css", "text/css; charset=utf-8"),
        ("/page.js", "text/javascript; charset=utf-8"),
        ("/icon.svg", "image/svg+xml"),
    ] {
        let response = server.client.get(format!("{}{path}", server.url)).send();
        let response = response.await.unwrap();
        let policy = response.headers()["content-security-policy"].to_str();
        assert!(policy.unwrap().starts_with("default-src 'self';"));
        let answer = crate::server::Answer::of(response).await;
        assert_eq!(
            (answer.status.as_u16(), &*answer.kind),
            (200, kind),
            "{path}"
        );
    }
}

/// What is answered to an order that is valid.
async fn answer_of_one(server: &Server) -> Value {
    let answer = server.post("/api/orders", &order("ada", 1)).await;
    assert_eq!(answer.status, 201, "{answer:?}");
    answer.body
}

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}
