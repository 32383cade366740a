"""2.21-g of the catalogue: orders of the last minutes against what is usual."""

from compare import EXACT, FLOAT
from views import NOW, view

MINUTE_NOW = f"date_trunc('minute', {NOW})"

# Full minutes; an order counts once for its tenant, once for its shop, once for each product in it.
MINUTES = """
    SELECT date_trunc('minute', time) AS minute, tenant, NULL::VARCHAR AS shop, NULL::VARCHAR AS product, count(*)::DOUBLE AS orders FROM order_created GROUP BY ALL
    UNION ALL
    SELECT date_trunc('minute', time), tenant, shop_id, NULL, count(*) FROM order_created WHERE shop_id IS NOT NULL GROUP BY ALL
    UNION ALL
    SELECT date_trunc('minute', time), tenant, NULL, product_id, count(DISTINCT order_id) FROM order_item GROUP BY ALL
"""

# Slots of 5 or 15 minutes, counted back from now. Two weeks of history: the median of the same slot of the week and its
# neighbours, over four weeks. Less: a mean whose weights halve every six hours.
SPIKE = f"""
    WITH counts AS (
        SELECT w."window", w.minutes, tenant, coalesce(shop, '') AS shop, coalesce(product, '') AS product,
               (date_diff('minute', minute, {MINUTE_NOW}) - 1) // w.minutes AS slot, sum(orders) AS orders
        FROM ({MINUTES}), (VALUES ('5m', 5), ('15m', 15)) AS w("window", minutes)
        WHERE minute < {MINUTE_NOW} AND minute >= {MINUTE_NOW} - INTERVAL 29 DAY GROUP BY ALL
    ), series AS (
        SELECT * FROM (
            SELECT *, row_number() OVER (PARTITION BY "window", tenant, product = '' ORDER BY volume DESC, product) AS busy FROM (
                SELECT "window", minutes, tenant, shop, product, max(slot) AS history, sum(orders) AS volume FROM counts GROUP BY ALL
            )
        ) WHERE product = '' OR busy <= 200
    ), past AS (
        SELECT s."window", s.tenant, s.shop, s.product, s.history * s.minutes >= 20160 AS is_seasonal,
               CASE WHEN s.history * s.minutes >= 20160 THEN 1 ELSE 0.5 ** (n.slot * s.minutes / 360.0) END AS weight, coalesce(c.orders, 0) AS orders
        FROM series s
        JOIN generate_series(1, 8352) AS n(slot) ON n.slot <= s.history AND (
            s.history * s.minutes < 20160 OR (n.slot + 1) % (10080 // s.minutes) <= 2 AND (n.slot + 1) // (10080 // s.minutes) BETWEEN 1 AND 4
        )
        LEFT JOIN counts c ON c."window" = s."window" AND c.tenant = s.tenant AND c.shop = s.shop AND c.product = s.product AND c.slot = n.slot
    ), usual AS (
        SELECT "window", tenant, shop, product, sum(weight * orders) / sum(weight) AS mean,
               CASE WHEN bool_or(is_seasonal) THEN median(orders) ELSE sum(weight * orders) / sum(weight) END AS baseline,
               sum(weight * orders ** 2) / sum(weight) - (sum(weight * orders) / sum(weight)) ** 2 AS variance
        FROM past GROUP BY ALL
    )
    SELECT s.tenant, s."window", nullif(s.shop, '') AS shop, nullif(s.product, '') AS product, coalesce(c.orders, 0) AS orders, u.baseline,
           CASE WHEN u.variance > u.mean THEN u.variance / u.mean ELSE 1 END AS dispersion
    FROM series s LEFT JOIN usual u USING ("window", tenant, shop, product)
    LEFT JOIN counts c ON c."window" = s."window" AND c.tenant = s.tenant AND c.shop = s.shop AND c.product = s.product AND c.slot = 0
"""

# What has no past has no ratio.
LEAST_ONE = "CASE WHEN baseline < 1 THEN 1 ELSE baseline END"

VIEWS = [
    view("orders_minute", "minute tenant shop product", MINUTES, {"orders": EXACT}, value=None, minute="minute"),
    view(
        "orders_spike_ratio", "tenant window shop product", f"SELECT *, orders / {LEAST_ONE} AS value FROM ({SPIKE})",
        {"orders": EXACT, "baseline": FLOAT}, value=FLOAT,
    ),
    view(
        "orders_spike_zscore", "tenant window shop product",
        f"SELECT *, (orders - baseline) / sqrt(dispersion * {LEAST_ONE}) AS value FROM ({SPIKE})", {"orders": EXACT, "baseline": FLOAT, "dispersion": FLOAT}, value=FLOAT,
    ),
]
