//! Rules, features, and their state at a creator.

use crate::random::Random;

/// What a creator can leave to the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rule {
    Process,
    Label,
    Notify,
    AdjustStock,
    Reconcile,
}

/// What is known of a rule.
#[derive(Debug)]
pub(crate) struct About {
    pub id: &'static str,
    pub name: &'static str,
    pub automation_type: &'static str,
    pub system: &'static str,
    /// Of an ordinary run.
    pub median_ms: f64,
    /// What a person takes for the same.
    pub manual_ms: i64,
    /// In millionths of a dollar.
    pub cost_micro: i64,
}

static ABOUT: [About; 5] = [
    About {
        id: "rule_auto_confirm",
        name: "Confirm and process orders",
        automation_type: "order_processing",
        system: "orders",
        median_ms: 9_000.0,
        manual_ms: 240_000,
        cost_micro: 900,
    },
    About {
        id: "rule_auto_label",
        name: "Buy the cheapest label",
        automation_type: "label_generation",
        system: "shipping",
        median_ms: 6_500.0,
        manual_ms: 180_000,
        cost_micro: 1200,
    },
    About {
        id: "rule_notify_customer",
        name: "Tell customers where their parcel is",
        automation_type: "customer_notification",
        system: "orders",
        median_ms: 900.0,
        manual_ms: 60_000,
        cost_micro: 150,
    },
    About {
        id: "rule_adjust_stock",
        name: "Correct stock after counting",
        automation_type: "stock_adjustment",
        system: "inventory",
        median_ms: 2_200.0,
        manual_ms: 150_000,
        cost_micro: 300,
    },
    About {
        id: "rule_reconcile",
        name: "Compare the books of the day",
        automation_type: "reconciliation",
        system: "tiktok",
        median_ms: 42_000.0,
        manual_ms: 1_800_000,
        cost_micro: 5200,
    },
];

impl Rule {
    pub const ALL: [Self; 5] = [Self::Process, Self::Label, Self::Notify, Self::AdjustStock, Self::Reconcile];

    pub fn about(self) -> &'static About {
        &ABOUT[self as usize]
    }
}

/// The rules of one creator.
#[derive(Debug, Clone)]
pub(crate) struct Rules {
    states: [RuleState; Rule::ALL.len()],
}

/// One rule of one creator.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct RuleState {
    pub is_active: bool,
    /// Changes told so far.
    pub sequence: u32,
    pub tally: Tally,
}

/// What a rule has done since it was last reported.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Tally {
    pub items: i64,
    pub errors: i64,
    pub saved_ms: i64,
    pub took_ms: i64,
}

impl Rules {
    pub fn new(random: &mut Random) -> Self {
        let state = |_| RuleState { is_active: random.chance(0.96), ..RuleState::default() };
        Self { states: Rule::ALL.map(state) }
    }

    pub fn get(&mut self, rule: Rule) -> &mut RuleState {
        &mut self.states[rule as usize]
    }

    pub fn is_active(&self, rule: Rule) -> bool {
        self.states[rule as usize].is_active
    }
}

/// What creators can switch on and off.
pub(crate) const FEATURES: [&str; 8] = [
    "auto_processing",
    "rate_shopping",
    "bulk_labels",
    "stock_sync",
    "oversell_guard",
    "customer_messages",
    "returns_portal",
    "viral_alerts",
];

/// The features of one creator.
#[derive(Debug, Clone)]
pub(crate) struct Features {
    pub enabled: [bool; FEATURES.len()],
    /// Changes told so far, by feature.
    pub sequence: [u32; FEATURES.len()],
}

impl Features {
    pub fn new(random: &mut Random) -> Self {
        Self { enabled: FEATURES.map(|_| random.chance(0.85)), sequence: [0; FEATURES.len()] }
    }
}
