"""2.2 of the catalogue, beyond counting runs: what automation is worth, how well it does, what it could do; 2.21 a to f."""

from compare import EXACT, FLOAT, OF_DISTINCT, PER_QUANTILE
from rollup import order_statistic, start_of
from views import DAY, HOUR, NOW, newest, pane, recent, score, view, wide_pane

STOPS = "('emergency_stop', 'system_shutdown', 'kill_switch')"

PAUSED = f"""
    SELECT tenant, coalesce(scope, 'all') AS scope, arg_max(coalesce("on", true), time)::INTEGER AS value FROM control_invoked
    WHERE control IN {STOPS} AND outcome IS DISTINCT FROM 'failed' GROUP BY ALL
"""

LABOUR = """
    SELECT s.tenant, s.finished_at AS time, s.system, t.currency, (s.gross - s.rework) / 3600 * param(s.tenant, 'hourly_rate') AS amount
    FROM saved s LEFT JOIN tenant_fact t USING (tenant)
"""
LABEL_SAVINGS = """
    SELECT tenant, time, carrier, currency, major(baseline_minor - shipping_minor, currency) AS amount
    FROM label_fact WHERE baseline_minor IS NOT NULL
"""
RUN_COST = """
    SELECT tenant, time, currency, -cost_micro / 1e6 AS amount FROM automation_run_finished LEFT JOIN tenant_fact USING (tenant)
    WHERE cost_micro IS NOT NULL
"""


def components(**parts):
    return " UNION ALL ".join(
        f"SELECT {start_of(DAY)} AS window_start, tenant, '{name}' AS component, currency, sum(amount) AS value FROM ({sql}) GROUP BY ALL"
        for name, sql in parts.items()
    )


# The share of cancelled orders among those whose exceptions people resolved, for tenants that set no other.
PROTECTED = f"""
    SELECT tenant, time, currency, major(value_minor, currency) * param(tenant, 'p_cancel') AS amount
    FROM oversell_detected WHERE outcome = 'prevented' AND value_minor IS NOT NULL
    UNION ALL
    SELECT o.tenant, o.auto_resolved_at, o.currency, major(o.total_minor, o.currency) * CASE
        WHEN o.tenant IN (SELECT tenant FROM threshold_set WHERE parameter = 'p_loss') THEN param(o.tenant, 'p_loss')
        ELSE coalesce(l.ratio, param(o.tenant, 'p_loss')) END
    FROM order_fact o LEFT JOIN (
        SELECT tenant, count(cancelled_at)::DOUBLE / count(*) AS ratio FROM order_fact
        WHERE human_resolved_at > {NOW} - INTERVAL 90 DAY GROUP BY ALL
    ) l USING (tenant)
    WHERE o.auto_resolved_at IS NOT NULL AND o.total_minor IS NOT NULL
"""

# Runs and logical runs of the last hour; `fresh` those of the last 15 minutes.
HEALTH = f"""
    WITH scoped AS (
        SELECT tenant, unnest(['all', system]) AS system, {pane()} > {NOW} - INTERVAL 15 MINUTE AS fresh, 1 AS runs,
               (duration_ms <= 30000)::INTEGER AS timely, 0 AS jobs, 0 AS succeeded, 0 AS stumbled, 0 AS rescued
        FROM automation_run_finished WHERE outcome IN ('success', 'failed') AND {recent('1 HOUR', pane())}
        UNION ALL
        SELECT tenant, unnest(['all', system]), ended_at > {NOW} - INTERVAL 15 MINUTE, 0, 0, 1, (succeeded_at IS NOT NULL)::INTEGER,
               (stumbled_at IS NOT NULL)::INTEGER, coalesce(succeeded_at >= stumbled_at AND succeeded_at - stumbled_at <= INTERVAL 30 SECOND, false)::INTEGER
        FROM (
            SELECT *, coalesce(succeeded_at, failed_at) AS ended_at FROM (
                SELECT tenant, coalesce(logical_run_id, run_id) AS job, {newest('system')} AS system,
                       min(time) FILTER (WHERE outcome = 'success') AS succeeded_at, max(time) FILTER (WHERE outcome = 'failed') AS failed_at,
                       min(time) FILTER (WHERE outcome = 'failed' AND coalesce(attempt, 1) = 1) AS stumbled_at
                FROM automation_run_finished WHERE outcome IN ('success', 'failed') GROUP BY ALL
            )
        ) WHERE {recent('1 HOUR', 'ended_at')}
    ), spans AS (
        SELECT tenant, system, sum(runs) FILTER (WHERE fresh) >= param(tenant, 'automation_health_min_runs') AS is_busy
        FROM scoped WHERE system IS NOT NULL GROUP BY tenant, system
    ), work AS (
        SELECT s.tenant, s.system, coalesce(bool_or(p.is_busy), false) AS is_busy, sum(runs) AS runs, sum(timely) AS timely, sum(jobs) AS jobs,
               sum(succeeded) AS succeeded, sum(stumbled) AS stumbled, sum(rescued) AS rescued
        FROM scoped s JOIN spans p USING (tenant, system) WHERE fresh OR NOT coalesce(p.is_busy, false) GROUP BY ALL
    ), waiting AS (
        SELECT tenant, unnest(['all', system]) AS system, age FROM (
            SELECT tenant, queue, CASE WHEN regexp_matches(queue, 'inventory|stock') THEN 'inventory' WHEN regexp_matches(queue, 'ship|label') THEN 'shipping'
                   WHEN regexp_matches(queue, 'tiktok|webhook') THEN 'tiktok' WHEN queue LIKE '%order%' THEN 'orders' END AS system,
                   arg_max(oldest_age_ms, time) / 1000 AS age
            FROM queue_sampled WHERE {recent('1 HOUR', pane())} GROUP BY ALL
        )
    ), parts AS (
        SELECT coalesce(w.tenant, q.tenant) AS tenant, coalesce(w.system, q.system) AS system, coalesce(w.is_busy, false) AS is_busy,
               coalesce(w.runs, 0) AS runs, w.succeeded::DOUBLE / nullif(w.jobs, 0) AS success, w.timely::DOUBLE / nullif(w.runs, 0) AS timely,
               CASE WHEN w.stumbled > 0 THEN w.rescued::DOUBLE / w.stumbled WHEN w.jobs > 0 THEN 1 END AS recovery,
               CASE WHEN q.age > 300 THEN 0 ELSE 1 - q.age / 300 END AS freshness
        FROM work w FULL JOIN (SELECT tenant, system, max(age) AS age FROM waiting WHERE system IS NOT NULL GROUP BY ALL) q
          ON q.tenant = w.tenant AND q.system = w.system
    ), scored AS (
        SELECT *, {score('tenant', success=('success', 'automation_health.success'), timely=('timely', 'automation_health.timely'),
                         recovery=('recovery', 'automation_health.recovery'), freshness=('freshness', 'automation_health.freshness'))} AS raw,
               tenant IN (SELECT tenant FROM ({PAUSED}) WHERE value = 1) AS is_paused
        FROM parts
    )
    SELECT tenant, system, success, timely, recovery, freshness, runs, CASE WHEN is_busy THEN 15 ELSE 60 END AS window_minutes,
           CASE WHEN is_paused AND raw > 0.5 THEN 0.5 ELSE raw END AS value,
           CASE WHEN raw IS NULL THEN 'unknown' WHEN is_paused THEN 'paused' WHEN raw >= 0.95 THEN 'nominal' WHEN raw >= 0.8 THEN 'warning'
                ELSE 'critical' END AS band
    FROM scored
"""

EFFICIENCY = f"""
    SELECT *, {score('tenant', touchless=('touchless', 'workflow_efficiency.touchless'), on_time=('on_time', 'workflow_efficiency.on_time'),
                     first_pass=('first_pass', 'workflow_efficiency.first_pass'), flow=('flow', 'workflow_efficiency.flow'))} AS value
    FROM (
        SELECT {start_of(DAY, 'processed_at')} AS window_start, tenant, count(*) AS orders, avg((touches = 0)::INTEGER) AS touchless,
               avg((processing_ms <= 30000)::INTEGER) AS on_time, avg((coalesce(raised, 0) = 0 AND attempts = 1)::INTEGER) AS first_pass,
               sum(processing_ms) FILTER (WHERE ready_at IS NOT NULL)::DOUBLE
                   / nullif(sum(greatest(processing_ms, epoch_ms(ready_at) - epoch_ms(received_at)))
                            FILTER (WHERE ready_at IS NOT NULL AND processing_ms IS NOT NULL), 0) AS flow
        FROM order_fact WHERE processed_at IS NOT NULL GROUP BY ALL
    )
"""

# p95 of 7 days of each part of a resource, of which the fullest counts.
USE = f"""
    SELECT tenant, resource, max(p95) AS used FROM (
        SELECT tenant, resource, name, {order_statistic(95)('used')} AS p95 FROM (
            SELECT tenant, time, resource, host AS name, round(10000 * used / nullif(capacity, 0)) / 10000 AS used FROM resource_sampled
            WHERE resource IN ('cpu', 'memory', 'storage', 'connections')
            UNION ALL
            SELECT tenant, time, 'db_connections', db, active_connections::DOUBLE / coalesce(nullif(max_connections, 0), 100) FROM db_sampled
            UNION ALL
            SELECT tenant, time, 'queue_workers', queue, workers_busy::DOUBLE / nullif(workers_total, 0) FROM queue_sampled
            UNION ALL
            SELECT tenant, max(time), 'api_rate_limit', concat_ws('/', provider, api, shop_id), round(10000 * max(used)) / 10000 FROM (
                SELECT tenant, time, provider, api, shop_id, 1 - rate_limit_remaining::DOUBLE / nullif(rate_limit_limit, 0) AS used FROM api_call_completed
                UNION ALL SELECT tenant, time, provider, api, shop_id, used::DOUBLE / nullif("limit", 0) FROM rate_limit_sampled
            ) WHERE used >= 0 AND {recent('7 DAY', wide_pane())}
            GROUP BY tenant, provider, api, shop_id, date_trunc('minute', time)
        ) WHERE {recent('7 DAY', wide_pane())} GROUP BY ALL
    ) WHERE p95 IS NOT NULL GROUP BY ALL
"""


def headroom(plan):
    """`plan`: SQL of the share of the plan's orders that each tenant has used."""
    return f"""
        SELECT tenant, arg_min(resource, row(headroom, resource)) AS bottleneck, min(headroom) AS value,
               {", ".join(f"min(headroom) FILTER (WHERE resource = '{r}') AS {r}" for r in ('cpu', 'memory', 'storage', 'api_rate_limit', 'queue_workers', 'plan_orders'))},
               min(headroom) FILTER (WHERE resource IN ('connections', 'db_connections')) AS connections
        FROM (
            SELECT tenant, resource, param(tenant, 'capacity_limit') / nullif(used, 0) AS headroom FROM ({USE})
            UNION ALL SELECT tenant, 'plan_orders', 1 / nullif(max(value), 0) FROM ({plan}) GROUP BY ALL
        ) WHERE headroom IS NOT NULL GROUP BY ALL
    """


STRESS = f"""
    WITH day AS (
        SELECT {start_of(DAY)} AS window_start, tenant, actions_averted AS averted, 0 AS manual, 0 AS due, 0 AS in_time
        FROM automation_run_finished WHERE outcome = 'success' AND actions_averted IS NOT NULL
        UNION ALL
        SELECT {start_of(DAY, 'closed_at')}, tenant, 0, 1, 0, 0 FROM action_fact WHERE closed_by = 'human'
        UNION ALL
        SELECT {start_of(DAY)}, tenant, 0, manual_touches, 0, 0 FROM order_processed WHERE manual_touches > 0
        UNION ALL
        SELECT {start_of(DAY, 'due_at')}, tenant, 0, 0, 1, coalesce(closed_at <= due_at AND closed_by IN ('human', 'automation'), false)::INTEGER
        FROM action_fact WHERE priority IN ('urgent', 'high') AND due_at <= {NOW}
    ), parts AS (
        SELECT window_start, tenant, sum(averted)::DOUBLE / nullif(sum(averted) + sum(manual), 0) AS averted,
               sum(in_time)::DOUBLE / nullif(sum(due), 0) AS calm, NULL::DOUBLE AS quiet
        FROM day GROUP BY ALL
    )
    SELECT window_start, tenant, 'computed' AS origin, averted, calm, quiet, 100 * {score(
        'tenant', averted=('averted', 'stress_reduction.averted'), calm=('calm', 'stress_reduction.calm'), quiet=('quiet', 'stress_reduction.quiet')
    )} AS value FROM parts
    UNION ALL
    SELECT metric_date::DATE::TIMESTAMP, tenant, 'reported', NULL, NULL, NULL, avg(score) FROM (
        SELECT tenant, automation_type, metric_date, {newest('stress_reduction_score')}::DOUBLE AS score FROM automation_metric_reported GROUP BY ALL
    ) WHERE score IS NOT NULL GROUP BY ALL
"""

BASELINE = f"""
    SELECT tenant, metric, automation_type AS scope, {newest('value')}::DOUBLE AS value FROM baseline_set GROUP BY ALL
"""

GAIN = f"""
    WITH human AS (
        SELECT tenant, unnest(['all', automation_type]) AS type, human_ms FROM automation_run_finished WHERE {recent('30 DAY', wide_pane())}
        UNION ALL SELECT tenant, 'all', human_ms FROM order_processed WHERE {recent('30 DAY', wide_pane())}
        UNION ALL SELECT tenant, 'all', {newest('human_ms')} FROM action_closed
        WHERE closed_by = 'human' GROUP BY tenant, action_id HAVING {recent('30 DAY', 'min(time)')}
    ), orders AS (
        SELECT tenant, count(DISTINCT order_id) AS distinct_orders FROM order_processed WHERE outcome = 'success' AND {recent('30 DAY', wide_pane())}
        GROUP BY ALL
    )
    SELECT *, baseline_seconds / nullif(current_seconds, 0) - 1 AS value FROM (
        SELECT tenant, type, any_value(distinct_orders) AS distinct_orders, any_value(b.value) AS baseline_seconds,
               sum(human_ms) / 1000 / any_value(distinct_orders) AS current_seconds
        FROM human JOIN orders USING (tenant)
        JOIN (SELECT tenant, coalesce(scope, 'all') AS type, value FROM ({BASELINE}) WHERE metric = 'human_seconds_per_order') b USING (tenant, type)
        WHERE human_ms IS NOT NULL GROUP BY ALL
    )
"""

OPPORTUNITY = f"""
    SELECT * FROM (
        SELECT *, row_number() OVER (PARTITION BY tenant ORDER BY value DESC NULLS LAST, kind) AS rank FROM (
            SELECT a.tenant, a.kind, count(*) AS actions, count(*) * coalesce(any_value(b.value), any_value(d.seconds), avg(c.human_ms) / 1000) AS value
            FROM action_fact a
            LEFT JOIN (SELECT tenant, action_id, {newest('human_ms')} AS human_ms FROM action_closed GROUP BY ALL) c USING (tenant, action_id)
            LEFT JOIN ({BASELINE}) b ON b.tenant = a.tenant AND b.metric = 'manual_seconds' AND b.scope = a.kind
            LEFT JOIN manual_seconds d ON d.type = a.kind
            WHERE a.closed_by = 'human' AND a.kind IS NOT NULL AND {recent('30 DAY', 'a.closed_at')}
              AND (a.tenant, a.kind) NOT IN (SELECT (tenant, rule_type) FROM active_rule)
            GROUP BY a.tenant, a.kind
        )
    ) WHERE rank <= 20
"""

LIFT = f"""
    WITH rule AS (
        SELECT r.tenant, r.rule_id AS rule, coalesce(any_value(t.rule_type), max(r.automation_type)) AS type,
               avg((outcome = 'success')::INTEGER) AS success
        FROM automation_run_finished r
        LEFT JOIN (SELECT tenant, rule_id, {newest('rule_type')} AS rule_type FROM automation_rule_changed GROUP BY ALL) t USING (tenant, rule_id)
        WHERE outcome IN ('success', 'failed') AND rule_id IS NOT NULL AND {recent('7 DAY', wide_pane())}
        GROUP BY r.tenant, r.rule_id HAVING count(*) >= param(r.tenant, 'rule_lift_min_runs')
    )
    SELECT *, success / nullif(median_success, 0) - 1 AS value
    FROM (SELECT *, median(success) OVER (PARTITION BY tenant, type) AS median_success FROM rule)
"""


def views(plan, api_cost):
    """Some are made of other metrics: of the use of the plan's orders, of the cost of APIs."""
    cost = f"{RUN_COST} UNION ALL SELECT tenant, window_start, currency, -value FROM ({api_cost})"
    return [
        view(
            "automation_cost_savings_amount_total", "window_start tenant component currency",
            components(shipping=LABEL_SAVINGS, labour=LABOUR, cost=RUN_COST), value=FLOAT,
        ),
        view("automation_paused", "tenant scope", PAUSED),
        view(
            "control_items_total", "window_start tenant control outcome",
            f"SELECT {start_of(HOUR)} AS window_start, tenant, control, outcome, sum(items) AS value FROM control_invoked WHERE items IS NOT NULL GROUP BY ALL",
        ),
        view(
            "automation_health_score_ratio", "tenant system", HEALTH,
            {c: FLOAT for c in ("success", "timely", "recovery", "freshness")} | {c: EXACT for c in ("band", "runs", "window_minutes")}, value=FLOAT,
        ),
        view(
            "workflow_efficiency_score_ratio", "window_start tenant", EFFICIENCY,
            {c: FLOAT for c in ("touchless", "on_time", "first_pass", "flow")} | {"orders": EXACT}, value=FLOAT,
        ),
        view(
            "workflow_revenue_impact_amount", "window_start tenant component currency",
            components(labour=LABOUR, shipping=LABEL_SAVINGS, protected=PROTECTED, cost=cost), value=FLOAT,
        ),
        view(
            "scalability_headroom_ratio", "tenant", headroom(plan),
            {"bottleneck": EXACT, "plan_orders": FLOAT}
            | {c: PER_QUANTILE for c in ("cpu", "memory", "storage", "connections", "api_rate_limit", "queue_workers")}, value=PER_QUANTILE,
        ),
        view(
            "automation_stress_reduction_score", "window_start tenant origin", STRESS,
            {c: FLOAT for c in ("averted", "calm", "quiet")}, value=FLOAT,
        ),
        view(
            "automation_efficiency_gain_ratio", "tenant type", GAIN,
            {"baseline_seconds": FLOAT, "current_seconds": OF_DISTINCT}, value=OF_DISTINCT,
        ),
        view("automation_opportunity_seconds", "tenant kind", OPPORTUNITY, {"actions": EXACT, "rank": EXACT}, value=FLOAT),
        view("automation_rule_lift_ratio", "tenant rule", LIFT, {"success": FLOAT, "median_success": FLOAT}, value=FLOAT),
    ]
