//! From labels to receivers: label sets, matchers, alerts, the route tree, and the machine that joins all stages.

pub mod alert;
pub mod explain;
pub mod labels;
pub mod matcher;
pub mod notifier;
pub mod pipeline;
pub mod tree;

pub use alert::{Alert, AlertDetail, Timestamp};
pub use explain::{Explanation, explain};
pub use labels::{Fingerprint, Labels};
pub use matcher::{MatchOp, Matcher, Matchers};
pub use notifier::{Notifier, NotifierState, Ticked};
pub use pipeline::{Decision, Notification, Outcome, Stage};
pub use tree::{Route, RouteTree, Settings};
