"""2.5 of the catalogue: API health and the shop platform."""

from compare import AGE, EXACT, FLOAT
from rollup import start_of
from rollups import STATUS_CLASS, WEBHOOK_LAG_MS
from views import DAY, HOUR, MINUTE, NOW, counted, newest, quantiles, view

TYPE = {"type": "webhook_type", "status": "processing_status", "shop": "shop_id"}
ERRORS = "outcome IN ('server_error', 'timeout', 'network_error', 'rate_limited', 'auth_error')"

# Minutes with calls of which fewer than half failed, or with a healthy probe of the provider, are up; a minute with
# neither calls nor probes is no evidence.
SLOTS = f"""
    SELECT tenant, provider, api, minute, max(up) AS up FROM (
        SELECT tenant, provider, api, {start_of(MINUTE)} AS minute, (count(*) FILTER (WHERE {ERRORS}) < 0.5 * count(*))::INTEGER AS up
        FROM api_call_completed GROUP BY ALL
        UNION ALL
        SELECT a.tenant, a.provider, a.api, {start_of(MINUTE)}, max((h.status = 'nominal')::INTEGER)
        FROM (SELECT DISTINCT tenant, provider, api FROM api_call_completed) a
        JOIN health_check_completed h ON h.tenant = a.tenant AND lower(h.service_name) = lower(a.provider) GROUP BY ALL
    ) GROUP BY ALL
"""

# Logical calls with their first failure and what followed.
FAILED_CALLS = """
    SELECT tenant, provider, logical_call_id, min(time) FILTER (WHERE outcome NOT IN ('success', 'client_error')) AS failed_at,
           min(time) FILTER (WHERE outcome = 'success') AS succeeded_at
    FROM api_call_completed WHERE logical_call_id IS NOT NULL
    GROUP BY ALL HAVING failed_at IS NOT NULL
"""

WEBHOOKS = f"""
    SELECT tenant, shop_id AS shop, event_id, {newest('webhook_type')} AS type, {newest('processing_status')} AS status,
           min(time) FILTER (WHERE is_arrival) AS received_at, min(time) FILTER (WHERE NOT is_arrival) AS first_attempt_at,
           min(time) FILTER (WHERE processing_status = 'processed') AS processed_at,
           min(time) FILTER (WHERE processing_status = 'dead_letter') AS dead_at, max(retry_count) AS retries
    FROM (
        SELECT *, true AS is_arrival FROM webhook_received UNION ALL BY NAME SELECT *, false AS is_arrival FROM webhook_processed
    )
    GROUP BY tenant, shop_id, event_id
"""

WAITING = f"SELECT * FROM ({WEBHOOKS}) WHERE coalesce(status, 'received') IN ('received', 'retrying')"

SYNC_STATUS = f"""
    WITH runs AS (
        SELECT tenant, shop_id AS shop, kind, outcome, time,
               max(time) FILTER (WHERE outcome = 'success') OVER (PARTITION BY tenant, shop_id, kind) AS succeeded_at
        FROM api_sync_completed
    ), state AS (
        SELECT tenant, shop, kind, epoch({NOW}) - epoch(coalesce(max(succeeded_at), min(time))) AS age,
               count(*) FILTER (WHERE outcome <> 'success' AND (succeeded_at IS NULL OR time > succeeded_at)) AS failures
        FROM runs GROUP BY ALL
    )
    SELECT *, ['nominal', 'warning', 'critical'][value + 1] AS status FROM (
        SELECT tenant, shop, kind, age AS age_seconds, failures AS failures_in_a_row,
               CASE WHEN age > 900 OR failures >= 3 THEN 2 WHEN age > 300 THEN 1 ELSE 0 END AS value
        FROM state
    )
"""

RECORDS = " UNION ALL ".join(
    f"SELECT tenant, time, shop_id, kind, trigger, '{result}' AS result, {column} AS records FROM api_sync_completed"
    for result, column in (("seen", "records_seen"), ("created", "created"), ("updated", "updated"), ("failed", "failed"))
)

RATE_LIMITS = """
    SELECT tenant, time, provider, api, shop_id, 1 - rate_limit_remaining::DOUBLE / nullif(rate_limit_limit, 0) AS used FROM api_call_completed
    UNION ALL
    SELECT tenant, time, provider, api, shop_id, used::DOUBLE / nullif("limit", 0) FROM rate_limit_sampled
"""


VIEWS = [
    counted(
        "api_calls_total", "api_call_completed", MINUTE, "provider api outcome status_class", at={"status_class": STATUS_CLASS},
    ),
    quantiles("api_call_seconds", "api_call_completed", MINUTE, "provider api operation", "duration_ms"),
    view(
        "api_error_ratio", "window_start tenant provider api",
        f"SELECT {start_of(MINUTE)} AS window_start, tenant, provider, api, count(*) FILTER (WHERE {ERRORS})::DOUBLE / count(*) AS value, "
        f"count(*) FILTER (WHERE outcome = 'client_error') AS client_errors, count(*) AS calls FROM api_call_completed GROUP BY ALL",
        {"client_errors": EXACT, "calls": EXACT}, value=FLOAT,
    ),
    view(
        "api_availability_ratio", "window_start tenant provider api",
        f"SELECT {start_of(DAY, 'minute')} AS window_start, tenant, provider, api, avg(up) AS value, count(*) AS minutes FROM ({SLOTS}) GROUP BY ALL",
        {"minutes": EXACT}, value=FLOAT,
    ),
    counted(
        "api_rate_limit_used_ratio", f"({RATE_LIMITS})", MINUTE, "provider api shop", "max(used)", "used IS NOT NULL", at=TYPE, kind=FLOAT,
    ),
    counted("api_rate_limited_total", "api_call_completed", MINUTE, "provider api", "count(*) FILTER (WHERE outcome = 'rate_limited')"),
    view(
        "api_error_recovery_ratio", "window_start tenant provider horizon",
        f"SELECT {start_of(HOUR, 'failed_at')} AS window_start, tenant, provider, horizon, count(*) FILTER (WHERE succeeded_at >= failed_at "
        f"AND epoch_us(succeeded_at) - epoch_us(failed_at) <= seconds::BIGINT * 1000000)::DOUBLE / count(*) AS value, count(*) AS failed_calls "
        f"FROM ({FAILED_CALLS}), (VALUES ('slo', 30), ('any', 86400)) AS h(horizon, seconds) GROUP BY ALL",
        {"failed_calls": EXACT}, value=FLOAT,
    ),
    view(
        "webhook_delivery_ratio", "window_start tenant type",
        f"SELECT {start_of(HOUR, 'received_at')} AS window_start, tenant, type, count(processed_at)::DOUBLE / count(*) AS value, "
        f"count(*) AS received FROM ({WEBHOOKS}) WHERE received_at <= {NOW} - INTERVAL 5 MINUTE GROUP BY ALL",
        {"received": EXACT}, value=FLOAT,
    ),
    view(
        "webhook_arrivals", "window_start tenant type",
        f"SELECT {start_of(MINUTE, 'received_at')} AS window_start, tenant, type, count(*) AS received_total, "
        f"count(processed_at) AS processed_total FROM ({WEBHOOKS}) WHERE received_at IS NOT NULL GROUP BY ALL",
        {"received_total": EXACT, "processed_total": EXACT}, value=None,
    ),
    counted("webhooks_received_total", "webhook_received", MINUTE, "type", at=TYPE),
    counted("webhooks_processed_total", "webhook_processed", MINUTE, "type status", at=TYPE),
    counted(
        "webhook_processing_per_second", "webhook_processed", MINUTE, "type", "count(*)::DOUBLE / 60", "processing_status = 'processed'",
        at=TYPE, kind=FLOAT,
    ),
    quantiles("webhook_processing_seconds", "webhook_processed", MINUTE, "type", "processing_ms", at=TYPE),
    quantiles("webhook_lag_seconds", "webhook_received", MINUTE, "type", WEBHOOK_LAG_MS, at=TYPE),
    view(
        "webhook_retries_total", "window_start tenant type",
        f"SELECT {start_of(HOUR, 'coalesce(received_at, first_attempt_at)')} AS window_start, tenant, type, sum(retries) AS value "
        f"FROM ({WEBHOOKS}) WHERE retries IS NOT NULL GROUP BY ALL",
    ),
    view("webhook_backlog", "tenant shop", f"SELECT tenant, shop, count(*) AS value FROM ({WAITING}) GROUP BY ALL"),
    view(
        "webhook_backlog_age_seconds", "tenant shop",
        f"SELECT tenant, shop, epoch({NOW}) - epoch(min(coalesce(received_at, first_attempt_at))) AS value FROM ({WAITING}) GROUP BY ALL",
        value=AGE,
    ),
    view(
        "webhook_dead_letters_total", "window_start tenant type",
        f"SELECT {start_of(HOUR, 'dead_at')} AS window_start, tenant, type, count(*) AS value FROM ({WEBHOOKS}) WHERE dead_at IS NOT NULL GROUP BY ALL",
    ),
    counted(
        "webhook_signature_failures_total", "webhook_received", MINUTE, "shop", "count(*) FILTER (WHERE NOT signature_valid)", at=TYPE,
    ),
    view("api_sync_status", "tenant shop kind", SYNC_STATUS, {"age_seconds": AGE, "failures_in_a_row": EXACT, "status": EXACT}),
    counted(
        "api_sync_records_total", f"({RECORDS})", HOUR, "shop kind trigger result", "sum(records)", "records IS NOT NULL", at=TYPE,
    ),
    quantiles("api_sync_lag_seconds", "api_sync_completed", MINUTE, "shop kind", "lag_ms", at=TYPE),
    view(
        "oauth_token_expiry_seconds", "tenant shop",
        f"SELECT tenant, shop_id AS shop, epoch(arg_max(token_expires_at, time)) - epoch({NOW}) AS value FROM oauth_token_changed "
        f"WHERE token_expires_at IS NOT NULL GROUP BY ALL",
        value=AGE,
    ),
    counted(
        "oauth_refresh_failures_total", "oauth_token_changed", HOUR, "shop", where="change IN ('refresh_failed', 'expired', 'revoked')", at=TYPE,
    ),
    counted("api_failovers_total", "failover_switched", HOUR, "provider mode", at={"provider": '"from"'}),
]
