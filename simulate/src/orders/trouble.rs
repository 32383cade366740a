//! Exceptions: something is in the way of an order until it is mended, or given up.

use super::life::{Step, usually};
use super::{Order, body};
use crate::automation::{Action, close_action, open_action};
use crate::flow::Scene;

/// Looks at the shelf before an order is given up.
const RECHECKS_MAX: u8 = 8;

/// What is in the way.
#[derive(Debug)]
pub(super) struct Exception {
    pub code: &'static str,
    pub source: &'static str,
    action: Action,
    rechecks: u8,
}

impl Order {
    /// Raises an exception, and asks a person to look at it.
    pub(super) fn stop(&mut self, scene: &mut Scene<'_>) -> Step {
        let (code, source) = self.cause();
        let kind = if source == "inventory" { "resolve_shortage" } else { "resolve_exception" };
        let action = Action {
            shop: self.shop,
            entity: self.entity,
            step: self.exceptions,
            system: if source == "order" { "orders" } else { source },
            kind,
            priority_level: if self.is_viral { "urgent" } else { "high" },
            entity_ref: ["order/", &self.order_id(scene.world)].concat(),
        };
        self.exceptions += 1;
        let event = body::exception(self, scene, "orders.order.exception_raised.v1", (code, source), None);
        self.send(scene, event);
        let status = if source == "payment" { "on_hold" } else { "exception" };
        self.set_status(scene, status, None);
        open_action(scene, &mut self.lane, &action, scene.now_us + scene.world.days_us(0.25));
        self.exception = Some(Box::new(Exception { code, source, action, rechecks: 0 }));
        Step::Recheck
    }

    fn cause(&mut self) -> (&'static str, &'static str) {
        if self.is_short {
            return ("stock_short", "inventory");
        }
        if self.is_processed {
            return ("label_failed", "shipping");
        }
        self.random.weighted(&[
            (("address_invalid", "shipping"), 45),
            (("platform_rejected", "tiktok"), 25),
            (("payment_review", "payment"), 15),
            (("rule_conflict", "order"), 15),
        ])
    }

    /// Goes on if nothing is in the way any more.
    pub(super) fn recheck(&mut self, scene: &mut Scene<'_>) -> Step {
        let can_go_on = self.can_take(scene);
        if !can_go_on {
            // Something else may have been mended meanwhile, but not the shelf.
            self.is_short = true;
            let rechecks = self.exception.as_deref_mut().map_or(RECHECKS_MAX, |exception| {
                exception.rechecks += 1;
                exception.rechecks
            });
            if rechecks < RECHECKS_MAX {
                return Step::Recheck;
            }
        }
        let is_automatic = can_go_on && (self.is_short || self.random.chance(0.4));
        self.resolve(scene, if is_automatic { "auto" } else { "human" });
        if !can_go_on || self.random.chance(0.03) {
            return Step::Cancel;
        }
        self.set_status(scene, "processing", Some("allocated"));
        self.take(scene);
        self.processing_started_us = scene.now_us;
        if self.is_processed {
            Step::MakeReady
        } else {
            usually(Step::Process, 0.01, Step::FailProcessing, &mut self.random)
        }
    }

    fn resolve(&mut self, scene: &mut Scene<'_>, resolved_by: &str) {
        let Some(exception) = self.exception.take() else { return };
        let what = (exception.code, exception.source);
        let event = body::exception(self, scene, "orders.order.exception_resolved.v1", what, Some(resolved_by));
        self.send(scene, event);
        let (closed_by, human_ms) = match resolved_by {
            "auto" => ("automation", 0),
            _ => ("human", self.random.log_normal(150_000.0, 0.6) as i64),
        };
        close_action(scene, &mut self.lane, &exception.action, closed_by, human_ms);
    }
}
