//! [`Story`] and [`Stage`]: what happens, act by act, and goes on where a process before has stopped.

use std::{cell::Cell, sync::Arc, time::Duration};

use anyhow::Context as _;
use uno::{
    core::Command,
    prelude::*,
    saga::{Intervention, SagaRunner, VerbError},
};

use crate::{
    diary::Diary,
    world::{Entrance, World},
};

/// A saga, with what is around it and what happens to it.
pub trait Story: Saga {
    /// Adds the handlers.
    fn wire<B: Backend>(app: UnoBuilder<B>, world: &World) -> UnoBuilder<B>;

    /// Tells what happens, act by act: the same each time, whatever was played already.
    fn tell<B: Backend>(stage: &Stage<'_, Self, B>) -> impl Future<Output = anyhow::Result<()>>;
}

/// Tells a story on standard output, on a store in memory: what the five programs do.
///
/// # Errors
/// When an act fails.
pub async fn tell<S: Story>() -> anyhow::Result<()> {
    let world = World::aloud();
    let store = MemoryStore::builder().clock(world.clock.clone()).build();
    play::<S, _>(Arc::new(store), &world).await
}

/// Plays a story on a store, from its beginning or from where a process before has stopped.
///
/// # Errors
/// When an act fails.
pub async fn play<S: Story, B: Backend>(store: Arc<B>, world: &World) -> anyhow::Result<()> {
    let uno = S::wire(Uno::builder(store).instance("stage"), world)
        .saga::<S>()
        .build()?;
    uno.migrate().await?;
    let app = uno.start().await?;
    let stage = Stage::new(app, world)?;
    // What a process before has left behind is brought to its end first.
    stage.settle().await?;
    S::tell(&stage).await?;
    stage.app.stop().await;
    Ok(())
}

/// Where a story is played: the application, and the world around it.
pub struct Stage<'w, S: Saga, B: Backend> {
    app: App<B>,
    saga: SagaRunner<S, B>,
    world: &'w World,
    diary: Diary,
    acts: Cell<usize>,
}

impl<'w, S: Saga, B: Backend> Stage<'w, S, B> {
    fn new(app: App<B>, world: &'w World) -> anyhow::Result<Self> {
        let saga = app.saga::<S>().context("the saga was not added")?.clone();
        Ok(Self {
            app,
            saga,
            world,
            diary: Diary::default(),
            acts: Cell::new(0),
        })
    }

    /// Somebody gives a command. If the process is stopped before the answer, the command is given again: the domain has to
    /// recognise it.
    ///
    /// # Errors
    /// When the command fails.
    pub async fn command<C: Command>(&self, what: &str, command: C) -> anyhow::Result<()> {
        self.act(what, async |_| {
            self.app.execute(command).await?;
            Ok(())
        })
        .await
    }

    /// Time goes by, and what becomes due happens at its time.
    ///
    /// # Errors
    /// When something can't be handled.
    pub async fn pass(&self, what: &str, time: Duration) -> anyhow::Result<()> {
        self.act(what, async |entrance| {
            if entrance == Entrance::First {
                self.world.clock.advance(time);
            }
            Ok(())
        })
        .await
    }

    /// Services outside, whose entries begin like this, do not answer any more.
    ///
    /// # Errors
    /// When something can't be handled.
    pub async fn take_down(&self, what: &str, prefix: &str) -> anyhow::Result<()> {
        self.act(what, async |_| {
            self.world.ledger.take_down(prefix);
            Ok(())
        })
        .await
    }

    /// All services outside answer again.
    ///
    /// # Errors
    /// When something can't be handled.
    pub async fn bring_up(&self, what: &str) -> anyhow::Result<()> {
        self.act(what, async |_| {
            self.world.ledger.bring_up();
            Ok(())
        })
        .await
    }

    /// A person has the compensation that failed sent again.
    ///
    /// # Errors
    /// When the instance is not stuck.
    pub async fn retry(&self, what: &str, key: &str, why: &Intervention) -> anyhow::Result<()> {
        self.act(what, async |entrance| {
            match self.saga.retry(key, why).await {
                // That person was not told that it has worked, and sees now that it has.
                Err(VerbError::NotStuck { .. }) if entrance == Entrance::Again => Ok(()),
                done => Ok(done?),
            }
        })
        .await
    }

    async fn act(
        &self,
        what: &str,
        play: impl AsyncFnOnce(Entrance) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let act = self.acts.replace(self.acts.get() + 1);
        let entrance = self.world.enter(act);
        if entrance == Entrance::Over {
            return Ok(());
        }
        play(entrance)
            .await
            .with_context(|| format!("when {what}"))?;
        self.settle().await?;
        if self.world.is_aloud() {
            // The time of an act is what it has become by it.
            println!("{}", self.diary.heading(self.world, what));
            for line in self.diary.news(&self.saga, self.world).await? {
                println!("{line}");
            }
        }
        self.world.leave(act);
        Ok(())
    }

    /// Waits until everything has happened that can happen now.
    async fn settle(&self) -> anyhow::Result<()> {
        loop {
            let fired = self.saga.fire_timers().await?;
            self.app.until_idle().await?;
            if fired.count == 0 {
                return Ok(());
            }
        }
    }
}
