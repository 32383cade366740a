"""2.1 of the catalogue: orders, revenue, customers."""

from compare import AGE, DISTINCT, EXACT, FINE_QUANTILE, FLOAT
from rollup import order_statistic, start_of
from views import DAY, HOUR, MINUTE, NOW, PROCESSING_MS, counted, newest, pane, quantiles, recent, view

ORDER_LABELS = {"shop": "shop_id", "priority": "priority_level", "impact": "impact_level"}

# Everything that says something of an order's state, as one stream; columns an event does not have are null.
ORDER_NEWS = """
    SELECT tenant, order_id, sequence, time, shop_id, order_status, payment_status, fulfillment_stage, priority_level,
           impact_level, channel, customer_key, customer_tier, currency, ship_country
    FROM order_created
    UNION ALL BY NAME
    SELECT tenant, order_id, sequence, time, shop_id, order_status, fulfillment_stage, priority_level, impact_level
    FROM order_status_changed
    UNION ALL BY NAME
    SELECT tenant, order_id, sequence, time, shop_id, payment_status, priority_level, impact_level, currency
    FROM order_payment_changed
"""

ORDER_NOW = f"""
    SELECT tenant, order_id, {newest('order_status')} AS status, {newest('payment_status')} AS payment_status,
           {newest('fulfillment_stage')} AS stage, {newest('priority_level')} AS priority, {newest('impact_level')} AS impact,
           {newest('shop_id')} AS shop, {newest('channel')} AS channel, {newest('currency')} AS currency,
           {newest('customer_key')} AS customer_key, {newest('customer_tier')} AS customer_tier,
           {newest('ship_country')} AS country
    FROM ({ORDER_NEWS}) GROUP BY tenant, order_id
"""

TERMINAL = "('delivered', 'completed', 'cancelled', 'returned')"

ORDERED = "SELECT tenant, order_id, min(coalesce(ordered_at, time)) AS ordered_at, min(time) AS received_at FROM order_created GROUP BY ALL"

SHIPPED = """
    SELECT tenant, order_id, min(coalesce(shipped_at, CASE WHEN order_status = 'shipped' THEN time END)) AS shipped_at,
           min(coalesce(delivered_at, CASE WHEN order_status = 'delivered' THEN time END)) AS delivered_at,
           min(time) FILTER (WHERE order_status = 'cancelled') AS cancelled_at,
           min(time) FILTER (WHERE order_status = 'returned') AS returned_at
    FROM order_status_changed GROUP BY ALL
"""

# Entries into stages. The same stage told again is no entry.
VISITS = """
    SELECT tenant, order_id, stage, time AS entered_at, lead(time) OVER (PARTITION BY tenant, order_id ORDER BY time) AS left_at
    FROM (
        SELECT *, lag(stage) OVER (PARTITION BY tenant, order_id ORDER BY time) AS before
        FROM (
            SELECT tenant, order_id, time, fulfillment_stage AS stage FROM order_created WHERE fulfillment_stage IS NOT NULL
            UNION ALL
            SELECT tenant, order_id, time, fulfillment_stage FROM order_status_changed WHERE fulfillment_stage IS NOT NULL
        )
    )
    WHERE before IS DISTINCT FROM stage
"""

# A stage that fills faster than it empties, and holds its orders for longer than it used to.
BOTTLENECKS = f"""
    SELECT *, value > param(tenant, 'bottleneck_ratio')
              AND coalesce(dwell_p95 > param(tenant, 'bottleneck_dwell_factor') * dwell_p95_7d, false) AS is_bottleneck
    FROM (
        SELECT *, entries::DOUBLE / greatest(exits, 1) AS value FROM (
            SELECT tenant, stage, count(*) FILTER (WHERE entered_at > {NOW} - INTERVAL 15 MINUTE) AS entries, count(recent_ms) AS exits,
                   {order_statistic(95)('recent_ms')} / 1000 AS dwell_p95, {order_statistic(95)('dwell_ms')} / 1000 AS dwell_p95_7d
            FROM (
                SELECT *, CASE WHEN left_at > {NOW} - INTERVAL 15 MINUTE THEN dwell_ms END AS recent_ms FROM (
                    SELECT *, CASE WHEN left_at > {NOW} - INTERVAL 7 DAY THEN (epoch_us(left_at) - epoch_us(entered_at)) // 1000 END AS dwell_ms
                    FROM ({VISITS})
                )
            ) GROUP BY ALL
        ) WHERE entries + exits > 0
    )
"""

# Lines with their share of the order's money: products that cost nothing share alike.
PARTS = f"""
    SELECT o.tenant, o.order_id, l.product_id, l.category, l.quantity, l.line_minor, l.cost_minor, l.is_cost_known,
           CASE WHEN l.order_id IS NULL THEN 1.0 WHEN l.order_minor = 0 THEN 1.0 / l.lines
                ELSE l.line_minor::DOUBLE / l.order_minor END::DOUBLE AS part
    FROM ({ORDER_NOW}) o
    LEFT JOIN (
        SELECT *, sum(line_minor) OVER whole AS order_minor, count(*) OVER whole AS lines
        FROM (
            SELECT tenant, order_id, product_id, category, sum(quantity) AS quantity, sum(line_total_minor) AS line_minor,
                   sum(quantity * unit_cost_minor) AS cost_minor, bool_and(unit_cost_minor IS NOT NULL) AS is_cost_known
            FROM order_item GROUP BY ALL
        )
        WINDOW whole AS (PARTITION BY tenant, order_id)
    ) l ON l.tenant = o.tenant AND l.order_id = o.order_id
"""

# Money as it moved: each order paid once, by its first news of it; refunds at their own time.
MONEY = f"""
    SELECT tenant, order_id, min(time) AS time,
           arg_max(total_minor, row(coalesce(sequence, -1), time, total_minor)) AS minor, true AS is_payment
    FROM (
        SELECT tenant, order_id, time, sequence, total_minor FROM order_created WHERE payment_status = 'paid'
        UNION ALL
        SELECT tenant, order_id, time, sequence, total_minor FROM order_payment_changed WHERE payment_status = 'paid'
    )
    GROUP BY tenant, order_id
    UNION ALL
    SELECT tenant, order_id, time, -refund_minor, false FROM order_payment_changed
    WHERE payment_status IN ('refunded', 'partially_refunded') AND refund_minor IS NOT NULL
"""

# Each exception with the resolution that came next for the order and code.
EXCEPTIONS = """
    SELECT r.tenant, r.order_id, r.exception_source AS source, r.exception_code AS code, r.time AS raised_at,
           min(s.time) AS resolved_at, arg_min(s.resolved_by, s.time) AS resolved_by
    FROM (
        SELECT *, lead(time) OVER (PARTITION BY tenant, order_id, exception_code ORDER BY time) AS next_raised_at
        FROM order_exception_raised
    ) r
    LEFT JOIN order_exception_resolved s
           ON s.tenant = r.tenant AND s.order_id = r.order_id AND s.exception_code IS NOT DISTINCT FROM r.exception_code
          AND s.time > r.time AND (r.next_raised_at IS NULL OR s.time < r.next_raised_at)
    GROUP BY ALL
"""

EXCEPTION_RATIO = f"""
    WITH worked AS (
        SELECT {start_of(HOUR)} AS window_start, tenant, shop_id AS shop, order_id, NULL AS source FROM order_processed
        UNION ALL
        SELECT {start_of(HOUR)}, tenant, shop_id, order_id, exception_source FROM order_exception_raised
    ), orders AS (
        SELECT window_start, tenant, shop, count(DISTINCT order_id) AS orders FROM worked GROUP BY ALL
    ), raised AS (
        SELECT window_start, tenant, shop, coalesce(source, 'all') AS source, count(DISTINCT order_id) AS raised
        FROM worked WHERE source IS NOT NULL GROUP BY GROUPING SETS ((1, 2, 3, source), (1, 2, 3))
    )
    SELECT window_start, tenant, shop, coalesce(source, 'all') AS source, coalesce(raised, 0)::DOUBLE / orders AS value,
           coalesce(raised, 0) AS exception_orders, orders
    FROM orders LEFT JOIN raised USING (window_start, tenant, shop)
"""

RECENT_EXCEPTIONS = f"""
    SELECT tenant, shop, count(DISTINCT order_id) FILTER (WHERE is_raised)::DOUBLE / count(DISTINCT order_id) AS value,
           count(DISTINCT order_id) FILTER (WHERE is_raised) AS exception_orders, count(DISTINCT order_id) AS orders
    FROM (
        SELECT tenant, shop_id AS shop, order_id, time, false AS is_raised FROM order_processed
        UNION ALL
        SELECT tenant, shop_id, order_id, time, true FROM order_exception_raised
    )
    WHERE {recent('15 MINUTE', pane())} GROUP BY ALL
"""

# The steps of the catalogue (1.2); news without a change of the status are no step.
ALLOWED = [
    *zip("pending confirmed processing ready_to_ship shipped delivered".split(),
         "confirmed processing ready_to_ship shipped delivered completed".split()),
    *[(a, b) for a in "pending confirmed processing ready_to_ship".split() for b in "on_hold exception cancelled".split()],
    *[(a, b) for a in ("on_hold", "exception") for b in ("processing", "cancelled")],
    *[(a, "returned") for a in ("shipped", "delivered", "completed")],
]


def by_state(name, keys, where):
    listed = ", ".join(keys.split())
    return view(
        name, f"tenant {keys}",
        f"SELECT tenant, {listed}, count(*) AS value FROM ({ORDER_NOW}) WHERE {where} GROUP BY ALL",
    )


VIEWS = [
    counted("orders_received_total", "order_created", MINUTE, "shop channel priority impact", at=ORDER_LABELS),
    counted("orders_received_per_second", "order_created", MINUTE, "shop", "count(*)::DOUBLE / 60", at=ORDER_LABELS, kind=FLOAT),
    counted(
        "orders_processed_total", "order_processed", HOUR, "shop is_automated priority", "count(DISTINCT order_id)",
        "outcome = 'success'", at=ORDER_LABELS, kind=DISTINCT,
    ),
    quantiles("order_processing_seconds", "order_processed", MINUTE, "shop is_automated priority", PROCESSING_MS, at=ORDER_LABELS),
    view("order_exception_ratio", "window_start tenant shop source", EXCEPTION_RATIO, {"exception_orders": EXACT, "orders": EXACT}, value=FLOAT),
    view("order_exception_recent_ratio", "tenant shop", RECENT_EXCEPTIONS, {"exception_orders": EXACT, "orders": EXACT}, value=FLOAT),
    view(
        "order_exceptions_total", "window_start tenant source code resolved_by",
        f"SELECT {start_of(HOUR, 'raised_at')} AS window_start, tenant, source, code, resolved_by, count(*) AS value "
        f"FROM ({EXCEPTIONS}) GROUP BY ALL",
    ),
    quantiles(
        "order_exception_resolution_seconds", f"({EXCEPTIONS})", HOUR, "source resolved_by",
        "(epoch_us(resolved_at) - epoch_us(raised_at)) // 1000", "resolved_at IS NOT NULL", time="resolved_at", fine=True,
    ),
    counted(
        "order_throughput_per_day", "order_processed", DAY, "", "count(DISTINCT order_id)",
        f"outcome = 'success' AND time < date_trunc('day', {NOW})", kind=DISTINCT,
    ),
    by_state("orders_by_status", "status priority impact", "status IS NOT NULL"),
    view(
        "orders_by_payment_status", "tenant status",
        f"SELECT tenant, payment_status AS status, count(*) AS value FROM ({ORDER_NOW}) WHERE payment_status IS NOT NULL GROUP BY ALL",
    ),
    by_state("order_pipeline_depth", "stage", f"status NOT IN {TERMINAL} AND stage IS NOT NULL"),
    by_state("orders_urgent_open", "priority impact", f"status NOT IN {TERMINAL} AND priority IN ('urgent', 'high')"),
    quantiles(
        "order_stage_dwell_seconds", f"({VISITS})", HOUR, "stage", "(epoch_us(left_at) - epoch_us(entered_at)) // 1000",
        "left_at IS NOT NULL", time="left_at", fine=True,
    ),
    view(
        "order_stage_oldest_age_seconds", "tenant stage",
        f"SELECT v.tenant, v.stage, max(epoch({NOW}) - epoch(v.entered_at)) AS value FROM ({VISITS}) v "
        f"JOIN ({ORDER_NOW}) o ON o.tenant = v.tenant AND o.order_id = v.order_id "
        f"WHERE v.left_at IS NULL AND o.status NOT IN {TERMINAL} GROUP BY ALL",
        value=AGE,
    ),
    view(
        "order_stage_bottleneck_ratio", "tenant stage",
        BOTTLENECKS, {"entries": EXACT, "exits": EXACT, "dwell_p95": FINE_QUANTILE, "dwell_p95_7d": FINE_QUANTILE, "is_bottleneck": EXACT},
        value=FLOAT,
    ),
    view(
        "order_gross_amount_total", "window_start tenant shop channel category currency",
        f"SELECT {start_of(HOUR, 'c.time')} AS window_start, c.tenant, c.shop_id AS shop, c.channel, p.category, c.currency, "
        f"sum(major(c.total_minor * p.part, c.currency)) AS value FROM order_created c "
        f"JOIN ({PARTS}) p ON p.tenant = c.tenant AND p.order_id = c.order_id GROUP BY ALL",
        value=FLOAT,
    ),
    view(
        "order_revenue_amount_total", "window_start tenant shop channel category country currency",
        f"SELECT {start_of(HOUR, 'm.time')} AS window_start, m.tenant, o.shop, o.channel, p.category, o.country, o.currency, "
        f"sum(major(m.minor * p.part, o.currency)) AS value FROM ({MONEY}) m JOIN ({PARTS}) p ON p.tenant = m.tenant AND p.order_id = m.order_id "
        f"JOIN ({ORDER_NOW}) o ON o.tenant = m.tenant AND o.order_id = m.order_id GROUP BY ALL",
        value=FLOAT,
    ),
    counted(
        "order_refund_amount_total", "order_payment_changed", HOUR, "shop currency", "sum(major(refund_minor, currency))",
        "payment_status IN ('refunded', 'partially_refunded')", at=ORDER_LABELS, kind=FLOAT, having="count(refund_minor) > 0",
    ),
    counted(
        "order_average_value_amount", "order_created", DAY, "channel currency", "sum(major(total_minor, currency)) / count(*)", kind=FLOAT,
    ),
    *[
        view(
            name, "window_start tenant shop category",
            f"WITH placed AS (SELECT o.tenant, o.order_id, {start_of(DAY, 'd.ordered_at')} AS window_start, o.shop, {part}::DOUBLE AS part, "
            f"{whole}::DOUBLE AS whole FROM ({ORDER_NOW}) o JOIN ({ORDERED}) d ON d.tenant = o.tenant AND d.order_id = o.order_id "
            f"LEFT JOIN ({SHIPPED}) s ON s.tenant = o.tenant AND s.order_id = o.order_id) "
            f"SELECT window_start, tenant, shop, category, sum(part) / nullif(sum(whole), 0) AS value FROM ("
            f"SELECT *, 'all' AS category FROM placed UNION ALL BY NAME SELECT p.*, i.category FROM placed p "
            f"JOIN (SELECT DISTINCT tenant, order_id, category FROM order_item WHERE category IS NOT NULL) i "
            f"ON i.tenant = p.tenant AND i.order_id = p.order_id) GROUP BY ALL",
            value=FLOAT,
        )
        for name, part, whole in (
            ("order_cancel_ratio", "(s.cancelled_at IS NOT NULL)", "1"),
            ("order_return_ratio", "(s.returned_at IS NOT NULL)", "(s.delivered_at IS NOT NULL)"),
        )
    ],
    quantiles(
        "order_fulfilment_seconds",
        f"(SELECT o.*, d.ordered_at, s.shipped_at FROM ({ORDER_NOW}) o JOIN ({ORDERED}) d ON d.tenant = o.tenant AND d.order_id = o.order_id "
        f"JOIN ({SHIPPED}) s ON s.tenant = o.tenant AND s.order_id = o.order_id)",
        DAY, "shop priority", "(epoch_us(shipped_at) - epoch_us(ordered_at)) // 1000", "shipped_at >= ordered_at",
        time="shipped_at", fine=True,
    ),
    view("orders_lifetime_total", "tenant", "SELECT tenant, count(*) AS value FROM order_created GROUP BY ALL"),
    view(
        "orders_30d", "tenant",
        f"SELECT tenant, count(*) AS value FROM order_created WHERE time > {NOW} - INTERVAL 30 DAY AND time <= {NOW} GROUP BY ALL",
    ),
    view(
        "order_impact_share_ratio", "window_start tenant impact",
        f"SELECT window_start, tenant, impact, orders::DOUBLE / sum(orders) OVER (PARTITION BY window_start, tenant) AS value FROM ("
        f"SELECT {start_of(HOUR)} AS window_start, tenant, impact_level AS impact, count(*) AS orders FROM order_created GROUP BY ALL)",
        value=FLOAT,
    ),
    counted(
        "order_invalid_transitions_total", "order_status_changed", HOUR, "from to",
        where=f"previous_status <> order_status AND row(previous_status, order_status) NOT IN ({', '.join(map(str, ALLOWED))})",
        at={"from": "previous_status", "to": "order_status"},
    ),
    view(
        "customers_by_tier", "tenant tier",
        f"SELECT tenant, coalesce(tier, 'none') AS tier, count(*) AS value FROM (SELECT o.tenant, customer_key, "
        f"arg_max(customer_tier, d.ordered_at) FILTER (WHERE customer_tier IS NOT NULL) AS tier FROM ({ORDER_NOW}) o "
        f"JOIN ({ORDERED}) d ON d.tenant = o.tenant AND d.order_id = o.order_id WHERE customer_key IS NOT NULL GROUP BY ALL) GROUP BY ALL",
    ),
    view(
        "customer_repeat_ratio", "tenant",
        f"SELECT tenant, count(*) FILTER (WHERE orders >= 2)::DOUBLE / count(*) AS value, count(*) AS customers FROM ("
        f"SELECT tenant, customer_key, count(DISTINCT order_id) AS orders FROM order_created WHERE customer_key IS NOT NULL "
        f"AND coalesce(ordered_at, time) > {NOW} - INTERVAL 90 DAY GROUP BY ALL) GROUP BY ALL",
        {"customers": EXACT}, value=FLOAT,
    ),
]
