"""Every rollup of the pack, over raw events."""

from rollup import count, distinct, hdr, keyed, last, least, mean, most, rows, total, windowed

PROCESSING_MS = "coalesce((epoch_us(processed_at) - epoch_us(processing_started_at)) // 1000, processing_ms)"
SYNC_MS = "coalesce(sync_latency_ms, (epoch_us(synced_at) - epoch_us(source_changed_at)) // 1000)"
WEBHOOK_LAG_MS = "(epoch_us(coalesce(received_at, time)) - epoch_us(sent_at)) // 1000"
STATUS_CLASS = "CASE WHEN status_code IS NULL THEN NULL WHEN status_code BETWEEN 100 AND 599 THEN concat(status_code // 100, 'xx') ELSE 'other' END"
REFUNDED = "payment_status IN ('refunded', 'partially_refunded')"
CARRIER = {"carrier": "upper(carrier)"}
LOG = {"changed_at": "time"}

ORDERS = [
    windowed(
        "orders_received", 10, "shop_id channel priority_level impact_level currency",
        rows(
            "order_created", orders=count(), automated_orders=count("is_automated"), gross_minor=total("total_minor"),
            viral_score_max=most("viral_score"), customers=distinct("customer_key"),
        ),
    ),
    windowed(
        "orders_by_content", 10, "content_id",
        rows("order_created", "content_id IS NOT NULL", orders=count(), gross_minor=total("total_minor")),
    ),
    windowed(
        "order_payments", 10, "shop_id currency payment_status",
        rows(
            "order_payment_changed", changes=count(), paid_minor=total("total_minor", "payment_status = 'paid'"),
            refunded_minor=total("refund_minor", REFUNDED), fee_minor=total("fee_minor", "payment_status = 'paid'"),
        ),
    ),
    windowed(
        "order_transitions", 10, "shop_id previous_status order_status fulfillment_stage",
        rows("order_status_changed", transitions=count()),
    ),
    windowed(
        "order_processing", 10, "shop_id is_automated priority_level outcome",
        rows(
            "order_processed", attempts=count(), processing_ms=hdr(PROCESSING_MS), processing_mean_ms=mean(PROCESSING_MS),
            human_time_ms=total("human_ms"), manual_touches=total("manual_touches"), distinct_orders=distinct("order_id"),
            untouched_orders=distinct("order_id", "coalesce(manual_touches, 0) = 0"),
        ),
    ),
    windowed(
        "order_exceptions", 10, "shop_id exception_source exception_code",
        rows("order_exception_raised", exceptions=count(), distinct_orders=distinct("order_id")),
    ),
    keyed(
        "order_state", "order_id",
        rows(
            "order_created", **{c: last(c) for c in (
                "shop_id", "channel", "sales_platform", "ship_country", "customer_key", "customer_tier", "currency", "total_minor",
                "fee_minor", "order_status", "payment_status", "fulfillment_stage", "priority_level", "impact_level",
            )},
            received_at=least("time"), ordered_at=least("coalesce(ordered_at, time)"),
            paid_at=least("time", "payment_status = 'paid'"), paid_minor=last("total_minor", "payment_status = 'paid'"),
        ),
        rows(
            "order_status_changed",
            **{c: last(c) for c in ("shop_id", "order_status", "fulfillment_stage", "priority_level", "impact_level")},
            ready_at=least("time", "fulfillment_stage = 'ready_to_ship' OR order_status = 'ready_to_ship'"),
            shipped_at=least("coalesce(shipped_at, CASE WHEN order_status = 'shipped' THEN time END)"),
            delivered_at=least("coalesce(delivered_at, CASE WHEN order_status = 'delivered' THEN time END)"),
            cancelled_at=least("time", "order_status = 'cancelled'"), returned_at=least("time", "order_status = 'returned'"),
        ),
        rows(
            "order_payment_changed",
            **{c: last(c) for c in ("shop_id", "currency", "payment_status", "priority_level", "impact_level")},
            paid_at=least("time", "payment_status = 'paid'"), paid_minor=last("total_minor", "payment_status = 'paid'"),
            refunded_minor=total("refund_minor", REFUNDED),
        ),
        rows(
            "order_processed", shop_id=last("shop_id"), processed_at=least("time", "outcome = 'success'"),
            processing_ms=last(PROCESSING_MS, "outcome = 'success'"), attempts=count(), manual_touches=total("manual_touches"),
            human_ms=total("human_ms"),
        ),
        rows("order_exception_raised", shop_id=last("shop_id"), exceptions=count()),
        rows(
            "order_exception_resolved", auto_resolved_at=most("time", "resolved_by = 'auto'"),
            human_resolved_at=most("time", "resolved_by = 'human'"),
        ),
    ),
    keyed(
        "order_log", "order_id changed_at",
        rows("order_created", at=LOG, stage=last("fulfillment_stage")),
        rows("order_status_changed", at=LOG, stage=last("fulfillment_stage")),
        rows("order_payment_changed", REFUNDED, at=LOG, refund_minor=total("refund_minor")),
        rows(
            "order_exception_raised", at=LOG, raised=count(), exception_code=last("exception_code"),
            exception_source=last("exception_source"),
        ),
        rows(
            "order_exception_resolved", at=LOG, resolved=count(), exception_code=last("exception_code"),
            exception_source=last("exception_source"), resolved_by=last("resolved_by"),
        ),
    ),
    keyed(
        "order_lines", "order_id product_id",
        rows(
            "order_item", category=last("category"), sku=last("sku"), quantity=total("quantity"),
            line_total_minor=total("line_total_minor"), cost_minor=total("quantity * unit_cost_minor"),
            lines_without_cost=count("unit_cost_minor IS NULL"),
        ),
    ),
]

AUTOMATION = [
    windowed(
        "automation_runs", 10, "automation_type system rule_id outcome error_code",
        rows(
            "automation_run_finished", runs=count(), timely_runs=count("duration_ms <= 30000"), duration_ms=hdr("duration_ms"),
            duration_mean_ms=mean("duration_ms"), items=total("items"), actions_averted=total("actions_averted"),
            human_ms=total("human_ms"), cost_micro=total("cost_micro"), last_run_at=most("coalesce(finished_at, time)"),
        ),
    ),
    keyed(
        "automation_jobs", "job_id",
        rows(
            "automation_run_finished", "outcome IN ('success', 'failed')", at={"job_id": "coalesce(logical_run_id, run_id)"},
            automation_type=last("automation_type"), system=last("system"), successes=count("outcome = 'success'"),
            failures=count("outcome = 'failed'"),
            first_failed_at=least("time", "outcome = 'failed' AND coalesce(attempt, 1) = 1"),
            succeeded_at=least("time", "outcome = 'success'"), failed_at=most("time", "outcome = 'failed'"),
            **{c: last(c, "outcome = 'success'") for c in ("items", "human_ms", "manual_baseline_ms", "time_saved_ms")},
            rework_ms=last("rework_ms", "outcome = 'failed'"),
        ),
    ),
    keyed(
        "automation_rules", "rule_id",
        rows("automation_rule_changed", **{c: last(c) for c in ("rule_name", "rule_type", "is_active", "change")}),
    ),
    keyed(
        "automation_features", "feature",
        rows("automation_feature_toggled", available=last("available"), enabled=last("enabled")),
    ),
    keyed(
        "automation_reports", "automation_type metric_date",
        rows("automation_metric_reported", **{c: last(c) for c in (
            "orders_processed", "time_saved_hours", "stress_reduction_score", "efficiency_gain", "error_count",
        )}),
    ),
    keyed(
        "action_state", "action_id",
        rows(
            "action_opened", **{c: last(c) for c in ("system", "kind", "priority_level", "due_at")}, opened_at=least("time"),
        ),
        rows(
            "action_closed", **{c: last(c) for c in ("system", "kind", "priority_level", "due_at", "closed_by", "human_ms")},
            closed_at=least("time"),
        ),
    ),
    windowed(
        "operations", 10, "kind name detail outcome",
        rows(
            "control_invoked", at={"kind": "'control'", "name": "control", "detail": "coalesce(scope, 'all')"},
            events=count(), items=total("items"), is_on=last('coalesce("on", true)', "outcome IS DISTINCT FROM 'failed'"),
        ),
        rows(
            "flag_changed", at={"kind": "'flag'", "name": "flag", "detail": "actor_role", "outcome": "NULL::VARCHAR"},
            events=count(), is_on=last('"on"'),
        ),
        rows(
            "maintenance_changed",
            at={"kind": "'maintenance'", "name": "scope", "detail": "actor_role", "outcome": "NULL::VARCHAR"},
            events=count(), is_on=last('"on"'),
        ),
        rows(
            "config_changed", at={"kind": "'config'", "name": "key", "detail": "actor_role", "outcome": "NULL::VARCHAR"},
            events=count(),
        ),
        rows(
            "failover_switched", at={"kind": "'failover'", "name": '"from"', "detail": '"to"', "outcome": "mode"},
            events=count(),
        ),
    ),
]

INVENTORY = [
    windowed(
        "product_activity", 60, "product_id category currency",
        rows(
            "order_item", orders=distinct("order_id"), units=total("quantity"), sales_minor=total("line_total_minor"),
            cost_minor=total("quantity * unit_cost_minor"),
        ),
        rows(
            "stock_changed", stock_delta=total("quantity_after - quantity_before"),
            returned_units=total("delta", "reason = 'return'"),
        ),
    ),
    windowed(
        "stock_changes", 10, "shop_id category reason is_automated",
        rows("stock_changed", changes=count(), units=total("delta")),
    ),
    windowed(
        "oversells", 10, "outcome currency",
        rows("oversell_detected", cases=distinct("concat(order_id, '/', product_id)"), value_minor=total("value_minor")),
        rows(
            "stock_changed", "reason = 'sale' AND available < 0", at={"outcome": "'occurred'"},
            cases=distinct("concat(coalesce(order_id, transaction_id, envelope_id), '/', product_id)"),
        ),
    ),
    keyed(
        "stock_state", "product_id shop_id location",
        rows(
            "stock_changed", sku=last("sku"), category=last("category"), on_hand=last("quantity_after"),
            **{c: last(c) for c in (
                "reserved", "available", "low_threshold", "lead_time_days", "unit_cost_minor", "unit_price_minor", "currency",
            )},
        ),
        rows(
            "stock_sync_completed", platform_stock=last("platform_stock"), local_stock=last("local_stock"),
            synced_at=most("coalesce(synced_at, time)", "sync_status = 'synced'"),
        ),
    ),
    windowed(
        "stock_syncs", 10, "shop_id sync_status trigger",
        rows(
            "stock_sync_completed", runs=count(), items_checked=total("items_checked"), items_matched=total("items_matched"),
            latency_ms=hdr(SYNC_MS), latency_mean_ms=mean(SYNC_MS),
        ),
    ),
    keyed(
        "stock_sync_log", "shop_id product_id synced_at",
        rows("stock_sync_completed", at={"synced_at": "time"}, sync_status=last("sync_status")),
    ),
    keyed(
        "restock_plans", "plan_id",
        rows(
            "restock_planned", product_id=last("product_id"), quantity=last("quantity"), planned_for=last("planned_for"),
            planned_at=least("time"),
        ),
        rows(
            "restock_received", product_id=last("product_id"), received_at=least("coalesce(received_at, time)"),
            received_quantity=last("quantity"),
        ),
    ),
    keyed(
        "product_state", "product_id",
        rows(
            "product_upserted",
            **{c: last(c) for c in ("sku", "category", "status", "base_price_minor", "unit_cost_minor", "currency")},
            reported_velocity_score=last("velocity_score"),
        ),
    ),
]

SHIPPING = [
    windowed(
        "labels_completed", 10, "carrier service_type outcome is_automated is_bulk error_code currency",
        rows(
            "label_completed", at=CARRIER | {"is_bulk": "batch_id IS NOT NULL"}, labels=count(), label_ms=hdr("label_ms"),
            label_mean_ms=mean("label_ms"), shipping_minor=total("shipping_minor"), insurance_minor=total("insurance_minor"),
        ),
    ),
    keyed(
        "shipment_state", "shipment_id",
        rows(
            "label_completed", order_id=last("order_id"), carrier=last("upper(carrier)"), service_type=last("service_type"),
            status=last("CASE WHEN outcome = 'created' THEN 'label_created' ELSE 'label_failed' END"), zone=last("zone"),
            weight_g=last("weight_g"), currency=last("currency"), first_seen_at=least("time"),
            labels=count("outcome = 'created'"), labeled_at=least("time", "outcome = 'created'"),
            shipping_minor=total("shipping_minor", "outcome = 'created'"),
            insurance_minor=total("insurance_minor", "outcome = 'created'"),
            baseline_minor=total("baseline_cost_minor", "outcome = 'created'"),
            labels_without_baseline=count("outcome = 'created' AND baseline_cost_minor IS NULL"),
        ),
        rows(
            "shipment_status_changed", order_id=last("order_id"), carrier=last("upper(carrier)"),
            **{c: last(c) for c in ("service_type", "status", "estimated_delivery", "address_ok", "damage")},
            first_seen_at=least("time"), tracked_at=most("time"),
            picked_up_at=least("coalesce(occurred_at, time)", "status = 'picked_up'"),
            delivered_at=least("coalesce(delivered_at, occurred_at, time)", "status = 'delivered'"),
            final_at=most("coalesce(occurred_at, time)", "status IN ('delivered', 'returned_to_sender', 'lost')"),
        ),
    ),
    windowed(
        "shipment_updates", 10, "carrier status dest_country dest_region",
        rows("shipment_status_changed", at=CARRIER, updates=count()),
    ),
    keyed(
        "claim_state", "claim_id",
        rows(
            "claim_filed", shipment_id=last("shipment_id"), carrier=last("upper(carrier)"), kind=last("kind"),
            claimed_minor=last("claimed_minor"), recovered_minor=last("recovered_minor"), currency=last("currency"),
            filed_at=least("time"),
        ),
    ),
    keyed(
        "rate_quotes", "order_id carrier service_type",
        rows("rate_quote", at=CARRIER, cost_minor=least("cost_minor")),
        rows(
            "rate_quoted", at={"carrier": "upper(chosen_carrier)", "service_type": "chosen_service"},
            baseline_cost_minor=last("baseline_cost_minor"),
        ),
    ),
]

API = [
    windowed(
        "api_calls", 10, "provider api outcome status_class currency",
        rows(
            "api_call_completed", at={"status_class": STATUS_CLASS}, requests=count(),
            errors=count("outcome IN ('server_error', 'timeout', 'network_error')"),
            rate_limited=count("outcome = 'rate_limited'"), duration_ms=hdr("duration_ms"), duration_mean_ms=mean("duration_ms"),
            cost_micro=total("cost_micro"), rate_limit_remaining_min=least("rate_limit_remaining"), shops=distinct("shop_id"),
        ),
    ),
    windowed(
        "api_operations", 10, "provider api operation outcome",
        rows("api_call_completed", requests=count(), duration_ms=hdr("duration_ms"), duration_mean_ms=mean("duration_ms")),
    ),
    windowed(
        "api_shops", 10, "provider api shop_id",
        rows(
            "api_call_completed", requests=count(),
            rate_limit_used_max=most("1 - rate_limit_remaining::DOUBLE / nullif(rate_limit_limit, 0)"),
            first_success_at=least("time", "outcome = 'success'"), last_success_at=most("time", "outcome = 'success'"),
        ),
        rows("rate_limit_sampled", rate_limit_used_max=most('used::DOUBLE / nullif("limit", 0)')),
    ),
    keyed(
        "api_retries", "provider logical_call_id",
        rows(
            "api_call_completed", "logical_call_id IS NOT NULL AND (outcome <> 'success' OR attempt > 1)",
            shop_id=last("shop_id"), attempts=count(), last_attempt=most("attempt"),
            client_error_attempt=least("attempt", "outcome = 'client_error'"),
            client_error_at=least("time", "outcome = 'client_error'"),
            failed_at=least("time", "outcome NOT IN ('success', 'client_error')"),
            succeeded_at=least("time", "outcome = 'success'"),
        ),
    ),
    windowed(
        "webhooks_received", 10, "provider webhook_type shop_id",
        rows(
            "webhook_received", webhooks=count(), invalid_signatures=count("NOT signature_valid"), lag_ms=hdr(WEBHOOK_LAG_MS),
            lag_mean_ms=mean(WEBHOOK_LAG_MS),
        ),
    ),
    windowed(
        "webhooks_processed", 10, "provider webhook_type processing_status",
        rows(
            "webhook_processed", attempts=count(), retries_max=most("retry_count"), processing_ms=hdr("processing_ms"),
            processing_mean_ms=mean("processing_ms"),
        ),
    ),
    keyed(
        "webhook_state", "shop_id webhook_event_id",
        rows(
            "webhook_received", at={"webhook_event_id": "event_id"}, provider=last("provider"),
            webhook_type=last("webhook_type"), received_at=least("time"),
        ),
        rows(
            "webhook_processed", at={"webhook_event_id": "event_id"}, provider=last("provider"),
            webhook_type=last("webhook_type"), processing_status=last("processing_status"), retries=most("retry_count"),
            first_attempt_at=least("time"), processed_at=least("time", "processing_status = 'processed'"),
            dead_at=least("time", "processing_status = 'dead_letter'"),
        ),
    ),
    windowed(
        "api_syncs", 10, "shop_id kind trigger outcome",
        rows(
            "api_sync_completed", syncs=count(), records_seen=total("records_seen"), created=total("created"),
            updated=total("updated"), failed=total("failed"), lag_ms=hdr("lag_ms"), lag_mean_ms=mean("lag_ms"),
            first_at=least("time"), last_at=most("time"),
        ),
    ),
    keyed(
        "shop_log", "shop_id changed_at",
        rows("oauth_token_changed", at=LOG, token_change=last("change"), token_expires_at=last("token_expires_at")),
        rows("shop_connection_changed", at=LOG, connection_state=last("state"), reason=last("reason")),
    ),
]

PLATFORM = [
    windowed(
        "capacity", 10, "resource name",
        rows(
            "resource_sampled", at={"name": "host"},
            used_per_10000=hdr("round(10000 * used / nullif(capacity, 0))::BIGINT"),
        ),
        rows(
            "db_sampled", at={"resource": "'db_connections'", "name": "db"},
            used_per_10000=hdr("10000 * active_connections // coalesce(nullif(max_connections, 0), 100)"),
        ),
        rows(
            "queue_sampled", at={"resource": "'queue_workers'", "name": "queue"},
            used_per_10000=hdr("10000 * workers_busy // nullif(workers_total, 0)"), depth=last("depth"),
            depth_max=most("depth"), oldest_age_ms=last("oldest_age_ms"),
        ),
    ),
    windowed(
        "health_checks", 10, "component service_name status",
        rows("health_check_completed", checks=count(), response_ms=hdr("response_time_ms"), last_at=most("time")),
    ),
    windowed(
        "spend", 900, "category provider currency period",
        rows("spend_recorded", amount_minor=total("amount_minor"), last_at=most("time")),
    ),
    keyed(
        "survey_answers", "kind answer_id",
        rows(
            "survey_answered", at={"answer_id": "envelope_id"}, value=last("value"), ref=last("ref"), answered_at=least("time"),
        ),
    ),
    keyed(
        "subscription_state", "subscription_id",
        rows("subscription_changed", **{c: last(c) for c in (
            "plan_name", "status", "order_limit", "current_period_start", "current_period_end",
        )}),
    ),
    keyed(
        "tenant_log", "valid_from",
        rows("tenant_upserted", at={"valid_from": "time"}, **{c: last(c) for c in (
            "time_zone", "currency", "plan", "commission_rate",
        )}),
    ),
    keyed(
        "declared_rhythms", "event_type shop_id",
        rows("rhythm_set", **{c: last(c) for c in ("time_zone", "opening_hours", "holidays", "rhythm")}),
    ),
    keyed(
        "reference_values", "kind metric scope",
        rows(
            "threshold_set", at={"kind": "'parameter'", "metric": "parameter", "scope": "NULL::VARCHAR"}, value=last("value"),
        ),
        rows("baseline_set", at={"kind": "'baseline'", "scope": "automation_type"}, value=last("value")),
        rows("benchmark_set", at={"kind": "'benchmark'"}, value=last("value")),
    ),
]

ROLLUPS = ORDERS + AUTOMATION + INVENTORY + SHIPPING + API + PLATFORM
