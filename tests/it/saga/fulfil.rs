//! A saga over orders, the commands it sends, and what carries them out.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};

use serde::{Deserialize, Serialize};
use uno_core::{
    Backend, Command, CommandSet, Envelope, Event, EventSet, EventStoreExt, ExpectedVersion,
    Metadata,
};
use uno_cqrs::{CommandBus, CommandHandler};
use uno_domain::Aggregate;
use uno_saga::{Input, NoTimeout, Outputs, Route, Saga};
use uno_uow::{CommandError, RetryPolicy, Runner, UnitOfWork};
use uuid::Uuid;

/// An order came in. The plan says what goes wrong with it.
#[derive(Event, Serialize, Deserialize, Clone, Debug, PartialEq)]
pub(super) struct Ordered {
    pub(super) order: String,
    pub(super) plan: String,
}

/// A step of an order was done.
#[derive(Event, Serialize, Deserialize, Clone, Debug, PartialEq)]
pub(super) struct Done {
    pub(super) order: String,
    pub(super) step: String,
}

/// The customer has changed his mind.
#[derive(Event, Serialize, Deserialize, Clone, Debug, PartialEq)]
pub(super) struct Cancelled {
    pub(super) order: String,
}

#[derive(EventSet, Clone, Debug, PartialEq)]
pub(super) enum DeskEvent {
    Ordered(Ordered),
    Done(Done),
    Cancelled(Cancelled),
}

/// What each plan comes to: what was done, in order, and how the instance ends.
pub(super) const PLANS: [(&str, &[&str], &str); 7] = [
    ("fine", &["charge", "allocate", "ship"], "completed"),
    ("allocate!", &["charge", "refund"], "compensated"),
    (
        "ship!",
        &["charge", "allocate", "release", "refund"],
        "compensated",
    ),
    // Charged by the bank, and then it failed for good: it is not known here, and undone all the same.
    ("charge?", &["refund"], "compensated"),
    (
        "ship?",
        &["charge", "allocate", "ship", "release", "refund"],
        "compensated",
    ),
    ("cancel", &["charge", "refund"], "compensated"),
    ("ship! refund?", &["charge", "allocate", "release"], "stuck"),
];

/// What is done at a desk about one order.
#[derive(Default)]
struct Desk {
    plan: String,
    done: Vec<String>,
}

impl Aggregate for Desk {
    const CATEGORY: &'static str = "desk";
    type Id = String;
    type Event = DeskEvent;

    fn apply(&mut self, event: &DeskEvent) {
        match event {
            DeskEvent::Ordered(ordered) => self.plan.clone_from(&ordered.plan),
            DeskEvent::Done(done) => self.done.push(done.step.clone()),
            DeskEvent::Cancelled(_) => {}
        }
    }
}

macro_rules! commands {
    ($($name:ident)+) => {
        $(
            #[derive(Command, Serialize, Deserialize, Clone, Debug, PartialEq)]
            pub(super) struct $name {
                pub(super) order: String,
            }

            impl<B: Backend> CommandHandler<$name, B> for Clerk {
                async fn handle(&self, command: &$name, uow: &mut UnitOfWork<B>) -> Result<(), CommandError> {
                    self.carry_out($name::NAME, &command.order, uow).await
                }
            }
        )+

        #[derive(CommandSet, Clone, Debug, PartialEq)]
        pub(super) enum Sent { $($name($name)),+ }

        impl Clerk {
            /// A bus on which the clerk carries out everything.
            pub(super) fn bus<B: Backend>(&self, store: &Arc<B>) -> CommandBus<B> {
                let retry = RetryPolicy::default().with_attempts(100);
                CommandBus::builder(Runner::new(Arc::clone(store)).with_retry(retry))
                    $(.handler::<$name>(self.clone()))+
                    .build()
                    .unwrap()
            }
        }
    };
}

commands!(Charge Refund Allocate Release Ship);

/// Carries out the steps of orders. The money is moved by a bank, which knows what it has done by the ids of commands.
#[derive(Clone, Default)]
pub(super) struct Clerk {
    bank: Arc<Mutex<HashMap<Uuid, (String, i64)>>>,
}

impl Clerk {
    /// How much of an order the bank has charged and not given back, in orders.
    pub(super) fn charged(&self, order: &str) -> i64 {
        let bank = self.bank.lock().unwrap();
        let here = bank.values().filter(|(of, _)| of == order);
        here.map(|(_, amount)| amount).sum()
    }

    async fn carry_out<B: Backend>(
        &self,
        step: &'static str,
        order: &str,
        uow: &mut UnitOfWork<B>,
    ) -> Result<(), CommandError> {
        let id = uow.metadata().causation_id().unwrap();
        let mut desk = uow.load::<Desk>(&order.to_owned()).await?;
        // The await is where a real bank is asked, and where others come in between.
        tokio::task::yield_now().await;
        match step {
            "charge" => {
                self.move_money(id, order, 1);
            }
            // What the bank has charged is given back, whether it is known here or not.
            "refund" if !desk.state().plan.contains("refund?") => {
                self.move_money(id, order, -1);
            }
            _ => {}
        }
        let undoes = match step {
            "release" => Some("allocate"),
            _ => None,
        };
        if let Some(undone) = undoes
            && !desk.state().done.iter().any(|done| done == undone)
        {
            return Ok(());
        }
        let plan = &desk.state().plan;
        if plan.contains(&format!("{step}!")) {
            return Err(CommandError::rejected(format!("no {step}")));
        }
        if plan.contains(&format!("{step}?")) && step != "ship" {
            return Err(CommandError::failed(format!("{step} is out of order")));
        }
        desk.record(Done {
            order: order.to_owned(),
            step: step.to_owned(),
        });
        Ok(())
    }

    fn move_money(&self, id: Uuid, order: &str, amount: i64) {
        self.bank
            .lock()
            .unwrap()
            .insert(id, (order.to_owned(), amount));
    }
}

/// Takes an order from the money to the parcel, or undoes it all.
#[derive(Serialize, Deserialize, Default, Clone, Debug, PartialEq)]
pub(super) struct Fulfil {
    order: String,
    plan: String,
    pub(super) inputs: u32,
}

impl Saga for Fulfil {
    const NAME: &'static str = "fulfil";
    type Event = DeskEvent;
    type Command = Sent;
    type Timeout = NoTimeout;

    fn route(event: &Envelope<DeskEvent>) -> Route {
        match event.event() {
            DeskEvent::Ordered(event) => Route::StartStrict(event.order.clone()),
            DeskEvent::Done(event) => Route::ContinueStrict(event.order.clone()),
            DeskEvent::Cancelled(event) => Route::Continue(event.order.clone()),
        }
    }

    fn react(&mut self, input: Input<'_, DeskEvent>) -> Outputs<Sent> {
        self.inputs += 1;
        match input {
            Input::Event(event) => self.on_event(event.event(), event.stream().key()),
            Input::Outcome(outcome) => {
                assert!(!self.plan.contains("panic"), "as asked");
                let order = self.order.clone();
                match outcome.is_success() {
                    // What follows on a parcel follows on its outcome; what follows on the rest, on their events.
                    true if outcome.is_of::<Ship>() && self.plan.contains("ship?") => {
                        Outputs::compensate()
                    }
                    true if outcome.is_of::<Ship>() => Outputs::complete(),
                    true if outcome.is_of::<Allocate>() => Outputs::send(Ship { order }),
                    true => Outputs::none(),
                    false => Outputs::compensate(),
                }
            }
            _ => Outputs::none(),
        }
    }
}

impl Fulfil {
    fn on_event(&mut self, event: &DeskEvent, order: &str) -> Outputs<Sent> {
        let order = order.to_owned();
        match event {
            DeskEvent::Ordered(event) => {
                self.order.clone_from(&order);
                self.plan.clone_from(&event.plan);
                let charge = Charge {
                    order: order.clone(),
                };
                Outputs::send(charge).undo(Refund { order })
            }
            DeskEvent::Done(event) if event.step == "charge" => {
                let allocate = Allocate {
                    order: order.clone(),
                };
                Outputs::send(allocate).undo(Release { order })
            }
            DeskEvent::Done(_) => Outputs::none(),
            DeskEvent::Cancelled(_) => Outputs::compensate(),
        }
    }
}

/// Takes an order in, behind everybody's back: straight into the store.
pub(super) async fn order<B: Backend>(store: &B, order: &str, plan: &str) {
    order_as(store, order, plan, Metadata::new()).await;
}

/// The same, on behalf of somebody.
pub(super) async fn order_as<B: Backend>(store: &B, order: &str, plan: &str, metadata: Metadata) {
    let mut events = vec![DeskEvent::from(Ordered {
        order: order.to_owned(),
        plan: plan.to_owned(),
    })];
    if plan.contains("cancel") {
        events.push(DeskEvent::from(Cancelled {
            order: order.to_owned(),
        }));
    }
    let events = events.iter().map(|event| {
        let new = uno_core::NewEvent::encode(event).unwrap();
        new.with_metadata(metadata.clone())
    });
    let stream = Desk::stream_id(&order.to_owned()).unwrap();
    let append = uno_core::StreamAppend::new(stream, ExpectedVersion::NoStream, events.collect());
    store.append(vec![append]).await.unwrap();
}

/// A step that nobody has asked for.
pub(super) async fn done<B: Backend>(store: &B, order: &str, step: &str) {
    let done = Done {
        order: order.to_owned(),
        step: step.to_owned(),
    };
    let stream = Desk::stream_id(&order.to_owned()).unwrap();
    store
        .append_events(stream, ExpectedVersion::Any, &[done])
        .await
        .unwrap();
}
