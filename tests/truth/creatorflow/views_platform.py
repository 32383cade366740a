"""2.5 of the catalogue, beyond counting calls: what APIs cost and return, what depends on them, shops; 2.21 j and k."""

from compare import AGE, EXACT, FINE_QUANTILE, FLOAT, OF_QUANTILES, QUANTILE
from rollup import order_statistic, start_of
from views import DAY, HOUR, NOW, newest, pane, quantiles, recent, score, view, wide_pane
from views_api import RATE_LIMITS, SYNC_STATUS
from views_carriers import BENCHMARKS
from views_value import LABEL_SAVINGS, LABOUR

# Until the same call gets through, or any other of the shop.
RECOVERY = """
    SELECT f.tenant, f.provider, f.failed_at, min(s.time) AS recovered_at FROM (
        SELECT tenant, provider, logical_call_id, arg_max(shop_id, time) AS shop_id, min(time) FILTER (WHERE outcome NOT IN ('success', 'client_error')) AS failed_at
        FROM api_call_completed WHERE logical_call_id IS NOT NULL GROUP BY ALL HAVING failed_at IS NOT NULL
    ) f JOIN api_call_completed s
      ON s.tenant = f.tenant AND s.provider = f.provider AND s.outcome = 'success' AND s.time >= f.failed_at
     AND (s.shop_id = f.shop_id OR s.logical_call_id = f.logical_call_id)
    GROUP BY f.tenant, f.provider, f.logical_call_id, f.failed_at
"""

RECENT_RECOVERY = f"""
    SELECT tenant, provider, {order_statistic(95)('ms')}::DOUBLE / 1000 AS p95, count(ms) AS count FROM (
        SELECT tenant, provider, (epoch_us(recovered_at) - epoch_us(failed_at)) // 1000 AS ms FROM ({RECOVERY})
        WHERE {recent('1 HOUR', 'failed_at')} AND {recent('15 MINUTE', 'recovered_at')}
    ) GROUP BY ALL
"""

WEBHOOKS = f"""
    SELECT *, ['nominal', 'warning', 'critical'][value + 1] AS status FROM (SELECT *, CASE
        WHEN failed_ratio > 0.05 OR backlog_age_seconds > 300 THEN 2 WHEN failed_ratio > 0.01 OR backlog_age_seconds > 60 THEN 1 ELSE 0 END AS value
    FROM (
        SELECT tenant, provider, shop, count(*) FILTER (WHERE touched AND status IN ('failed', 'dead_letter')) / nullif(count(*) FILTER (WHERE touched), 0) AS failed_ratio,
               coalesce(max(epoch({NOW}) - epoch(since)) FILTER (WHERE status IN ('received', 'retrying')), 0) AS backlog_age_seconds
        FROM (
            SELECT tenant, shop_id AS shop, event_id, {newest('provider')} AS provider, coalesce({newest('processing_status')}, 'received') AS status,
                   max(time) > {NOW} - INTERVAL 15 MINUTE AS touched, coalesce(min(time) FILTER (WHERE arrives), min(time)) AS since
            FROM (
                SELECT *, true AS arrives FROM webhook_received UNION ALL BY NAME SELECT *, false AS arrives FROM webhook_processed
            ) GROUP BY ALL
        ) GROUP BY ALL
    ))
"""

SHOPS = f"""
    SELECT *, greatest(connection, token, webhook, sync) AS value, ['nominal', 'warning', 'critical'][value + 1] AS status FROM (
        SELECT tenant, shop, max(value) FILTER (WHERE part = 'connection') AS connection, max(value) FILTER (WHERE part = 'token') AS token,
               max(value) FILTER (WHERE part = 'webhook') AS webhook, max(value) FILTER (WHERE part = 'sync') AS sync
        FROM (
            SELECT tenant, shop_id AS shop, 'connection' AS part, CASE {newest('state')} WHEN 'connected' THEN 0 WHEN 'degraded' THEN 1 ELSE 2 END AS value
            FROM shop_connection_changed GROUP BY ALL
            UNION ALL
            SELECT tenant, shop, 'token', CASE WHEN change IN ('expired', 'revoked') OR expires_at <= {NOW} THEN 2
                   WHEN change = 'refresh_failed' OR epoch(expires_at) - epoch({NOW}) < 3600 * param(tenant, 'token_expiry_warning_hours') THEN 1 ELSE 0 END
            FROM (
                SELECT tenant, shop_id AS shop, arg_max(change, time) AS change, arg_max(token_expires_at, time) AS expires_at
                FROM oauth_token_changed GROUP BY ALL
            )
            UNION ALL SELECT tenant, shop, 'webhook', value FROM ({WEBHOOKS})
            UNION ALL SELECT tenant, shop, 'sync', value FROM ({SYNC_STATUS})
        ) WHERE shop IS NOT NULL GROUP BY ALL
    )
"""

# What calls cost, and invoices spread over the calls of their month; an invoice without calls stands on its own day.
API_COST = f"""
    WITH calls AS (
        SELECT tenant, provider, {start_of(DAY)} AS window_start, count(*) AS calls FROM api_call_completed GROUP BY ALL
    ), invoice AS (
        SELECT tenant, provider AS billed, currency, coalesce(period, strftime(time, '%Y-%m')) AS month, max(time) AS time,
               sum(major(amount_minor, currency)) AS amount
        FROM spend_recorded WHERE category = 'api' GROUP BY ALL
    ), spread AS (
        SELECT i.*, c.provider, c.window_start, c.calls, sum(c.calls) OVER (PARTITION BY i.tenant, i.billed, i.currency, i.month) AS all_calls
        FROM invoice i LEFT JOIN calls c ON c.tenant = i.tenant AND c.provider = coalesce(i.billed, c.provider) AND strftime(c.window_start, '%Y-%m') = i.month
    )
    SELECT window_start, tenant, provider, currency, sum(amount) AS value FROM (
        SELECT {start_of(DAY)} AS window_start, tenant, provider, currency, cost_micro / 1e6 AS amount FROM api_call_completed WHERE cost_micro IS NOT NULL
        UNION ALL
        SELECT coalesce(window_start, {start_of(DAY)}), tenant, coalesce(provider, billed), currency, amount * coalesce(calls / all_calls, 1) FROM spread
    ) GROUP BY ALL
"""

COST_PER_CALL = f"""
    SELECT c.*REPLACE (c.value / d.calls AS value) FROM ({API_COST}) c JOIN (
        SELECT tenant, provider, {start_of(DAY)} AS window_start, count(*) AS calls FROM api_call_completed GROUP BY ALL
    ) d USING (window_start, tenant, provider)
"""

ROI = f"""
    SELECT tenant, provider, currency, sum(benefit) AS benefit_amount, sum(cost) AS cost_amount, (sum(benefit) - sum(cost)) / nullif(sum(cost), 0) AS value
    FROM (
        SELECT l.tenant, p.provider, l.currency, l.amount AS benefit, 0 AS cost FROM ({LABOUR}) l
        JOIN (SELECT DISTINCT tenant, provider FROM api_call_completed WHERE provider LIKE 'tiktok%') p USING (tenant)
        WHERE l.system = 'tiktok' AND {recent('30 DAY', 'l.time')}
        UNION ALL SELECT tenant, lower(carrier), currency, amount, 0 FROM ({LABEL_SAVINGS}) WHERE {recent('30 DAY', 'time')}
        UNION ALL SELECT tenant, sales_platform, currency, param(tenant, 'margin_share') * (line_amount - cost_amount), 0 FROM line_fact
        WHERE sales_platform IS NOT NULL AND cost_amount IS NOT NULL AND {recent('30 DAY', 'paid_at')}
        UNION ALL SELECT tenant, lower(provider), currency, 0, value FROM ({API_COST}) WHERE {recent('30 DAY', 'window_start')}
        UNION ALL SELECT tenant, sales_platform, currency, 0, major(fee_minor, currency) FROM order_fact
        WHERE sales_platform IS NOT NULL AND fee_minor IS NOT NULL AND {recent('30 DAY', 'paid_at')}
        UNION ALL SELECT tenant, lower(provider), currency, 0, major(amount_minor, currency) FROM spend_recorded
        WHERE provider IS NOT NULL AND category NOT IN ('api', 'shipping_invoice') AND {recent('30 DAY', start_of(900))}
    ) GROUP BY ALL
"""

RISK = f"""
    WITH share AS (
        SELECT *, amount / sum(amount) OVER (PARTITION BY tenant, currency) AS share FROM (
            SELECT tenant, currency, sales_platform, sum(amount) AS amount FROM flow_fact
            WHERE sales_platform IS NOT NULL AND {recent('30 DAY', 'time')} GROUP BY ALL HAVING sum(amount) > 0
        )
    ), up AS (
        SELECT tenant, provider AS sales_platform, 1 - greatest(0, least(1, (avg(up) - 0.99) / 0.009)) AS down FROM up_fact
        WHERE {recent('30 DAY', 'minute')} GROUP BY ALL
    ), pressure AS (
        SELECT tenant, least(1, {order_statistic(95)('round(10000 * used)')} / 10000) AS pressure FROM (
            SELECT tenant, provider, api, shop_id, date_trunc('minute', time) AS minute, max(used) AS used FROM ({RATE_LIMITS}) GROUP BY ALL
        ) WHERE used >= 0 AND {recent('30 DAY', 'minute')} GROUP BY ALL
    )
    SELECT *, {score('tenant', concentration=('concentration', 'platform_risk.concentration'), fragility=('fragility', 'platform_risk.fragility'),
                     pressure=('pressure', 'platform_risk.pressure'))} AS value
    FROM (
        SELECT s.tenant, s.currency, sum(s.share ** 2) AS concentration,
               sum(s.share * u.down) / sum(s.share) FILTER (WHERE u.down IS NOT NULL) AS fragility, any_value(p.pressure) AS pressure
        FROM share s LEFT JOIN up u USING (tenant, sales_platform) LEFT JOIN pressure p USING (tenant) GROUP BY ALL
    )
"""

P95 = order_statistic(95)("duration_ms")

BENCHMARK = f"""
    SELECT o.*, o.p95 / b.value AS value FROM (
        SELECT tenant, provider, api, max(p95) FILTER (WHERE week = 0) AS p95, max(p95) FILTER (WHERE week = 0) / min(p95) AS best_week_ratio FROM (
            SELECT tenant, provider, api, floor((epoch({NOW}) - epoch({wide_pane()})) / 604800) AS week, {P95} / 1000 AS p95
            FROM api_call_completed WHERE {recent('28 DAY', wide_pane())} GROUP BY ALL
        ) GROUP BY ALL
    ) o LEFT JOIN ({BENCHMARKS}) b ON b.tenant = o.tenant AND b.metric = 'api_p95_seconds' AND b.scope = concat_ws('/', o.provider, o.api)
    WHERE o.p95 IS NOT NULL
"""

# Calls again after the caller's own mistake.
SAVEABLE = f"""
    SELECT {start_of(DAY, 'mistaken_at')} AS window_start, tenant, provider, sum(again) AS value FROM (
        SELECT c.tenant, c.provider, c.logical_call_id, m.mistaken_at, count(*) FILTER (WHERE c.attempt > m.attempt) AS again
        FROM api_call_completed c JOIN (
            SELECT tenant, provider, logical_call_id, min(attempt) AS attempt, min(time) AS mistaken_at FROM api_call_completed
            WHERE outcome = 'client_error' AND attempt IS NOT NULL GROUP BY ALL
        ) m USING (tenant, provider, logical_call_id) GROUP BY ALL
    ) GROUP BY ALL
"""

VIEWS = [
    quantiles(
        "api_recovery_seconds", f"({RECOVERY})", HOUR, "provider", "(epoch_us(recovered_at) - epoch_us(failed_at)) // 1000", time="failed_at", fine=True,
    ),
    view("api_recovery_recent_seconds", "tenant provider", RECENT_RECOVERY, {"p95": FINE_QUANTILE, "count": EXACT}, value=None),
    view("webhook_status", "tenant provider shop", WEBHOOKS, {"failed_ratio": FLOAT, "backlog_age_seconds": AGE, "status": EXACT}),
    view("shop_connection_status", "tenant shop", SHOPS, {part: EXACT for part in ("connection", "token", "webhook", "sync", "status")}),
    view("api_cost_amount_total", "window_start tenant provider currency", API_COST, value=FLOAT),
    view("api_cost_per_call_amount", "window_start tenant provider currency", COST_PER_CALL, value=FLOAT),
    view("integration_roi_ratio", "tenant provider currency", ROI, {"benefit_amount": FLOAT, "cost_amount": FLOAT}, value=FLOAT),
    view(
        "platform_dependency_risk_ratio", "tenant currency", RISK, {"concentration": FLOAT, "fragility": FLOAT, "pressure": FINE_QUANTILE},
        value=FINE_QUANTILE,
    ),
    view("api_benchmark_ratio", "tenant provider api", BENCHMARK, {"p95": QUANTILE, "best_week_ratio": OF_QUANTILES}, value=QUANTILE),
    view("api_calls_saveable_total", "window_start tenant provider", SAVEABLE),
]
