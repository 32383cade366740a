"""2.1 of the catalogue, beyond counting orders: commissions, flows, growth, customers, milestones; and tenants (2.0)."""

from compare import EXACT, FINE_QUANTILE, FLOAT
from rollup import order_statistic, start_of
from views import DAY, NOW, newest, view
from facts import PARAMETERS
from views_automation import DEFAULT_SECONDS

MIDNIGHT = f"date_trunc('day', {NOW})"

TODAY = f"""
    SELECT tenant, time_zone,
           CASE WHEN time_zone IN (SELECT name FROM pg_timezone_names())
                THEN (date_trunc('day', {NOW} AT TIME ZONE 'UTC' AT TIME ZONE time_zone) AT TIME ZONE time_zone) AT TIME ZONE 'UTC'
                ELSE {MIDNIGHT} END AS starts_at
    FROM tenant_fact
"""

# What was declared last of each shop, and the clocks of tenants. An empty text takes back what was said.
EXPECTED = f"""
    SELECT r.tenant, r.event_type, r.shop_id, coalesce(nullif(r.zone, ''), t.time_zone) AS zone, nullif(r.hours, '') AS hours,
           nullif(r.holidays, '') AS holidays, nullif(r.rhythm, '') AS rhythm, 1 AS value
    FROM (
        SELECT tenant, event_type, shop_id, {newest('time_zone')} AS zone, {newest('opening_hours')} AS hours,
               {newest('holidays')} AS holidays, {newest('rhythm')} AS rhythm
        FROM rhythm_set GROUP BY ALL
    ) r
    LEFT JOIN tenant_fact t ON t.tenant = r.tenant
    UNION ALL
    SELECT tenant, NULL, NULL, time_zone, NULL, NULL, NULL, 1 FROM tenant_fact WHERE time_zone IS NOT NULL
"""

COMMISSION = f"""
    SELECT {start_of(DAY, 'f.time')} AS window_start, f.tenant, f.shop, f.currency, sum(f.amount * c.rate) AS value
    FROM flow_fact f
    ASOF JOIN (
        SELECT tenant, time, commission_rate::DOUBLE AS rate FROM tenant_upserted WHERE commission_rate IS NOT NULL
    ) c ON c.tenant = f.tenant AND f.ordered_at >= c.time
    GROUP BY ALL
"""

PLAN = f"""
    SELECT s.tenant, s.plan, s.order_limit, count(c.order_id) AS orders, count(c.order_id)::DOUBLE / nullif(s.order_limit, 0) AS value
    FROM (
        SELECT tenant, subscription_id, {newest('plan_name')} AS plan, {newest('status')} AS status, {newest('order_limit')} AS order_limit,
               {newest('current_period_start')} AS since
        FROM subscription_changed GROUP BY ALL
    ) s
    LEFT JOIN order_created c ON c.tenant = s.tenant AND c.time >= s.since
    WHERE s.order_limit IS NOT NULL AND coalesce(s.status, 'active') NOT IN ('paused', 'cancelled')
    GROUP BY s.tenant, s.subscription_id, s.plan, s.order_limit
"""

FLOWS = f"""
    SELECT {start_of(DAY)} AS window_start, tenant, 'channel_category' AS step, channel AS "from", category AS "to", currency, sum(amount) AS value
    FROM flow_fact GROUP BY ALL
    UNION ALL
    SELECT {start_of(DAY)}, tenant, 'category_product', category, product_id, currency, sum(amount)
    FROM flow_fact WHERE product_id IS NOT NULL GROUP BY ALL
    UNION ALL
    SELECT {start_of(DAY)}, tenant, 'product_use', product_id, kind, currency, sum(amount) FROM (
        SELECT paid_at AS time, tenant, product_id, currency, unnest(['cost', 'fees', 'shipping', 'net']) AS kind,
               unnest([cost_amount, fee_amount, label_amount, paid_amount - coalesce(cost_amount, 0) - fee_amount - label_amount]) AS amount
        FROM line_fact
        UNION ALL
        SELECT time, tenant, product_id, currency, 'net', amount FROM flow_fact WHERE NOT is_payment AND product_id IS NOT NULL
    ) WHERE amount IS NOT NULL GROUP BY ALL
"""

STREAMS = f"""
    SELECT *, amount / nullif(sum(amount) OVER (PARTITION BY window_start, tenant, currency, stream_by), 0) AS value FROM (
        SELECT {start_of(DAY)} AS window_start, tenant, currency, stream_by, stream, sum(amount) AS amount FROM (
            SELECT *, unnest(['channel', 'category']) AS stream_by, unnest([channel, category]) AS stream FROM flow_fact
        ) GROUP BY ALL
    )
"""

GROWTH = f"""
    SELECT tenant, currency, period, current AS current_amount, previous AS previous_amount,
           CASE WHEN previous <> 0 THEN (current - previous) / abs(previous) WHEN current = 0 THEN 0 END AS value
    FROM (
        SELECT tenant, currency, period,
               coalesce(sum(amount) FILTER (WHERE time >= {MIDNIGHT} - to_days(days)), 0) AS current,
               coalesce(sum(amount) FILTER (WHERE time < {MIDNIGHT} - to_days(days)), 0) AS previous
        FROM flow_fact, (VALUES ('7d', 7), ('30d', 30)) AS p(period, days)
        WHERE time < {MIDNIGHT} AND time >= {MIDNIGHT} - to_days(2 * days) GROUP BY ALL
    )
"""

PROFIT = f"""
    SELECT {start_of(DAY, 'paid_at')} AS window_start, tenant, product_id AS product, category, currency,
           sum(line_amount - cost_amount - label_amount - fee_amount) AS value
    FROM line_fact WHERE cost_amount IS NOT NULL GROUP BY ALL
"""

# A customer has one tier, that of the newest order that says one, whatever the currency.
LIFETIME = f"""
    SELECT tenant, tier, currency, {", ".join(f"{order_statistic(p)('major(greatest(minor, 0), currency)')} AS p{p}" for p in (50, 90, 95, 99))},
           avg(major(minor, currency)) AS mean, count(*) AS count
    FROM (
        SELECT tenant, customer_key, coalesce(currency, 'unknown') AS currency,
               sum(coalesce(paid_minor, 0) - coalesce(refunded_minor, 0))::BIGINT AS minor
        FROM order_fact WHERE customer_key IS NOT NULL GROUP BY ALL
    ) JOIN (
        SELECT tenant, customer_key, coalesce(arg_max(customer_tier, row(ordered_at, order_id)) FILTER (WHERE customer_tier IS NOT NULL), 'none') AS tier
        FROM order_fact WHERE customer_key IS NOT NULL GROUP BY ALL
    ) USING (tenant, customer_key)
    GROUP BY ALL
"""

# Steps in their order: who comes back before anything arrived has not come back from it.
JOURNEY = f"""
    WITH placed AS (
        SELECT tenant, customer_key, ordered_at, delivered_at, min(ordered_at) OVER (PARTITION BY tenant, customer_key) AS started_at
        FROM order_fact WHERE customer_key IS NOT NULL AND ordered_at > {NOW} - INTERVAL 30 DAY AND ordered_at <= {NOW}
    ), customer AS (
        SELECT tenant, customer_key, min(delivered_at) FILTER (WHERE delivered_at <= started_at + INTERVAL 30 DAY) AS arrived_at,
               max(ordered_at) AS last_at, count(*) AS orders
        FROM placed GROUP BY ALL
    )
    SELECT tenant, 'delivered' AS step, count(arrived_at)::DOUBLE / count(*) AS value, count(*) AS entered FROM customer GROUP BY ALL
    UNION ALL
    SELECT tenant, 'reordered', count(*) FILTER (WHERE orders > 1 AND last_at >= arrived_at)::DOUBLE / nullif(count(arrived_at), 0), count(arrived_at)
    FROM customer GROUP BY ALL
"""


def reached(source, amount, marks, kind):
    """The first day on which the sum so far reaches each mark."""
    return f"""
        SELECT min(day)::TIMESTAMP AS window_start, tenant, concat('{kind}_', mark) AS kind FROM (
            SELECT tenant, day, sum({amount}) OVER (PARTITION BY tenant ORDER BY day) AS total FROM ({source})
        ), (VALUES {", ".join(f"({mark})" for mark in marks)}) AS m(mark) WHERE total >= mark GROUP BY tenant, mark
    """


ORDERS_BY_DAY = "SELECT tenant, time::DATE AS day, count(*) AS orders FROM order_created GROUP BY ALL"
HOURS_BY_DAY = "SELECT tenant, finished_at::DATE AS day, sum(gross - rework) / 3600 AS hours FROM saved GROUP BY ALL"

ACHIEVEMENTS = f"""
    SELECT window_start, tenant, kind, 1 AS value FROM (
        {reached(ORDERS_BY_DAY, 'orders', (1, 10, 100, 1000, 10000), 'orders')}
        UNION ALL {reached(HOURS_BY_DAY, 'hours', (10, 100, 1000), 'hours_saved')}
        UNION ALL
        SELECT DISTINCT day::TIMESTAMP, tenant, 'record_revenue_day' FROM (
            SELECT *, max(amount) OVER (PARTITION BY tenant, currency ORDER BY day ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS best
            FROM (SELECT tenant, currency, time::DATE AS day, round(sum(amount), 4) AS amount FROM flow_fact GROUP BY ALL)
        ) WHERE amount > best AND day < {MIDNIGHT}
        UNION ALL
        SELECT day::TIMESTAMP, tenant, 'exception_free_day' FROM ({ORDERS_BY_DAY}) d
        WHERE orders >= 20 AND day < {MIDNIGHT}
          AND NOT EXISTS (SELECT 1 FROM order_exception_raised e WHERE e.tenant = d.tenant AND e.time::DATE = d.day)
        UNION ALL
        SELECT date_trunc('week', delivered_at)::TIMESTAMP + INTERVAL 6 DAY, tenant, 'on_time_week' FROM shipment_fact
        WHERE on_time IS NOT NULL AND date_trunc('week', delivered_at) + INTERVAL 7 DAY <= {NOW}
        GROUP BY ALL HAVING count(*) FILTER (WHERE on_time) >= 0.99 * count(*)
    )
"""

ISO_UNITS = {1: "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX VND VUV XAF XOF XPF", 1000: "BHD IQD JOD KWD LYD OMR TND"}
UNITS = ", ".join(f"('{currency}', {unit})" for unit, currencies in ISO_UNITS.items() for currency in currencies.split())

VIEWS = [
    view(
        "parameter_default", "name", "SELECT * FROM (VALUES " + ", ".join(f"('{n}', {v}::DOUBLE)" for n, v in PARAMETERS.items()) + ") AS p(name, value)",
        value=FLOAT,
    ),
    view(
        "manual_baseline_default", "automation_type",
        "SELECT * FROM (VALUES " + ", ".join(f"('{kind}', {s}::DOUBLE)" for kind, s in DEFAULT_SECONDS.items()) + ") AS b(automation_type, seconds)",
        {"seconds": FLOAT}, value=None,
    ),
    view("currency_unit", "currency", f"SELECT * FROM (VALUES {UNITS}) AS c(currency, minor_per_major)", {"minor_per_major": EXACT}, value=None),
    view(
        "tenant_current", "tenant", "SELECT * FROM tenant_fact", {"time_zone": EXACT, "currency": EXACT, "plan": EXACT}, value=None,
    ),
    view("expected_rhythm", "tenant event_type shop_id", EXPECTED, {c: EXACT for c in ("zone", "hours", "holidays", "rhythm")}),
    view("tenant_today", "tenant", TODAY, {"time_zone": EXACT, "starts_at": EXACT}, value=None),
    view("creator_commission_amount_total", "window_start tenant shop currency", COMMISSION, value=FLOAT),
    view("order_plan_limit_used_ratio", "tenant plan", PLAN, {"orders": EXACT, "order_limit": EXACT}, value=FLOAT),
    view("revenue_flow_amount", "window_start tenant step from to currency", FLOWS, value=FLOAT),
    view("revenue_stream_share_ratio", "window_start tenant currency stream_by stream", STREAMS, {"amount": FLOAT}, value=FLOAT),
    view("revenue_growth_ratio", "tenant currency period", GROWTH, {"current_amount": FLOAT, "previous_amount": FLOAT}, value=FLOAT),
    view("product_profit_amount", "window_start tenant product category currency", PROFIT, value=FLOAT),
    view(
        "customer_lifetime_value_amount", "tenant tier currency", LIFETIME,
        {f"p{p}": FINE_QUANTILE for p in (50, 90, 95, 99)} | {"mean": FLOAT, "count": EXACT}, value=None,
    ),
    view("customer_journey_conversion_ratio", "tenant step", JOURNEY, {"entered": EXACT}, value=FLOAT),
    view("achievements_total", "window_start tenant kind", ACHIEVEMENTS),
]
