//! The tree of an event across a saga and its commands, in a whole application.

use std::sync::Arc;

use uno::{
    core::{Beginning, CausationLimits, CommandId},
    prelude::*,
};

use crate::facade::account::{Balances, Bank, Deposit, Presents};

#[tokio::test]
async fn a_tree_crosses_commands_and_sagas() {
    let uno = Uno::builder(Arc::new(MemoryStore::new()))
        .command::<Deposit>(Bank)
        .documents(Balances)
        .saga::<Presents>()
        .build()
        .unwrap();
    uno.migrate().await.unwrap();
    let app = uno.start().await.unwrap();
    let deposit = Deposit {
        account: "ada".into(),
        cents: 200_000,
    };
    let who = Metadata::new().with_actor("ada");
    app.execute_as(deposit, who).await.unwrap();
    app.until_idle().await.unwrap();

    let by_ada = EventFilter::all().actor("ada");
    let mut pages = app.log(ReadLog::after(Position::START).filter(by_ada));
    let events = pages.next_page().await.unwrap().unwrap();
    let [large, present] = events.as_slice() else {
        panic!("a deposit and a present: {events:?}");
    };
    let tree = app.causation_of(present.id(), CausationLimits::new()).await;
    let tree = tree.unwrap().unwrap();
    assert_eq!(tree.causes(), std::slice::from_ref(large));
    // Above the first event is the command that somebody sent.
    let command = large.metadata().causation_id().unwrap();
    assert_eq!(tree.beginning(), Beginning::Outside(command));
    let tree = app.causation_of(large.id(), CausationLimits::new()).await;
    let tree = tree.unwrap().unwrap();
    let effect = &tree.events()[1];
    assert_eq!(effect.event(), present);
    let sent = CommandId::stable(["presents", "ada", "1"]);
    assert_eq!(effect.through(), Some(*sent.as_uuid()));

    // A handler that is live-only is not told of it again.
    let mut replay = app
        .replay_range()
        .handler(
            "mail",
            Replay::LiveOnly,
            |_: Arc<Envelope<crate::facade::account::Deposited>>| async {
                Err("must not happen twice".into())
            },
        )
        .unwrap();
    assert_eq!(replay.run().await.unwrap().skipped(), ["mail"]);
    app.stop().await;
}
