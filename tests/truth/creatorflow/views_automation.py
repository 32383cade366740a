"""2.2 of the catalogue: automation and the value of workflows."""

from compare import DISTINCT, EXACT, FLOAT
from rollup import start_of
from views import DAY, HOUR, MINUTE, NOW, counted, newest, quantiles, view

RUN_LABELS = {"type": "automation_type", "rule": "rule_id", "code": "error_code", "shop": "shop_id"}

DEFAULT_SECONDS = {
    "order_processing": 120, "status_update": 90, "label_generation": 180, "stock_adjustment": 60, "customer_notification": 60,
    "sync": 120, "reconciliation": 600, "campaign": 300, "report": 900,
}
DEFAULTS = ", ".join(f"('{kind}', {seconds})" for kind, seconds in DEFAULT_SECONDS.items())

# 2.21-c: what a logical run saved, when it finished: with its first success, or its last failure where none came.
SAVED = f"""
    SELECT tenant, type, system, CASE WHEN successes > 0 THEN succeeded_at ELSE failed_at END AS finished_at,
           CASE WHEN successes > 0 THEN greatest(0, coalesce(
               saved_ms, coalesce(baseline_ms, set_seconds * 1000, default_seconds * 1000) * coalesce(items, 1)
           ) - coalesce(human_ms, 0)) ELSE 0 END::DOUBLE / 1000 AS gross,
           CASE WHEN successes > 0 THEN 0 ELSE coalesce(rework_ms, 0) END::DOUBLE / 1000 AS rework
    FROM (
        SELECT tenant, coalesce(logical_run_id, run_id) AS job, {newest('automation_type')} AS type, {newest('system')} AS system,
               count(*) FILTER (WHERE outcome = 'success') AS successes,
               min(time) FILTER (WHERE outcome = 'success') AS succeeded_at,
               max(time) FILTER (WHERE outcome = 'failed') AS failed_at,
               {newest('time_saved_ms', "outcome = 'success'")} AS saved_ms, {newest('items', "outcome = 'success'")} AS items,
               {newest('human_ms', "outcome = 'success'")} AS human_ms,
               {newest('manual_baseline_ms', "outcome = 'success'")} AS baseline_ms,
               {newest('rework_ms', "outcome = 'failed'")} AS rework_ms
        FROM automation_run_finished WHERE outcome IN ('success', 'failed') GROUP BY ALL
    )
    LEFT JOIN (
        SELECT tenant, automation_type AS type, {newest('value')}::DOUBLE AS set_seconds
        FROM baseline_set WHERE metric = 'manual_seconds' GROUP BY ALL
    ) USING (tenant, type)
    LEFT JOIN (VALUES {DEFAULTS}) AS d(type, default_seconds) USING (type)
"""


def saved(name, value):
    return view(
        name, "window_start tenant type system",
        f"SELECT {start_of(HOUR, 'finished_at')} AS window_start, tenant, type, system, sum({value}) AS value FROM ({SAVED}) GROUP BY ALL",
        value=FLOAT,
    )


def automated(shop):
    return (
        f"SELECT {start_of(HOUR)} AS window_start, tenant, shop_id AS shop, count(DISTINCT order_id) AS done, count(DISTINCT order_id) "
        f"FILTER (WHERE is_automated AND coalesce(manual_touches, 0) = 0) AS automated FROM order_processed WHERE outcome = 'success' GROUP BY ALL"
    )


RULES = f"""
    SELECT tenant, rule_id, {newest('rule_type')} AS type, {newest('is_active')} AS is_active, {newest('change')} AS change
    FROM automation_rule_changed GROUP BY ALL
"""

ACTIONS = f"""
    SELECT tenant, action_id, {newest('system')} AS system, {newest('kind')} AS kind, {newest('priority_level')} AS priority,
           {newest('due_at')} AS due_at, {newest('closed_by')} AS closed_by, min(time) FILTER (WHERE is_opening) AS opened_at,
           min(time) FILTER (WHERE NOT is_opening) AS closed_at
    FROM (
        SELECT *, true AS is_opening FROM action_opened UNION ALL BY NAME SELECT *, false AS is_opening FROM action_closed
    )
    GROUP BY tenant, action_id
"""

VIEWS = [
    counted("automation_runs_total", "automation_run_finished", MINUTE, "type system rule outcome", at=RUN_LABELS),
    quantiles("automation_run_seconds", "automation_run_finished", MINUTE, "type", "duration_ms", at=RUN_LABELS),
    counted(
        "automation_success_ratio", "automation_run_finished", HOUR, "type rule",
        "count(*) FILTER (WHERE outcome = 'success')::DOUBLE / nullif(count(*) FILTER (WHERE outcome IN ('success', 'failed')), 0)",
        at=RUN_LABELS, kind=FLOAT,
    ),
    counted("automation_errors_total", "automation_run_finished", MINUTE, "type code", where="outcome = 'failed'", at=RUN_LABELS),
    view(
        "automation_rule_last_run_timestamp_seconds", "tenant rule",
        "SELECT tenant, rule_id AS rule, epoch(max(coalesce(finished_at, time))) AS value FROM automation_run_finished "
        "WHERE rule_id IS NOT NULL GROUP BY ALL",
        value=FLOAT,
    ),
    view(
        "automation_rules_active", "tenant type",
        f"SELECT tenant, type, count(*) AS value FROM ({RULES}) WHERE is_active AND change IS DISTINCT FROM 'deleted' GROUP BY ALL",
    ),
    saved("automation_time_saved_seconds_total", "gross - rework"),
    saved("automation_time_saved_gross_seconds_total", "gross"),
    saved("automation_time_rework_seconds_total", "rework"),
    view(
        "automation_time_saved_average_seconds", "tenant type",
        f"SELECT tenant, type, avg(gross - rework) AS value, sum(gross - rework) / 30 AS per_day FROM ({SAVED}) "
        f"WHERE finished_at > {NOW} - INTERVAL 30 DAY GROUP BY ALL",
        {"per_day": FLOAT}, value=FLOAT,
    ),
    view(
        "orders_automated_total", "window_start tenant shop",
        # Where automation finished nothing at all there is no row, and where people touched all of it the row says 0.
        f"SELECT {start_of(HOUR)} AS window_start, tenant, shop_id AS shop, count(DISTINCT order_id) FILTER "
        f"(WHERE coalesce(manual_touches, 0) = 0) AS value FROM order_processed WHERE outcome = 'success' AND is_automated GROUP BY ALL",
        value=DISTINCT,
    ),
    view(
        "automation_efficiency_ratio", "window_start tenant shop",
        f"SELECT window_start, tenant, shop, automated::DOUBLE / done AS value FROM ({automated('shop')})", value=FLOAT,
    ),
    counted(
        "automation_tasks_total", "automation_run_finished", HOUR, "type", "sum(items)", "outcome = 'success' AND items IS NOT NULL",
        at=RUN_LABELS,
    ),
    counted(
        "manual_actions_averted_total", "automation_run_finished", HOUR, "system", "sum(actions_averted)",
        "outcome = 'success' AND actions_averted IS NOT NULL",
    ),
    view(
        "manual_actions_total", "window_start tenant system kind",
        f"SELECT window_start, tenant, system, kind, sum(actions) AS value FROM ("
        f"SELECT {start_of(HOUR, 'closed_at')} AS window_start, tenant, system, kind, 1 AS actions FROM ({ACTIONS}) WHERE closed_by = 'human' "
        f"UNION ALL SELECT {start_of(HOUR)}, tenant, 'orders', 'order_touch', manual_touches FROM order_processed "
        f"WHERE manual_touches > 0) GROUP BY ALL",
    ),
    view(
        "actions_open", "tenant system kind priority overdue",
        f"SELECT tenant, system, kind, priority, coalesce(due_at < {NOW}, false) AS overdue, count(*) AS value FROM ({ACTIONS}) "
        f"WHERE opened_at IS NOT NULL AND closed_at IS NULL GROUP BY ALL",
    ),
    view(
        "automation_adoption_ratio", "tenant",
        f"SELECT tenant, count(*) FILTER (WHERE enabled)::DOUBLE / nullif(count(*) FILTER (WHERE available), 0) AS value FROM ("
        f"SELECT tenant, feature, {newest('available')} AS available, {newest('enabled')} AS enabled "
        f"FROM automation_feature_toggled GROUP BY ALL) GROUP BY ALL",
        value=FLOAT,
    ),
    counted("control_actions_total", "control_invoked", HOUR, "control outcome"),
    view(
        "config_changes_total", "window_start tenant key actor_role",
        f"SELECT {start_of(HOUR)} AS window_start, tenant, key, actor_role, count(*) AS value FROM ("
        f"SELECT tenant, time, key, actor_role FROM config_changed UNION ALL SELECT tenant, time, flag, actor_role FROM flag_changed) GROUP BY ALL",
    ),
    view(
        "feature_flag_state", "tenant flag",
        'SELECT tenant, flag, arg_max("on", time)::INTEGER AS value FROM flag_changed GROUP BY ALL',
    ),
    view(
        "maintenance_active", "tenant scope",
        'SELECT tenant, scope, arg_max("on", time)::INTEGER AS value FROM maintenance_changed GROUP BY ALL',
    ),
]
