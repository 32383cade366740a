#!/usr/bin/env python3
"""Events that `tidewatch simulate` has few or none of, in no order, for tenants that it has, too.

usage: rare_events.py START OUT.ndjson

START is that of simulate, as RFC 3339. Nothing lies after its week; some orders lie months before it.
"""

import argparse
import json
import random
from datetime import datetime, timedelta

from rare_orders import orders, products
from rare_recent import call, calls, invoices, parameters, recent, rules

HOURS = 7 * 24
TENANTS = [f"crt_{number:04}" for number in range(1, 9)]
CURRENCIES = ["USD", "EUR"]


class Events:
    def __init__(self, start):
        self.start = start
        self.random = random.Random(20)
        self.lines = []

    def time(self, hours):
        return (self.start + timedelta(hours=hours)).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"

    def add(self, event_type, tenant, hours, data, sequence=None):
        event = {
            "specversion": "1.0",
            "id": f"rare-{len(self.lines)}",
            "source": "/tests/rare",
            "type": event_type,
            "time": self.time(hours),
            "tenantkind": "creator",
            "tenantid": tenant,
            "data": {name: value for name, value in data.items() if value is not None},
        }
        if sequence is not None:
            event["sequence"] = f"{sequence:012}"
        self.lines.append(event)

    def moment(self):
        """Whole milliseconds, as times of events have."""
        return self.random.randrange(HOURS * 3_600_000) / 3_600_000

    def pick(self, *values):
        return self.random.choice(values)


def reference(events, tenant):
    for rate in (0.15, 0.125, 0.2):
        events.add("reference.tenant.upserted.v1", tenant, events.moment(), {
            "time_zone": events.pick("Europe/Berlin", "America/New_York", None), "currency": "USD",
            "plan": events.pick("free", "pro"), "commission_rate": rate,
        })
    for kind in ("sync", "campaign", "other", "sync"):
        events.add("reference.baseline.set.v1", tenant, events.moment(), {
            "metric": "manual_seconds", "automation_type": kind, "value": events.random.randrange(10, 500),
        })
    events.add("reference.threshold.set.v1", tenant, events.moment(), {"parameter": "p_cancel", "value": 0.75})
    for value in (4.5, 4.25):
        events.add("reference.benchmark.set.v1", tenant, events.moment(), {
            "metric": "api_p95_seconds", "scope": "tiktok_shop/orders", "value": value,
        })


def money(events, tenant):
    for _ in range(6):
        events.add("billing.spend.recorded.v1", tenant, events.moment(), {
            "category": events.pick("infrastructure", "support", "ai"), "provider": events.pick("n8n", "openai", None),
            "amount_minor": events.random.randrange(1, 10**9), "currency": events.pick(*CURRENCIES), "period": events.pick("2026-03", None),
        })
    for sequence in (3, 1, 2):
        # What is newest is said by the sequence, not by the time.
        events.add("billing.subscription.changed.v1", tenant, 10 * (4 - sequence), {
            "subscription_id": f"sub_{tenant}", "plan_name": f"plan {sequence}", "status": "active", "monthly_fee_minor": 4900,
            "currency": "USD", "order_limit": 1000 * sequence, "current_period_start": events.time(24),
            "current_period_end": events.time(24 * 30),
        }, sequence)
    for _ in range(5):
        events.add("support.survey.answered.v1", tenant, events.moment(), {
            "kind": events.pick("csat", "nps", "delivery"), "value": events.pick(1, 2.5, 4.75, 5), "wave": "current", "ref": "shm_1",
        })


def operations(events, tenant):
    for _ in range(12):
        on = events.pick(True, False, None)
        actor = events.pick("admin", "creator")
        for event_type, data in (
            ("ops.control.invoked.v1", {
                "control": events.pick("emergency_stop", "bulk_retry"), "scope": events.pick("orders", None), "on": on,
                "items": events.pick(3, 17, None), "outcome": events.pick("success", "failed", None),
            }),
            ("ops.flag.changed.v1", {"flag": events.pick("new_ui", "fast_lane"), "on": on or False, "actor_role": actor}),
            ("ops.maintenance.changed.v1", {"scope": events.pick("all", "orders"), "on": on or False, "actor_role": actor}),
            ("ops.config.changed.v1", {"key": events.pick("limit", "zone"), "actor_role": actor}),
            ("apihealth.failover.switched.v1", {
                "from": events.pick("USPS", "UPS"), "to": "FEDEX", "reason": "outage", "mode": events.pick("automatic", "manual"),
            }),
        ):
            events.add(event_type, tenant, events.moment(), data)


def automation(events, tenant):
    """Runs without baselines of their own; jobs of several attempts; time saved as their producer says."""
    for job in range(25):
        kind = events.pick("sync", "campaign", "report", "other", "label_generation")
        begun = events.moment() * 0.99
        outcomes = events.pick(["success"], ["failed", "success"], ["failed", "failed"], ["failed", "failed", "success"], ["skipped"])
        for attempt, outcome in enumerate(outcomes, 1):
            events.add("automation.automation_run.finished.v1", tenant, begun + attempt * 0.01, {
                "run_id": f"rare_{tenant}_{job}_{attempt}", "logical_run_id": f"rare_{tenant}_{job}" if len(outcomes) > 1 else None,
                "rule_id": f"rule_{kind}", "automation_type": kind, "system": events.pick("orders", "tiktok"),
                "items": events.pick(1, 4, None), "outcome": outcome, "duration_ms": events.random.randrange(0, 10**7),
                "attempt": attempt, "time_saved_ms": events.pick(90_000, None, None), "human_ms": events.pick(0, 2_500_000, None),
                "rework_ms": events.pick(60_000, None), "cost_micro": events.pick(15, None), "actions_averted": events.pick(0, 2, None),
                "error_code": "boom" if outcome == "failed" else None,
            })


def stock(events, tenant):
    for case in range(10):
        events.add("inventory.oversell.detected.v1", tenant, events.moment(), {
            "order_id": f"rare_{case // 2}", "product_id": "prd_rare", "requested": 3, "available": 1,
            "outcome": events.pick("prevented", "occurred"), "value_minor": events.random.randrange(10**6), "currency": "EUR",
        })
        before = events.random.randrange(-5, 20)
        delta = events.pick(-3, -1, 2)
        events.add("inventory.stock.changed.v1", tenant, events.moment(), {
            "transaction_id": f"rare_{case}", "product_id": "prd_rare", "sku": "RARE", "category": "rare", "shop_id": events.pick("shp_1", None),
            "location": events.pick("main", "annex"), "quantity_before": before, "quantity_after": before + delta, "delta": delta,
            "reserved": 0, "available": before + delta, "reason": "sale" if delta < 0 else "return", "order_id": events.pick("rare_1", None),
            "is_automated": True, "low_threshold": 40, "lead_time_days": events.pick(3, 4.5), "unit_cost_minor": 810,
            "unit_price_minor": 2399, "currency": "USD",
        })


def webhooks(events, tenant):
    """Deliveries that fail, are tried again, wait or die; a signature that is wrong."""
    for number in range(15):
        at = events.moment() * 0.99
        common = {"shop_id": "shp_rare", "provider": "tiktok_shop", "webhook_type": events.pick("ORDER", "PRODUCT"), "event_id": f"evt_{number}"}
        events.add("apihealth.webhook.received.v1", tenant, at, common | {
            "sent_at": events.time(at - 0.001), "received_at": events.time(at), "signature_valid": events.pick(True, False),
        })
        path = events.pick([], ["failed", "retrying"], ["retrying", "processed"], ["failed", "dead_letter"], ["processed"])
        for step, status in enumerate(path):
            events.add("apihealth.webhook.processed.v1", tenant, at + 0.01 * (step + 1), common | {
                "processing_status": status, "retry_count": step, "processing_ms": events.random.randrange(5000),
            })


def one_good_day(events, tenant):
    """A tenant whose only day has enough orders and no exception; and work enough for the marks of a thousand."""
    for number in range(1002):
        events.add("orders.order.created.v1", tenant, 3 * 24 + number / 300, {
            "order_id": f"good_{number}", "shop_id": "shp_1", "total_minor": 100, "currency": "USD", "order_status": "completed",
            "payment_status": "paid", "fulfillment_stage": "delivered", "priority_level": "standard", "impact_level": "AUTO",
        })
    events.add("automation.automation_run.finished.v1", tenant, 3 * 24, {
        "run_id": "good", "automation_type": "report", "system": "orders", "items": 4000, "outcome": "success", "duration_ms": 1, "attempt": 1,
    })


def rhythms(events, tenant):
    """When orders and webhooks are expected, of a shop and of all; said again, and taken back."""
    number = int(tenant[-1])
    orders, webhooks = "orders.order.created.v1", "apihealth.webhook.received.v1"
    for hours, data in (
        (10, {"event_type": orders, "rhythm": "every 3h", "opening_hours": "Mo-Fr 09:00-17:00"}),
        (11, {"event_type": orders, "shop_id": "shp_1", "time_zone": "Asia/Tokyo", "holidays": "2026-12-25, 2026-12-26"}),
        (12, {"event_type": orders, "rhythm": "" if number % 2 else "40 per 1h"}),
        (13, {"event_type": webhooks, "shop_id": "shp_1", "rhythm": f"every {number}h"}),
    ):
        events.add("reference.rhythm.set.v1", tenant, hours, data)


def last_minutes(events, tenant):
    """Orders that are worked on just before the week ends, one of them not well, and calls that recover by then."""
    for number in range(3):
        at = HOURS - (9 - number) / 60
        common = {"order_id": f"late_{number}", "shop_id": "shp_1", "priority_level": "standard", "impact_level": "AUTO"}
        events.add("orders.order.created.v1", tenant, at, common | {
            "total_minor": 100, "currency": "USD", "order_status": "pending", "payment_status": "pending", "fulfillment_stage": "received",
        })
        events.add("orders.order.processed.v1", tenant, at + 1 / 60, common | {
            "outcome": "success", "attempt": 1, "processing_ms": 900, "is_automated": True, "manual_touches": 0,
        })
        if number == 0:
            events.add("orders.order.exception_raised.v1", tenant, at + 2 / 60, {
                "order_id": "late_0", "shop_id": "shp_1", "exception_code": "address", "exception_source": "order",
            })
        call(events, tenant, at, "late_provider", "orders", "timeout", 1, f"late_{number}")
        call(events, tenant, at + (number + 1) / 100, "late_provider", "orders", "success", 2, f"late_{number}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("start", type=datetime.fromisoformat)
    parser.add_argument("out")
    args = parser.parse_args()
    events = Events(args.start)
    for tenant in TENANTS:
        for make in (
            reference, money, operations, automation, stock, webhooks,
            parameters, invoices, rules, calls, recent, products, orders,
        ):
            make(events, tenant)
    one_good_day(events, "crt_9001")
    for tenant in TENANTS:
        rhythms(events, tenant)
        last_minutes(events, tenant)
    events.random.shuffle(events.lines)
    with open(args.out, "w", encoding="utf-8") as out:
        out.writelines(json.dumps(event, separators=(",", ":")) + "\n" for event in events.lines)
    print(f"{len(events.lines)} events")


main()
