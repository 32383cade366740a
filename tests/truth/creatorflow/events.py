"""Raw events in DuckDB: one table per event type, its columns read from the JSON by nothing but their type."""

# s text, i integer, n decimal, f float, b boolean, t time. What stands after @ is the array whose elements are rows.
SOURCES = {
    "order_created": (
        "orders.order.created.v1",
        "order_id:s shop_id:s order_status:s payment_status:s fulfillment_stage:s priority_level:s impact_level:s "
        "total_minor:i shipping_minor:i fee_minor:i currency:s customer_key:s customer_tier:s ship_country:s "
        "channel:s content_id:s sales_platform:s ordered_at:t is_automated:b viral_score:i",
    ),
    "order_item": (
        "orders.order.created.v1@items",
        "order_id:s shop_id:s channel:s currency:s ordered_at:t @product_id:s @sku:s @category:s @quantity:i "
        "@unit_price_minor:i @line_total_minor:i @unit_cost_minor:i",
    ),
    "order_status_changed": (
        "orders.order.status_changed.v1",
        "order_id:s shop_id:s order_status:s previous_status:s fulfillment_stage:s priority_level:s impact_level:s "
        "processing_started_at:t shipped_at:t delivered_at:t",
    ),
    "order_payment_changed": (
        "orders.order.payment_changed.v1",
        "order_id:s shop_id:s payment_status:s priority_level:s impact_level:s total_minor:i fee_minor:i "
        "refund_minor:i currency:s",
    ),
    "order_processed": (
        "orders.order.processed.v1",
        "order_id:s shop_id:s priority_level:s outcome:s attempt:i processing_started_at:t processed_at:t "
        "processing_ms:i is_automated:b manual_touches:i human_ms:i",
    ),
    "order_exception_raised": (
        "orders.order.exception_raised.v1",
        "order_id:s shop_id:s exception_code:s exception_source:s resolved_by:s",
    ),
    "order_exception_resolved": (
        "orders.order.exception_resolved.v1",
        "order_id:s shop_id:s exception_code:s exception_source:s resolved_by:s",
    ),
    "stock_changed": (
        "inventory.stock.changed.v1",
        "transaction_id:s product_id:s sku:s category:s shop_id:s location:s quantity_before:i quantity_after:i "
        "delta:i reserved:i available:i reason:s order_id:s is_automated:b low_threshold:i lead_time_days:n "
        "unit_cost_minor:i unit_price_minor:i currency:s",
    ),
    "stock_sync_completed": (
        "inventory.stock_sync.completed.v1",
        "product_id:s shop_id:s location:s platform_stock:i local_stock:i sync_status:s items_checked:i "
        "items_matched:i source_changed_at:t synced_at:t sync_latency_ms:i trigger:s",
    ),
    "oversell_detected": (
        "inventory.oversell.detected.v1",
        "order_id:s product_id:s requested:i available:i outcome:s value_minor:i currency:s",
    ),
    "restock_planned": ("inventory.restock.planned.v1", "plan_id:s product_id:s quantity:i planned_for:s"),
    "restock_received": ("inventory.restock.received.v1", "plan_id:s product_id:s quantity:i received_at:t"),
    "product_upserted": (
        "inventory.product.upserted.v1",
        "product_id:s sku:s category:s base_price_minor:i unit_cost_minor:i currency:s status:s velocity_score:i",
    ),
    "rate_quoted": (
        "shipping.rate.quoted.v1",
        "order_id:s chosen_carrier:s chosen_service:s chosen_cost_minor:i baseline_cost_minor:i currency:s",
    ),
    "rate_quote": (
        "shipping.rate.quoted.v1@quotes",
        "order_id:s currency:s @carrier:s @service_type:s @cost_minor:i",
    ),
    "label_completed": (
        "shipping.label.completed.v1",
        "shipment_id:s order_id:s carrier:s service_type:s outcome:s label_ms:i shipping_minor:i insurance_minor:i "
        "baseline_cost_minor:i currency:s is_automated:b batch_id:s error_code:s zone:s weight_g:i",
    ),
    "shipment_status_changed": (
        "shipping.shipment.status_changed.v1",
        "shipment_id:s order_id:s carrier:s service_type:s status:s occurred_at:t estimated_delivery:s delivered_at:t "
        "address_ok:b damage:b dest_country:s dest_region:s",
    ),
    "claim_filed": (
        "shipping.claim.filed.v1",
        "claim_id:s shipment_id:s carrier:s kind:s claimed_minor:i recovered_minor:i currency:s",
    ),
    "api_call_completed": (
        "apihealth.api_call.completed.v1",
        "logical_call_id:s provider:s api:s operation:s shop_id:s status_code:i outcome:s duration_ms:i attempt:i "
        "rate_limit_limit:i rate_limit_remaining:i cost_micro:i currency:s",
    ),
    "webhook_received": (
        "apihealth.webhook.received.v1",
        "shop_id:s provider:s webhook_type:s event_id:s sent_at:t received_at:t signature_valid:b",
    ),
    "webhook_processed": (
        "apihealth.webhook.processed.v1",
        "shop_id:s provider:s webhook_type:s event_id:s processing_status:s retry_count:i processed_at:t "
        "processing_ms:i",
    ),
    "rate_limit_sampled": ("apihealth.rate_limit.sampled.v1", "provider:s api:s shop_id:s limit:i used:i"),
    "oauth_token_changed": ("apihealth.oauth_token.changed.v1", "shop_id:s change:s token_expires_at:t"),
    "shop_connection_changed": ("apihealth.shop_connection.changed.v1", "shop_id:s state:s reason:s"),
    "api_sync_completed": (
        "apihealth.api_sync.completed.v1",
        "shop_id:s kind:s trigger:s records_seen:i created:i updated:i failed:i lag_ms:i outcome:s",
    ),
    "failover_switched": ("apihealth.failover.switched.v1", "from:s to:s mode:s"),
    "automation_run_finished": (
        "automation.automation_run.finished.v1",
        "run_id:s logical_run_id:s rule_id:s automation_type:s system:s items:i outcome:s finished_at:t duration_ms:i "
        "attempt:i manual_baseline_ms:i time_saved_ms:i human_ms:i rework_ms:i cost_micro:i actions_averted:i "
        "error_code:s",
    ),
    "automation_rule_changed": (
        "automation.automation_rule.changed.v1",
        "rule_id:s rule_name:s rule_type:s is_active:b change:s",
    ),
    "automation_feature_toggled": ("automation.automation_feature.toggled.v1", "feature:s available:b enabled:b"),
    "action_opened": ("automation.action.opened.v1", "action_id:s system:s kind:s priority_level:s due_at:t"),
    "action_closed": (
        "automation.action.closed.v1",
        "action_id:s system:s kind:s priority_level:s due_at:t closed_by:s human_ms:i",
    ),
    "automation_metric_reported": (
        "automation.automation_metric.reported.v1",
        "automation_type:s metric_date:s orders_processed:i time_saved_hours:n stress_reduction_score:n "
        "efficiency_gain:n error_count:i",
    ),
    "health_check_completed": (
        "health.health_check.completed.v1",
        "service_name:s component:s status:s response_time_ms:i",
    ),
    "resource_sampled": ("health.resource.sampled.v1", "host:s resource:s used:f capacity:f"),
    "queue_sampled": (
        "health.queue.sampled.v1",
        "queue:s depth:i oldest_age_ms:i workers_busy:i workers_total:i",
    ),
    "db_sampled": ("health.db.sampled.v1", "db:s active_connections:i max_connections:i"),
    "survey_answered": ("support.survey.answered.v1", "kind:s value:n ref:s"),
    "spend_recorded": (
        "billing.spend.recorded.v1",
        "category:s provider:s amount_minor:i currency:s period:s",
    ),
    "subscription_changed": (
        "billing.subscription.changed.v1",
        "subscription_id:s plan_name:s status:s order_limit:i current_period_start:t current_period_end:t",
    ),
    "control_invoked": ("ops.control.invoked.v1", "control:s scope:s on:b items:i outcome:s"),
    "flag_changed": ("ops.flag.changed.v1", "flag:s on:b actor_role:s"),
    "maintenance_changed": ("ops.maintenance.changed.v1", "scope:s on:b actor_role:s"),
    "config_changed": ("ops.config.changed.v1", "key:s actor_role:s"),
    "tenant_upserted": (
        "reference.tenant.upserted.v1",
        "time_zone:s currency:s plan:s commission_rate:n",
    ),
    "baseline_set": ("reference.baseline.set.v1", "metric:s automation_type:s value:n"),
    "rhythm_set": (
        "reference.rhythm.set.v1",
        "event_type:s shop_id:s time_zone:s opening_hours:s holidays:s rhythm:s",
    ),
    "threshold_set": ("reference.threshold.set.v1", "parameter:s value:n"),
    "benchmark_set": ("reference.benchmark.set.v1", "metric:s scope:s value:n"),
}

# Minor units of a major one (ISO 4217).
UNIT = (
    "CASE WHEN currency IN ('BIF', 'CLP', 'DJF', 'GNF', 'ISK', 'JPY', 'KMF', 'KRW', 'PYG', 'RWF', 'UGX', 'VND', 'VUV', 'XAF', "
    "'XOF', 'XPF') THEN 1 WHEN currency IN ('BHD', 'IQD', 'JOD', 'KWD', 'LYD', 'OMR', 'TND') THEN 1000 ELSE 100 END"
)

TYPES = {"s": "VARCHAR", "i": "BIGINT", "n": "DECIMAL(28, 9)", "f": "DOUBLE", "b": "BOOLEAN", "t": "TIMESTAMP"}


def column(field):
    name, kind = field.split(":")
    place = f"element ->> '{name[1:]}'" if name.startswith("@") else f"data ->> '{name}'"
    return f'({place})::{TYPES[kind]} AS "{name.lstrip("@")}"'


def load(connection, files):
    """Makes the table `event` and one table per source. Copies of an event, by source and id, count once."""
    connection.execute("SET TimeZone = 'UTC'")
    connection.execute(
        """
        CREATE TABLE event AS
        SELECT DISTINCT ON (source, id)
               json ->> 'source' AS source, json ->> 'id' AS id, json ->> 'type' AS type,
               (json ->> 'time')::TIMESTAMP AS time,
               concat(json ->> 'tenantkind', ':', json ->> 'tenantid') AS tenant,
               (json ->> 'sequence')::BIGINT AS sequence, json -> 'data' AS data
        FROM read_ndjson_objects(?, maximum_object_size = 33554432)
        """,
        [files],
    )
    connection.execute(f"CREATE MACRO major(minor, currency) AS minor::DOUBLE / {UNIT}")
    for source, (declared, fields) in SOURCES.items():
        event_type, _, array = declared.partition("@")
        columns = ", ".join(column(field) for field in fields.split())
        elements = f", unnest(json_extract(data, '$.{array}[*]')) AS e(element)" if array else ""
        connection.execute(
            f"CREATE TABLE {source} AS SELECT tenant, id AS envelope_id, time, sequence, {columns} "
            f"FROM event{elements} WHERE type = '{event_type}'"
        )
    return connection.execute("SELECT count(*) FROM event").fetchone()[0]
