//! Approval: an expense waits for a yes. The team lead is reminded after a day, and after three days it goes to the boss as
//! well. Whoever decides first decides, however late.
//!
//! ```text
//! ExpenseFiled ──► Ask the lead ─── 1 day ──► Remind ─── 3 days ──► Escalate to the boss
//!                        │                      │                          │
//!                        └──────────┬───────────┴──────────────────────────┘
//!                   ExpenseApproved │ ExpenseRejected
//!                            PayOut ▼ TellNo ──► done
//! ```

#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};
use uno::prelude::*;

use crate::{
    days, hours,
    service::Service,
    stage::{Stage, Story},
    world::World,
};

// What happens.

impl Story for Approval {
    async fn tell<B: Backend>(stage: &Stage<'_, Self, B>) -> anyhow::Result<()> {
        let decide = |expense, by: &str, yes| Decide {
            expense,
            by: by.to_owned(),
            yes,
        };
        stage
            .command("Ada files an expense", FileExpense { expense: 1 })
            .await?;
        stage.pass("after lunch", hours(4)).await?;
        stage
            .command("her lead approves", decide(1, "the lead", true))
            .await?;
        stage
            .command("Bob files one", FileExpense { expense: 2 })
            .await?;
        stage
            .command("and Cyd another", FileExpense { expense: 3 })
            .await?;
        stage
            .pass("a day later the lead is reminded", days(1))
            .await?;
        stage
            .pass(
                "three days after they were filed, the boss is asked",
                days(2),
            )
            .await?;
        stage
            .command("the boss approves Bob's", decide(2, "the boss", true))
            .await?;
        stage
            .command(
                "the lead wakes up, and rejects it",
                decide(2, "the lead", false),
            )
            .await?;
        stage.pass("a week later", days(7)).await?;
        stage
            .command("the lead rejects Cyd's", decide(3, "the lead", false))
            .await?;
        Ok(())
    }

    fn wire<B: Backend>(app: UnoBuilder<B>, world: &World) -> UnoBuilder<B> {
        let ledger = &world.ledger;
        app.command::<FileExpense>(Expenses)
            .command::<Decide>(Expenses)
            .command::<Ask>(Service::does(ledger, |ask: &Ask| {
                format!("ask {} about expense {}", ask.whom, ask.expense)
            }))
            .command::<PayOut>(Service::does(ledger, |pay: &PayOut| {
                format!("pay expense {}", pay.expense)
            }))
            .command::<TellNo>(Service::does(ledger, |tell: &TellNo| {
                format!("tell that {} rejected expense {}", tell.by, tell.expense)
            }))
    }
}

// The saga.

/// What an instance must remember from one step to the next. Stored format: version with care.
#[derive(Serialize, Deserialize, Default, Clone, Debug, PartialEq)]
pub struct Approval {
    expense: u32,
}

/// What it sends.
#[derive(CommandSet, Clone, Debug, PartialEq)]
pub enum Step {
    Ask(Ask),
    PayOut(PayOut),
    TellNo(TellNo),
}

/// What it waits for. Stored format: version with care.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
pub enum Wait {
    Remind,
    Escalate,
}

impl Saga for Approval {
    const NAME: &'static str = "approval";
    type Event = ExpenseEvent;
    type Command = Step;
    type Timeout = Wait;

    fn route(event: &Envelope<ExpenseEvent>) -> Route {
        match event.event() {
            ExpenseEvent::Filed(e) => Route::StartStrict(key(e.expense)),
            ExpenseEvent::Approved(e) => Route::ContinueStrict(key(e.expense)),
            ExpenseEvent::Rejected(e) => Route::ContinueStrict(key(e.expense)),
        }
    }

    fn react(&mut self, input: Input<'_, ExpenseEvent, Wait>) -> Outputs<Step, Wait> {
        match input {
            Input::Event(event) => self.on_event(event.event()),
            Input::Timeout(Wait::Remind) => Outputs::send(self.ask("the lead again")),
            Input::Timeout(Wait::Escalate) => Outputs::send(self.ask("the boss")),
            _ => Outputs::none(),
        }
    }
}

impl Approval {
    fn on_event(&mut self, event: &ExpenseEvent) -> Outputs<Step, Wait> {
        match event {
            ExpenseEvent::Filed(e) => {
                self.expense = e.expense;
                Outputs::send(self.ask("the lead"))
                    .and_after(days(1), Wait::Remind)
                    .and_after(days(3), Wait::Escalate)
            }
            // What is complete waits for nothing any more: both timeouts are gone with it.
            ExpenseEvent::Approved(e) => {
                Outputs::send(PayOut { expense: e.expense }).and_complete()
            }
            ExpenseEvent::Rejected(e) => Outputs::send(TellNo {
                expense: e.expense,
                by: e.by.clone(),
            })
            .and_complete(),
        }
    }

    fn ask(&self, whom: &str) -> Ask {
        Ask {
            expense: self.expense,
            whom: whom.to_owned(),
        }
    }
}

fn key(expense: u32) -> String {
    format!("expense {expense}")
}

// The domain.

/// Somebody has spent money.
#[derive(Command, Serialize, Deserialize, Clone, Debug, PartialEq)]
pub struct FileExpense {
    pub expense: u32,
}

/// Somebody says yes or no.
#[derive(Command, Serialize, Deserialize, Clone, Debug, PartialEq)]
pub struct Decide {
    pub expense: u32,
    pub by: String,
    pub yes: bool,
}

/// Ask somebody to decide.
#[derive(Command, Serialize, Deserialize, Clone, Debug, PartialEq)]
pub struct Ask {
    pub expense: u32,
    pub whom: String,
}

/// Pay it.
#[derive(Command, Serialize, Deserialize, Clone, Debug, PartialEq)]
pub struct PayOut {
    pub expense: u32,
}

/// Say who did not want to.
#[derive(Command, Serialize, Deserialize, Clone, Debug, PartialEq)]
pub struct TellNo {
    pub expense: u32,
    pub by: String,
}

/// Somebody has spent money. Stored format: version with care, as the next two.
#[derive(Event, Serialize, Deserialize, Clone, Debug, PartialEq)]
pub struct ExpenseFiled {
    pub expense: u32,
}

/// It will be paid.
#[derive(Event, Serialize, Deserialize, Clone, Debug, PartialEq)]
pub struct ExpenseApproved {
    pub expense: u32,
    pub by: String,
}

/// It will not be paid.
#[derive(Event, Serialize, Deserialize, Clone, Debug, PartialEq)]
pub struct ExpenseRejected {
    pub expense: u32,
    pub by: String,
}

/// All that can happen to an expense.
#[derive(EventSet, Clone, Debug, PartialEq)]
pub enum ExpenseEvent {
    Filed(ExpenseFiled),
    Approved(ExpenseApproved),
    Rejected(ExpenseRejected),
}

#[derive(Default, Debug)]
struct Expense {
    filed: bool,
    decided: bool,
}

impl Aggregate for Expense {
    const CATEGORY: &'static str = "expense";
    type Id = u32;
    type Event = ExpenseEvent;

    fn apply(&mut self, event: &ExpenseEvent) {
        match event {
            ExpenseEvent::Filed(_) => self.filed = true,
            ExpenseEvent::Approved(_) | ExpenseEvent::Rejected(_) => self.decided = true,
        }
    }
}

impl Expense {
    fn file(&self, expense: u32) -> Option<ExpenseFiled> {
        (!self.filed).then_some(ExpenseFiled { expense })
    }

    /// The first decision counts.
    fn decide(&self, command: &Decide) -> Option<ExpenseEvent> {
        let (expense, by) = (command.expense, command.by.clone());
        match (self.decided, command.yes) {
            (true, _) => None,
            (false, true) => Some(ExpenseApproved { expense, by }.into()),
            (false, false) => Some(ExpenseRejected { expense, by }.into()),
        }
    }
}

struct Expenses;

impl<B: Backend> CommandHandler<FileExpense, B> for Expenses {
    async fn handle(
        &self,
        command: &FileExpense,
        uow: &mut UnitOfWork<B>,
    ) -> Result<(), CommandError> {
        let mut expense = uow.load_or_new::<Expense>(&command.expense).await?;
        expense.record_with(|expense| expense.file(command.expense));
        Ok(())
    }
}

impl<B: Backend> CommandHandler<Decide, B> for Expenses {
    async fn handle(&self, command: &Decide, uow: &mut UnitOfWork<B>) -> Result<(), CommandError> {
        let mut expense = uow.load::<Expense>(&command.expense).await?;
        expense.record_with(|expense| expense.decide(command));
        Ok(())
    }
}
