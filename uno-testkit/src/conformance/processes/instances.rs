//! Instances of processes.

use uno_core::{
    BoxError, CommitError, ExpectedVersion::NoStream, ProcessRecord, ProcessStatus,
    ProcessStore as _, ProcessWrite, Stale, StreamAppend,
};

use crate::conformance::{
    BackendHarness, Outcome, Trial,
    fixture::{HOSTILE, events, json, stream},
};

/// Guarantee 1: a new instance has revision 1, and each save adds one.
pub async fn revisions_start_at_one_and_rise_by_one<H: BackendHarness>(t: &Trial<H>) -> Outcome {
    for revision in 0..5 {
        save(
            t,
            "order",
            "a",
            revision,
            ProcessStatus::Running,
            &format!("[{revision}]"),
        )
        .await?;
        let found = load(t, "order", "a").await?.ok_or("no instance")?;
        assert_eq!(
            (found.key(), found.revision(), found.body()),
            ("a", revision + 1, &json(&format!("[{revision}]")))
        );
    }
    Ok(())
}

/// Guarantee 1: an instance of another revision is not saved, and the error says which it is.
pub async fn another_revision_is_stale<H: BackendHarness>(t: &Trial<H>) -> Outcome {
    for revision in 0..3 {
        save(t, "order", "a", revision, ProcessStatus::Running, "1").await?;
    }
    let before = load(t, "order", "a").await?;
    for wrong in [0, 1, 2, 4, i64::MAX.cast_unsigned(), 1 << 63, u64::MAX] {
        stale(
            save(t, "order", "a", wrong, ProcessStatus::Stuck, "2").await,
            "order",
            "a",
        );
        assert_eq!(
            load(t, "order", "a").await?,
            before,
            "expected at revision {wrong}"
        );
    }
    Ok(())
}

/// Guarantee 1: an instance that does not exist has no revision but 0.
pub async fn a_missing_instance_is_at_revision_zero<H: BackendHarness>(t: &Trial<H>) -> Outcome {
    save(t, "order", "other", 0, ProcessStatus::Running, "1").await?;
    for wrong in [1, 2, u64::MAX] {
        stale(
            save(t, "order", "a", wrong, ProcessStatus::Running, "1").await,
            "order",
            "a",
        );
    }
    assert_eq!(load(t, "order", "a").await?, None);
    Ok(())
}

/// Guarantee 1: one stale instance, and no instance of the commit is saved.
pub async fn one_stale_instance_undoes_the_others<H: BackendHarness>(t: &Trial<H>) -> Outcome {
    save(t, "order", "b", 0, ProcessStatus::Running, "1").await?;
    for order in [["a", "b", "c"], ["b", "a", "c"], ["a", "c", "b"]] {
        let result = t
            .commit(|commit| {
                commit.processes = order
                    .map(|key| ProcessWrite::new("order", key, 0, ProcessStatus::Stuck, json("2")))
                    .to_vec();
            })
            .await;
        stale(result.map(drop), "order", "b");
    }
    assert_eq!(
        (load(t, "order", "a").await?, load(t, "order", "c").await?),
        (None, None)
    );
    let left = load(t, "order", "b").await?.ok_or("no instance")?;
    assert_eq!(
        (left.revision(), left.status()),
        (1, ProcessStatus::Running)
    );
    Ok(())
}

/// Guarantee 1: when the commit fails, the instance is as it was.
pub async fn a_failed_commit_leaves_instances_as_they_were<H: BackendHarness>(
    t: &Trial<H>,
) -> Outcome {
    save(t, "order", "a", 0, ProcessStatus::Running, "1").await?;
    t.append(&stream("a"), NoStream, &events(1)).await?;
    let result = t
        .commit(|commit| {
            commit.processes.push(ProcessWrite::new(
                "order",
                "a",
                1,
                ProcessStatus::Completed,
                json("2"),
            ));
            commit.processes.push(ProcessWrite::new(
                "order",
                "b",
                0,
                ProcessStatus::Running,
                json("2"),
            ));
            commit
                .appends
                .push(StreamAppend::new(stream("a"), NoStream, events(1)));
        })
        .await;
    assert!(
        result.is_err_and(|error| error.is_conflict()),
        "the stream is there"
    );
    let found = load(t, "order", "a").await?.ok_or("no instance")?;
    assert_eq!(
        (found.revision(), found.status(), found.body()),
        (1, ProcessStatus::Running, &json("1"))
    );
    assert_eq!(load(t, "order", "b").await?, None);
    Ok(())
}

/// [`ProcessRecord`]: status and content come back equal.
pub async fn an_instance_comes_back_equal<H: BackendHarness>(t: &Trial<H>) -> Outcome {
    let body = "{ \"b\" : [1E2, -0.0] ,\"a\":\"\\u0001é\" }";
    for status in ProcessStatus::ALL {
        save(t, "order", status.as_str(), 0, status, body).await?;
        let found = load(t, "order", status.as_str())
            .await?
            .ok_or("no instance")?;
        assert_eq!((found.status(), found.body().as_str()), (status, body));
    }
    Ok(())
}

/// `load_processes`: the instances that exist, each once, of this process only.
pub async fn instances_that_exist_are_loaded_once_each<H: BackendHarness>(t: &Trial<H>) -> Outcome {
    for (process, key) in [
        ("order", "a"),
        ("order", "b"),
        ("Order", "a"),
        ("orders", "c"),
    ] {
        save(
            t,
            process,
            key,
            0,
            ProcessStatus::Running,
            &format!("\"{process}\""),
        )
        .await?;
    }
    for (process, asked, found) in [
        ("order", vec!["b", "a", "a", "c", "A"], vec!["a", "b"]),
        ("order", vec!["c"], vec![]),
        ("order", vec![], vec![]),
        ("Order", vec!["a", "b"], vec!["a"]),
        ("orde", vec!["a", "b"], vec![]),
    ] {
        let asked: Vec<_> = asked.into_iter().map(str::to_owned).collect();
        let records = t.store().load_processes(process, &asked).await?;
        let own = json(&format!("\"{process}\""));
        assert!(
            records.iter().all(|record| *record.body() == own),
            "of {process}"
        );
        let mut keys: Vec<_> = records.iter().map(ProcessRecord::key).collect();
        keys.sort_unstable();
        assert_eq!(keys, found, "of {asked:?}");
    }
    Ok(())
}

/// `list_processes`: by status, by the bytes of the keys, from a key on, at most so many.
pub async fn instances_are_listed_by_status_and_key<H: BackendHarness>(t: &Trial<H>) -> Outcome {
    use ProcessStatus::{Compensated, Compensating, Completed, Running, Stuck};
    let instances = [
        ("b", Running),
        ("a", Stuck),
        ("Z", Running),
        ("é", Completed),
        ("e", Compensating),
        ("10", Running),
        ("9", Compensated),
    ];
    for (key, status) in instances {
        save(t, "order", key, 0, status, "1").await?;
    }
    save(t, "other", "c", 0, Running, "1").await?;
    type Listing = (
        &'static [ProcessStatus],
        Option<&'static str>,
        usize,
        &'static [&'static str],
    );
    let listings: [Listing; 9] = [
        (&[], None, 100, &["10", "9", "Z", "a", "b", "e", "é"]),
        (&[Running], None, 100, &["10", "Z", "b"]),
        (&[Stuck, Completed, Stuck], None, 100, &["a", "é"]),
        (&ProcessStatus::ALL, Some("a"), 100, &["b", "e", "é"]),
        (&[Running], Some("10"), 1, &["Z"]),
        (&[Running], Some("A"), 100, &["Z", "b"]),
        (&[], Some("é"), 100, &[]),
        (&[], None, 0, &[]),
        (&[Compensated, Compensating], None, usize::MAX, &["9", "e"]),
    ];
    for (statuses, after, limit, keys) in listings {
        let found = t
            .store()
            .list_processes("order", statuses, after, limit)
            .await?;
        assert!(
            found
                .iter()
                .map(ProcessRecord::key)
                .eq(keys.iter().copied()),
            "{statuses:?} after {after:?}: {found:?}"
        );
    }
    Ok(())
}

/// `list_processes`: an instance is listed as it is now.
pub async fn an_instance_is_listed_as_it_is_now<H: BackendHarness>(t: &Trial<H>) -> Outcome {
    save(t, "order", "a", 0, ProcessStatus::Running, "1").await?;
    save(t, "order", "a", 1, ProcessStatus::Stuck, "2").await?;
    assert_eq!(
        t.store()
            .list_processes("order", &[ProcessStatus::Running], None, 10)
            .await?,
        []
    );
    let stuck = t
        .store()
        .list_processes("order", &[ProcessStatus::Stuck], None, 10)
        .await?;
    assert_eq!(
        stuck,
        [ProcessRecord::new(
            "a".into(),
            2,
            ProcessStatus::Stuck,
            json("2")
        )]
    );
    Ok(())
}

/// `load_processes`: hostile texts as processes and keys are nothing but texts.
pub async fn hostile_instances_are_nothing_but_instances<H: BackendHarness>(
    t: &Trial<H>,
) -> Outcome {
    for (number, name) in HOSTILE.into_iter().enumerate() {
        save(
            t,
            name,
            name,
            0,
            ProcessStatus::Running,
            &format!("{number}"),
        )
        .await?;
        stale(
            save(t, name, name, 0, ProcessStatus::Running, "null").await,
            name,
            name,
        );
        assert_eq!(
            load(t, name, name).await?.map(|found| found.body().clone()),
            Some(json(&format!("{number}"))),
            "{name:?}"
        );
        assert_eq!(
            t.store().list_processes(name, &[], None, 10).await?.len(),
            1
        );
    }
    Ok(())
}

async fn save<H: BackendHarness>(
    t: &Trial<H>,
    process: &str,
    key: &str,
    revision: u64,
    status: ProcessStatus,
    body: &str,
) -> Result<(), CommitError> {
    t.commit(|commit| {
        commit.processes.push(ProcessWrite::new(
            process,
            key,
            revision,
            status,
            json(body),
        ));
    })
    .await
    .map(drop)
}

async fn load<H: BackendHarness>(
    t: &Trial<H>,
    process: &str,
    key: &str,
) -> Result<Option<ProcessRecord>, BoxError> {
    Ok(t.store()
        .load_processes(process, &[key.to_owned()])
        .await?
        .pop())
}

#[track_caller]
fn stale(result: Result<(), CommitError>, process: &str, key: &str) {
    match result {
        Err(CommitError::Stale(Stale::Process {
            process: of,
            key: found,
        })) => assert_eq!((of.as_str(), found.as_str()), (process, key)),
        other => panic!("expected {key} of {process} to be stale, and got {other:?}"),
    }
}
