//! The page in a real browser: it follows the log, and comes back without a gap or a double when it was cut off.

mod chromium;

use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;
use thirtyfour::prelude::*;

use self::chromium::Chromium;
use crate::server::Server;

/// Below the ports that systems give out by themselves, so that nobody gets it while the server is down.
fn a_port() -> u16 {
    let folder = TempDir::new().unwrap();
    let name = folder.path().to_string_lossy().into_owned();
    let sum = name.bytes().fold(std::process::id(), |sum, byte| {
        sum.wrapping_mul(31).wrapping_add(byte.into())
    });
    let mut ports = (0..10_000_u32).map(|step| 20_000 + ((sum % 10_000 + step) % 10_000) as u16);
    ports
        .find(|port| std::net::TcpListener::bind(("127.0.0.1", *port)).is_ok())
        .unwrap()
}

fn start(folder: &TempDir, port: u16, store: &str) -> Server {
    let arguments = ["--store", store, "--cooling-off", "86400"];
    Server::start_on(port, folder.path(), &arguments)
}

#[tokio::test]
async fn the_page_shows_what_happens_as_it_happens_also_after_it_was_cut_off() {
    let browser = Chromium::start().await;
    browser.tell(story).await;
}

async fn story(page: WebDriver) -> WebDriverResult<()> {
    let (folder, port, store) = (TempDir::new()?, a_port(), "sqlite:shop.db");
    let server = start(&folder, port, store);
    page.goto(&server.url).await?;
    until(
        &page,
        "live, and nothing there",
        "state().live && state().placed === '0'",
    )
    .await?;
    // Whatever loads the page anew forgets this.
    page.execute("window.loadedOnce = true", vec![]).await?;

    let (first, _) = server.place("ada", 2998).await;
    until(
        &page,
        "an order over HTTP",
        "state().placed === '1' && state().sales === '$29.98'",
    )
    .await?;
    same(&page, &server).await?;

    // By the form: first with a mistake, which is shown at the field.
    page.find(By::Id("customer"))
        .await?
        .send_keys("grace")
        .await?;
    page.find(By::Id("product"))
        .await?
        .send_keys("A Love Supreme")
        .await?;
    let quantity = page.find(By::Id("quantity")).await?;
    quantity.clear().await?;
    quantity.send_keys("0").await?;
    let place = page.find(By::Css("#place button")).await?;
    place.click().await?;
    until(
        &page,
        "the mistake",
        "document.querySelector('#quantity').ariaInvalid === 'true' && !document.querySelector('#faults').hidden",
    )
    .await?;
    quantity.clear().await?;
    quantity.send_keys("2").await?;
    place.click().await?;
    until(
        &page,
        "an order by the form",
        "state().placed === '2' && state().sales === '$59.96'",
    )
    .await?;
    same(&page, &server).await?;

    let cancel = format!("tr[data-order='{first}'] .cancel");
    page.find(By::Css(cancel)).await?.click().await?;
    until(
        &page,
        "a click that cancels",
        "state().cancelled === '1' && state().sales === '$29.98'",
    )
    .await?;
    same(&page, &server).await?;

    // Killed; what happens meanwhile, the page can't be told.
    server.kill();
    until(&page, "the loss", "!state().live").await?;
    let elsewhere = start(&folder, 0, store);
    for number in 1..=60 {
        elsewhere.place("linus", number).await;
    }
    let (last, _) = elsewhere.place("linus", 100_000).await;
    let path = format!("/api/orders/{last}/cancellation");
    let cancelled = elsewhere.post(&path, &json!({"reason": "test"})).await;
    assert_eq!(cancelled.status, 200);
    elsewhere.kill();
    let server = start(&folder, port, store);
    until(
        &page,
        "what was missed",
        "state().live && state().placed === '63' && state().cancelled === '2'",
    )
    .await?;
    same(&page, &server).await?;
    let (_, receipt) = server.place("ada", 1).await;
    until(&page, "what is new", "state().placed === '64'").await?;
    assert_eq!(
        server
            .get(&format!("/api/orders?after={receipt}"))
            .await
            .status,
        200
    );
    same(&page, &server).await?;

    // Another log under the same address: there is no going on, so it begins anew.
    server.kill();
    let server = start(&folder, port, "memory");
    until(
        &page,
        "another log",
        "state().live && state().placed === '0'",
    )
    .await?;
    server.place("ada", 5).await;
    until(
        &page,
        "an order of the other log",
        "state().sales === '$0.05'",
    )
    .await?;
    same(&page, &server).await?;

    let loaded_once = page
        .execute("return window.loadedOnce === true", vec![])
        .await?;
    assert_eq!(loaded_once.json(), &json!(true), "the page was loaded anew");
    Ok(())
}

/// What a person sees.
const STATE: &str = "
    const text = (id) => document.getElementById(id).textContent;
    const state = () => ({
        live: document.getElementById('connection').dataset.state === 'live',
        placed: text('placed'), shipped: text('shipped'), cancelled: text('cancelled'),
        sales: text('sales'), revenue: text('revenue'),
        orders: [...document.querySelectorAll('#orders tr')].map((row) => [row.dataset.order, row.querySelector('.status').textContent]),
    });";

/// Waits until the page is like that. It is told what the page showed when that takes too long to be anything but a fault.
async fn until(page: &WebDriver, what: &str, condition: &str) -> WebDriverResult<()> {
    let script = format!("{STATE} return [{condition}, state()];");
    let asked = std::time::Instant::now();
    loop {
        let seen = page.execute(script.as_str(), vec![]).await?;
        if seen.json()[0] == true {
            return Ok(());
        }
        assert!(
            asked.elapsed() < Duration::from_secs(120),
            "{what}: {}",
            seen.json()
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Compares what the page has come to, event by event, with what the server says all of it comes to.
async fn same(page: &WebDriver, server: &Server) -> WebDriverResult<()> {
    let seen = page
        .execute(format!("{STATE} return state();"), vec![])
        .await?;
    let seen = seen.json();
    // The page may be ahead of the read model, and not of itself: nothing happens while this is compared.
    let placed = seen["placed"].as_str().unwrap().to_owned();
    let cancelled = seen["cancelled"].as_str().unwrap().to_owned();
    let overview = loop {
        let overview = server.get("/api/overview").await.body;
        let there = (
            overview["placed"].to_string(),
            overview["cancelled"].to_string(),
        );
        if there == (placed.clone(), cancelled.clone()) {
            break overview;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    };
    let dollars = |cents: &Value| {
        let cents = cents.as_i64().unwrap();
        format!("${}.{:02}", cents / 100, cents % 100)
    };
    assert_eq!(seen["sales"], dollars(&overview["sales"]));
    assert_eq!(seen["revenue"], dollars(&overview["revenue"]));
    let latest = overview["latest"].as_array().unwrap().iter();
    let latest: Vec<_> = latest
        .map(|order| json!([order["order"], order["status"]]))
        .collect();
    assert_eq!(seen["orders"], json!(latest));
    Ok(())
}
