//! All SQL: local, over mysqld's unix socket, in the text protocol. Only the governor and the probe ask elsewhere.

pub mod connect;
pub mod copying;
pub mod error;
mod key;
pub mod outside;
pub mod quote;
pub mod rows;
pub mod script;
pub mod session;
pub mod statements;

pub use connect::{Connection, Door};
pub use error::{Meaning, SqlError};
pub use script::ScriptFailure;
pub use session::Session;
pub use statements::Statement;
