//! The only way for a value to get into SQL text: `raw_sql` binds nothing, and the driver always allows several
//! statements at once, so an unquoted value would be a full injection.
//!
//! Valid in both modes of `NO_BACKSLASH_ESCAPES`, see [`literal`].

use std::fmt;

/// A text that is no part of a statement as it is.
#[derive(Debug, thiserror::Error, PartialEq, Eq, strum::IntoStaticStr)]
pub enum QuoteError {
    /// NUL ends texts in too many places.
    #[error("quote a text that has a NUL in it")]
    RefuseNul,
    /// Nothing.
    #[error("quote an empty name")]
    RefuseEmpty,
    /// Longer than MySQL takes.
    #[error("quote a name of more than {limit} characters")]
    RefuseLong {
        /// Most characters.
        limit: usize,
    },
}

/// A quoted piece of a statement. `Debug` does not show it: it may be a password.
#[derive(Clone, PartialEq, Eq)]
pub struct Quoted(String);

impl fmt::Display for Quoted {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl fmt::Debug for Quoted {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Quoted(..)")
    }
}

/// A string literal, for a session whose `sql_mode` has no `NO_BACKSLASH_ESCAPES`: ours, which `connect` sets.
///
/// Both quote and backslash are doubled. In the other mode a doubled backslash would stay two, but nothing would break
/// out of the literal.
pub fn literal(text: &str) -> Result<Quoted, QuoteError> {
    if text.contains('\0') {
        return Err(QuoteError::RefuseNul);
    }
    let escaped = text.replace('\\', "\\\\").replace('\'', "''");
    Ok(Quoted(format!("'{escaped}'")))
}

/// An identifier, such as a database name.
pub fn identifier(name: &str) -> Result<Quoted, QuoteError> {
    const LIMIT: usize = 64;
    if name.contains('\0') {
        return Err(QuoteError::RefuseNul);
    }
    if name.is_empty() {
        return Err(QuoteError::RefuseEmpty);
    }
    if name.chars().count() > LIMIT {
        return Err(QuoteError::RefuseLong { limit: LIMIT });
    }
    Ok(Quoted(format!("`{}`", name.replace('`', "``"))))
}

/// An account, `'user'@'host'`.
pub fn account(user: &str, host: &str) -> Result<Quoted, QuoteError> {
    const LIMIT: usize = 32;
    if user.is_empty() {
        return Err(QuoteError::RefuseEmpty);
    }
    if user.chars().count() > LIMIT {
        return Err(QuoteError::RefuseLong { limit: LIMIT });
    }
    Ok(Quoted(format!("{}@{}", literal(user)?, literal(host)?)))
}

/// The account of everybody who has none of their own on `host`.
pub fn anonymous(host: &str) -> Result<Quoted, QuoteError> {
    Ok(Quoted(format!("''@{}", literal(host)?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_table() {
        for (text, want) in
            [("", "''"), ("it's", "'it''s'"), ("a\\", "'a\\\\'"), ("\\' OR 1", "'\\\\'' OR 1'")]
        {
            assert_eq!(literal(text).unwrap().to_string(), want);
        }
        assert_eq!(identifier("a`b").unwrap().to_string(), "`a``b`");
        assert_eq!(account("o'", "%").unwrap().to_string(), "'o'''@'%'");
    }

    #[test]
    fn refusals_table() {
        assert_eq!(literal("a\0"), Err(QuoteError::RefuseNul));
        assert_eq!(identifier(""), Err(QuoteError::RefuseEmpty));
        assert_eq!(identifier(&"x".repeat(65)), Err(QuoteError::RefuseLong { limit: 64 }));
        assert_eq!(account(&"x".repeat(33), "%"), Err(QuoteError::RefuseLong { limit: 32 }));
    }

    proptest::proptest! {
        /// Whatever is inside, the literal ends where it should: read back with MySQL's own rules.
        #[test]
        fn literals_read_back(text in "[^\\x00]*") {
            let quoted = literal(&text).unwrap().to_string();
            let inner = &quoted[1..quoted.len() - 1];
            let mut read = String::new();
            let mut characters = inner.chars();
            while let Some(character) = characters.next() {
                match character {
                    '\\' | '\'' => {
                        proptest::prop_assert_eq!(characters.next(), Some(character));
                        read.push(character);
                    }
                    other => read.push(other),
                }
            }
            proptest::prop_assert_eq!(read, text);
        }
    }
}
