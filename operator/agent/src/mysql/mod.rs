//! All SQL: local, over mysqld's unix socket, in the text protocol.

pub mod connect;
pub mod error;
pub mod quote;
pub mod rows;
pub mod session;
pub mod statements;

pub use connect::{Connection, Door};
pub use error::{Meaning, SqlError};
pub use session::Session;
pub use statements::Statement;
