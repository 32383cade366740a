"""2.3 of the catalogue: inventory."""

from compare import AGE, DISTINCT, EXACT, FLOAT
from rollup import start_of
from views import DAY, HOUR, MINUTE, NOW, SYNC_MS, counted, newest, quantiles, view

SHOP = {"shop": "shop_id", "status": "sync_status"}

# Stock of each product over all its places, as last told.
STOCK = f"""
    SELECT tenant, product_id, sum(on_hand) AS on_hand, sum(reserved) AS reserved, sum(available) AS available,
           max(low_threshold) AS low_threshold, max(sku) AS sku
    FROM (
        SELECT tenant, product_id, shop_id, location, {newest('quantity_after')} AS on_hand, {newest('reserved')} AS reserved,
               {newest('available')} AS available, {newest('low_threshold')} AS low_threshold, {newest('sku')} AS sku
        FROM stock_changed GROUP BY ALL
    )
    GROUP BY tenant, product_id
"""

PRODUCTS = f"""
    SELECT tenant, product_id, {newest('sku')} AS sku, {newest('category')} AS category, {newest('status')} AS status
    FROM product_upserted GROUP BY ALL
"""

SYNCED = f"""
    SELECT * FROM (
        SELECT tenant, shop_id AS shop, product_id, {newest('platform_stock')} AS platform_stock, {newest('local_stock')} AS local_stock,
               max(coalesce(synced_at, time)) FILTER (WHERE sync_status = 'synced') AS synced_at
        FROM stock_sync_completed GROUP BY ALL
    )
    LEFT JOIN (SELECT tenant, product_id, status FROM ({PRODUCTS})) USING (tenant, product_id)
    WHERE coalesce(status, 'active') = 'active'
"""

OVERSOLD = f"""
    SELECT tenant, time, concat(order_id, '/', product_id) AS case_id FROM oversell_detected WHERE outcome = 'occurred'
    UNION ALL
    SELECT tenant, time, concat(coalesce(order_id, transaction_id, envelope_id), '/', product_id) FROM stock_changed
    WHERE reason = 'sale' AND available < 0
"""

# Restocks that are planned and have not come.
AWAITED = f"""
    SELECT p.tenant, p.plan_id, p.product_id, p.quantity, p.planned_for FROM (
        SELECT tenant, plan_id, {newest('product_id')} AS product_id, {newest('quantity')} AS quantity,
               {newest('planned_for')} AS planned_for
        FROM restock_planned GROUP BY ALL
    ) p
    ANTI JOIN restock_received r ON r.tenant = p.tenant AND r.plan_id = p.plan_id
"""

LEVELS = " UNION ALL ".join(
    f"SELECT s.tenant, coalesce(p.sku, s.sku) AS sku, s.product_id AS product, '{kind}' AS kind, {kind} AS value FROM ({STOCK}) s "
    f"LEFT JOIN ({PRODUCTS}) p ON p.tenant = s.tenant AND p.product_id = s.product_id WHERE {kind} IS NOT NULL"
    for kind in ("on_hand", "reserved", "available")
)

VIEWS = [
    quantiles("inventory_sync_latency_seconds", "stock_sync_completed", MINUTE, "shop trigger", SYNC_MS, at=SHOP),
    counted(
        "inventory_sync_accuracy_ratio", "stock_sync_completed", HOUR, "shop",
        "sum(items_matched)::DOUBLE / nullif(sum(items_checked), 0)", at=SHOP, kind=FLOAT,
    ),
    counted("inventory_sync_runs_total", "stock_sync_completed", HOUR, "shop status", at=SHOP),
    view(
        "inventory_sync_age_seconds", "tenant shop",
        f"SELECT tenant, shop, epoch({NOW}) - epoch(min(synced_at)) AS value FROM ({SYNCED}) GROUP BY ALL", value=AGE,
    ),
    view(
        "inventory_sync_drift_units", "tenant shop",
        f"SELECT tenant, shop, sum(abs(platform_stock - local_stock)) AS value FROM ({SYNCED}) "
        f"WHERE platform_stock IS NOT NULL AND local_stock IS NOT NULL GROUP BY ALL",
    ),
    view(
        "inventory_error_recovery_ratio", "window_start tenant horizon",
        f"SELECT window_start, tenant, horizon, count(*) FILTER (WHERE after <= seconds)::DOUBLE / count(*) AS value, count(*) AS failures FROM ("
        f"SELECT {start_of(HOUR, 'f.time')} AS window_start, f.tenant, epoch(min(s.time)) - epoch(f.time) AS after FROM stock_sync_completed f "
        f"LEFT JOIN stock_sync_completed s ON s.tenant = f.tenant AND s.shop_id IS NOT DISTINCT FROM f.shop_id "
        f"AND s.product_id IS NOT DISTINCT FROM f.product_id AND s.sync_status = 'synced' AND s.time > f.time "
        f"WHERE f.sync_status = 'failed' GROUP BY f.envelope_id, f.time, f.tenant), "
        f"(VALUES ('slo', 30), ('any', 86400)) AS h(horizon, seconds) GROUP BY ALL",
        {"failures": EXACT}, value=FLOAT,
    ),
    counted(
        "inventory_adjustments_total", "stock_changed", HOUR, "reason is_automated",
        where="reason IN ('adjustment_auto', 'adjustment_manual', 'sync_correction')",
    ),
    counted(
        "inventory_oversell_preventions_total", "oversell_detected", HOUR, "", "count(DISTINCT concat(order_id, '/', product_id))",
        "outcome = 'prevented'", kind=DISTINCT,
    ),
    counted(
        "inventory_oversell_prevented_amount_total", "oversell_detected", HOUR, "currency", "sum(major(value_minor, currency))",
        "outcome = 'prevented'", kind=FLOAT,
    ),
    counted("inventory_oversells_total", f"({OVERSOLD})", HOUR, "", "count(DISTINCT case_id)", kind=DISTINCT),
    view(
        "inventory_skus", "tenant category",
        f"SELECT tenant, category, count(*) AS value FROM ({PRODUCTS}) WHERE status = 'active' GROUP BY ALL",
    ),
    view("inventory_stock_units", "tenant sku product kind", LEVELS),
    view(
        "inventory_out_of_stock_skus", "tenant",
        f"SELECT tenant, count(*) FILTER (WHERE available <= 0) AS value FROM ({STOCK}) s LEFT JOIN ({PRODUCTS}) p USING (tenant, product_id) "
        f"WHERE coalesce(status, 'active') = 'active' AND available IS NOT NULL GROUP BY ALL",
    ),
    counted("inventory_stock_changes_total", "stock_changed", HOUR, "reason"),
    counted("inventory_stock_change_units_total", "stock_changed", HOUR, "reason", "sum(delta)", "delta IS NOT NULL"),
    view(
        "inventory_restocks_upcoming", "tenant horizon",
        f"SELECT tenant, CASE WHEN days < 0 THEN 'overdue' WHEN days <= 3 THEN '3d' WHEN days <= 7 THEN '7d' WHEN days <= 30 THEN '30d' "
        f"ELSE 'later' END AS horizon, count(*) AS value FROM (SELECT tenant, planned_for::DATE - {NOW}::DATE AS days FROM ({AWAITED})) GROUP BY ALL",
    ),
    view(
        "inventory_stock_flow_units", "window_start tenant from to",
        f"""SELECT {start_of(DAY)} AS window_start, tenant, "from", "to", sum(abs(delta)) AS value FROM stock_changed """
        f"""JOIN (VALUES ('restock', 'supplier', 'stock'), ('reservation', 'stock', 'reserved'), ('release', 'reserved', 'stock'), """
        f"""('sale', 'reserved', 'sold'), ('return', 'sold', 'returned'), ('damage', 'stock', 'lost')) AS f(reason, "from", "to") """
        f"""USING (reason) GROUP BY ALL""",
    ),
    view(
        "inventory_heatmap_units", "tenant category location",
        f"SELECT tenant, category, coalesce(location, shop_id) AS location, sum(available) AS value FROM ("
        f"SELECT tenant, product_id, shop_id, location, {newest('category')} AS category, {newest('available')} AS available "
        f"FROM stock_changed GROUP BY ALL) WHERE available IS NOT NULL GROUP BY tenant, category, coalesce(location, shop_id)",
    ),
]
