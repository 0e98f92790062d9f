//! Feature gates as people write them: `MoveFromPressure=true`.

use porpoise_core::gate::{FeatureGate, FeatureGates};
use std::collections::BTreeMap;
use std::str::FromStr;
use strum::IntoEnumIterator;

/// What is wrong with a feature gate.
#[derive(Debug, PartialEq, Eq, thiserror::Error, strum::IntoStaticStr)]
pub enum GateError {
    /// There is none of this name.
    #[error("find the feature gate {name:?}: known are {known}")]
    FindGate {
        /// What was written.
        name: String,
        /// All names.
        known: String,
    },
    /// Neither on nor off.
    #[error("read {text:?}: write NAME=true or NAME=false")]
    ReadGate {
        /// What was written.
        text: String,
    },
}

/// The gates that are open: those of the file, changed by the flags.
pub fn open(file: &BTreeMap<String, bool>, flags: &[String]) -> Result<FeatureGates, GateError> {
    let mut open = FeatureGates::new();
    for (name, is_open) in file {
        set(&mut open, name, *is_open)?;
    }
    for text in flags.iter().filter(|text| !text.is_empty()) {
        let read = text.split_once('=').and_then(|(name, value)| Some((name, value.parse().ok()?)));
        let (name, is_open) = read.ok_or_else(|| GateError::ReadGate { text: text.clone() })?;
        set(&mut open, name, is_open)?;
    }
    Ok(open)
}

fn set(open: &mut FeatureGates, name: &str, is_open: bool) -> Result<(), GateError> {
    let gate = FeatureGate::from_str(name)
        .map_err(|_| GateError::FindGate { name: name.to_owned(), known: known().join(", ") })?;
    if is_open {
        open.insert(gate)
    } else {
        open.remove(&gate)
    };
    Ok(())
}

fn known() -> Vec<&'static str> {
    FeatureGate::iter().map(Into::into).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn d37_gates_are_closed_until_opened_and_a_flag_wins_over_the_file() {
        let flags = |text: &str| vec![text.to_owned()];
        let file = BTreeMap::from([("MoveFromPressure".to_owned(), true)]);
        let both = FeatureGates::from([FeatureGate::MoveFromPressure]);
        assert_eq!(open(&BTreeMap::new(), &[]), Ok(FeatureGates::new()));
        assert_eq!(open(&BTreeMap::new(), &flags("MoveFromPressure=true")), Ok(both.clone()));
        assert_eq!(open(&file, &[]), Ok(both));
        assert_eq!(open(&file, &flags("MoveFromPressure=false")), Ok(FeatureGates::new()));
    }

    #[test]
    fn an_unknown_gate_or_value_is_refused_in_a_sentence() {
        for (flag, want) in [
            ("MoveFromPresure=true", "known are MoveFromPressure"),
            ("MoveFromPressure", "NAME=true or NAME=false"),
            ("MoveFromPressure=on", "NAME=true or NAME=false"),
        ] {
            let error = open(&BTreeMap::new(), &[flag.to_owned()]).unwrap_err().to_string();
            assert!(error.contains(want), "{error}");
        }
    }

    #[test]
    fn every_gate_stands_in_the_reference() {
        let page = include_str!("../../../docs/src/reference/feature-gates.md");
        for gate in known() {
            assert!(page.contains(&format!("| `{gate}` |")), "{gate}");
        }
    }
}
