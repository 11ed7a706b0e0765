//! The OpenAPI document tells the truth: every answer that it tells of is given, and none that it does not tell of.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};
use tempfile::TempDir;

use crate::server::{Answer, Server, order};

/// What can't be brought about from outside: a store that is away, a commit of which it is not known what became of it, and an order that
/// others place at the same time under the same id.
const NOT_FROM_OUTSIDE: [(&str, &str, &str); 10] = [
    ("get", "/api/feed", "503"),
    ("get", "/api/orders", "503"),
    ("get", "/api/orders/{order}", "503"),
    ("get", "/api/overview", "503"),
    ("get", "/health", "503"),
    ("post", "/api/orders", "409"),
    ("post", "/api/orders", "503"),
    ("post", "/api/orders", "504"),
    ("post", "/api/orders/{order}/cancellation", "503"),
    ("post", "/api/orders/{order}/cancellation", "504"),
];

type Given = (String, String, String);

/// The document, and the answers that were given.
struct Book {
    document: Value,
    given: BTreeSet<Given>,
}

#[tokio::test]
async fn every_answer_is_one_of_those_that_are_documented() {
    let folders = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let patient = Server::start(
        folders.0.path(),
        &["--store", "memory", "--cooling-off", "86400"],
    );
    let prompt = ["--store", "memory", "--cooling-off", "0", "--patience", "0"];
    let prompt = Server::start(folders.1.path(), &prompt);
    let document = patient.get("/openapi.json").await;
    assert_eq!(document.kind, "application/json");
    assert!(
        document.body["openapi"]
            .as_str()
            .unwrap()
            .starts_with("3.1.")
    );
    let mut book = Book {
        document: document.body,
        given: BTreeSet::new(),
    };

    // What is documented as an example is sent as it stands.
    let (orders, one) = ("/api/orders", "/api/orders/{order}");
    let cancellation = "/api/orders/{order}/cancellation";
    let example = book.request_example("post", orders);
    let placed = patient.post(orders, &example).await;
    book.note("post", orders, 201, &placed);
    let (order, receipt) = (text(&placed.body["order"]), text(&placed.body["receipt"]));
    assert_eq!(placed.location, Some(format!("/api/orders/{order}")));
    let viewed = patient
        .get(&format!("/api/orders/{order}?after={receipt}"))
        .await;
    book.note("get", one, 200, &viewed);
    book.note(
        "get",
        orders,
        200,
        &patient.get(&format!("{orders}?after={receipt}")).await,
    );
    book.note(
        "get",
        "/api/overview",
        200,
        &patient.get("/api/overview").await,
    );
    book.note("get", "/health", 200, &patient.get("/health").await);
    let path = format!("/api/orders/{order}/cancellation");
    let example = book.request_example("post", cancellation);
    book.note(
        "post",
        cancellation,
        200,
        &patient.post(&path, &example).await,
    );

    // A request that is no good in each of the ways.
    for (template, path) in [(orders, orders), (cancellation, path.as_str())] {
        let post = || patient.client.post(format!("{}{path}", patient.url));
        let json = || post().header("content-type", "application/json");
        book.note("post", template, 400, &patient.ask(json().body("{")).await);
        book.note(
            "post",
            template,
            413,
            &patient.ask(json().body(" ".repeat(65_537))).await,
        );
        book.note("post", template, 415, &patient.ask(post().body("{}")).await);
        book.note("post", template, 422, &patient.ask(json().body("{}")).await);
    }
    let mut wrong = book.request_example("post", orders);
    wrong["items"][0]["quantity"] = json!(0);
    book.note("post", orders, 422, &patient.post(orders, &wrong).await);
    book.note(
        "get",
        orders,
        400,
        &patient.get("/api/orders?limit=0").await,
    );
    book.note("get", one, 400, &patient.get("/api/orders/7").await);
    book.note(
        "get",
        "/api/feed",
        400,
        &patient.get("/api/feed?after=7").await,
    );
    let nobody = "/api/orders/00000000-0000-0000-0000-000000000000";
    book.note("get", one, 404, &patient.get(nobody).await);
    let unknown = patient
        .post(&format!("{nobody}/cancellation"), &example)
        .await;
    book.note("post", cancellation, 404, &unknown);

    // Places that are in another log, and such as nothing has come to yet.
    let shipped = shipped(&prompt).await;
    let there = format!("/api/orders/{shipped}");
    for (template, path) in [(orders, orders), (one, &there), ("/api/feed", "/api/feed")] {
        let elsewhere = prompt.get(&format!("{path}?after={receipt}")).await;
        book.note("get", template, 410, &elsewhere);
    }
    let epoch = text(&prompt.get("/api/overview").await.body["as_of"]);
    let epoch = epoch.split_once('@').unwrap().1;
    for (template, path) in [(orders, orders), (one, &there)] {
        let late = prompt.get(&format!("{path}?after=999999999@{epoch}")).await;
        book.note("get", template, 504, &late);
    }
    let refused = prompt
        .post(&format!("{there}/cancellation"), &example)
        .await;
    book.note("post", cancellation, 409, &refused);

    // It is open for as long as it is kept, so that only its beginning is looked at.
    let feed = patient
        .client
        .get(format!("{}/api/feed", patient.url))
        .send();
    let feed = feed.await.unwrap();
    assert_eq!(feed.headers()["content-type"], "text/event-stream");
    book.given_was("get", "/api/feed", 200);

    let mut promised = book.promised();
    for (method, path, status) in NOT_FROM_OUTSIDE {
        let given = (method.to_owned(), path.to_owned(), status.to_owned());
        assert!(
            promised.remove(&given),
            "{given:?} is not documented any more"
        );
    }
    assert_eq!(book.given, promised, "given, and documented");

    for path in book.paths().keys() {
        for method in ["get", "put", "post", "delete", "patch"] {
            let documented = book.document["paths"][path].get(method).is_some();
            if documented {
                continue;
            }
            let url = format!("{}{}", patient.url, path.replace("{order}", &order));
            let request = patient
                .client
                .request(method.to_uppercase().parse().unwrap(), url);
            let answer = patient.ask(request).await;
            assert_eq!(
                answer.status, 405,
                "{method} {path} is not documented: {answer:?}"
            );
            assert_eq!(answer.kind, "application/problem+json");
        }
    }
}

/// The id of an order that was shipped. The bank and the shelf refuse some, always the same ones.
async fn shipped(server: &Server) -> String {
    for key in 0..20 {
        let post = server.client.post(format!("{}/api/orders", server.url));
        let post = post.header("idempotency-key", format!("{key}"));
        let placed = server.ask(post.json(&order("ada", 1))).await;
        let order = text(&placed.body["order"]);
        loop {
            let seen = server.get(&format!("/api/orders/{order}")).await;
            match seen.body["status"].as_str() {
                Some("shipped") => return order,
                Some("cancelled") => break,
                // It is on its way there, or not readable yet.
                _ => tokio::time::sleep(std::time::Duration::from_millis(5)).await,
            }
        }
    }
    panic!("every one of 20 orders was refused");
}

impl Book {
    /// Notes an answer, which has to be as the document says.
    fn note(&mut self, method: &str, path: &str, status: u16, answer: &Answer) {
        assert_eq!(answer.status, status, "{method} {path}: {answer:?}");
        self.given_was(method, path, status);
        let content = &self.operation(method, path)["responses"][status.to_string()]["content"];
        let content = content[&answer.kind].as_object();
        let content = content.unwrap_or_else(|| panic!("{method} {path} {status}: {answer:?}"));
        self.fits(&content["schema"], &answer.body).unwrap();
        if status >= 400 {
            assert_eq!(answer.body["status"], status);
        }
        if let Some(example) = content.get("example") {
            self.fits(&content["schema"], example).unwrap();
            if status < 400 {
                alike(example, &answer.body);
            } else {
                assert!(example["type"].is_string());
                assert_eq!(
                    (&example["status"], &example["title"]),
                    (&answer.body["status"], &answer.body["title"])
                );
            }
        }
    }

    fn given_was(&mut self, method: &str, path: &str, status: u16) {
        self.given
            .insert((method.into(), path.into(), status.to_string()));
    }

    fn paths(&self) -> &Map<String, Value> {
        self.document["paths"].as_object().unwrap()
    }

    fn operation(&self, method: &str, path: &str) -> &Value {
        &self.document["paths"][path][method]
    }

    fn request_example(&self, method: &str, path: &str) -> Value {
        let content = &self.operation(method, path)["requestBody"]["content"]["application/json"];
        self.fits(&content["schema"], &content["example"]).unwrap();
        content["example"].clone()
    }

    fn promised(&self) -> BTreeSet<Given> {
        let mut promised = BTreeSet::new();
        for (path, item) in self.paths() {
            for (method, operation) in item.as_object().unwrap() {
                let responses = operation["responses"].as_object().unwrap();
                let statuses = responses.keys().cloned();
                promised.extend(statuses.map(|status| (method.clone(), path.clone(), status)));
            }
        }
        promised
    }

    /// Whether a value is what a schema says, as far as this document's schemas say anything of a body that is answered.
    fn fits(&self, schema: &Value, value: &Value) -> Result<(), String> {
        if let Some(reference) = schema["$ref"].as_str() {
            let found = self.document.pointer(reference.strip_prefix('#').unwrap());
            return self.fits(found.ok_or(reference)?, value);
        }
        let kinds = match &schema["type"] {
            Value::Array(kinds) => kinds.iter().map(text).collect(),
            kind => vec![text(kind)],
        };
        let kind = match value {
            Value::Null => "null",
            Value::Bool(_) => "boolean",
            Value::Number(_) => "integer",
            Value::String(_) => "string",
            Value::Array(_) => "array",
            Value::Object(_) => "object",
        };
        if !kinds.iter().any(|one| one == kind) {
            return Err(format!("{value} is not {kinds:?}"));
        }
        for item in value.as_array().into_iter().flatten() {
            self.fits(&schema["items"], item)?;
        }
        let Some(fields) = value.as_object() else {
            return Ok(());
        };
        for (name, value) in fields {
            let property = schema["properties"].get(name);
            let property = property.ok_or(format!("{name} is not documented"))?;
            self.fits(property, value)?;
        }
        let required = schema["required"].as_array().into_iter().flatten();
        match required.map(text).find(|name| !fields.contains_key(name)) {
            Some(missing) => Err(format!("{missing} is missing in {value}")),
            None => Ok(()),
        }
    }
}

/// Whether two values have the same fields, at every depth, and the same kinds of values in them.
fn alike(example: &Value, actual: &Value) {
    match (example, actual) {
        (Value::Object(example), Value::Object(actual)) => {
            let (expected, found): (Vec<_>, Vec<_>) =
                (example.keys().collect(), actual.keys().collect());
            assert_eq!(expected, found);
            for (name, value) in example {
                alike(value, &actual[name]);
            }
        }
        (Value::Array(example), Value::Array(actual)) => alike(&example[0], &actual[0]),
        _ => assert_eq!(
            std::mem::discriminant(example),
            std::mem::discriminant(actual),
            "{example}, and {actual}"
        ),
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}
