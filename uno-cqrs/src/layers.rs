//! The layers that are there already. Those of users are [`CommandLayer`](crate::CommandLayer)s and
//! [`QueryLayer`](crate::QueryLayer)s as well.

mod authorise;
mod time_limit;
mod trace;
mod validate;

pub(crate) use self::validate::Rule;
pub use self::{
    authorise::{Asked, Authorise, Authority, Forbidden},
    time_limit::TimeLimit,
    trace::Trace,
    validate::{Invalid, Validate},
};
