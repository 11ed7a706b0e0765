//! A real `orders serve`, and how to ask it.

use std::{
    io::{BufRead as _, BufReader},
    path::Path,
    process::{Child, Command, ExitStatus, Stdio},
};

use reqwest::{Client, Response, StatusCode};
use serde_json::{Value, json};

use crate::run::orders;

/// The process, which ends with this at the latest.
pub struct Server {
    child: Child,
    pub url: String,
    pub client: Client,
}

/// An answer that was read to its end.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub kind: String,
    pub location: Option<String>,
    pub body: Value,
}

impl Server {
    /// Starts it in a folder on a port that is free, and returns once it listens.
    pub fn start(folder: &Path, arguments: &[&str]) -> Self {
        Self::start_on(0, folder, arguments)
    }

    /// The same on this port.
    pub fn start_on(port: u16, folder: &Path, arguments: &[&str]) -> Self {
        let port = port.to_string();
        let mut all = vec!["serve", "--port", &port];
        all.extend(arguments);
        let mut child = orders(folder, &all)
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .unwrap();
        let mut line = String::new();
        let stdout = child.stdout.take().unwrap();
        BufReader::new(stdout).read_line(&mut line).unwrap();
        let url = line
            .trim()
            .strip_prefix("listening on ")
            .unwrap()
            .to_owned();
        let client = Client::builder().no_proxy().build().unwrap();
        Self { child, url, client }
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.ask(self.client.get(format!("{}{path}", self.url)))
            .await
    }

    pub async fn post(&self, path: &str, body: &Value) -> Answer {
        self.ask(self.client.post(format!("{}{path}", self.url)).json(body))
            .await
    }

    pub async fn ask(&self, request: reqwest::RequestBuilder) -> Answer {
        Answer::of(request.send().await.unwrap()).await
    }

    /// Places an order for so many cents; its id and the receipt.
    pub async fn place(&self, customer: &str, cents: i64) -> (String, String) {
        let answer = self.post("/api/orders", &order(customer, cents)).await;
        assert_eq!(answer.status, 201, "{answer:?}");
        let text = |field: &str| answer.body[field].as_str().unwrap().to_owned();
        (text("order"), text("receipt"))
    }

    /// SIGKILL: nothing in the process can do anything about it.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// SIGTERM, and how it ended.
    pub fn terminate(mut self) -> ExitStatus {
        let id = self.child.id().to_string();
        let sent = Command::new("sh")
            .args(["-c", "kill -s TERM \"$1\"", "sh", &id])
            .status();
        assert!(sent.unwrap().success());
        self.child.wait().unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Answer {
    pub async fn of(response: Response) -> Self {
        let header = |name: &str| {
            let value = response.headers().get(name)?;
            Some(value.to_str().unwrap().to_owned())
        };
        let (kind, location) = (
            header("content-type").unwrap_or_default(),
            header("location"),
        );
        let status = response.status();
        let text = response.text().await.unwrap();
        let body = serde_json::from_str(&text).unwrap_or(Value::String(text));
        Self {
            status,
            kind,
            location,
            body,
        }
    }

    /// The fields at fault.
    pub fn faults(&self) -> Vec<&str> {
        let Some(errors) = self.body["errors"].as_array() else {
            return Vec::new();
        };
        let fields = errors.iter().map(|fault| fault["field"].as_str().unwrap());
        fields.collect()
    }
}

/// An order for one thing.
pub fn order(customer: &str, cents: i64) -> Value {
    json!({
        "customer": customer,
        "ordered_on": "2026-11-25",
        "items": [{"product": "Kind of Blue", "quantity": 2, "amount": cents}],
    })
}
