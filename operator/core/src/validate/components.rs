//! Components of mysqld.

use super::Problem;
use porpoise_crds::{LONGEST_COMPONENT, MOST_COMPONENTS, reserved_component};

const FIELD: &str = "spec.mysql.components";

pub(super) fn problems(names: &[String]) -> Vec<Problem> {
    let mut problems = Vec::new();
    if names.len() > MOST_COMPONENTS {
        let message = format!("there are {} names; keep at most {MOST_COMPONENTS}", names.len());
        problems.push(Problem::new(FIELD, "TooManyComponents", message));
    }
    for (index, name) in names.iter().enumerate() {
        let place = format!("{FIELD}[{index}]");
        if let Some(problem) = component(&place, name) {
            problems.push(problem);
        } else if names[..index].contains(name) {
            problems.push(Problem::new(
                place,
                "DuplicateComponent",
                format!("{name} is there twice; keep one"),
            ));
        }
    }
    problems
}

fn component(place: &str, name: &str) -> Option<Problem> {
    if !is_name(name) {
        let message = format!(
            "{name:?} is no component; name it by at most {LONGEST_COMPONENT} lower case letters, digits and underscores, \
             without the component_ of its file, such as classic_hashing"
        );
        return Some(Problem::new(place, "InvalidComponent", message));
    }
    let why = reserved_component(name)?;
    Some(Problem::new(place, "ReservedComponent", format!("{name} cannot be used: {why}; remove it")))
}

fn is_name(name: &str) -> bool {
    name.len() <= LONGEST_COMPONENT
        && name.starts_with(|first: char| first.is_ascii_lowercase())
        && name.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_'))
        && !name.starts_with("component_")
}
