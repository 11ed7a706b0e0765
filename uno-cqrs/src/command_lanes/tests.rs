//! Turns, in the order of the calls, whoever goes away.

use std::task::Poll;

use futures_util::{FutureExt as _, poll};

use super::*;

fn streams(names: &str) -> Vec<StreamId> {
    let ids = names.split_whitespace();
    ids.map(|name| format!("lane-{name}").parse().unwrap())
        .collect()
}

type Entering = Pin<Box<dyn Future<Output = Result<Turn, Busy>> + Send>>;

fn enter(lanes: &CommandLanes, names: &str, limits: LaneLimits) -> Entering {
    let lanes = lanes.clone();
    let streams = streams(names);
    Box::pin(async move { lanes.enter(streams, limits).await })
}

/// What happens, step by step: `a x y` has `a` ask for the lanes `x` and `y`, `!a` has it pass on its turn, `-a` has it leave, and after
/// `=` stands who has a turn then.
async fn check(steps: &[&str]) {
    let lanes = CommandLanes::default();
    let mut waiting: Vec<(char, Entering)> = Vec::new();
    let mut turns: Vec<(char, Turn)> = Vec::new();
    let mut passed: Vec<(char, Turn)> = Vec::new();
    for step in steps {
        let (what, expected) = step.split_once('=').unwrap();
        let mut words = what.trim().chars();
        match words.next().unwrap() {
            '-' => {
                let who = words.next().unwrap();
                waiting.retain(|(name, _)| *name != who);
                turns.retain(|(name, _)| *name != who);
                passed.retain(|(name, _)| *name != who);
            }
            '!' => {
                let who = words.next().unwrap();
                let place = turns.iter().position(|(name, _)| *name == who).unwrap();
                let (who, mut turn) = turns.remove(place);
                turn.pass();
                passed.push((who, turn));
            }
            who => {
                let entering = enter(&lanes, words.as_str(), LaneLimits::endless());
                waiting.push((who, entering));
            }
        }
        // Each is asked, the last ones first, so that the order comes from the lanes.
        for (who, mut entering) in std::mem::take(&mut waiting).into_iter().rev() {
            match poll!(&mut entering) {
                Poll::Ready(turn) => turns.push((who, turn.unwrap())),
                Poll::Pending => waiting.insert(0, (who, entering)),
            }
        }
        let mut now: Vec<char> = turns.iter().map(|(name, _)| *name).collect();
        now.sort_unstable();
        let now: String = now.into_iter().collect();
        assert_eq!(now, expected.trim(), "after {step:?} of {steps:?}");
    }
    let idle = waiting.is_empty() && turns.is_empty() && passed.is_empty();
    assert_eq!(lanes.len() == 0, idle, "{steps:?}");
    drop((waiting, turns, passed));
    assert_eq!(lanes.len(), 0, "{steps:?}");
}

#[tokio::test]
async fn turns_come_in_order_in_every_lane() {
    check(&["a x = a", "b x = a", "c x = a", "-a = b", "-b = c", "-c ="]).await;
    check(&["a x = a", "b y = ab", "c x y = ab", "-b = a", "-a = c"]).await;
    // Two that want the same in another order do not wait for each other.
    check(&["a x y = a", "b y x = a", "c x = a", "-a = b", "-b = c"]).await;
    // Who waits for two keeps his place in both.
    check(&["a x = a", "b x y = a", "c y = a", "-a = b", "-b = c"]).await;
    // A lane that is named twice is one.
    check(&["a x x = a", "b x = a", "-a = b"]).await;
}

#[tokio::test]
async fn whoever_goes_away_keeps_nobody_waiting() {
    check(&["a x = a", "b x = a", "c x = a", "-b = a", "-a = c"]).await;
    // It is in front in one lane and waits in the other.
    check(&["a x = a", "b x y = a", "c y = a", "-b = ac"]).await;
    check(&[
        "a x y = a",
        "b x = a",
        "c y = a",
        "d x y = a",
        "-a = bc",
        "-d = bc",
        "e x y = bc",
        "-b = c",
        "-c = e",
    ])
    .await;
}

#[tokio::test]
async fn a_turn_is_passed_on_before_it_has_ended() {
    check(&[
        "a x = a", "b x = a", "c x = a", "!a = b", "!b = c", "-a = c", "-b = c", "-c =",
    ])
    .await;
    check(&[
        "a x y = a",
        "b y = a",
        "!a = b",
        "c x = bc",
        "-b = c",
        "!c =",
        "-a =",
        "-c =",
    ])
    .await;
    // One that has its turn and one that is under way keep the lane.
    check(&["a x = a", "!a =", "b x = b", "-a = b", "-b ="]).await;
}

#[tokio::test]
async fn whoever_has_to_begin_again_waits_until_nothing_is_under_way() {
    let lanes = CommandLanes::default();
    let mut first = enter(&lanes, "x", LaneLimits::endless()).await.unwrap();
    first.pass();
    let mut second = enter(&lanes, "x", LaneLimits::endless()).await.unwrap();
    second.pass();
    let third = enter(&lanes, "x", LaneLimits::endless()).await.unwrap();
    {
        // The first one comes back, behind the third, and waits for the second too.
        let mut settling = first.settle();
        assert!(poll!(&mut settling).is_pending());
        drop(third);
        assert!(poll!(&mut settling).is_pending());
        drop(second);
        assert!(poll!(&mut settling).is_ready());
    }
    let mut fourth = enter(&lanes, "x", LaneLimits::endless());
    assert!(poll!(&mut fourth).is_pending());
    drop(first);
    drop(fourth.await.unwrap());
    assert_eq!(lanes.len(), 0);
}

#[tokio::test(start_paused = true)]
async fn nobody_waits_for_ever_for_what_is_under_way() {
    let lanes = CommandLanes::default();
    let limits = LaneLimits::default();
    let mut first = enter(&lanes, "x", limits).await.unwrap();
    first.pass();
    let mut second = enter(&lanes, "x", limits).await.unwrap();
    second.settle().await;
    drop((first, second));
    assert_eq!(lanes.len(), 0);
}

#[tokio::test]
async fn an_endless_crowd_with_many_streams_comes_to_its_end() {
    let seed = fastrand::u64(..);
    let mut random = fastrand::Rng::with_seed(seed);
    let lanes = CommandLanes::default();
    let mut tasks = Vec::new();
    for _ in 0..200 {
        let names: Vec<String> = (0..random.usize(1..4))
            .map(|_| random.u32(0..5).to_string())
            .collect();
        let (lanes, leaves) = (lanes.clone(), random.u32(0..4) == 0);
        let passes = random.bool();
        tasks.push(tokio::spawn(async move {
            let mut entering = enter(&lanes, &names.join(" "), LaneLimits::endless());
            if leaves {
                let _ = (&mut entering).now_or_never();
                return;
            }
            let mut turn = entering.await.unwrap();
            tokio::task::yield_now().await;
            if passes {
                turn.pass();
                tokio::task::yield_now().await;
                turn.settle().await;
            }
            drop(turn);
        }));
    }
    for task in tasks {
        task.await.unwrap_or_else(|_| panic!("seed {seed}"));
    }
    assert_eq!(lanes.len(), 0, "seed {seed}");
}

#[tokio::test(start_paused = true)]
async fn a_full_lane_and_a_long_wait_are_busy_and_leave_nothing_behind() {
    let limits = LaneLimits::default()
        .with_waiting(1)
        .with_patience(Duration::from_secs(5));
    let lanes = CommandLanes::default();
    let first = enter(&lanes, "x", limits).await.unwrap();
    let mut second = enter(&lanes, "x", limits);
    assert!(poll!(&mut second).is_pending());
    let lane: StreamId = "lane-x".parse().unwrap();
    let third = enter(&lanes, "y x", limits).await.err().unwrap();
    let full = Busy::Full {
        lane: lane.clone(),
        waiting: 1,
    };
    assert_eq!(third, full);
    assert_eq!(lanes.len(), 1, "the one that is full stands alone");
    let waited = Busy::Waited {
        lane,
        patience: limits.patience(),
    };
    assert_eq!(second.await.err().unwrap(), waited);
    // There is room again for one who waits.
    let mut fourth = enter(&lanes, "x", limits);
    assert!(poll!(&mut fourth).is_pending());
    drop(first);
    drop(fourth.await.unwrap());
    assert_eq!(lanes.len(), 0);
    // Nobody may wait.
    let alone = limits.with_waiting(0);
    let turn = enter(&lanes, "x", alone).await.unwrap();
    assert!(enter(&lanes, "x", alone).await.is_err());
    drop(turn);
    assert!(enter(&lanes, "x", alone).await.is_ok());
}
