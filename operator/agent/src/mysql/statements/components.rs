//! Statements about components of mysqld.

use super::Statement;
use crate::mysql::quote::{self, QuoteError};

/// Components that mysqld loads when it starts.
pub fn components() -> Statement {
    Statement::new("components", "SELECT component_urn AS urn FROM mysql.component")
}

/// Where mysqld looks for components.
pub fn plugin_directory() -> Statement {
    Statement::new("plugin_directory", "SELECT @@GLOBAL.plugin_dir AS directory")
}

/// What mysqld calls a component.
pub fn component_urn(name: &str) -> String {
    format!("file://component_{name}")
}

/// Loads a component, now and at every start. Not replicated.
pub fn install_component(name: &str) -> Result<Statement, QuoteError> {
    let urn = quote::literal(&component_urn(name))?;
    Ok(Statement::new("install_component", format!("INSTALL COMPONENT {urn}")))
}
