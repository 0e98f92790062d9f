//! What the watch has seen of nodes. `watch` fills it; `observe` reads it. Empty where nodes may not be read.

use porpoise_core::view::NodeView;
use std::collections::HashMap;
use std::sync::{PoisonError, RwLock};

type Entries = HashMap<String, NodeView>;

/// Nodes by name.
#[derive(Default)]
pub struct Nodes {
    entries: RwLock<Entries>,
}

impl Nodes {
    /// One node.
    pub fn get(&self, name: &str) -> Option<NodeView> {
        self.entries.read().unwrap_or_else(PoisonError::into_inner).get(name).copied()
    }

    /// Stores a node; whether it matters that it changed. A new one without a flaw is no news: the Pods on it are.
    pub fn put(&self, name: &str, node: NodeView) -> bool {
        self.write(|entries| entries.insert(name.to_owned(), node).unwrap_or_default() != node)
    }

    /// Forgets a node.
    pub fn remove(&self, name: &str) {
        self.write(|entries| entries.remove(name));
    }

    /// Replaces all nodes. Gives those whose change matters.
    pub fn replace(&self, fresh: Vec<(String, NodeView)>) -> Vec<String> {
        let fresh: Entries = fresh.into_iter().collect();
        self.write(|entries| {
            let known = std::mem::replace(entries, fresh);
            let before = |name: &str| known.get(name).copied().unwrap_or_default();
            let changed = entries.iter().filter(|(name, node)| before(name) != **node);
            changed.map(|(name, _)| name.clone()).collect()
        })
    }

    fn write<A>(&self, change: impl FnOnce(&mut Entries) -> A) -> A {
        change(&mut self.entries.write().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CORDONED: NodeView = NodeView { cordoned: true, memory_pressure: false, disk_pressure: false };

    #[test]
    fn only_a_change_that_decisions_see_is_news() {
        let nodes = Nodes::default();
        assert!(!nodes.put("a", NodeView::default()));
        assert!(nodes.put("a", CORDONED) && !nodes.put("a", CORDONED));
        assert!(nodes.put("a", NodeView::default()));
        let fresh = vec![("b".to_owned(), CORDONED), ("c".to_owned(), NodeView::default())];
        assert_eq!(nodes.replace(fresh), ["b"]);
        assert_eq!((nodes.get("a"), nodes.get("b")), (None, Some(CORDONED)));
        nodes.remove("b");
        assert_eq!(nodes.get("b"), None);
    }
}
