//! A headless Chromium of the tests' own, driven over WebDriver.

use std::{
    env,
    io::{BufRead as _, BufReader},
    panic::AssertUnwindSafe,
    path::PathBuf,
    process::{Child, ChildStdout, Command, Stdio},
};

use futures_util::FutureExt as _;
use tempfile::TempDir;
use thirtyfour::{common::capabilities::desiredcapabilities::DesiredCapabilities, prelude::*};

/// Nothing but the page: no graphics card, no sandbox (which root can't have), and no errands of the browser's own.
const FLAGS: [&str; 9] = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--window-size=1280,900",
];

/// The browser, and the program that drives it. It has a profile of its own, which is empty.
pub struct Chromium {
    page: WebDriver,
    driver: Driver,
    _profile: TempDir,
}

impl Chromium {
    pub async fn start() -> Self {
        let (program, profile) = (find("chromium"), TempDir::new().unwrap());
        let driver = Driver::start();
        let mut capabilities = DesiredCapabilities::chrome();
        capabilities.set_binary(program.to_str().unwrap()).unwrap();
        for flag in FLAGS {
            capabilities.add_arg(flag).unwrap();
        }
        let data = format!("--user-data-dir={}", profile.path().display());
        capabilities.add_arg(&data).unwrap();
        let page = WebDriver::new(&driver.url, capabilities).await.unwrap();
        Self {
            page,
            driver,
            _profile: profile,
        }
    }

    /// Goes through a story, and ends the browser however it ends.
    pub async fn tell<F>(self, story: impl FnOnce(WebDriver) -> F)
    where
        F: Future<Output = WebDriverResult<()>>,
    {
        let told = AssertUnwindSafe(story(self.page.clone()))
            .catch_unwind()
            .await;
        let ended = self.page.quit().await;
        drop(self.driver);
        match told {
            Ok(told) => told.unwrap(),
            Err(panic) => std::panic::resume_unwind(panic),
        }
        ended.unwrap();
    }
}

/// ChromeDriver, on a port that it has chosen.
struct Driver {
    child: Child,
    url: String,
    /// Kept open: it is written to as long as the program lives.
    _stdout: BufReader<ChildStdout>,
}

impl Driver {
    fn start() -> Self {
        let mut child = Command::new(find("chromedriver"))
            .arg("--port=0")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let port = loop {
            let mut line = String::new();
            assert!(
                stdout.read_line(&mut line).unwrap() > 0,
                "chromedriver has ended"
            );
            let started = line
                .trim()
                .strip_prefix("ChromeDriver was started successfully on port ");
            if let Some(port) = started {
                break port.trim_end_matches('.').parse::<u16>().unwrap();
            }
        };
        Self {
            child,
            url: format!("http://127.0.0.1:{port}"),
            _stdout: stdout,
        }
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn find(program: &str) -> PathBuf {
    let path = env::var_os("PATH").unwrap_or_default();
    let mut files = env::split_paths(&path).map(|folder| folder.join(program));
    files.find(|file| file.is_file()).unwrap_or_else(|| {
        panic!("no {program} found: run `cargo xtask test`, or install it (Debian: apt-get install chromium chromium-driver)")
    })
}
