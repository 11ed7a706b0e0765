//! The judge on trial: whatever is done to the documents is seen.

use super::*;

fn logged(position: i64) -> Logged {
    Logged {
        position,
        account: format!("a{}", position % 3),
        cents: position * 5 - 40,
    }
}

/// A log of 30 events, of which lanes have come so far, and the documents of that.
fn snapshot(lanes: &[i64]) -> Snapshot {
    let log: Vec<Logged> = (1..=30).map(logged).collect();
    let folder = Folder { log: log.clone() };
    Snapshot {
        lanes: lanes.to_vec(),
        documents: folder.fold(lanes),
        log,
    }
}

#[test]
fn a_fold_is_one_wherever_its_lanes_are() {
    for lanes in [&[0][..], &[30], &[17], &[3, 30], &[9, 0, 12, 30]] {
        assert_eq!(Folder::default().judge(&snapshot(lanes)), None, "{lanes:?}");
    }
    let expected = r#"{"events":2,"cents":-55,"chain":1099511628215}"#;
    assert_eq!(snapshot(&[4]).documents["a1"], expected);
    assert_eq!(Folder::default().judge_whole(&snapshot(&[30])), None);
}

type Fault = fn(&mut Snapshot);

#[test]
fn what_is_done_to_documents_is_seen() {
    let faults: [(&str, Fault); 6] = [
        ("one is missing", |snapshot| {
            drop(snapshot.documents.remove("a1"));
        }),
        ("one is of nothing", |snapshot| {
            drop(snapshot.documents.insert("a9".to_owned(), "{}".to_owned()));
        }),
        ("another byte", |snapshot| {
            let book = snapshot.documents.get_mut("a2").unwrap();
            book.push(' ');
        }),
        ("the checkpoint is further than the documents", |snapshot| {
            snapshot.lanes = vec![21];
        }),
        (
            "the documents are further than the checkpoint",
            |snapshot| snapshot.lanes = vec![19],
        ),
        ("an event was skipped", |snapshot| {
            let log = snapshot.log.iter().filter(|event| event.position != 7);
            let folder = Folder {
                log: log.cloned().collect(),
            };
            snapshot.documents = folder.fold(&[20]);
        }),
    ];
    for (what, fault) in faults {
        let mut broken = snapshot(&[20]);
        fault(&mut broken);
        assert!(Folder::default().judge(&broken).is_some(), "{what}");
    }
    // One that is doubled, or out of its order, in a document of an account.
    for order in [[1, 4, 4], [4, 1, 7]] {
        let mut broken = snapshot(&[7]);
        let folder = Folder {
            log: order.map(logged).to_vec(),
        };
        let wrong = folder.fold(&[7])["a1"].clone();
        broken.documents.insert("a1".to_owned(), wrong);
        assert!(Folder::default().judge(&broken).is_some(), "{order:?}");
    }
    assert!(Folder::default().judge_whole(&snapshot(&[29])).is_some());
}

#[test]
fn what_may_yet_come_before_others_is_asked_for_again() {
    let mut folder = Folder::default();
    let mut first = snapshot(&[10]);
    assert_eq!(folder.judge(&first), None);
    assert_eq!((folder.last(), folder.events()), (10, 10));
    // The next one has the log after that, with an event that was not there.
    first
        .log
        .retain(|event| event.position > 10 && event.position != 15);
    let mut second = snapshot(&[20]);
    second.log.retain(|event| event.position > 10);
    assert_eq!(folder.judge(&second), None);
}
