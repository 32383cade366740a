"""What several truths share, computed once from raw events: parameters, orders and their lines, money, parcels, jobs."""

from views import newest
from views_automation import ACTIONS, DEFAULT_SECONDS, RULES, SAVED
from views_inventory import AWAITED, PRODUCTS
from views_orders import MONEY, ORDER_NOW, ORDERED, PARTS, SHIPPED, VISITS
from views_shipping import LABELS, SHIPMENT

# 2.21 and 1.2 of the catalogue. Names are those that threshold.set gives; what has no weight there is the pack's.
PARAMETERS = {
    "hourly_rate": 25, "p_cancel": 1, "p_loss": 0.2, "margin_share": 0, "bottleneck_ratio": 1.2, "bottleneck_dwell_factor": 2,
    "pending_overdue_hours": 24, "tracking_stale_hours": 48, "token_expiry_warning_hours": 24, "safety_days": 7,
    "capacity_limit": 0.85, "automation_health_min_runs": 20, "rule_lift_min_runs": 50,
    "automation_health.success": 0.45, "automation_health.timely": 0.25, "automation_health.recovery": 0.15,
    "automation_health.freshness": 0.15, "workflow_efficiency.touchless": 0.35, "workflow_efficiency.on_time": 0.25,
    "workflow_efficiency.first_pass": 0.25, "workflow_efficiency.flow": 0.15, "stress_reduction.averted": 0.5,
    "stress_reduction.calm": 0.3, "stress_reduction.quiet": 0.2, "market_opportunity.growth": 0.4, "market_opportunity.margin": 0.3,
    "market_opportunity.availability": 0.3, "platform_risk.concentration": 0.5, "platform_risk.fragility": 0.3,
    "platform_risk.pressure": 0.2,
}

# Orders with their money, how they were worked on, and how their exceptions ended.
ORDER_FACT = f"""
    SELECT o.*, d.ordered_at, d.received_at, d.total_minor, d.fee_minor, d.sales_platform, s.shipped_at, s.delivered_at,
           s.cancelled_at, s.returned_at, s.ready_at, p.processed_at, p.processing_ms, p.attempts, p.touches, e.raised,
           e.auto_resolved_at, e.human_resolved_at, m.paid_at, m.paid_minor, r.refunded_minor
    FROM ({ORDER_NOW}) o
    LEFT JOIN (
        SELECT *, total_minor, fee_minor, sales_platform FROM ({ORDERED}) JOIN (
            SELECT tenant, order_id, {newest('total_minor')} AS total_minor, {newest('fee_minor')} AS fee_minor,
                   {newest('sales_platform')} AS sales_platform
            FROM order_created GROUP BY ALL
        ) USING (tenant, order_id)
    ) d USING (tenant, order_id)
    LEFT JOIN (
        SELECT * FROM ({SHIPPED}) JOIN (
            SELECT tenant, order_id, min(time) FILTER (WHERE 'ready_to_ship' IN (fulfillment_stage, order_status)) AS ready_at
            FROM order_status_changed GROUP BY ALL
        ) USING (tenant, order_id)
    ) s USING (tenant, order_id)
    LEFT JOIN (
        SELECT tenant, order_id, min(time) FILTER (WHERE outcome = 'success') AS processed_at, count(*) AS attempts,
               {newest("coalesce(epoch_ms(processed_at) - epoch_ms(processing_started_at), processing_ms)", "outcome = 'success'")} AS processing_ms,
               coalesce(sum(manual_touches), 0) AS touches
        FROM order_processed GROUP BY ALL
    ) p USING (tenant, order_id)
    LEFT JOIN (
        SELECT tenant, order_id, count(*) FILTER (WHERE is_raise) AS raised,
               max(time) FILTER (WHERE NOT is_raise AND resolved_by = 'auto') AS auto_resolved_at,
               max(time) FILTER (WHERE NOT is_raise AND resolved_by = 'human') AS human_resolved_at
        FROM (
            SELECT *, true AS is_raise FROM order_exception_raised UNION ALL BY NAME
            SELECT *, false AS is_raise FROM order_exception_resolved
        ) GROUP BY ALL
    ) e USING (tenant, order_id)
    LEFT JOIN (SELECT tenant, order_id, time AS paid_at, minor AS paid_minor FROM money WHERE is_payment) m USING (tenant, order_id)
    LEFT JOIN (SELECT tenant, order_id, -sum(minor) AS refunded_minor FROM money WHERE NOT is_payment GROUP BY ALL) r USING (tenant, order_id)
"""

# Lines of paid orders: what each brought and cost in major units. Fees and labels are split as the order's money is.
LINE_FACT = """
    SELECT p.tenant, p.order_id, p.product_id, p.category, p.quantity, o.paid_at, o.channel, o.currency, o.sales_platform,
           major(p.line_minor, o.currency) AS line_amount, major(o.paid_minor * p.part, o.currency) AS paid_amount,
           CASE WHEN p.is_cost_known THEN major(p.cost_minor, o.currency) END AS cost_amount,
           major(coalesce(o.fee_minor, 0) * p.part, o.currency) AS fee_amount,
           major(coalesce(l.label_minor, 0) * p.part, o.currency) AS label_amount
    FROM part p
    JOIN order_fact o USING (tenant, order_id)
    LEFT JOIN (
        SELECT tenant, order_id, sum(coalesce(shipping_minor, 0) + coalesce(insurance_minor, 0)) AS label_minor
        FROM label_fact GROUP BY ALL
    ) l USING (tenant, order_id)
    WHERE p.product_id IS NOT NULL AND o.paid_at IS NOT NULL
"""

# Pieces of orders' money as they moved, each line its share.
FLOW_FACT = """
    SELECT m.tenant, m.time, m.is_payment, o.shop, o.channel, p.category, p.product_id, o.currency, o.ordered_at, o.sales_platform,
           major(m.minor * p.part, o.currency) AS amount
    FROM money m JOIN part p USING (tenant, order_id) JOIN order_fact o USING (tenant, order_id)
"""

# A day's units and money of each product.
SALES = """
    SELECT tenant, product_id, currency, time, time::DATE AS day, quantity, line_total_minor, quantity * unit_cost_minor AS cost_minor
    FROM order_item
"""

# Products as they stand now. What a place says of a product is its newest word; a product has the newest of its places.
PRODUCT_FACT = f"""
    SELECT coalesce(s.tenant, p.tenant) AS tenant, coalesce(s.product_id, p.product_id) AS product_id, coalesce(p.sku, s.sku) AS sku,
           coalesce(p.category, s.category) AS category, coalesce(p.status, 'active') AS status, on_hand, reserved, available,
           low_threshold, lead_time_days, coalesce(s.unit_cost_minor, p.unit_cost_minor) AS unit_cost_minor,
           coalesce(s.unit_price_minor, p.base_price_minor) AS unit_price_minor, coalesce(s.currency, p.currency) AS currency,
           coalesce(i.inbound, 0) AS inbound
    FROM (
        SELECT tenant, product_id, max(sku) AS sku, max(category) AS category, max(currency) AS currency, sum(on_hand) AS on_hand,
               sum(reserved) AS reserved, sum(available) AS available, max(low_threshold) AS low_threshold,
               max(lead_time_days)::DOUBLE AS lead_time_days, arg_max(unit_cost, cost_at) AS unit_cost_minor,
               arg_max(unit_price, price_at) AS unit_price_minor
        FROM (
            SELECT tenant, product_id, shop_id, location, {newest('quantity_after')} AS on_hand, {newest('reserved')} AS reserved,
                   {newest('available')} AS available, {newest('low_threshold')} AS low_threshold, {newest('sku')} AS sku,
                   {newest('category')} AS category, {newest('currency')} AS currency, {newest('lead_time_days')} AS lead_time_days,
                   {newest('unit_cost_minor')} AS unit_cost, max(time) FILTER (WHERE unit_cost_minor IS NOT NULL) AS cost_at,
                   {newest('unit_price_minor')} AS unit_price, max(time) FILTER (WHERE unit_price_minor IS NOT NULL) AS price_at
            FROM stock_changed GROUP BY tenant, product_id, shop_id, location
        ) GROUP BY tenant, product_id
    ) s
    FULL JOIN (
        SELECT * FROM ({PRODUCTS}) JOIN (
            SELECT tenant, product_id, {newest('unit_cost_minor')} AS unit_cost_minor, {newest('base_price_minor')} AS base_price_minor,
                   {newest('currency')} AS currency
            FROM product_upserted GROUP BY ALL
        ) USING (tenant, product_id)
    ) p ON p.tenant = s.tenant AND p.product_id = s.product_id
    LEFT JOIN (SELECT tenant, product_id, sum(quantity) AS inbound FROM ({AWAITED}) GROUP BY ALL) i
           ON i.tenant = coalesce(s.tenant, p.tenant) AND i.product_id = coalesce(s.product_id, p.product_id)
"""

# Calls of each provider's APIs by the minute: up with fewer than half in error, or with a healthy probe.
UP_FACT = """
    SELECT tenant, provider, api, minute, max(up) AS up FROM (
        SELECT tenant, provider, api, date_trunc('minute', time) AS minute,
               (count(*) FILTER (WHERE outcome NOT IN ('success', 'client_error')) < 0.5 * count(*))::INTEGER AS up
        FROM api_call_completed GROUP BY ALL
        UNION ALL
        SELECT a.tenant, a.provider, a.api, date_trunc('minute', h.time), (h.status = 'nominal')::INTEGER
        FROM (SELECT DISTINCT tenant, provider, api FROM api_call_completed) a
        JOIN health_check_completed h ON h.tenant = a.tenant AND lower(h.service_name) = lower(a.provider)
    ) GROUP BY ALL
"""

TABLES = {
    "tenant_fact": "SELECT tenant, arg_max(time_zone, time) AS time_zone, arg_max(currency, time) AS currency, "
    "arg_max(plan, time) AS plan FROM tenant_upserted GROUP BY ALL",
    "money": MONEY,
    "part": PARTS,
    "label_fact": LABELS,
    "order_fact": ORDER_FACT,
    "line_fact": LINE_FACT,
    "flow_fact": FLOW_FACT,
    "sales": SALES,
    "product_fact": PRODUCT_FACT,
    "shipment_fact": f"SELECT *, CASE WHEN delivered_at IS NOT NULL THEN delivered_at::DATE <= promised END AS on_time FROM ({SHIPMENT})",
    "saved": SAVED,
    "action_fact": ACTIONS,
    "visit": VISITS,
    "active_rule": f"SELECT tenant, type AS rule_type FROM ({RULES}) WHERE is_active AND change IS DISTINCT FROM 'deleted' AND type IS NOT NULL",
    "manual_seconds": "SELECT * FROM (VALUES " + ", ".join(f"('{k}', {s}::DOUBLE)" for k, s in DEFAULT_SECONDS.items()) + ") AS d(type, seconds)",
    "up_fact": UP_FACT,
}


def derive(connection):
    defaults = ", ".join(f"('{name}', {value})" for name, value in PARAMETERS.items())
    connection.execute(
        f"CREATE TABLE parameter AS SELECT t.tenant, d.name, coalesce(s.value, d.value)::DOUBLE AS value "
        f"FROM (SELECT DISTINCT tenant FROM event) t CROSS JOIN (VALUES {defaults}) AS d(name, value) "
        f"LEFT JOIN (SELECT tenant, parameter AS name, {newest('value')} AS value FROM threshold_set GROUP BY ALL) s "
        f"ON s.tenant = t.tenant AND s.name = d.name"
    )
    connection.execute(
        "CREATE MACRO param(of_tenant, named) AS (SELECT p.value FROM parameter p WHERE p.tenant = of_tenant AND p.name = named)"
    )
    for name, query in TABLES.items():
        connection.execute(f"CREATE TABLE {name} AS {query}")
