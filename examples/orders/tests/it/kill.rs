//! Kills the program at random moments, and lets it go on.

use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::run::{finish, input, report, start};

/// Small and good enough: the moments need to differ, not to be unpredictable (xorshift, George Marsaglia, 2003).
struct Moments(u64);

impl Moments {
    fn new() -> Self {
        let now = std::time::UNIX_EPOCH.elapsed().unwrap().as_nanos() as u64;
        let seed = std::env::var("UNO_SEED")
            .ok()
            .and_then(|seed| seed.parse().ok())
            .unwrap_or(now | 1);
        println!("UNO_SEED={seed}");
        Self(seed)
    }

    /// A moment before `end`.
    fn next(&mut self, end: Duration) -> Duration {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        end.mul_f64((self.0 % 1000) as f64 / 1000.0)
    }
}

#[test]
fn killed_at_five_random_moments_it_ends_with_the_undisturbed_report() {
    let (calm, rough) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let undisturbed = Instant::now();
    let expected = report(&finish(calm.path(), &["--input", &input(calm.path(), 700)]));
    let duration = undisturbed.elapsed();

    let file = input(rough.path(), 700);
    let mut moments = Moments::new();
    let mut killed = 0;
    for _ in 0..5 {
        let mut child = start(rough.path(), &["--input", &file]);
        std::thread::sleep(moments.next(duration));
        // SIGKILL: nothing in the process can do anything about it.
        child.kill().unwrap();
        killed += usize::from(!child.wait().unwrap().success());
    }
    assert!(killed > 0, "every run had ended before it could be killed");
    assert_eq!(
        report(&finish(rough.path(), &["--input", &file])),
        expected,
        "killed {killed} times"
    );
}

#[cfg(unix)]
#[test]
fn asked_to_stop_it_drains_and_goes_on_at_the_next_start() {
    let folder = TempDir::new().unwrap();
    let file = input(folder.path(), 700);
    let child = start(folder.path(), &["--input", &file]);
    std::thread::sleep(Duration::from_millis(300));
    let asked = std::process::Command::new("kill")
        .args(["-TERM", &child.id().to_string()])
        .status()
        .unwrap();
    assert!(asked.success());
    let output = child.wait_with_output().unwrap();
    assert!(
        output.status.code().is_some(),
        "it ends by itself, not by the signal: {output:?}"
    );
    let text = report(&finish(folder.path(), &["--input", &file]));
    assert!(text.contains("\nplaced           700"), "{text}");
}
