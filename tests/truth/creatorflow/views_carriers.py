"""2.4 of the catalogue, beyond counting labels: carriers' state and return, what waits, what was saved; and api_status."""

from compare import EXACT, FLOAT, QUANTILE
from rollup import order_statistic, start_of
from views import DAY, HOUR, NOW, newest, pane, recent, view, wide_pane
from views_shipping import CARRIERS, COST

# Newest probe of each service.
PROBES = f"""
    SELECT tenant, lower(service_name) AS service, arg_max(status, time) AS probe FROM health_check_completed
    WHERE {recent('15 MINUTE', pane())} GROUP BY ALL
"""

FIVE, TWO = (f"{pane()} > {NOW} - INTERVAL {minutes} MINUTE" for minutes in (5, 2))


def status(name, keys, calls, probed):
    """Worst of the probe and of the calls. `calls`: raw calls with their keys; `probed`: their join with probes."""
    truth = f"""
        WITH calls AS (
            SELECT tenant, {keys}, count(*) FILTER (WHERE {FIVE}) AS calls_5m,
                   count(*) FILTER (WHERE {FIVE} AND outcome IN ('success', 'client_error')) / nullif(count(*) FILTER (WHERE {FIVE}), 0) AS availability_5m,
                   count(*) FILTER (WHERE {TWO}) >= 5 AND count(*) FILTER (WHERE {TWO} AND outcome = 'success') = 0 AS is_dead,
                   {order_statistic(95)(f'CASE WHEN {FIVE} THEN duration_ms END')} / 1000 AS p95_5m,
                   {order_statistic(95)('duration_ms')} / 1000 AS p95_7d
            FROM ({calls}) WHERE {recent('7 DAY', wide_pane())} GROUP BY ALL
        ), judged AS (
            SELECT *, CASE WHEN coalesce(calls_5m, 0) = 0 THEN NULL WHEN availability_5m < 0.9 OR is_dead THEN 'critical'
                           WHEN availability_5m < 0.99 OR p95_5m > 2 * p95_7d THEN 'warning' ELSE 'nominal' END AS rule
            FROM {probed}
        ), ranked AS (
            SELECT *, list_position(['nominal', 'warning', 'unknown', 'critical'], s) AS rank
            FROM (SELECT *, unnest([probe, rule]) AS s FROM judged)
        )
        SELECT * EXCLUDE (rank), CASE coalesce(rank, 3) WHEN 1 THEN 'nominal' WHEN 2 THEN 'warning' WHEN 3 THEN 'unknown' ELSE 'critical' END AS status,
               CASE coalesce(rank, 3) WHEN 1 THEN 0 WHEN 2 THEN 1 WHEN 3 THEN 3 ELSE 2 END AS value
        FROM (SELECT tenant, {keys}, probe, rule, calls_5m, availability_5m, p95_5m, p95_7d, max(rank) AS rank FROM ranked GROUP BY ALL)
    """
    kinds = {"status": EXACT, "probe": EXACT, "rule": EXACT, "calls_5m": EXACT, "availability_5m": FLOAT, "p95_5m": QUANTILE, "p95_7d": QUANTILE}
    return view(name, " ".join(["tenant", *keys.split(", ")]), truth, kinds)


# Over 90 days. A late parcel costs the refunds of its order, a lost one the order.
ROI = f"""
    SELECT tenant, carrier, currency, (sum(saved) + sum(recovered) - sum(refunded) - sum(lost)) / nullif(sum(spent), 0) AS value,
           sum(saved) AS saved_amount, sum(recovered) AS recovered_amount, sum(refunded) AS late_refund_amount, sum(lost) AS lost_amount,
           sum(spent) AS spent_amount
    FROM (
        SELECT tenant, carrier, currency, {COST} AS spent, coalesce(major(baseline_minor - shipping_minor, currency), 0) AS saved,
               0 AS recovered, 0 AS refunded, 0 AS lost
        FROM label_fact WHERE {recent('90 DAY', 'time')}
        UNION ALL
        SELECT tenant, carrier, currency, 0, 0, major(recovered, currency), 0, 0 FROM (
            SELECT tenant, claim_id, {newest('upper(carrier)')} AS carrier, {newest('currency')} AS currency, {newest('recovered_minor')} AS recovered,
                   min(time) AS filed_at
            FROM claim_filed GROUP BY ALL
        ) WHERE recovered IS NOT NULL AND {recent('90 DAY', 'filed_at')}
        UNION ALL
        SELECT s.tenant, s.carrier, o.currency, 0, 0, 0,
               CASE WHEN s.status <> 'lost' THEN major(coalesce(o.refunded_minor, 0), o.currency) ELSE 0 END,
               CASE WHEN s.status = 'lost' THEN major(o.total_minor, o.currency) ELSE 0 END
        FROM shipment_fact s JOIN order_fact o USING (tenant, order_id)
        WHERE (s.status = 'lost' OR NOT s.on_time) AND {recent('90 DAY', 's.final_at')}
    ) GROUP BY ALL
"""

BANDS = [(250, "0-250 g"), (500, "250-500 g"), (1000, "500-1000 g"), (5000, "1-5 kg")]
BAND = "CASE " + " ".join(f"WHEN weight_g < {grams} THEN '{name}'" for grams, name in BANDS) + " WHEN weight_g >= 5000 THEN '5 kg and more' END"

PARCELS = f"""
    SELECT tenant, shipment_id, order_id, carrier, service, zone, weight_g, currency, min(time) AS labeled_at, count(*) AS labels, sum({COST}) AS cost
    FROM label_fact GROUP BY ALL
"""

NEGOTIATION = f"""
    SELECT p.tenant, p.carrier, p.service, p.zone, {BAND.replace('weight_g', 'p.weight_g')} AS weight, p.currency, count(*) AS shipments,
           sum(p.cost) / sum(p.labels) AS mean_cost_amount, count(*) FILTER (WHERE s.on_time) / nullif(count(s.on_time), 0) AS on_time_ratio,
           avg(((p.tenant, p.shipment_id) IN (SELECT (tenant, shipment_id) FROM claim_filed WHERE shipment_id IS NOT NULL))::INTEGER) AS claim_ratio
    FROM ({PARCELS}) p JOIN shipment_fact s USING (tenant, shipment_id) WHERE {recent('90 DAY', 'p.labeled_at')} GROUP BY ALL
"""

BENCHMARKS = f"SELECT tenant, metric, scope, {newest('value')}::DOUBLE AS value FROM benchmark_set GROUP BY ALL"

BENCHMARK = f"""
    SELECT p.tenant, p.carrier, p.service, p.currency, sum(p.cost) / sum(p.labels * b.value) AS value
    FROM ({PARCELS}) p JOIN ({BENCHMARKS}) b
      ON b.tenant = p.tenant AND b.metric = 'shipping_cost_amount' AND b.scope = concat_ws('/', p.service, p.zone)
    WHERE {recent('30 DAY', 'p.labeled_at')} GROUP BY ALL
"""

PENDING = f"""
    SELECT tenant, carrier, epoch({NOW}) - epoch(since) > 3600 * param(tenant, 'pending_overdue_hours') AS overdue, count(*) AS value FROM (
        SELECT tenant, carrier, first_seen_at AS since FROM shipment_fact
        WHERE picked_up_at IS NULL AND status IN ('pending', 'rate_selected', 'label_requested', 'label_created', 'label_failed')
        UNION ALL
        SELECT v.tenant, NULL, v.entered_at FROM visit v JOIN order_fact o USING (tenant, order_id)
        WHERE v.left_at IS NULL AND v.stage IN ('labeled', 'ready_to_ship') AND o.status NOT IN ('delivered', 'completed', 'cancelled', 'returned')
          AND NOT EXISTS (SELECT 1 FROM shipment_fact s WHERE s.tenant = v.tenant AND s.order_id = v.order_id)
    ) GROUP BY ALL
"""

SATISFACTION = f"""
    SELECT {start_of(DAY, 'a.time')} AS window_start, a.tenant, coalesce(s.carrier, o.carrier) AS carrier, avg(a.value::DOUBLE) AS value, count(*) AS answers
    FROM survey_answered a
    LEFT JOIN shipment_fact s ON s.tenant = a.tenant AND s.shipment_id = a.ref
    LEFT JOIN (
        SELECT tenant, order_id, arg_max(carrier, row(first_seen_at, shipment_id)) AS carrier FROM shipment_fact WHERE order_id IS NOT NULL GROUP BY ALL
    ) o ON o.tenant = a.tenant AND o.order_id = a.ref
    WHERE a.kind = 'delivery' AND a.value IS NOT NULL GROUP BY ALL
"""

SAVED_SO_FAR = f"""
    SELECT window_start, tenant, currency, sum(saved) OVER (PARTITION BY tenant, currency ORDER BY window_start) AS value FROM (
        SELECT {start_of(DAY)} AS window_start, tenant, currency, sum(major(baseline_minor - shipping_minor, currency)) AS saved
        FROM label_fact WHERE baseline_minor IS NOT NULL GROUP BY ALL
    )
"""

PER_HOUR = f"""
    SELECT window_start, tenant, labels, human_hours, labels / nullif(human_hours, 0) AS value FROM (
        SELECT {start_of(DAY)} AS window_start, tenant, count(*) AS labels FROM label_completed WHERE outcome = 'created' GROUP BY ALL
    ) LEFT JOIN (
        SELECT {start_of(DAY)} AS window_start, tenant, sum(human_ms) / 3600000 AS human_hours FROM (
            SELECT tenant, time, human_ms FROM automation_run_finished WHERE automation_type = 'label_generation'
            UNION ALL
            SELECT tenant, min(time), {newest('human_ms')} FROM action_closed WHERE system = 'shipping' AND closed_by = 'human' GROUP BY tenant, action_id
        ) WHERE human_ms IS NOT NULL GROUP BY ALL
    ) USING (window_start, tenant)
"""

SWITCHES = f"""
    SELECT {start_of(HOUR)} AS window_start, tenant, upper("from") AS "from", upper("to") AS "to", mode, count(*) AS value FROM failover_switched
    WHERE upper("from") IN {CARRIERS} OR upper("to") IN {CARRIERS} GROUP BY ALL
"""

VIEWS = [
    status(
        "carrier_status", "carrier", f"SELECT *, upper(provider) AS carrier FROM api_call_completed WHERE upper(provider) IN {CARRIERS}",
        f"calls FULL JOIN (SELECT tenant, upper(service) AS carrier, probe FROM ({PROBES}) WHERE upper(service) IN {CARRIERS}) USING (tenant, carrier)",
    ),
    status(
        "api_status", "provider, api", "SELECT * FROM api_call_completed",
        f"calls LEFT JOIN (SELECT tenant AS t, service, probe FROM ({PROBES})) ON t = tenant AND service = lower(provider)",
    ),
    view(
        "shipping_carrier_roi_ratio", "tenant carrier currency", ROI,
        {f"{part}_amount": FLOAT for part in ("saved", "recovered", "late_refund", "lost", "spent")}, value=FLOAT,
    ),
    view(
        "carrier_negotiation_stat", "tenant carrier service zone weight currency", NEGOTIATION,
        {"shipments": EXACT, "mean_cost_amount": FLOAT, "on_time_ratio": FLOAT, "claim_ratio": FLOAT}, value=None,
    ),
    view("shipping_benchmark_cost_ratio", "tenant carrier service currency", BENCHMARK, value=FLOAT),
    view("shipments_pending", "tenant carrier overdue", PENDING),
    view("shipping_satisfaction_score", "window_start tenant carrier", SATISFACTION, {"answers": EXACT}, value=FLOAT),
    view("shipping_savings_journey_amount", "window_start tenant currency", SAVED_SO_FAR, value=FLOAT),
    view("shipping_efficiency_per_hour", "window_start tenant", PER_HOUR, {"labels": EXACT, "human_hours": FLOAT}, value=FLOAT),
    view("shipping_carrier_switches_total", "window_start tenant from to mode", SWITCHES),
]
