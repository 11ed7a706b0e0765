//! evento's subscription, in a process of its own: see `peers/evento`.

use std::{
    env,
    io::{BufRead as _, BufReader, Lines, Write as _},
    path::Path,
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

use anyhow::{Context as _, Result, ensure};
use tokio::task::block_in_place;

/// Where its sources are, from where ours are.
const SOURCES: &str = "peers/evento";
/// How many events it reads at a time: which of these is best is found out. Its own default is among them.
const CHUNKS: [u16; 4] = [100, 300, 1_000, 5_000];

/// The other process, and the orders that it takes. It ends when there are no more.
pub(super) struct Peer {
    process: Child,
    orders: Option<ChildStdin>,
    answers: Lines<BufReader<ChildStdout>>,
}

impl Peer {
    /// Builds it if need be, and starts it.
    pub(super) fn start(url: &str) -> Result<Self> {
        let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join(SOURCES);
        // Beside what else is built, where it is ignored and cleaned up.
        let target = sources.join("../../../target/peers");
        let cargo = env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
        println!("building the peer");
        let built = Command::new(cargo)
            .args(["build", "--release", "--locked", "--quiet"])
            .arg("--manifest-path")
            .arg(sources.join("Cargo.toml"))
            .arg("--target-dir")
            .arg(&target)
            .status()
            .context("failed to build the peer")?;
        ensure!(built.success(), "failed to build the peer: {built}");
        let mut process = Command::new(target.join("release/uno-bench-evento"))
            .env("DATABASE_URL", url)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("failed to start the peer")?;
        let orders = process.stdin.take().context("the peer takes no orders")?;
        let answers = process.stdout.take().context("the peer does not answer")?;
        Ok(Self {
            process,
            orders: Some(orders),
            answers: BufReader::new(answers).lines(),
        })
    }

    pub(super) fn load(&mut self, events: u64, products: u64) -> Result<()> {
        println!("loading {events} events for the peer");
        let answer = self.order(&format!("load {events} {products}"))?;
        ensure!(answer == "loaded", "the peer answered {answer:?}");
        Ok(())
    }

    /// How many events a second it upserts, when it reads so many at a time.
    pub(super) fn run(&mut self, chunk: u16, events: u64) -> Result<f64> {
        let answer = self.order(&format!("run {chunk} {events}"))?;
        answer
            .parse()
            .with_context(|| format!("the peer answered {answer:?}"))
    }

    /// The chunk that it is fastest with.
    pub(super) fn best_chunk(&mut self, events: u64) -> Result<u16> {
        let mut best = (0.0, CHUNKS[0]);
        // What comes first warms up.
        self.run(CHUNKS[0], events)?;
        for chunk in CHUNKS {
            let rate = self.run(chunk, events)?;
            println!("evento reads {chunk} at a time: {rate:.0} events/s");
            if rate > best.0 {
                best = (rate, chunk);
            }
        }
        Ok(best.1)
    }

    /// While it is carried out nothing else is to be done.
    fn order(&mut self, order: &str) -> Result<String> {
        block_in_place(|| {
            let orders = self.orders.as_mut().context("the peer takes no orders")?;
            writeln!(orders, "{order}")?;
            let answer = self.answers.next();
            Ok(answer.context("the peer has ended; what it says stands above")??)
        })
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.orders = None;
        // It ends by itself, unless it is in the middle of something that nobody waits for.
        let _ended = self.process.kill();
        let _ended = self.process.wait();
    }
}
