//! [`CommandBusBuilder`]: registers handlers and layers.

use std::{
    collections::{BTreeMap, btree_map::Entry},
    fmt,
    sync::Arc,
};

use uno_core::{Backend, Command, CommandDescriptor};
use uno_uow::{RetryPolicy, Runner};

use super::{CommandBus, Inner};
use crate::{
    CommandHandler, CommandLayer, CommandOptions, LaneLimits,
    command_handler::{ErasedHandler, Shim},
    command_lanes::CommandLanes,
    command_layer::SharedLayer,
    command_options::LanesOf,
    describe::short_name,
};

/// Registers handlers, and the layers around them.
pub struct CommandBusBuilder<B: Backend> {
    runner: Runner<B>,
    routes: BTreeMap<&'static str, Route<B>>,
    layers: Vec<SharedLayer<B>>,
    required: Vec<(String, &'static str)>,
    duplicate: Option<&'static str>,
}

/// The way to the handler of one command.
pub(crate) struct Route<B: Backend> {
    pub(crate) name: &'static str,
    pub(crate) handler: Arc<dyn ErasedHandler<B>>,
    pub(crate) handler_name: &'static str,
    pub(crate) layers: Vec<SharedLayer<B>>,
    pub(crate) lanes: Option<LanesOf>,
    pub(crate) aggregate: Option<&'static str>,
    pub(crate) limits: LaneLimits,
    retry: Option<RetryPolicy>,
    /// The runner of the bus, with the policy of the command.
    pub(crate) runner: Runner<B>,
}

impl<B: Backend> CommandBusBuilder<B> {
    pub(super) fn new(runner: Runner<B>) -> Self {
        Self {
            runner,
            routes: BTreeMap::new(),
            layers: Vec::new(),
            required: Vec::new(),
            duplicate: None,
        }
    }

    /// Registers the handler of a command. Share one handler between commands by cloning it, or an `Arc` of it.
    #[must_use]
    pub fn handler<C: Command>(self, handler: impl CommandHandler<C, B>) -> Self {
        self.handler_with::<C, _>(handler, |options| options)
    }

    /// Registers the handler of a command, with what is to be done around it.
    #[must_use]
    pub fn handler_with<C: Command, H: CommandHandler<C, B>>(
        mut self,
        handler: H,
        options: impl FnOnce(CommandOptions<C, B>) -> CommandOptions<C, B>,
    ) -> Self {
        let options = options(CommandOptions::new());
        match self.routes.entry(C::NAME) {
            Entry::Vacant(place) => {
                place.insert(Route {
                    name: C::NAME,
                    handler: Arc::new(Shim::<C, _>::new(handler)),
                    handler_name: short_name::<H>(),
                    layers: options.layers,
                    lanes: options.lanes,
                    aggregate: options.aggregate,
                    limits: options.limits,
                    retry: options.retry,
                    runner: self.runner.clone(),
                });
            }
            Entry::Occupied(_) => self.duplicate = self.duplicate.or(Some(C::NAME)),
        }
        self
    }

    /// Puts a layer around all commands, within those that are there ([order](CommandLayer)).
    #[must_use]
    pub fn layer<L: CommandLayer<B>>(mut self, layer: L) -> Self {
        self.layers.push((Arc::new(layer), short_name::<L>()));
        self
    }

    /// Says that `sender` sends these commands, such as [`CommandSet::COMMANDS`](uno_core::CommandSet::COMMANDS): the bus is not built
    /// unless each has a handler.
    #[must_use]
    pub fn requires(mut self, sender: &str, commands: &[CommandDescriptor]) -> Self {
        let required = commands
            .iter()
            .map(|command| (sender.to_owned(), command.name()));
        self.required.extend(required);
        self
    }

    /// Runs the commands in units of work of this runner instead.
    #[must_use]
    pub fn runner(mut self, runner: Runner<B>) -> Self {
        self.runner = runner;
        self
    }

    /// The bus.
    ///
    /// # Errors
    /// When two handlers were registered for commands of the same name, or none for one that is required.
    pub fn build(self) -> Result<CommandBus<B>, RegisterError> {
        if let Some(name) = self.duplicate {
            return Err(RegisterError::TwoHandlers {
                what: "command",
                name: name.to_owned(),
            });
        }
        let missing = |(_, name): &&(String, &str)| !self.routes.contains_key(name);
        if let Some((sender, name)) = self.required.iter().find(missing) {
            return Err(RegisterError::NoHandler {
                what: "command",
                name: (*name).to_owned(),
                sender: sender.clone(),
            });
        }
        let mut routes = self.routes;
        for route in routes.values_mut() {
            let runner = self.runner.clone();
            route.runner = match route.retry {
                Some(policy) => runner.with_retry(policy),
                None => runner,
            };
        }
        Ok(CommandBus {
            inner: Arc::new(Inner {
                runner: self.runner,
                routes,
                layers: self.layers,
                lanes: CommandLanes::default(),
                keys: CommandLanes::default(),
            }),
        })
    }
}

impl<B: Backend> fmt::Debug for CommandBusBuilder<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CommandBusBuilder")
            .field("commands", &self.routes.keys())
            .finish_non_exhaustive()
    }
}

/// What is wrong with what was registered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RegisterError {
    /// Two handlers for the same thing.
    #[error("the {what} {name} has two handlers")]
    TwoHandlers {
        /// `command` or `query`.
        what: &'static str,
        /// Which one.
        name: String,
    },
    /// Something is sent or asked that nobody handles.
    #[error("the {what} {name} has no handler, and {sender} sends it")]
    NoHandler {
        /// `command` or `query`.
        what: &'static str,
        /// Which one.
        name: String,
        /// Who sends it.
        sender: String,
    },
}
