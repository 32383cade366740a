"""2.3 of the catalogue, beyond what lies where: demand, cover, turnover, value; 2.21 h and n."""

from compare import EXACT, FLOAT, ROUNDED
from views import NOW, far_pane, pane, recent, score, view
from views_inventory import AWAITED
from views_money import MIDNIGHT, PROFIT, TODAY

AGE = f"date_diff('day', day, {NOW}::DATE)"


def rate(half_life):
    """Units per day: days weigh half as much with every half-life; full days since the first sale, at most 56 of them."""
    return f"""
        SELECT tenant, product_id, sum(units * 0.5 ** (age / {half_life}.0)) / sum(0.5 ** (age / {half_life}.0)) AS units_per_day
        FROM (
            SELECT f.tenant, f.product_id, a.age, coalesce(s.units, 0) AS units FROM (
                SELECT tenant, product_id, least(56, max({AGE})) AS days FROM sales WHERE {AGE} >= 1 AND quantity > 0 GROUP BY ALL
            ) f
            JOIN generate_series(1, 56) AS a(age) ON a.age <= f.days
            LEFT JOIN (SELECT tenant, product_id, {AGE} AS age, sum(quantity) AS units FROM sales GROUP BY ALL) s
                   ON s.tenant = f.tenant AND s.product_id = f.product_id AND s.age = a.age
        ) GROUP BY ALL HAVING sum(units) > 0
    """


COVER = f"""
    SELECT p.*, r.units_per_day, greatest(available, 0) / nullif(r.units_per_day, 0) AS cover_days
    FROM product_fact p LEFT JOIN ({rate(7)}) r USING (tenant, product_id) WHERE available IS NOT NULL
"""

STOCKOUT = f"""
    SELECT c.tenant, c.sku, c.product_id AS product, (CASE WHEN r.days > 0 THEN r.days ELSE 0 END - c.cover_days) * 86400 AS value
    FROM ({COVER}) c JOIN (
        SELECT tenant, product_id, min(planned_for::DATE) - {NOW}::DATE AS days FROM ({AWAITED}) WHERE planned_for IS NOT NULL GROUP BY ALL
    ) r USING (tenant, product_id)
    WHERE c.status = 'active' AND c.cover_days IS NOT NULL
"""

LOW = f"""
    SELECT tenant, CASE WHEN available <= 0.25 * low_threshold OR available <= 0 THEN 'critical' ELSE 'low' END AS severity, count(*) AS value
    FROM ({COVER}) WHERE status = 'active' AND (available <= low_threshold OR cover_days < lead_time_days OR available <= 0) GROUP BY ALL
"""

REORDER = f"""
    SELECT tenant, sku, product_id AS product, CASE WHEN gap > 0 THEN gap WHEN gap <= 0 THEN 0 END AS value,
           CASE WHEN gap < 0 THEN -gap WHEN gap >= 0 THEN 0 END AS excess_units
    FROM (
        SELECT *, units_per_day * (lead_time_days + param(tenant, 'safety_days')) - available - inbound AS gap
        FROM ({COVER}) WHERE status = 'active'
    )
"""

# Stock at the end of each of 90 days: what there is now less what came and went since.
TURNOVER = f"""
    WITH change AS (
        SELECT tenant, product_id, date_diff('day', time::DATE, {NOW}::DATE) AS age, sum(quantity_after - quantity_before) AS units
        FROM stock_changed GROUP BY ALL
    ), level AS (
        SELECT p.tenant, p.product_id, d.age, p.on_hand - coalesce(sum(c.units), 0) AS units
        FROM product_fact p CROSS JOIN generate_series(0, 89) AS d(age)
        LEFT JOIN change c ON c.tenant = p.tenant AND c.product_id = p.product_id AND c.age < d.age
        WHERE p.on_hand IS NOT NULL GROUP BY p.tenant, p.product_id, d.age, p.on_hand
    ), category AS (
        SELECT p.tenant, p.category, sum(l.units) AS mean_units, sum(l.units * p.unit_cost_minor) AS mean_cost, sum(s.units) AS units, sum(s.cost) AS cost
        FROM product_fact p
        JOIN (SELECT tenant, product_id, avg(units) AS units FROM level GROUP BY ALL) l USING (tenant, product_id)
        LEFT JOIN (
            SELECT tenant, product_id, sum(quantity) AS units, sum(cost_minor) AS cost FROM sales WHERE {AGE} BETWEEN 0 AND 89 GROUP BY ALL
        ) s USING (tenant, product_id)
        GROUP BY ALL
    )
    SELECT tenant, category, CASE WHEN mean_cost IS NOT NULL AND cost > 0 THEN 'cost' ELSE 'units' END AS basis,
           90 * 86400 * CASE WHEN mean_cost IS NOT NULL AND cost > 0 THEN mean_cost / cost ELSE mean_units / nullif(units, 0) END AS value
    FROM category
"""

VALUE = """
    SELECT tenant, category, CASE WHEN unit_cost_minor IS NULL THEN 'price' ELSE 'cost' END AS basis, currency,
           sum(on_hand * major(coalesce(unit_cost_minor, unit_price_minor), currency)) AS value
    FROM product_fact WHERE on_hand IS NOT NULL AND coalesce(unit_cost_minor, unit_price_minor) IS NOT NULL GROUP BY ALL
"""

TOP = f"""
    WITH period AS (
        SELECT t.tenant, p.period, CASE p.period WHEN 'today' THEN coalesce(d.starts_at, {MIDNIGHT}) WHEN '7d' THEN {NOW} - INTERVAL 7 DAY
               ELSE {NOW} - INTERVAL 30 DAY END AS since
        FROM (SELECT DISTINCT tenant FROM event) t CROSS JOIN (VALUES ('today'), ('7d'), ('30d')) AS p(period) LEFT JOIN ({TODAY}) d USING (tenant)
    ), sold AS (
        SELECT *, date_trunc('minute', time) AS minute FROM sales
    )
    SELECT * FROM (
        SELECT *, row_number() OVER (PARTITION BY tenant, period, "by", currency ORDER BY value DESC, product) AS rank FROM (
            SELECT tenant, period, 'units' AS "by", NULL::VARCHAR AS currency, product_id AS product, sum(quantity)::DOUBLE AS value
            FROM sold JOIN period USING (tenant) WHERE minute >= since GROUP BY ALL
            UNION ALL
            SELECT tenant, period, 'revenue', currency, product_id, sum(major(line_total_minor, currency))
            FROM sold JOIN period USING (tenant) WHERE minute >= since GROUP BY ALL
            UNION ALL
            SELECT tenant, period, 'profit', currency, product_id, sum(line_amount - cost_amount - label_amount - fee_amount)
            FROM line_fact JOIN period USING (tenant) WHERE paid_at >= since AND cost_amount IS NOT NULL GROUP BY ALL
        )
    ) WHERE rank <= 20
"""

DEMAND = f"""
    SELECT tenant, weekday, hour, category, sum(quantity)::DOUBLE / 8 AS value FROM (
        SELECT i.tenant, i.category, i.quantity, dayofweek(local) AS weekday, hour(local) AS hour FROM (
            SELECT i.*, CASE WHEN t.time_zone IN (SELECT name FROM pg_timezone_names()) THEN i.time AT TIME ZONE 'UTC' AT TIME ZONE t.time_zone
                        ELSE i.time END AS local
            FROM order_item i LEFT JOIN tenant_fact t USING (tenant)
        ) i WHERE {recent('56 DAY', far_pane())}
    ) GROUP BY ALL
"""

VELOCITY = f"""
    SELECT tenant, product, r.units_per_day, CASE WHEN a.tenant IS NULL THEN 0 ELSE 100 * r.units_per_day / (r.units_per_day + m.median_units) END AS value
    FROM (
        SELECT tenant, product_id AS product FROM product_fact UNION SELECT tenant, product_id FROM ({rate(3)})
    )
    LEFT JOIN (SELECT tenant, product_id AS product, units_per_day FROM ({rate(3)})) r USING (tenant, product)
    LEFT JOIN (SELECT DISTINCT tenant, product_id AS product FROM sales WHERE {AGE} BETWEEN 1 AND 28 AND quantity > 0) a USING (tenant, product)
    LEFT JOIN (
        SELECT tenant, median(units_per_day) AS median_units FROM ({rate(3)})
        WHERE (tenant, product_id) IN (SELECT (tenant, product_id) FROM sales WHERE {AGE} BETWEEN 1 AND 28 AND quantity > 0) GROUP BY ALL
    ) m USING (tenant)
"""

# Amounts of several currencies are not added.
STORY = f"""
    SELECT tenant, product, measure, currency, CASE WHEN previous <> 0 THEN (current - previous) / abs(previous) WHEN current = 0 THEN 0 END AS value
    FROM (
        SELECT tenant, product, measure, currency, coalesce(sum(amount) FILTER (WHERE {AGE} <= 30), 0) AS current,
               coalesce(sum(amount) FILTER (WHERE {AGE} > 30), 0) AS previous
        FROM (
            SELECT tenant, product_id AS product, day, 'units' AS measure, NULL::VARCHAR AS currency, quantity::DOUBLE AS amount FROM sales
            UNION ALL SELECT tenant, product_id, day, 'revenue', currency, line_total_minor FROM sales
            UNION ALL SELECT tenant, product_id, time::DATE, 'returns', NULL, delta FROM stock_changed WHERE reason = 'return'
            UNION ALL SELECT tenant, product, window_start::DATE, 'profit', currency, value FROM ({PROFIT})
        ) WHERE {AGE} BETWEEN 1 AND 60 GROUP BY ALL
    )
"""

OPPORTUNITY = f"""
    SELECT *, coalesce(growth >= 0.8 AND availability < 0.5, false) AS restock_winner, 100 * {score(
        'tenant', growth=('growth', 'market_opportunity.growth'), margin=('margin', 'market_opportunity.margin'),
        availability=('availability', 'market_opportunity.availability'))} AS value
    FROM (
        SELECT p.tenant, p.product_id AS product, g.growth, m.margin, CASE WHEN c.cover_days > 14 THEN 1 ELSE c.cover_days / 14 END AS availability
        FROM product_fact p
        LEFT JOIN (
            SELECT tenant, product_id, percent_rank() OVER (PARTITION BY tenant ORDER BY current / previous - 1) AS growth FROM (
                SELECT tenant, product_id, coalesce(sum(quantity) FILTER (WHERE {AGE} <= 14), 0)::DOUBLE AS current,
                       sum(quantity) FILTER (WHERE {AGE} > 14) AS previous
                FROM sales WHERE {AGE} BETWEEN 1 AND 28 GROUP BY ALL
            ) WHERE previous > 0
        ) g USING (tenant, product_id)
        LEFT JOIN (
            SELECT tenant, product_id, percent_rank() OVER (PARTITION BY tenant ORDER BY unit_price_minor - unit_cost_minor) AS margin
            FROM product_fact WHERE status = 'active' AND unit_price_minor IS NOT NULL AND unit_cost_minor IS NOT NULL
        ) m USING (tenant, product_id)
        LEFT JOIN ({COVER}) c USING (tenant, product_id)
        WHERE p.status = 'active'
    )
"""

QUEUES = f"""
    SELECT tenant, queue, arg_max(depth, time) AS value, arg_max(oldest_age_ms, time) / 1000 AS oldest_age_seconds FROM queue_sampled
    WHERE regexp_matches(queue, 'inventory|stock') AND {recent('1 HOUR', pane())} GROUP BY ALL
"""

VIEWS = [
    view("inventory_queue_depth", "tenant queue", QUEUES, {"oldest_age_seconds": FLOAT}),
    view("inventory_turnover_seconds", "tenant category", TURNOVER, {"basis": EXACT}, value=FLOAT),
    view("inventory_top_products", "tenant period by rank currency", TOP, {"product": EXACT}, value=FLOAT),
    view("inventory_value_amount", "tenant category basis currency", VALUE, value=FLOAT),
    view("inventory_low_stock_skus", "tenant severity", LOW),
    view("inventory_stockout_gap_seconds", "tenant sku product", STOCKOUT, value=FLOAT),
    view(
        "inventory_cover_seconds", "tenant sku product",
        f"SELECT tenant, sku, product_id AS product, units_per_day, cover_days * 86400 AS value FROM ({COVER})", {"units_per_day": FLOAT}, value=FLOAT,
    ),
    view("inventory_demand_profile_units", "tenant weekday hour category", DEMAND, value=FLOAT),
    view("product_velocity_score", "tenant product", VELOCITY, {"units_per_day": FLOAT}, value=ROUNDED),
    view("product_story_change_ratio", "tenant product measure currency", STORY, value=FLOAT),
    view("inventory_reorder_gap_units", "tenant sku product", REORDER, {"excess_units": FLOAT}, value=FLOAT),
    view(
        "market_opportunity_score", "tenant product", OPPORTUNITY,
        {"growth": FLOAT, "margin": FLOAT, "availability": FLOAT, "restock_winner": EXACT}, value=FLOAT,
    ),
]
