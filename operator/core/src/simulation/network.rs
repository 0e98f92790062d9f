//! What is on its way, and what cannot get through.

use crate::protocol::Order;
use std::hash::Hash;

/// A replica's word that it has everything up to a place in the source's binlog.
#[derive(Clone, Copy, Debug)]
pub(super) struct Acknowledgement {
    pub(super) replica: usize,
    pub(super) source: usize,
    /// Run of the source that it is meant for.
    pub(super) run: u64,
    pub(super) place: usize,
}

/// Cuts and messages.
#[derive(Clone, Debug, Default)]
pub(super) struct Network {
    /// Nothing gets from the first member to the second.
    members: [[bool; 5]; 5],
    /// Nothing gets from the operator to the member.
    orders: [[bool; 5]; 2],
    /// Nothing gets from the member to the operator.
    answers: [[bool; 5]; 2],
    /// Orders that come late, and the operator that sent them.
    pub(super) late: Vec<(usize, Order)>,
    /// Acknowledgements on their way.
    pub(super) acks: Vec<Acknowledgement>,
}

impl Network {
    pub(super) fn heal(&mut self) {
        self.members = Default::default();
        self.orders = Default::default();
        self.answers = Default::default();
    }

    /// An order goes out and stays under way until it is delivered. What was ordered before in the same words is the same.
    pub(super) fn dispatch(&mut self, order: Order) {
        let is_same = |sent: &Order| Order { seen: order.seen.clone(), ..sent.clone() } == order;
        self.late.retain(|(_, sent)| !is_same(sent));
        self.late.push((0, order));
    }

    /// Nothing gets from or to this member.
    pub(super) fn isolate(&mut self, member: usize) {
        for other in (0..5).filter(|other| *other != member) {
            self.cut_members(member, other);
            self.cut_members(other, member);
        }
        for operator in 0..2 {
            self.cut_orders(operator, member);
            self.cut_answers(operator, member);
        }
    }

    pub(super) fn is_cut(&self) -> bool {
        self.members.iter().chain(&self.orders).chain(&self.answers).flatten().any(|cut| *cut)
    }

    /// All cuts.
    pub(super) fn cuts(&self) -> impl Hash {
        (self.members, self.orders, self.answers)
    }

    pub(super) fn cut_members(&mut self, from: usize, to: usize) {
        self.members[from][to] = true;
    }

    pub(super) fn cut_orders(&mut self, operator: usize, member: usize) {
        self.orders[operator][member] = true;
    }

    pub(super) fn cut_answers(&mut self, operator: usize, member: usize) {
        self.answers[operator][member] = true;
    }

    pub(super) fn passes(&self, from: usize, to: usize) -> bool {
        !self.members[from][to]
    }

    /// Whether a connection can be made between two members.
    pub(super) fn joins(&self, one: usize, other: usize) -> bool {
        self.passes(one, other) && self.passes(other, one)
    }

    pub(super) fn order_arrives(&self, operator: usize, member: usize) -> bool {
        !self.orders[operator][member]
    }

    pub(super) fn answer_arrives(&self, operator: usize, member: usize) -> bool {
        !self.orders[operator][member] && !self.answers[operator][member]
    }
}
