"""What has a past of minutes only: runs, calls, probes, queues and webhooks just before the week ends; and rules, jobs
and parameters that metrics of automation and platforms need."""

END = 7 * 24
MINUTE = 1 / 60


def parameters(events, tenant):
    """Some tenants weigh and judge for themselves."""
    number = int(tenant[-1])
    chosen = {"rule_lift_min_runs": 5, "hourly_rate": 40, "margin_share": 0.3}
    if number % 2:
        chosen |= {"safety_days": 3, "capacity_limit": 0.7, "p_loss": 0.5, "pending_overdue_hours": 48, "tracking_stale_hours": 30}
    if number % 3 == 0:
        chosen |= {
            "automation_health.success": 0.1, "automation_health_min_runs": 5, "workflow_efficiency.flow": 0.9,
            "stress_reduction.calm": 0.9, "market_opportunity.growth": 0.05, "platform_risk.pressure": 0.6,
            "token_expiry_warning_hours": 1, "bottleneck_ratio": 1.9,
        }
    for name, value in chosen.items():
        events.add("reference.threshold.set.v1", tenant, events.moment(), {"parameter": name, "value": value})
    for kind, value in ((None, 90), ("label_generation", 30), ("sync", 12)):
        events.add("reference.baseline.set.v1", tenant, events.moment(), {
            "metric": "human_seconds_per_order", "automation_type": kind, "value": value,
        })
    for metric, scope, value in (
        ("shipping_cost_amount", "ground_advantage/1", 5.25), ("shipping_cost_amount", "rare_air/5", 6),
        ("shipping_cost_amount", "ups_ground", 5), ("api_p95_seconds", "usps/labels", 0.75),
    ):
        events.add("reference.benchmark.set.v1", tenant, events.moment(), {"metric": metric, "scope": scope, "value": value})
    if number == 8:
        events.add("reference.tenant.upserted.v1", tenant, END - 1, {"time_zone": "Mars/Olympus"})


def invoices(events, tenant):
    """For APIs, of a month or of their own, of one provider or all; of carriers; of what else a provider costs."""
    month = events.time(END / 2)[:7]
    for category, provider, period, currency in (
        ("api", "tiktok_shop", month, "USD"), ("api", None, None, "EUR"), ("api", "usps", None, "JPY"),
        ("api", "nobody_called", month, "USD"), ("api", "ups", "2019-01", "USD"), ("shipping_invoice", "usps", month, "USD"),
        ("shipping_invoice", "FEDEX", None, "USD"), ("infrastructure", "tiktok_shop", None, "USD"), ("support", "usps", None, "USD"),
    ):
        for _ in range(2):
            events.add("billing.spend.recorded.v1", tenant, events.moment(), {
                "category": category, "provider": provider, "amount_minor": events.random.randrange(1, 10**5),
                "currency": currency, "period": period,
            })


def rules(events, tenant):
    """Rules of one type that do not succeed alike; a rule nobody declared; people who do what a rule could do."""
    for rule, runs, failing in (("rare_a", 9, 3), ("rare_b", 7, 0), ("rare_c", 6, 5), ("rare_d", 3, 0)):
        if rule != "rare_c":
            events.add("automation.automation_rule.changed.v1", tenant, events.moment(), {
                "rule_id": rule, "rule_name": rule, "rule_type": "report", "is_active": rule != "rare_d", "change": "created",
            })
        for run in range(runs):
            events.add("automation.automation_run.finished.v1", tenant, events.moment(), {
                "run_id": f"{rule}_{run}", "rule_id": rule, "automation_type": "report", "system": "content", "items": 1,
                "outcome": "failed" if run < failing else "success", "duration_ms": 20_000 + run * 2_500, "attempt": 1,
            })
    for number in range(12):
        opened = events.moment() * 0.95
        kind = events.pick("sync", "report", "campaign", "other", "pack_gift")
        common = {"action_id": f"rare_a_{number}", "system": events.pick("shipping", "orders"), "kind": kind, "priority_level": events.pick("urgent", "standard")}
        events.add("automation.action.opened.v1", tenant, opened, common | {"due_at": events.time(opened + 4)})
        if number < 10:
            events.add("automation.action.closed.v1", tenant, opened + events.pick(1, 6), common | {
                "closed_by": events.pick("human", "human", "automation", "expired"), "human_ms": events.pick(90_000, None),
            })


def calls(events, tenant):
    """Logical calls that fail, are tried again, get through or do not; failures that another call of the shop ends."""
    for number in range(25):
        outcomes = events.pick(
            ["client_error", "client_error", "success"], ["client_error"], ["server_error", "success"],
            ["timeout", "rate_limited", "success"], ["timeout"], ["success"],
        )
        at = events.moment() * 0.99
        provider, api = events.pick(("tiktok_shop", "orders"), ("USPS", "labels"), ("shopify", "orders"))
        for attempt, outcome in enumerate(outcomes, 1):
            at += events.pick(0.0003, 0.003, 0.02)
            call(events, tenant, at, provider, api, outcome, attempt, f"rare_call_{number}")


def call(events, tenant, at, provider, api, outcome, attempt=1, logical=None, ms=None):
    events.add("apihealth.api_call.completed.v1", tenant, at, {
        "call_id": f"rare_{len(events.lines)}", "logical_call_id": logical, "provider": provider, "api": api, "operation": f"GET /{api}",
        "shop_id": "shp_rare", "status_code": {"success": 200, "client_error": 404}.get(outcome, 503), "outcome": outcome,
        "duration_ms": ms or events.random.randrange(20, 900), "attempt": attempt, "rate_limit_limit": 100,
        "rate_limit_remaining": events.random.randrange(100), "cost_micro": events.pick(None, 700), "currency": events.pick("USD", "EUR"),
    })


def recent(events, tenant):
    """The last minutes of each tenant are bad in their own way."""
    number = int(tenant[-1])

    def ago(minutes):
        return END - minutes * MINUTE * events.random.random()

    for run in range(30 if number < 4 else 6):
        at = ago(9)
        for attempt, outcome in enumerate(events.pick(["success"], ["success"], ["failed"], ["failed", "success"]), 1):
            events.add("automation.automation_run.finished.v1", tenant, at + (attempt - 1) * events.pick(0.005, 0.012), {
                "run_id": f"recent_{run}_{attempt}", "logical_run_id": f"recent_{run}", "rule_id": "rule_recent",
                "automation_type": "sync", "system": events.pick("orders", "shipping", None) if attempt == 1 else None, "items": 1,
                "outcome": outcome, "duration_ms": events.pick(500, 30_000, 30_001), "attempt": attempt,
            })
    for queue in ("stock_levels", "label_printing", "tiktok_inbox", "order_intake", "misc")[: number % 6]:
        for _ in range(3):
            events.add("health.queue.sampled.v1", tenant, ago(20), {
                "queue": queue, "depth": events.random.randrange(90), "oldest_age_ms": events.pick(0, 45_000, 150_000, 400_000),
                "workers_busy": events.random.randrange(9), "workers_total": 8,
            })
    for provider, api in (("usps", "rates"), ("ups", "labels"), ("tiktok_shop", "orders"))[: 1 + number % 3]:
        for _ in range(8):
            call(events, tenant, ago(3), provider, api, "server_error" if number % 4 == 1 else events.pick(*["success"] * 9, "timeout"),
                 ms=events.pick(40, 60_000) if number % 4 == 2 else None)
    for service in ("USPS", "fedex", "tiktok_shop", "dhl")[: number % 5]:
        for _ in range(2):
            events.add("health.health_check.completed.v1", tenant, ago(8), {
                "service_name": service, "component": "carrier", "status": events.pick("nominal", "warning", "critical", "unknown"),
                "response_time_ms": 30,
            })
    for resource in ("cpu", "memory", "storage", "connections", "network")[: number % 6]:
        for _ in range(15):
            events.add("health.resource.sampled.v1", tenant, events.moment(), {
                "host": events.pick("a", "b"), "resource": resource, "used": events.random.random() * 90, "capacity": 100, "unit": "%",
            })
    events.add("health.db.sampled.v1", tenant, events.moment(), {"db": "main", "active_connections": 10 * number, "max_connections": 100 if number % 2 else None})
    for webhook in range(6 if number != 5 else 0):
        common = {"shop_id": f"shp_{number}", "provider": "tiktok_shop", "webhook_type": "ORDER", "event_id": f"recent_{webhook}"}
        at = ago(8)
        events.add("apihealth.webhook.received.v1", tenant, at, common | {"received_at": events.time(at), "signature_valid": True})
        status = "processed" if webhook < number - 1 else events.pick("failed", "dead_letter", "retrying")
        events.add("apihealth.webhook.processed.v1", tenant, at + 0.0001, common | {"processing_status": status, "processing_ms": 20})
    # Orders pass a stage in a minute, but for the last ones, which come faster than they go.
    for order in range(70 if number == 2 else 4):
        entered = ago(10) - 5 if order < 2 else ago(10) if order < 6 else events.moment() * 0.99
        left = ago(10) if order < 2 else entered + MINUTE if order >= 6 else None
        common = {"order_id": f"stage_{order}", "shop_id": "shp_1", "order_status": "processing", "previous_status": "processing"}
        for at, stage in ((entered, "picked"), (left, "packed")):
            if at is not None:
                events.add("orders.order.status_changed.v1", tenant, at, common | {"fulfillment_stage": stage})
    # A spike where there is none at this time of the week, and where there is one every week.
    spikes = [END - 3 * MINUTE * events.random.random() - MINUTE for _ in range(25 if number in (3, 4) else 0)]
    if number == 4:
        spikes += [END - week * END + (minute + events.random.random()) * MINUTE for week in range(1, 5) for minute in range(-30, 20) for _ in range(events.pick(0, 1, 3))]
    for spike, at in enumerate(spikes):
        events.add("orders.order.created.v1", tenant, at, {
            "order_id": f"spike_{spike}", "shop_id": "shp_1", "channel": "tiktok_live", "total_minor": 1000, "currency": "USD",
            "order_status": "pending", "payment_status": "pending", "fulfillment_stage": "received", "priority_level": "high",
            "impact_level": "VIRAL", "items": [{"product_id": "prd_r1", "category": "home", "quantity": 1, "line_total_minor": 1000}],
        })
    for shop, state, change, expires in (
        ("shp_a", "connected", "issued", END + 300), ("shp_b", "reauth_required", "refreshed", END + 12), ("shp_c", None, "expired", END + 50),
        ("shp_d", "degraded", None, None), ("shp_e", "connected", "refresh_failed", END + 90), ("shp_f", "connected", "issued", END - 5),
    ):
        if state:
            events.add("apihealth.shop_connection.changed.v1", tenant, events.moment(), {"shop_id": shop, "state": state, "reason": "x"})
        if change:
            events.add("apihealth.oauth_token.changed.v1", tenant, events.moment(), {
                "shop_id": shop, "change": change, "token_expires_at": events.time(expires),
            })
