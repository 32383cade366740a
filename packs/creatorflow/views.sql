-- The metrics of CreatorFlow, each a view of its own name over the rollups.
--
-- Every view has `tenant`, its labels and `value`; durations are seconds, money is major units beside `currency`,
-- shares are 0 to 1. Quantiles stand in p50, p90, p95, p99 with mean and count. Views with `window_start` have one row
-- per window (the width is said at each), the others speak of now. Where a metric is a share, a label says 'all' in the
-- rows that do not split by it.
--
-- What has no denominator has no value: NULL, never 0. A score leaves out what it lacks and rescales the weights; with
-- more than half of the weight missing it has no value. (greatest and least skip NULLs, hence the CASE around them.)

-- Parameters -------------------------------------------------------------------------------------------------------

-- Every weight and threshold. threshold.set with `parameter` = name replaces it for its tenant.
CREATE VIEW parameter_default AS
SELECT name, value, meaning FROM (VALUES
    ('hourly_rate', 25.0, 'worth of an hour of work, in the currency of the tenant'),
    ('p_cancel', 1.0, 'share of oversells that would have been cancelled'),
    ('p_loss', 0.2, 'share of orders lost to an exception nobody resolves, where 90 days of cancellations say nothing'),
    ('margin_share', 0.0, 'share of the margin of its orders that an integration may claim'),
    ('bottleneck_ratio', 1.2, 'entries per exit from which a stage is a bottleneck'),
    ('bottleneck_dwell_factor', 2.0, 'times the usual p95 of dwelling from which a stage is a bottleneck'),
    ('pending_overdue_hours', 24.0, 'a shipment not picked up for so long is overdue'),
    ('tracking_stale_hours', 48.0, 'a shipment on its way is stale without news for so long'),
    ('token_expiry_warning_hours', 24.0, 'a token that expires sooner is a warning'),
    ('safety_days', 7.0, 'days of demand kept beyond the lead time'),
    ('capacity_limit', 0.85, 'utilisation at which a resource is full'),
    ('automation_health_min_runs', 20.0, 'runs in 15 minutes below which automation is judged by the hour'),
    ('rule_lift_min_runs', 50.0, 'runs in 7 days below which a rule is not compared'),
    ('automation_health.success', 0.45, 'weight'),
    ('automation_health.timely', 0.25, 'weight'),
    ('automation_health.recovery', 0.15, 'weight'),
    ('automation_health.freshness', 0.15, 'weight'),
    ('workflow_efficiency.touchless', 0.35, 'weight'),
    ('workflow_efficiency.on_time', 0.25, 'weight'),
    ('workflow_efficiency.first_pass', 0.25, 'weight'),
    ('workflow_efficiency.flow', 0.15, 'weight'),
    ('stress_reduction.averted', 0.5, 'weight'),
    ('stress_reduction.calm', 0.3, 'weight'),
    ('stress_reduction.quiet', 0.2, 'weight'),
    ('market_opportunity.growth', 0.4, 'weight'),
    ('market_opportunity.margin', 0.3, 'weight'),
    ('market_opportunity.availability', 0.3, 'weight'),
    ('platform_risk.concentration', 0.5, 'weight'),
    ('platform_risk.fragility', 0.3, 'weight'),
    ('platform_risk.pressure', 0.2, 'weight')
) AS p(name, value, meaning);

CREATE VIEW parameter_override AS
SELECT tenant, metric AS name, CAST(value AS DOUBLE) AS value
FROM reference_values
WHERE kind = 'parameter';

-- The same as one row of defaults and one row per tenant that has its own: what a score multiplies with.
CREATE VIEW weight_default AS
SELECT max(value) FILTER (WHERE name = 'automation_health.success') AS health_success,
       max(value) FILTER (WHERE name = 'automation_health.timely') AS health_timely,
       max(value) FILTER (WHERE name = 'automation_health.recovery') AS health_recovery,
       max(value) FILTER (WHERE name = 'automation_health.freshness') AS health_freshness,
       max(value) FILTER (WHERE name = 'workflow_efficiency.touchless') AS workflow_touchless,
       max(value) FILTER (WHERE name = 'workflow_efficiency.on_time') AS workflow_on_time,
       max(value) FILTER (WHERE name = 'workflow_efficiency.first_pass') AS workflow_first_pass,
       max(value) FILTER (WHERE name = 'workflow_efficiency.flow') AS workflow_flow,
       max(value) FILTER (WHERE name = 'stress_reduction.averted') AS stress_averted,
       max(value) FILTER (WHERE name = 'stress_reduction.calm') AS stress_calm,
       max(value) FILTER (WHERE name = 'stress_reduction.quiet') AS stress_quiet,
       max(value) FILTER (WHERE name = 'market_opportunity.growth') AS market_growth,
       max(value) FILTER (WHERE name = 'market_opportunity.margin') AS market_margin,
       max(value) FILTER (WHERE name = 'market_opportunity.availability') AS market_availability,
       max(value) FILTER (WHERE name = 'platform_risk.concentration') AS platform_concentration,
       max(value) FILTER (WHERE name = 'platform_risk.fragility') AS platform_fragility,
       max(value) FILTER (WHERE name = 'platform_risk.pressure') AS platform_pressure
FROM parameter_default;

CREATE VIEW weight_override AS
SELECT tenant,
       max(value) FILTER (WHERE name = 'automation_health.success') AS health_success,
       max(value) FILTER (WHERE name = 'automation_health.timely') AS health_timely,
       max(value) FILTER (WHERE name = 'automation_health.recovery') AS health_recovery,
       max(value) FILTER (WHERE name = 'automation_health.freshness') AS health_freshness,
       max(value) FILTER (WHERE name = 'workflow_efficiency.touchless') AS workflow_touchless,
       max(value) FILTER (WHERE name = 'workflow_efficiency.on_time') AS workflow_on_time,
       max(value) FILTER (WHERE name = 'workflow_efficiency.first_pass') AS workflow_first_pass,
       max(value) FILTER (WHERE name = 'workflow_efficiency.flow') AS workflow_flow,
       max(value) FILTER (WHERE name = 'stress_reduction.averted') AS stress_averted,
       max(value) FILTER (WHERE name = 'stress_reduction.calm') AS stress_calm,
       max(value) FILTER (WHERE name = 'stress_reduction.quiet') AS stress_quiet,
       max(value) FILTER (WHERE name = 'market_opportunity.growth') AS market_growth,
       max(value) FILTER (WHERE name = 'market_opportunity.margin') AS market_margin,
       max(value) FILTER (WHERE name = 'market_opportunity.availability') AS market_availability,
       max(value) FILTER (WHERE name = 'platform_risk.concentration') AS platform_concentration,
       max(value) FILTER (WHERE name = 'platform_risk.fragility') AS platform_fragility,
       max(value) FILTER (WHERE name = 'platform_risk.pressure') AS platform_pressure
FROM parameter_override
GROUP BY tenant;

-- What one item takes by hand, in seconds, where neither the run nor baseline.set (metric manual_seconds) says it.
CREATE VIEW manual_baseline_default AS
SELECT automation_type, seconds FROM (VALUES
    ('order_processing', 120.0), ('status_update', 90.0), ('label_generation', 180.0), ('stock_adjustment', 60.0),
    ('customer_notification', 60.0), ('sync', 120.0), ('reconciliation', 600.0), ('campaign', 300.0), ('report', 900.0)
) AS b(automation_type, seconds);

-- Currencies whose minor unit is not a hundredth (ISO 4217).
CREATE VIEW currency_unit AS
SELECT currency, minor_per_major FROM (VALUES
    ('BIF', 1), ('CLP', 1), ('DJF', 1), ('GNF', 1), ('ISK', 1), ('JPY', 1), ('KMF', 1), ('KRW', 1), ('PYG', 1), ('RWF', 1),
    ('UGX', 1), ('VND', 1), ('VUV', 1), ('XAF', 1), ('XOF', 1), ('XPF', 1),
    ('BHD', 1000), ('IQD', 1000), ('JOD', 1000), ('KWD', 1000), ('LYD', 1000), ('OMR', 1000), ('TND', 1000)
) AS c(currency, minor_per_major);

-- Tenants ----------------------------------------------------------------------------------------------------------

CREATE VIEW tenant_current AS
SELECT tenant,
       last_value(time_zone ORDER BY valid_from) FILTER (WHERE time_zone IS NOT NULL) AS time_zone,
       last_value(currency ORDER BY valid_from) FILTER (WHERE currency IS NOT NULL)   AS currency,
       last_value(plan ORDER BY valid_from) FILTER (WHERE plan IS NOT NULL)           AS plan
FROM tenant_log
GROUP BY tenant;

-- Now: when events are expected of whom, for the rules of detectors.yaml. A row without a type of events is the clock of
-- a tenant, for all that nobody has declared.
CREATE VIEW expected_rhythm AS
SELECT r.tenant, r.event_type, r.shop_id, coalesce(nullif(r.time_zone, ''), t.time_zone) AS zone,
       nullif(r.opening_hours, '') AS hours, nullif(r.holidays, '') AS holidays, nullif(r.rhythm, '') AS rhythm, CAST(1 AS BIGINT) AS value
FROM declared_rhythms r
LEFT JOIN tenant_current t ON t.tenant = r.tenant
UNION ALL
SELECT tenant, NULL, NULL, time_zone, NULL, NULL, NULL, 1 FROM tenant_current WHERE time_zone IS NOT NULL;

-- Commission rates with the time in which each was in force.
CREATE VIEW tenant_commission AS
SELECT tenant, CAST(commission_rate AS DOUBLE) AS commission_rate, valid_from,
       lead(valid_from) OVER (PARTITION BY tenant ORDER BY valid_from) AS valid_until
FROM tenant_log
WHERE commission_rate IS NOT NULL;

-- Since when it is "today" for a tenant: sum an hourly view from here. A zone that does not exist counts as UTC.
CREATE VIEW tenant_today AS
SELECT tenant, time_zone,
       coalesce(time_bucket(INTERVAL '1 day', now(), time_zone), time_bucket(INTERVAL '1 day', now())) AS starts_at
FROM tenant_current;

-- 2.1 Orders, revenue, customers -------------------------------------------------------------------------------------

-- 1 minute.
CREATE VIEW orders_received_total AS
SELECT date_bin(INTERVAL '1 minute', window_start) AS window_start, tenant,
       shop_id AS shop, channel, priority_level AS priority, impact_level AS impact,
       sum(orders) AS value
FROM orders_received
GROUP BY 1, 2, 3, 4, 5, 6;

-- 1 minute.
CREATE VIEW orders_received_per_second AS
SELECT window_start, tenant, shop, CAST(sum(value) AS DOUBLE) / 60 AS value
FROM orders_received_total
GROUP BY 1, 2, 3;

-- 1 hour. An order counts once in its window, however often it was tried.
CREATE VIEW orders_processed_total AS
SELECT date_bin(INTERVAL '1 hour', window_start) AS window_start, tenant,
       shop_id AS shop, is_automated, priority_level AS priority,
       approx_distinct(distinct_orders) AS value
FROM order_processing
WHERE outcome = 'success'
GROUP BY 1, 2, 3, 4, 5;

-- 1 minute.
CREATE VIEW order_processing_seconds AS
SELECT date_bin(INTERVAL '1 minute', window_start) AS window_start, tenant,
       shop_id AS shop, is_automated, priority_level AS priority,
       quantile(processing_ms, 0.5) / 1000 AS p50, quantile(processing_ms, 0.9) / 1000 AS p90,
       quantile(processing_ms, 0.95) / 1000 AS p95, quantile(processing_ms, 0.99) / 1000 AS p99,
       CAST(sum(processing_mean_ms_sum) AS DOUBLE) / nullif(sum(processing_mean_ms_count), 0) / 1000 AS mean,
       sum(processing_mean_ms_count) AS count
FROM order_processing
GROUP BY 1, 2, 3, 4, 5;

-- 1 hour. Orders with an exception among all orders that were worked on, whether they got through or not.
CREATE VIEW order_exception_ratio AS
WITH worked AS (
    SELECT date_bin(INTERVAL '1 hour', window_start) AS window_start, tenant, shop_id, distinct_orders FROM order_processing
    UNION ALL
    SELECT date_bin(INTERVAL '1 hour', window_start), tenant, shop_id, distinct_orders FROM order_exceptions
), orders AS (
    SELECT window_start, tenant, shop_id, approx_distinct(distinct_orders) AS orders FROM worked GROUP BY 1, 2, 3
), raised AS (
    SELECT date_bin(INTERVAL '1 hour', window_start) AS window_start, tenant, shop_id, 'all' AS source,
           approx_distinct(distinct_orders) AS raised
    FROM order_exceptions GROUP BY 1, 2, 3
    UNION ALL
    SELECT date_bin(INTERVAL '1 hour', window_start), tenant, shop_id, exception_source, approx_distinct(distinct_orders)
    FROM order_exceptions GROUP BY 1, 2, 3, 4
)
SELECT o.window_start, o.tenant, o.shop_id AS shop, coalesce(r.source, 'all') AS source,
       CAST(coalesce(r.raised, 0) AS DOUBLE) / nullif(o.orders, 0) AS value,
       coalesce(r.raised, 0) AS exception_orders, o.orders
FROM orders o
LEFT JOIN raised r ON r.window_start = o.window_start AND r.tenant = o.tenant AND r.shop_id IS NOT DISTINCT FROM o.shop_id;

-- Now, of the last 15 minutes: the same of all sources together, as alerts need it.
CREATE VIEW order_exception_recent_ratio AS
WITH raised AS (
    SELECT tenant, shop_id, distinct_orders FROM order_exceptions
    WHERE window_start > now() - INTERVAL '15 minutes' AND window_start <= now()
), worked AS (
    SELECT tenant, shop_id, distinct_orders FROM raised
    UNION ALL
    SELECT tenant, shop_id, distinct_orders FROM order_processing
    WHERE window_start > now() - INTERVAL '15 minutes' AND window_start <= now()
)
SELECT o.tenant, o.shop_id AS shop, CAST(coalesce(r.orders, 0) AS DOUBLE) / nullif(o.orders, 0) AS value,
       coalesce(r.orders, 0) AS exception_orders, o.orders
FROM (SELECT tenant, shop_id, approx_distinct(distinct_orders) AS orders FROM worked GROUP BY 1, 2) o
LEFT JOIN (SELECT tenant, shop_id, approx_distinct(distinct_orders) AS orders FROM raised GROUP BY 1, 2) r
       ON r.tenant = o.tenant AND r.shop_id IS NOT DISTINCT FROM o.shop_id;

-- Each raise with the resolution that follows it: the next entry of the same order and code.
CREATE VIEW order_exception_case AS
SELECT tenant, order_id, exception_code, raised, changed_at AS raised_at,
       CASE WHEN next_resolved > 0 THEN next_at END AS resolved_at,
       CASE WHEN next_resolved > 0 THEN next_by END AS resolved_by,
       exception_source
FROM (
    SELECT tenant, order_id, exception_code, exception_source, raised, changed_at,
           lead(resolved) OVER w AS next_resolved, lead(changed_at) OVER w AS next_at, lead(resolved_by) OVER w AS next_by
    FROM order_log
    WHERE raised > 0 OR resolved > 0
    WINDOW w AS (PARTITION BY tenant, order_id, exception_code ORDER BY changed_at)
)
WHERE raised > 0;

-- 1 hour, of raising. `resolved_by` is NULL while nobody has.
CREATE VIEW order_exceptions_total AS
SELECT date_bin(INTERVAL '1 hour', raised_at) AS window_start, tenant,
       exception_source AS source, exception_code AS code, resolved_by,
       sum(raised) AS value
FROM order_exception_case
GROUP BY 1, 2, 3, 4, 5;

-- 1 hour, of resolution.
CREATE VIEW order_exception_resolution_seconds AS
SELECT window_start, tenant, source, resolved_by,
       hdr_quantile(sketch, 0.5) / 1000 AS p50, hdr_quantile(sketch, 0.9) / 1000 AS p90,
       hdr_quantile(sketch, 0.95) / 1000 AS p95, hdr_quantile(sketch, 0.99) / 1000 AS p99, mean, count
FROM (
    SELECT date_bin(INTERVAL '1 hour', resolved_at) AS window_start, tenant, exception_source AS source, resolved_by,
           hdr((CAST(resolved_at AS BIGINT) - CAST(raised_at AS BIGINT)) / 1000, 3) AS sketch,
           avg(CAST(CAST(resolved_at AS BIGINT) - CAST(raised_at AS BIGINT) AS DOUBLE)) / 1000000 AS mean, count(*) AS count
    FROM order_exception_case
    WHERE resolved_at IS NOT NULL
    GROUP BY 1, 2, 3, 4
);

-- 1 day, full days only.
CREATE VIEW order_throughput_per_day AS
SELECT date_bin(INTERVAL '1 day', window_start) AS window_start, tenant, approx_distinct(distinct_orders) AS value
FROM order_processing
WHERE outcome = 'success' AND window_start < date_trunc('day', now())
GROUP BY 1, 2;

-- Now.
CREATE VIEW orders_by_status AS
SELECT tenant, order_status AS status, priority_level AS priority, impact_level AS impact, count(*) AS value
FROM order_state
WHERE order_status IS NOT NULL
GROUP BY 1, 2, 3, 4;

-- Now.
CREATE VIEW orders_by_payment_status AS
SELECT tenant, payment_status AS status, count(*) AS value
FROM order_state
WHERE payment_status IS NOT NULL
GROUP BY 1, 2;

-- Orders that still have a way to go. A delivered order may yet be completed or returned, but nobody works on it.
CREATE VIEW order_open AS
SELECT * FROM order_state
WHERE order_status NOT IN ('delivered', 'completed', 'cancelled', 'returned');

-- Now.
CREATE VIEW order_pipeline_depth AS
SELECT tenant, fulfillment_stage AS stage, count(*) AS value
FROM order_open
WHERE fulfillment_stage IS NOT NULL
GROUP BY 1, 2;

-- One visit of an order to a stage. News that repeat a stage are no entry.
CREATE VIEW order_stage_visit AS
SELECT tenant, order_id, stage, changed_at AS entered_at,
       lead(changed_at) OVER (PARTITION BY tenant, order_id ORDER BY changed_at) AS left_at
FROM (
    SELECT tenant, order_id, stage, changed_at,
           lag(stage) OVER (PARTITION BY tenant, order_id ORDER BY changed_at) AS previous_stage
    FROM order_log
    WHERE stage IS NOT NULL
)
WHERE previous_stage IS NULL OR previous_stage <> stage;

-- 1 hour, of leaving.
CREATE VIEW order_stage_dwell_seconds AS
SELECT window_start, tenant, stage,
       hdr_quantile(sketch, 0.5) / 1000 AS p50, hdr_quantile(sketch, 0.9) / 1000 AS p90,
       hdr_quantile(sketch, 0.95) / 1000 AS p95, hdr_quantile(sketch, 0.99) / 1000 AS p99, mean, count
FROM (
    SELECT date_bin(INTERVAL '1 hour', left_at) AS window_start, tenant, stage,
           hdr((CAST(left_at AS BIGINT) - CAST(entered_at AS BIGINT)) / 1000, 3) AS sketch,
           avg(CAST(CAST(left_at AS BIGINT) - CAST(entered_at AS BIGINT) AS DOUBLE)) / 1000000 AS mean, count(*) AS count
    FROM order_stage_visit
    WHERE left_at IS NOT NULL
    GROUP BY 1, 2, 3
);

-- Now.
CREATE VIEW order_stage_oldest_age_seconds AS
SELECT v.tenant, v.stage, max(date_part('epoch', now()) - date_part('epoch', v.entered_at)) AS value
FROM order_stage_visit v
JOIN order_open o ON o.tenant = v.tenant AND o.order_id = v.order_id
WHERE v.left_at IS NULL
GROUP BY 1, 2;

-- Now: the last 15 minutes.
CREATE VIEW order_stage_bottleneck_ratio AS
WITH visits AS (
    SELECT tenant, stage, entered_at, left_at, (CAST(left_at AS BIGINT) - CAST(entered_at AS BIGINT)) / 1000 AS dwell_ms
    FROM order_stage_visit
    WHERE left_at IS NULL OR left_at > now() - INTERVAL '7 days'
), stages AS (
    SELECT tenant, stage,
           count(*) FILTER (WHERE entered_at > now() - INTERVAL '15 minutes' AND entered_at <= now()) AS entries,
           count(*) FILTER (WHERE left_at > now() - INTERVAL '15 minutes' AND left_at <= now()) AS exits,
           hdr_quantile(hdr(dwell_ms, 3) FILTER (WHERE left_at > now() - INTERVAL '15 minutes' AND left_at <= now()), 0.95) / 1000 AS dwell_p95,
           hdr_quantile(hdr(dwell_ms, 3) FILTER (WHERE left_at <= now()), 0.95) / 1000 AS dwell_p95_7d
    FROM visits
    GROUP BY 1, 2
)
SELECT s.tenant, s.stage,
       CASE WHEN exits > 0 THEN CAST(entries AS DOUBLE) / exits ELSE CAST(entries AS DOUBLE) END AS value,
       entries, exits, dwell_p95, dwell_p95_7d,
       CASE WHEN exits > 0 THEN CAST(entries AS DOUBLE) / exits ELSE CAST(entries AS DOUBLE) END > coalesce(ro.value, rd.value)
           AND coalesce(dwell_p95 > coalesce(fo.value, fd.value) * dwell_p95_7d, false) AS is_bottleneck
FROM stages s
JOIN parameter_default rd ON rd.name = 'bottleneck_ratio'
JOIN parameter_default fd ON fd.name = 'bottleneck_dwell_factor'
LEFT JOIN parameter_override ro ON ro.tenant = s.tenant AND ro.name = 'bottleneck_ratio'
LEFT JOIN parameter_override fo ON fo.tenant = s.tenant AND fo.name = 'bottleneck_dwell_factor'
WHERE entries > 0 OR exits > 0;

-- Now.
CREATE VIEW orders_urgent_open AS
SELECT tenant, priority_level AS priority, impact_level AS impact, count(*) AS value
FROM order_open
WHERE priority_level IN ('urgent', 'high')
GROUP BY 1, 2, 3;

-- Now.
CREATE VIEW actions_open AS
SELECT tenant, system, kind, priority_level AS priority, coalesce(due_at < now(), false) AS overdue, count(*) AS value
FROM action_state
WHERE opened_at IS NOT NULL AND closed_at IS NULL
GROUP BY 1, 2, 3, 4, 5;

-- Each order with its lines, and the share of the order that each line is. An order without lines is one line.
CREATE VIEW order_part AS
SELECT o.tenant, o.order_id, o.shop_id, o.channel, o.sales_platform, o.ship_country, o.currency, o.customer_key,
       o.received_at, o.ordered_at, o.paid_at, o.total_minor, o.paid_minor, o.fee_minor,
       l.product_id, l.category, l.quantity, l.line_total_minor, l.cost_minor, l.lines_without_cost,
       CASE WHEN l.order_id IS NULL THEN 1.0
            WHEN coalesce(l.lines_minor, 0) = 0 THEN 1.0 / l.lines
            ELSE CAST(coalesce(l.line_total_minor, 0) AS DOUBLE) / CAST(l.lines_minor AS DOUBLE) END AS share,
       CAST(coalesce(u.minor_per_major, 100) AS DOUBLE) AS minor_per_major
FROM order_state o
LEFT JOIN (
    SELECT tenant, order_id, product_id, category, quantity, line_total_minor, cost_minor, lines_without_cost,
           sum(line_total_minor) OVER (PARTITION BY tenant, order_id) AS lines_minor,
           count(*) OVER (PARTITION BY tenant, order_id) AS lines
    FROM order_lines
) l ON l.tenant = o.tenant AND l.order_id = o.order_id
LEFT JOIN currency_unit u ON u.currency = o.currency;

-- Money as it moves: an order is paid once; refunds are negative, at their own time.
CREATE VIEW order_money AS
SELECT paid_at AS moved_at, 'paid' AS movement, tenant, order_id, shop_id, channel, sales_platform, ship_country, currency,
       customer_key, ordered_at, product_id, category,
       CAST(paid_minor AS DOUBLE) * share / minor_per_major AS amount
FROM order_part
WHERE paid_at IS NOT NULL
UNION ALL
SELECT r.changed_at, 'refunded', p.tenant, p.order_id, p.shop_id, p.channel, p.sales_platform, p.ship_country, p.currency,
       p.customer_key, p.ordered_at, p.product_id, p.category,
       -CAST(r.refund_minor AS DOUBLE) * p.share / p.minor_per_major
FROM order_log r
JOIN order_part p ON p.tenant = r.tenant AND p.order_id = r.order_id
WHERE r.refund_minor IS NOT NULL;

-- 1 hour. An order of several categories is split by its lines.
CREATE VIEW order_gross_amount_total AS
SELECT date_bin(INTERVAL '1 hour', received_at) AS window_start, tenant, shop_id AS shop, channel, category, currency,
       sum(CAST(total_minor AS DOUBLE) * share / minor_per_major) AS value
FROM order_part
WHERE total_minor IS NOT NULL
GROUP BY 1, 2, 3, 4, 5, 6;

-- 1 hour: paid minus refunded, each at its own time.
CREATE VIEW order_revenue_amount_total AS
SELECT date_bin(INTERVAL '1 hour', moved_at) AS window_start, tenant,
       shop_id AS shop, channel, category, ship_country AS country, currency,
       sum(amount) AS value
FROM order_money
GROUP BY 1, 2, 3, 4, 5, 6, 7;

-- 1 hour.
CREATE VIEW order_refund_amount_total AS
SELECT date_bin(INTERVAL '1 hour', p.window_start) AS window_start, p.tenant, p.shop_id AS shop, p.currency,
       sum(CAST(p.refunded_minor AS DOUBLE) / coalesce(u.minor_per_major, 100)) AS value
FROM order_payments p
LEFT JOIN currency_unit u ON u.currency = p.currency
WHERE p.refunded_minor IS NOT NULL
GROUP BY 1, 2, 3, 4;

-- 1 day. The rate is that of the time of the order; before the first rate there is none.
CREATE VIEW creator_commission_amount_total AS
SELECT date_bin(INTERVAL '1 day', m.moved_at) AS window_start, m.tenant, m.shop_id AS shop, m.currency,
       sum(m.amount * c.commission_rate) AS value
FROM order_money m
JOIN tenant_commission c ON c.tenant = m.tenant AND c.valid_from <= m.ordered_at
WHERE c.valid_until IS NULL OR m.ordered_at < c.valid_until
GROUP BY 1, 2, 3, 4;

-- 1 day.
CREATE VIEW order_average_value_amount AS
SELECT date_bin(INTERVAL '1 day', r.window_start) AS window_start, r.tenant, r.channel, r.currency,
       CAST(sum(r.gross_minor) AS DOUBLE) / max(coalesce(u.minor_per_major, 100)) / nullif(sum(r.orders), 0) AS value,
       sum(r.orders) AS orders
FROM orders_received r
LEFT JOIN currency_unit u ON u.currency = r.currency
GROUP BY 1, 2, 3, 4;

-- Orders by the day they were placed, and what became of them, for each category in them and for all.
CREATE VIEW order_cohort AS
SELECT date_bin(INTERVAL '1 day', ordered_at) AS window_start, tenant, shop_id AS shop, 'all' AS category,
       delivered_at, cancelled_at, returned_at
FROM order_state
WHERE ordered_at IS NOT NULL
UNION ALL
SELECT date_bin(INTERVAL '1 day', o.ordered_at), o.tenant, o.shop_id, l.category, o.delivered_at, o.cancelled_at, o.returned_at
FROM order_state o
JOIN (SELECT DISTINCT tenant, order_id, category FROM order_lines WHERE category IS NOT NULL) l
  ON l.tenant = o.tenant AND l.order_id = o.order_id
WHERE o.ordered_at IS NOT NULL;

-- 1 day, of ordering.
CREATE VIEW order_cancel_ratio AS
SELECT window_start, tenant, shop, category, CAST(count(cancelled_at) AS DOUBLE) / nullif(count(*), 0) AS value, count(*) AS orders
FROM order_cohort
GROUP BY 1, 2, 3, 4;

-- 1 day, of ordering.
CREATE VIEW order_return_ratio AS
SELECT window_start, tenant, shop, category, CAST(count(returned_at) AS DOUBLE) / nullif(count(delivered_at), 0) AS value,
       count(delivered_at) AS delivered
FROM order_cohort
GROUP BY 1, 2, 3, 4;

-- 1 day, of shipping.
CREATE VIEW order_fulfilment_seconds AS
SELECT window_start, tenant, shop, priority,
       hdr_quantile(sketch, 0.5) / 1000 AS p50, hdr_quantile(sketch, 0.9) / 1000 AS p90,
       hdr_quantile(sketch, 0.95) / 1000 AS p95, hdr_quantile(sketch, 0.99) / 1000 AS p99, mean, count
FROM (
    SELECT date_bin(INTERVAL '1 day', shipped_at) AS window_start, tenant, shop_id AS shop, priority_level AS priority,
           hdr((CAST(shipped_at AS BIGINT) - CAST(ordered_at AS BIGINT)) / 1000, 3) AS sketch,
           avg(CAST(CAST(shipped_at AS BIGINT) - CAST(ordered_at AS BIGINT) AS DOUBLE)) / 1000000 AS mean, count(*) AS count
    FROM order_state
    WHERE shipped_at >= ordered_at
    GROUP BY 1, 2, 3, 4
);

-- 1 day, of delivery. The carrier is that of the last shipment of the order.
CREATE VIEW order_delivery_seconds AS
SELECT window_start, tenant, carrier,
       hdr_quantile(sketch, 0.5) / 1000 AS p50, hdr_quantile(sketch, 0.9) / 1000 AS p90,
       hdr_quantile(sketch, 0.95) / 1000 AS p95, hdr_quantile(sketch, 0.99) / 1000 AS p99, mean, count
FROM (
    SELECT date_bin(INTERVAL '1 day', o.delivered_at) AS window_start, o.tenant, s.carrier,
           hdr((CAST(o.delivered_at AS BIGINT) - CAST(o.ordered_at AS BIGINT)) / 1000, 3) AS sketch,
           avg(CAST(CAST(o.delivered_at AS BIGINT) - CAST(o.ordered_at AS BIGINT) AS DOUBLE)) / 1000000 AS mean, count(*) AS count
    FROM order_state o
    LEFT JOIN (
        SELECT tenant, order_id, last_value(carrier ORDER BY first_seen_at, shipment_id) AS carrier
        FROM shipment_state GROUP BY 1, 2
    ) s ON s.tenant = o.tenant AND s.order_id = o.order_id
    WHERE o.delivered_at >= o.ordered_at
    GROUP BY 1, 2, 3
);

-- All time.
CREATE VIEW orders_lifetime_total AS
SELECT tenant, sum(orders) AS value FROM orders_received GROUP BY 1;

-- Now: 30 times 24 hours.
CREATE VIEW orders_30d AS
SELECT tenant, sum(orders) AS value
FROM orders_received
WHERE window_start > now() - INTERVAL '30 days' AND window_start <= now()
GROUP BY 1;

-- 1 hour.
CREATE VIEW order_impact_share_ratio AS
SELECT window_start, tenant, impact, CAST(orders AS DOUBLE) / nullif(sum(orders) OVER (PARTITION BY window_start, tenant), 0) AS value
FROM (
    SELECT date_bin(INTERVAL '1 hour', window_start) AS window_start, tenant, impact_level AS impact, sum(orders) AS orders
    FROM orders_received GROUP BY 1, 2, 3
);

-- Now.
CREATE VIEW order_plan_limit_used_ratio AS
SELECT s.tenant, s.plan_name AS plan, CAST(coalesce(sum(r.orders), 0) AS DOUBLE) / nullif(s.order_limit, 0) AS value,
       coalesce(sum(r.orders), 0) AS orders, s.order_limit
FROM subscription_state s
LEFT JOIN orders_received r ON r.tenant = s.tenant AND r.window_start >= s.current_period_start
WHERE s.order_limit IS NOT NULL AND coalesce(s.status, 'active') IN ('active', 'trialing', 'past_due', 'free')
GROUP BY s.tenant, s.subscription_id, s.plan_name, s.order_limit;

-- 1 hour. The steps an order may take; any other counts, and was taken all the same.
CREATE VIEW order_invalid_transitions_total AS
SELECT date_bin(INTERVAL '1 hour', window_start) AS window_start, tenant,
       previous_status AS "from", order_status AS "to", sum(transitions) AS value
FROM order_transitions
WHERE previous_status <> order_status
  AND NOT ((previous_status = 'pending' AND order_status = 'confirmed')
        OR (previous_status = 'confirmed' AND order_status = 'processing')
        OR (previous_status = 'processing' AND order_status = 'ready_to_ship')
        OR (previous_status = 'ready_to_ship' AND order_status = 'shipped')
        OR (previous_status = 'shipped' AND order_status = 'delivered')
        OR (previous_status = 'delivered' AND order_status = 'completed')
        OR (previous_status IN ('pending', 'confirmed', 'processing', 'ready_to_ship')
            AND order_status IN ('on_hold', 'exception', 'cancelled'))
        OR (previous_status IN ('on_hold', 'exception') AND order_status IN ('processing', 'cancelled'))
        OR (previous_status IN ('shipped', 'delivered', 'completed') AND order_status = 'returned'))
GROUP BY 1, 2, 3, 4;

-- What the labels of an order cost.
CREATE VIEW order_shipping AS
SELECT tenant, order_id, sum(coalesce(shipping_minor, 0) + coalesce(insurance_minor, 0)) AS shipping_minor
FROM shipment_state
WHERE labels > 0 AND order_id IS NOT NULL
GROUP BY 1, 2;

-- What a paid line brings and costs, in major units. Fees and labels belong to the order and are split like its money.
CREATE VIEW order_line_result AS
SELECT p.paid_at, p.tenant, p.order_id, p.product_id, p.category, p.channel, p.currency, p.quantity,
       CAST(p.line_total_minor AS DOUBLE) / p.minor_per_major AS line_amount,
       CAST(p.paid_minor AS DOUBLE) * p.share / p.minor_per_major AS paid_amount,
       CASE WHEN p.lines_without_cost = 0 THEN CAST(p.cost_minor AS DOUBLE) / p.minor_per_major END AS cost_amount,
       CAST(coalesce(p.fee_minor, 0) AS DOUBLE) * p.share / p.minor_per_major AS fee_amount,
       CAST(coalesce(s.shipping_minor, 0) AS DOUBLE) * p.share / p.minor_per_major AS shipping_amount
FROM order_part p
LEFT JOIN order_shipping s ON s.tenant = p.tenant AND s.order_id = p.order_id
WHERE p.paid_at IS NOT NULL AND p.product_id IS NOT NULL;

-- 1 day. Money from node to node: channel, category, product, and what it goes to. A refund flows back through the same
-- nodes and out of what is left.
CREATE VIEW revenue_flow_amount AS
SELECT date_bin(INTERVAL '1 day', moved_at) AS window_start, tenant, 'channel_category' AS step,
       channel AS "from", category AS "to", currency, sum(amount) AS value
FROM order_money GROUP BY 1, 2, 3, 4, 5, 6
UNION ALL
SELECT date_bin(INTERVAL '1 day', moved_at), tenant, 'category_product', category, product_id, currency, sum(amount)
FROM order_money WHERE product_id IS NOT NULL GROUP BY 1, 2, 3, 4, 5, 6
UNION ALL
SELECT date_bin(INTERVAL '1 day', paid_at), tenant, 'product_use', product_id, 'cost', currency, sum(cost_amount)
FROM order_line_result WHERE cost_amount IS NOT NULL GROUP BY 1, 2, 3, 4, 5, 6
UNION ALL
SELECT date_bin(INTERVAL '1 day', paid_at), tenant, 'product_use', product_id, 'fees', currency, sum(fee_amount)
FROM order_line_result GROUP BY 1, 2, 3, 4, 5, 6
UNION ALL
SELECT date_bin(INTERVAL '1 day', paid_at), tenant, 'product_use', product_id, 'shipping', currency, sum(shipping_amount)
FROM order_line_result GROUP BY 1, 2, 3, 4, 5, 6
UNION ALL
SELECT date_bin(INTERVAL '1 day', at), tenant, 'product_use', product_id, 'net', currency, sum(amount)
FROM (
    SELECT paid_at AS at, tenant, product_id, currency,
           paid_amount - coalesce(cost_amount, 0) - fee_amount - shipping_amount AS amount
    FROM order_line_result
    UNION ALL
    SELECT moved_at, tenant, product_id, currency, amount
    FROM order_money WHERE movement = 'refunded' AND product_id IS NOT NULL
)
GROUP BY 1, 2, 3, 4, 5, 6;

-- 1 day.
CREATE VIEW revenue_stream_share_ratio AS
SELECT window_start, tenant, currency, stream_by, stream,
       amount / nullif(sum(amount) OVER (PARTITION BY window_start, tenant, currency, stream_by), 0) AS value, amount
FROM (
    SELECT date_bin(INTERVAL '1 day', moved_at) AS window_start, tenant, currency, 'channel' AS stream_by, channel AS stream,
           sum(amount) AS amount
    FROM order_money GROUP BY 1, 2, 3, 4, 5
    UNION ALL
    SELECT date_bin(INTERVAL '1 day', moved_at), tenant, currency, 'category', category, sum(amount)
    FROM order_money GROUP BY 1, 2, 3, 4, 5
);

-- Now: full days (UTC) against as many before them. From nothing there is no growth, only something new.
CREATE VIEW revenue_growth_ratio AS
SELECT tenant, currency, period,
       CASE WHEN previous = 0 AND current = 0 THEN 0.0 ELSE (current - previous) / nullif(abs(previous), 0) END AS value,
       current AS current_amount, previous AS previous_amount
FROM (
    SELECT m.tenant, m.currency, p.period,
           coalesce(sum(m.amount) FILTER (WHERE m.age_days <= p.days), 0) AS current,
           coalesce(sum(m.amount) FILTER (WHERE m.age_days > p.days), 0) AS previous
    FROM (
        SELECT tenant, currency, amount,
               ceil((date_part('epoch', date_trunc('day', now())) - date_part('epoch', moved_at)) / 86400) AS age_days
        FROM order_money
        WHERE moved_at < date_trunc('day', now())
    ) m
    JOIN (VALUES ('7d', 7), ('30d', 30)) AS p(period, days) ON m.age_days <= 2 * p.days
    GROUP BY 1, 2, 3
);

-- 1 day, of payment. Orders nobody paid bring no profit; what has no unit cost has none that is known.
CREATE VIEW product_profit_amount AS
SELECT date_bin(INTERVAL '1 day', paid_at) AS window_start, tenant, product_id AS product, category, currency,
       sum(line_amount - cost_amount - shipping_amount - fee_amount) AS value
FROM order_line_result
WHERE cost_amount IS NOT NULL
GROUP BY 1, 2, 3, 4, 5;

-- A customer has one tier: that of the newest order that says one. 'none' where the shop system has no tier for them.
CREATE VIEW customer_tier AS
SELECT tenant, customer_key,
       coalesce(last_value(customer_tier ORDER BY ordered_at, order_id) FILTER (WHERE customer_tier IS NOT NULL), 'none') AS tier
FROM order_state
WHERE customer_key IS NOT NULL
GROUP BY 1, 2;

-- A customer with all orders so far. Revenue of several currencies is not added.
CREATE VIEW customer AS
SELECT o.tenant, o.customer_key, coalesce(o.currency, 'unknown') AS currency, count(*) AS orders,
       min(o.ordered_at) AS first_ordered_at, max(t.tier) AS tier,
       sum(CASE WHEN o.paid_at IS NULL THEN 0 ELSE coalesce(o.paid_minor, 0) END - coalesce(o.refunded_minor, 0)) AS revenue_minor
FROM order_state o
JOIN customer_tier t ON t.tenant = o.tenant AND t.customer_key = o.customer_key
GROUP BY 1, 2, 3;

-- Now.
CREATE VIEW customers_by_tier AS
SELECT tenant, tier, count(*) AS value
FROM customer_tier
GROUP BY 1, 2;

-- Now, over customers. Below zero counts as zero in the quantiles: more refunded than paid is a slip, not a value.
CREATE VIEW customer_lifetime_value_amount AS
SELECT s.tenant, s.tier, s.currency,
       hdr_quantile(s.sketch, 0.5) / coalesce(u.minor_per_major, 100) AS p50,
       hdr_quantile(s.sketch, 0.9) / coalesce(u.minor_per_major, 100) AS p90,
       hdr_quantile(s.sketch, 0.95) / coalesce(u.minor_per_major, 100) AS p95,
       hdr_quantile(s.sketch, 0.99) / coalesce(u.minor_per_major, 100) AS p99,
       s.mean_minor / coalesce(u.minor_per_major, 100) AS mean, s.count
FROM (
    SELECT tenant, tier, currency, hdr(greatest(CAST(revenue_minor AS BIGINT), 0), 3) AS sketch,
           avg(CAST(revenue_minor AS DOUBLE)) AS mean_minor, count(*) AS count
    FROM customer
    GROUP BY 1, 2, 3
) s
LEFT JOIN currency_unit u ON u.currency = s.currency;

-- Now: 90 days.
CREATE VIEW customer_repeat_ratio AS
SELECT tenant, CAST(count(*) FILTER (WHERE orders >= 2) AS DOUBLE) / nullif(count(*), 0) AS value, count(*) AS customers
FROM (
    SELECT tenant, customer_key, count(*) AS orders
    FROM order_state
    WHERE customer_key IS NOT NULL AND ordered_at > now() - INTERVAL '90 days' AND ordered_at <= now()
    GROUP BY 1, 2
)
GROUP BY 1;

-- Now: customers who ordered in the last 30 days, by how far they got within 30 days of the first of these orders. Who
-- orders again before anything arrived did not come back from it. What they saw before they ordered is known by content,
-- not by customer, and has no step here.
CREATE VIEW customer_journey_conversion_ratio AS
WITH recent AS (
    SELECT tenant, customer_key, order_id, ordered_at, delivered_at,
           min(ordered_at) OVER (PARTITION BY tenant, customer_key) AS started_at
    FROM order_state
    WHERE customer_key IS NOT NULL AND ordered_at > now() - INTERVAL '30 days' AND ordered_at <= now()
), journey AS (
    SELECT tenant, customer_key,
           min(CASE WHEN delivered_at <= started_at + INTERVAL '30 days' THEN delivered_at END) AS arrived_at,
           max(ordered_at) AS last_ordered_at
    FROM recent
    GROUP BY 1, 2
)
SELECT tenant, 'delivered' AS step, CAST(count(arrived_at) AS DOUBLE) / nullif(count(*), 0) AS value, count(*) AS entered
FROM journey GROUP BY 1
UNION ALL
SELECT tenant, 'reordered', CAST(count(*) FILTER (WHERE last_ordered_at >= arrived_at) AS DOUBLE) / nullif(count(arrived_at), 0),
       count(arrived_at)
FROM journey GROUP BY 1;

-- 2.2 Automation and workflow value ----------------------------------------------------------------------------------

-- 1 minute.
CREATE VIEW automation_runs_total AS
SELECT date_bin(INTERVAL '1 minute', window_start) AS window_start, tenant,
       automation_type AS type, system, rule_id AS rule, outcome, sum(runs) AS value
FROM automation_runs
GROUP BY 1, 2, 3, 4, 5, 6;

-- 1 minute.
CREATE VIEW automation_run_seconds AS
SELECT date_bin(INTERVAL '1 minute', window_start) AS window_start, tenant, automation_type AS type,
       quantile(duration_ms, 0.5) / 1000 AS p50, quantile(duration_ms, 0.9) / 1000 AS p90,
       quantile(duration_ms, 0.95) / 1000 AS p95, quantile(duration_ms, 0.99) / 1000 AS p99,
       CAST(sum(duration_mean_ms_sum) AS DOUBLE) / nullif(sum(duration_mean_ms_count), 0) / 1000 AS mean,
       sum(duration_mean_ms_count) AS count
FROM automation_runs
GROUP BY 1, 2, 3;

-- 1 hour.
CREATE VIEW automation_success_ratio AS
SELECT date_bin(INTERVAL '1 hour', window_start) AS window_start, tenant, automation_type AS type, rule_id AS rule,
       CAST(sum(CASE WHEN outcome = 'success' THEN runs ELSE 0 END) AS DOUBLE)
           / nullif(sum(CASE WHEN outcome IN ('success', 'failed') THEN runs ELSE 0 END), 0) AS value
FROM automation_runs
GROUP BY 1, 2, 3, 4;

-- 1 minute.
CREATE VIEW automation_errors_total AS
SELECT date_bin(INTERVAL '1 minute', window_start) AS window_start, tenant, automation_type AS type, error_code AS code,
       sum(runs) AS value
FROM automation_runs
WHERE outcome = 'failed'
GROUP BY 1, 2, 3, 4;

-- Now.
CREATE VIEW automation_rule_last_run_timestamp_seconds AS
SELECT tenant, rule_id AS rule, date_part('epoch', max(last_run_at)) AS value
FROM automation_runs
WHERE rule_id IS NOT NULL
GROUP BY 1, 2;

-- Rules that work: switched on and not deleted.
CREATE VIEW automation_rule_active AS
SELECT tenant, rule_id, rule_type
FROM automation_rules
WHERE coalesce(is_active, change NOT IN ('disabled', 'deleted')) AND coalesce(change <> 'deleted', true);

-- Now.
CREATE VIEW automation_rules_active AS
SELECT tenant, rule_type AS type, count(*) AS value
FROM automation_rule_active
GROUP BY 1, 2;

-- What each piece of automated work saved, in seconds. A success saves what its items take by hand, less what people
-- did all the same; a failure costs the rework.
CREATE VIEW automation_saving AS
SELECT coalesce(j.succeeded_at, j.failed_at) AS finished_at, j.tenant, j.automation_type, j.system,
       CASE WHEN j.successes > 0
            THEN greatest(0.0, CAST(coalesce(j.time_saved_ms,
                                             j.manual_baseline_ms * coalesce(j.items, 1),
                                             coalesce(CAST(b.value AS DOUBLE), d.seconds) * 1000 * coalesce(j.items, 1)) AS DOUBLE)
                               - coalesce(j.human_ms, 0)) / 1000
            ELSE 0.0 END AS gross_seconds,
       CASE WHEN j.successes > 0 THEN 0.0 ELSE CAST(coalesce(j.rework_ms, 0) AS DOUBLE) / 1000 END AS rework_seconds
FROM automation_jobs j
LEFT JOIN reference_values b
       ON b.tenant = j.tenant AND b.kind = 'baseline' AND b.metric = 'manual_seconds' AND b.scope = j.automation_type
LEFT JOIN manual_baseline_default d ON d.automation_type = j.automation_type
-- What neither a baseline nor a default knows is not counted as nothing.
WHERE j.successes = 0 OR coalesce(j.time_saved_ms, j.manual_baseline_ms, CAST(b.value AS DOUBLE), d.seconds) IS NOT NULL;

-- 1 hour. May be negative.
CREATE VIEW automation_time_saved_seconds_total AS
SELECT date_bin(INTERVAL '1 hour', finished_at) AS window_start, tenant, automation_type AS type, system,
       sum(gross_seconds - rework_seconds) AS value
FROM automation_saving
GROUP BY 1, 2, 3, 4;

-- 1 hour.
CREATE VIEW automation_time_saved_gross_seconds_total AS
SELECT date_bin(INTERVAL '1 hour', finished_at) AS window_start, tenant, automation_type AS type, system,
       sum(gross_seconds) AS value
FROM automation_saving
GROUP BY 1, 2, 3, 4;

-- 1 hour.
CREATE VIEW automation_time_rework_seconds_total AS
SELECT date_bin(INTERVAL '1 hour', finished_at) AS window_start, tenant, automation_type AS type, system,
       sum(rework_seconds) AS value
FROM automation_saving
GROUP BY 1, 2, 3, 4;

-- Now: per run over 30 days, and per day.
CREATE VIEW automation_time_saved_average_seconds AS
SELECT tenant, automation_type AS type, sum(gross_seconds - rework_seconds) / nullif(count(*), 0) AS value,
       sum(gross_seconds - rework_seconds) / 30 AS per_day
FROM automation_saving
WHERE finished_at > now() - INTERVAL '30 days' AND finished_at <= now()
GROUP BY 1, 2;

-- 1 hour: processed by automation, untouched.
CREATE VIEW orders_automated_total AS
SELECT date_bin(INTERVAL '1 hour', window_start) AS window_start, tenant, shop_id AS shop,
       approx_distinct(untouched_orders) AS value
FROM order_processing
WHERE outcome = 'success' AND is_automated
GROUP BY 1, 2, 3;

-- 1 hour.
CREATE VIEW automation_efficiency_ratio AS
SELECT p.window_start, p.tenant, p.shop, CAST(coalesce(a.value, 0) AS DOUBLE) / nullif(p.orders, 0) AS value
FROM (
    SELECT date_bin(INTERVAL '1 hour', window_start) AS window_start, tenant, shop_id AS shop, approx_distinct(distinct_orders) AS orders
    FROM order_processing WHERE outcome = 'success' GROUP BY 1, 2, 3
) p
LEFT JOIN orders_automated_total a
       ON a.window_start = p.window_start AND a.tenant = p.tenant AND a.shop IS NOT DISTINCT FROM p.shop;

-- 1 hour.
CREATE VIEW automation_tasks_total AS
SELECT date_bin(INTERVAL '1 hour', window_start) AS window_start, tenant, automation_type AS type, sum(items) AS value
FROM automation_runs
WHERE outcome = 'success' AND items IS NOT NULL
GROUP BY 1, 2, 3;

-- 1 hour.
CREATE VIEW manual_actions_averted_total AS
SELECT date_bin(INTERVAL '1 hour', window_start) AS window_start, tenant, system, sum(actions_averted) AS value
FROM automation_runs
WHERE outcome = 'success' AND actions_averted IS NOT NULL
GROUP BY 1, 2, 3;

-- 1 hour: actions that people closed, and their touches of orders.
CREATE VIEW manual_actions_total AS
SELECT window_start, tenant, system, kind, sum(actions) AS value
FROM (
    SELECT date_bin(INTERVAL '1 hour', closed_at) AS window_start, tenant, system, kind, CAST(1 AS BIGINT) AS actions
    FROM action_state WHERE closed_by = 'human'
    UNION ALL
    SELECT date_bin(INTERVAL '1 hour', window_start), tenant, 'orders', 'order_touch', CAST(manual_touches AS BIGINT)
    FROM order_processing WHERE manual_touches > 0
)
GROUP BY 1, 2, 3, 4;

-- What each shipment's labels cost and would have cost: the label says it, else the quote that the tenant would have
-- taken, else the median quote.
CREATE VIEW shipment_saving AS
SELECT s.tenant, s.shipment_id, s.order_id, s.carrier, s.service_type, s.zone, s.weight_g, s.currency, s.labeled_at, s.labels,
       CAST(coalesce(s.shipping_minor, 0) AS DOUBLE) / coalesce(u.minor_per_major, 100) AS shipping_amount,
       CAST(coalesce(s.insurance_minor, 0) AS DOUBLE) / coalesce(u.minor_per_major, 100) AS insurance_amount,
       CASE WHEN s.labels_without_baseline = 0 THEN CAST(s.baseline_minor AS DOUBLE)
            ELSE CAST(coalesce(s.baseline_minor, 0) AS DOUBLE) + s.labels_without_baseline * q.baseline_minor
       END / coalesce(u.minor_per_major, 100) AS baseline_amount
FROM shipment_state s
LEFT JOIN (
    SELECT tenant, order_id, coalesce(CAST(max(baseline_cost_minor) AS DOUBLE), median(CAST(cost_minor AS DOUBLE))) AS baseline_minor
    FROM rate_quotes GROUP BY 1, 2
) q ON q.tenant = s.tenant AND q.order_id = s.order_id
LEFT JOIN currency_unit u ON u.currency = s.currency
WHERE s.labels > 0;

-- 1 hour, of the label. Negative where comparing cost more.
CREATE VIEW shipping_cost_savings_amount_total AS
SELECT date_bin(INTERVAL '1 hour', labeled_at) AS window_start, tenant, carrier, currency,
       sum(baseline_amount - shipping_amount) AS value
FROM shipment_saving
WHERE baseline_amount IS NOT NULL
GROUP BY 1, 2, 3, 4;

-- Worth of the hours saved, in the currency of the tenant.
CREATE VIEW labour_value AS
SELECT s.finished_at, s.tenant, s.automation_type, s.system, t.currency,
       (s.gross_seconds - s.rework_seconds) / 3600 * coalesce(o.value, d.value) AS amount
FROM automation_saving s
JOIN parameter_default d ON d.name = 'hourly_rate'
LEFT JOIN parameter_override o ON o.tenant = s.tenant AND o.name = 'hourly_rate'
LEFT JOIN tenant_current t ON t.tenant = s.tenant;

-- 1 day. Components add up to the savings: what automation itself costs is negative.
CREATE VIEW automation_cost_savings_amount_total AS
SELECT date_bin(INTERVAL '1 day', window_start) AS window_start, tenant, 'shipping' AS component, currency, sum(value) AS value
FROM shipping_cost_savings_amount_total GROUP BY 1, 2, 3, 4
UNION ALL
SELECT date_bin(INTERVAL '1 day', finished_at), tenant, 'labour', currency, sum(amount)
FROM labour_value GROUP BY 1, 2, 3, 4
UNION ALL
SELECT date_bin(INTERVAL '1 day', r.window_start), r.tenant, 'cost', t.currency, -CAST(sum(r.cost_micro) AS DOUBLE) / 1000000
FROM automation_runs r
LEFT JOIN tenant_current t ON t.tenant = r.tenant
WHERE r.cost_micro IS NOT NULL
GROUP BY 1, 2, 3, 4;

-- Newest state of every switch.
CREATE VIEW switch_now AS
SELECT tenant, kind, name, detail, last_value(is_on ORDER BY is_on_at) AS is_on, max(is_on_at) AS changed_at
FROM operations
WHERE is_on IS NOT NULL
GROUP BY 1, 2, 3, 4;

-- Now: 1 while the newest stop of the scope is on.
CREATE VIEW automation_paused AS
SELECT tenant, detail AS scope, CASE WHEN last_value(is_on ORDER BY changed_at) THEN 1 ELSE 0 END AS value
FROM switch_now
WHERE kind = 'control' AND name IN ('emergency_stop', 'system_shutdown', 'kill_switch')
GROUP BY 1, 2;

-- Now.
CREATE VIEW feature_flag_state AS
SELECT tenant, name AS flag, CASE WHEN last_value(is_on ORDER BY changed_at) THEN 1 ELSE 0 END AS value
FROM switch_now
WHERE kind = 'flag'
GROUP BY 1, 2;

-- Now.
CREATE VIEW maintenance_active AS
SELECT tenant, name AS scope, CASE WHEN last_value(is_on ORDER BY changed_at) THEN 1 ELSE 0 END AS value
FROM switch_now
WHERE kind = 'maintenance'
GROUP BY 1, 2;

-- 1 hour.
CREATE VIEW config_changes_total AS
SELECT date_bin(INTERVAL '1 hour', window_start) AS window_start, tenant, name AS key, detail AS actor_role, sum(events) AS value
FROM operations
WHERE kind IN ('config', 'flag')
GROUP BY 1, 2, 3, 4;

-- 1 hour.
CREATE VIEW control_actions_total AS
SELECT date_bin(INTERVAL '1 hour', window_start) AS window_start, tenant, name AS control, outcome, sum(events) AS value
FROM operations
WHERE kind = 'control'
GROUP BY 1, 2, 3, 4;

-- 1 hour.
CREATE VIEW control_items_total AS
SELECT date_bin(INTERVAL '1 hour', window_start) AS window_start, tenant, name AS control, outcome, sum(items) AS value
FROM operations
WHERE kind = 'control' AND items IS NOT NULL
GROUP BY 1, 2, 3, 4;

-- Queues as they were last seen, if that is not long ago. The system follows from the name of the queue.
CREATE VIEW queue_now AS
SELECT tenant, name AS queue,
       CASE WHEN name LIKE '%inventory%' OR name LIKE '%stock%' THEN 'inventory'
            WHEN name LIKE '%ship%' OR name LIKE '%label%' THEN 'shipping'
            WHEN name LIKE '%tiktok%' OR name LIKE '%webhook%' THEN 'tiktok'
            WHEN name LIKE '%order%' THEN 'orders' END AS system,
       last_value(depth ORDER BY depth_at) FILTER (WHERE depth IS NOT NULL) AS depth,
       last_value(oldest_age_ms ORDER BY oldest_age_ms_at) FILTER (WHERE oldest_age_ms IS NOT NULL) / 1000.0 AS oldest_age_seconds
FROM capacity
WHERE resource = 'queue_workers' AND window_start > now() - INTERVAL '1 hour' AND window_start <= now()
GROUP BY 1, 2, 3;

-- Finished runs and jobs of the last hour, each for its system and for all.
CREATE VIEW automation_recent AS
SELECT tenant, CASE WHEN scope.is_all THEN 'all' ELSE system END AS system, at, runs, timely_runs, jobs, succeeded, first_failures, rescued
FROM (
    SELECT tenant, system, window_start AS at, runs, timely_runs, CAST(NULL AS BIGINT) AS jobs, CAST(NULL AS BIGINT) AS succeeded,
           CAST(NULL AS BIGINT) AS first_failures, CAST(NULL AS BIGINT) AS rescued
    FROM automation_runs
    WHERE outcome IN ('success', 'failed') AND window_start > now() - INTERVAL '1 hour' AND window_start <= now()
    UNION ALL
    SELECT tenant, system, coalesce(succeeded_at, failed_at), NULL, NULL, 1, CASE WHEN successes > 0 THEN 1 ELSE 0 END,
           CASE WHEN first_failed_at IS NOT NULL THEN 1 ELSE 0 END,
           CASE WHEN succeeded_at BETWEEN first_failed_at AND first_failed_at + INTERVAL '30 seconds' THEN 1 ELSE 0 END
    FROM automation_jobs
    WHERE coalesce(succeeded_at, failed_at) > now() - INTERVAL '1 hour' AND coalesce(succeeded_at, failed_at) <= now()
)
CROSS JOIN (VALUES (true), (false)) AS scope(is_all);

-- Now, by system and for all: 15 minutes, or an hour where too few runs finished. Paused automation is at most 0.5.
CREATE VIEW automation_health_score_ratio AS
WITH recent AS (
    SELECT r.tenant, r.system,
           coalesce(sum(r.runs) FILTER (WHERE r.at > now() - INTERVAL '15 minutes'), 0) >= max(coalesce(o.value, d.value)) AS is_busy,
           sum(r.runs) FILTER (WHERE r.at > now() - INTERVAL '15 minutes') AS runs_15m, sum(r.runs) AS runs_1h,
           sum(r.timely_runs) FILTER (WHERE r.at > now() - INTERVAL '15 minutes') AS timely_15m, sum(r.timely_runs) AS timely_1h,
           sum(r.jobs) FILTER (WHERE r.at > now() - INTERVAL '15 minutes') AS jobs_15m, sum(r.jobs) AS jobs_1h,
           sum(r.succeeded) FILTER (WHERE r.at > now() - INTERVAL '15 minutes') AS succeeded_15m, sum(r.succeeded) AS succeeded_1h,
           sum(r.first_failures) FILTER (WHERE r.at > now() - INTERVAL '15 minutes') AS failures_15m, sum(r.first_failures) AS failures_1h,
           sum(r.rescued) FILTER (WHERE r.at > now() - INTERVAL '15 minutes') AS rescued_15m, sum(r.rescued) AS rescued_1h
    FROM automation_recent r
    JOIN parameter_default d ON d.name = 'automation_health_min_runs'
    LEFT JOIN parameter_override o ON o.tenant = r.tenant AND o.name = 'automation_health_min_runs'
    WHERE r.system IS NOT NULL
    GROUP BY 1, 2
), waiting AS (
    SELECT tenant, CASE WHEN scope.is_all THEN 'all' ELSE system END AS system, max(oldest_age_seconds) AS age
    FROM queue_now
    CROSS JOIN (VALUES (true), (false)) AS scope(is_all)
    WHERE scope.is_all OR system IS NOT NULL
    GROUP BY 1, 2
), parts AS (
    SELECT coalesce(r.tenant, q.tenant) AS tenant, coalesce(r.system, q.system) AS system,
           CASE WHEN r.is_busy THEN 15 ELSE 60 END AS window_minutes,
           coalesce(CASE WHEN r.is_busy THEN r.runs_15m ELSE r.runs_1h END, 0) AS runs,
           CASE WHEN r.is_busy THEN CAST(r.succeeded_15m AS DOUBLE) / nullif(r.jobs_15m, 0)
                ELSE CAST(r.succeeded_1h AS DOUBLE) / nullif(r.jobs_1h, 0) END AS success,
           CASE WHEN r.is_busy THEN CAST(r.timely_15m AS DOUBLE) / nullif(CAST(r.runs_15m AS DOUBLE), 0)
                ELSE CAST(r.timely_1h AS DOUBLE) / nullif(CAST(r.runs_1h AS DOUBLE), 0) END AS timely,
           -- Where nothing failed there was nothing to recover from.
           CASE WHEN r.is_busy AND r.failures_15m > 0 THEN CAST(r.rescued_15m AS DOUBLE) / r.failures_15m
                WHEN NOT r.is_busy AND r.failures_1h > 0 THEN CAST(r.rescued_1h AS DOUBLE) / r.failures_1h
                WHEN CASE WHEN r.is_busy THEN r.jobs_15m ELSE r.jobs_1h END > 0 THEN 1.0 END AS recovery,
           CASE WHEN q.age IS NOT NULL THEN greatest(0.0, least(1.0, (300 - q.age) / 300)) END AS freshness
    FROM recent r
    FULL JOIN waiting q ON q.tenant = r.tenant AND q.system = r.system
), weighed AS (
    SELECT p.tenant, p.system, p.window_minutes, p.runs, p.success, p.timely, p.recovery, p.freshness,
           coalesce(o.health_success, d.health_success) AS w_success, coalesce(o.health_timely, d.health_timely) AS w_timely,
           coalesce(o.health_recovery, d.health_recovery) AS w_recovery, coalesce(o.health_freshness, d.health_freshness) AS w_freshness,
           coalesce(z.paused, 0) = 1 AS is_paused
    FROM parts p
    CROSS JOIN weight_default d
    LEFT JOIN weight_override o ON o.tenant = p.tenant
    LEFT JOIN (SELECT tenant, max(value) AS paused FROM automation_paused GROUP BY 1) z ON z.tenant = p.tenant
), scored AS (
    SELECT *, coalesce(w_success * success, 0) + coalesce(w_timely * timely, 0) + coalesce(w_recovery * recovery, 0)
                  + coalesce(w_freshness * freshness, 0) AS total,
           CASE WHEN success IS NULL THEN 0 ELSE w_success END + CASE WHEN timely IS NULL THEN 0 ELSE w_timely END
               + CASE WHEN recovery IS NULL THEN 0 ELSE w_recovery END + CASE WHEN freshness IS NULL THEN 0 ELSE w_freshness END AS known
    FROM weighed
), final AS (
    SELECT *, CASE WHEN known >= 0.5 * (w_success + w_timely + w_recovery + w_freshness)
                   THEN CASE WHEN is_paused THEN least(total / known, 0.5) ELSE total / known END END AS value
    FROM scored
)
SELECT tenant, system, value,
       CASE WHEN value IS NULL THEN 'unknown' WHEN is_paused THEN 'paused' WHEN value >= 0.95 THEN 'nominal'
            WHEN value >= 0.8 THEN 'warning' ELSE 'critical' END AS band,
       success, timely, recovery, freshness, runs, window_minutes
FROM final;

-- 1 day, of finishing.
CREATE VIEW workflow_efficiency_score_ratio AS
WITH parts AS (
    SELECT date_bin(INTERVAL '1 day', processed_at) AS window_start, tenant, count(*) AS orders,
           CAST(count(*) FILTER (WHERE coalesce(manual_touches, 0) = 0) AS DOUBLE) / count(*) AS touchless,
           CAST(count(*) FILTER (WHERE processing_ms <= 30000) AS DOUBLE) / nullif(count(processing_ms), 0) AS on_time,
           CAST(count(*) FILTER (WHERE exceptions = 0 AND attempts = 1) AS DOUBLE) / count(*) AS first_pass,
           CAST(sum(processing_ms) FILTER (WHERE ready_at IS NOT NULL) AS DOUBLE)
               / nullif(sum(greatest(processing_ms, (CAST(ready_at AS BIGINT) - CAST(received_at AS BIGINT)) / 1000))
                            FILTER (WHERE ready_at IS NOT NULL AND processing_ms IS NOT NULL), 0) AS flow
    FROM order_state
    WHERE processed_at IS NOT NULL
    GROUP BY 1, 2
), weighed AS (
    SELECT p.*, coalesce(o.workflow_touchless, d.workflow_touchless) AS w_touchless, coalesce(o.workflow_on_time, d.workflow_on_time) AS w_on_time,
           coalesce(o.workflow_first_pass, d.workflow_first_pass) AS w_first_pass, coalesce(o.workflow_flow, d.workflow_flow) AS w_flow
    FROM parts p
    CROSS JOIN weight_default d
    LEFT JOIN weight_override o ON o.tenant = p.tenant
), scored AS (
    SELECT *, coalesce(w_touchless * touchless, 0) + coalesce(w_on_time * on_time, 0) + coalesce(w_first_pass * first_pass, 0)
                  + coalesce(w_flow * flow, 0) AS total,
           CASE WHEN touchless IS NULL THEN 0 ELSE w_touchless END + CASE WHEN on_time IS NULL THEN 0 ELSE w_on_time END
               + CASE WHEN first_pass IS NULL THEN 0 ELSE w_first_pass END + CASE WHEN flow IS NULL THEN 0 ELSE w_flow END AS known
    FROM weighed
)
SELECT window_start, tenant,
       CASE WHEN known >= 0.5 * (w_touchless + w_on_time + w_first_pass + w_flow) THEN total / known END AS value,
       touchless, on_time, first_pass, flow, orders
FROM scored;

-- Share of orders lost where people had to resolve the exception, over 90 days: what automation saves by resolving it.
CREATE VIEW exception_loss AS
SELECT tenant, CAST(count(cancelled_at) AS DOUBLE) / nullif(count(*), 0) AS ratio
FROM order_state
WHERE human_resolved_at > now() - INTERVAL '90 days'
GROUP BY 1;

-- 1 day. Components add up to the impact: what it costs is negative.
CREATE VIEW workflow_revenue_impact_amount AS
SELECT date_bin(INTERVAL '1 day', finished_at) AS window_start, tenant, 'labour' AS component, currency, sum(amount) AS value
FROM labour_value GROUP BY 1, 2, 3, 4
UNION ALL
SELECT date_bin(INTERVAL '1 day', window_start), tenant, 'shipping', currency, sum(value)
FROM shipping_cost_savings_amount_total GROUP BY 1, 2, 3, 4
UNION ALL
SELECT window_start, tenant, 'protected', currency, sum(amount)
FROM (
    SELECT date_bin(INTERVAL '1 day', v.window_start) AS window_start, v.tenant, v.currency,
           CAST(v.value_minor AS DOUBLE) / coalesce(u.minor_per_major, 100) * coalesce(o.value, d.value) AS amount
    FROM oversells v
    JOIN parameter_default d ON d.name = 'p_cancel'
    LEFT JOIN parameter_override o ON o.tenant = v.tenant AND o.name = 'p_cancel'
    LEFT JOIN currency_unit u ON u.currency = v.currency
    WHERE v.outcome = 'prevented' AND v.value_minor IS NOT NULL
    UNION ALL
    SELECT date_bin(INTERVAL '1 day', s.auto_resolved_at), s.tenant, s.currency,
           CAST(s.total_minor AS DOUBLE) / coalesce(u.minor_per_major, 100) * coalesce(o.value, l.ratio, d.value)
    FROM order_state s
    JOIN parameter_default d ON d.name = 'p_loss'
    LEFT JOIN parameter_override o ON o.tenant = s.tenant AND o.name = 'p_loss'
    LEFT JOIN exception_loss l ON l.tenant = s.tenant
    LEFT JOIN currency_unit u ON u.currency = s.currency
    WHERE s.auto_resolved_at IS NOT NULL AND s.total_minor IS NOT NULL
)
GROUP BY 1, 2, 3, 4
UNION ALL
SELECT window_start, tenant, 'cost', currency, -sum(amount)
FROM (
    SELECT date_bin(INTERVAL '1 day', r.window_start) AS window_start, r.tenant, t.currency, CAST(r.cost_micro AS DOUBLE) / 1000000 AS amount
    FROM automation_runs r
    LEFT JOIN tenant_current t ON t.tenant = r.tenant
    WHERE r.cost_micro IS NOT NULL
    UNION ALL
    SELECT window_start, tenant, currency, value FROM api_cost_amount_total
)
GROUP BY 1, 2, 3, 4;

-- How full each limited resource is: p95 over 7 days, of its fullest part. A rate limit counts by its fullest minute.
CREATE VIEW resource_use AS
SELECT tenant, resource, max(p95) / 10000 AS used, 'capacity_limit' AS limited_by
FROM (
    SELECT tenant, resource, name, quantile(used_per_10000, 0.95) AS p95
    FROM capacity
    WHERE window_start > now() - INTERVAL '7 days' AND window_start <= now()
      AND resource IN ('cpu', 'memory', 'storage', 'connections', 'db_connections', 'queue_workers')
    GROUP BY 1, 2, 3
)
WHERE p95 IS NOT NULL
GROUP BY 1, 2
UNION ALL
SELECT tenant, 'api_rate_limit', max(p95), 'capacity_limit'
FROM (
    SELECT tenant, provider, api, shop_id, hdr_quantile(hdr(CAST(round(10000 * used) AS BIGINT)), 0.95) / 10000 AS p95
    FROM (
        SELECT tenant, provider, api, shop_id, date_bin(INTERVAL '1 minute', window_start) AS minute, max(rate_limit_used_max) AS used
        FROM api_shops
        WHERE window_start > now() - INTERVAL '7 days' AND window_start <= now() AND rate_limit_used_max >= 0
        GROUP BY 1, 2, 3, 4, 5
    )
    GROUP BY 1, 2, 3, 4
)
GROUP BY 1
UNION ALL
SELECT tenant, 'plan_orders', max(value), 'plan'
FROM order_plan_limit_used_ratio
WHERE value IS NOT NULL
GROUP BY 1;

-- Now: how many times the load the tightest resource bears. 1 is full; what is not used at all sets no limit.
CREATE VIEW scalability_headroom_ratio AS
WITH headroom AS (
    SELECT r.tenant, r.resource, r.used,
           CASE WHEN r.limited_by = 'plan' THEN 1.0 ELSE coalesce(o.value, d.value) END / nullif(r.used, 0) AS headroom
    FROM resource_use r
    JOIN parameter_default d ON d.name = 'capacity_limit'
    LEFT JOIN parameter_override o ON o.tenant = r.tenant AND o.name = 'capacity_limit'
)
SELECT tenant, first_value(resource ORDER BY headroom, resource) AS bottleneck, min(headroom) AS value,
       max(headroom) FILTER (WHERE resource = 'cpu') AS cpu, max(headroom) FILTER (WHERE resource = 'memory') AS memory,
       max(headroom) FILTER (WHERE resource = 'storage') AS storage,
       min(headroom) FILTER (WHERE resource IN ('connections', 'db_connections')) AS connections,
       max(headroom) FILTER (WHERE resource = 'api_rate_limit') AS api_rate_limit,
       max(headroom) FILTER (WHERE resource = 'queue_workers') AS queue_workers,
       max(headroom) FILTER (WHERE resource = 'plan_orders') AS plan_orders
FROM headroom
WHERE headroom IS NOT NULL
GROUP BY 1;

-- 1 day. Ours, and what producers report, unscaled. Quiet nights are not known here, so their weight goes to the others.
CREATE VIEW automation_stress_reduction_score AS
WITH day AS (
    SELECT date_bin(INTERVAL '1 day', window_start) AS window_start, tenant, sum(value) AS averted, CAST(0 AS BIGINT) AS manual,
           CAST(0 AS BIGINT) AS due, CAST(0 AS BIGINT) AS in_time
    FROM manual_actions_averted_total GROUP BY 1, 2
    UNION ALL
    SELECT date_bin(INTERVAL '1 day', window_start), tenant, CAST(0 AS DECIMAL(38, 0)), sum(value), 0, 0
    FROM manual_actions_total GROUP BY 1, 2
    UNION ALL
    SELECT date_bin(INTERVAL '1 day', due_at), tenant, CAST(0 AS DECIMAL(38, 0)), 0, count(*),
           count(*) FILTER (WHERE closed_at <= due_at AND closed_by IN ('human', 'automation'))
    FROM action_state
    WHERE priority_level IN ('urgent', 'high') AND due_at <= now() GROUP BY 1, 2
), parts AS (
    SELECT window_start, tenant,
           CAST(sum(averted) AS DOUBLE) / nullif(CAST(sum(averted) AS DOUBLE) + sum(manual), 0) AS averted,
           CAST(sum(in_time) AS DOUBLE) / nullif(sum(due), 0) AS calm,
           CAST(NULL AS DOUBLE) AS quiet
    FROM day GROUP BY 1, 2
), weighed AS (
    SELECT p.*, coalesce(o.stress_averted, d.stress_averted) AS w_averted, coalesce(o.stress_calm, d.stress_calm) AS w_calm,
           coalesce(o.stress_quiet, d.stress_quiet) AS w_quiet
    FROM parts p
    CROSS JOIN weight_default d
    LEFT JOIN weight_override o ON o.tenant = p.tenant
), scored AS (
    SELECT *, coalesce(w_averted * averted, 0) + coalesce(w_calm * calm, 0) + coalesce(w_quiet * quiet, 0) AS total,
           CASE WHEN averted IS NULL THEN 0 ELSE w_averted END + CASE WHEN calm IS NULL THEN 0 ELSE w_calm END
               + CASE WHEN quiet IS NULL THEN 0 ELSE w_quiet END AS known
    FROM weighed
)
SELECT window_start, tenant, 'computed' AS origin,
       CASE WHEN known >= 0.5 * (w_averted + w_calm + w_quiet) THEN 100 * total / known END AS value, averted, calm, quiet
FROM scored
UNION ALL
SELECT date_trunc('day', CAST(metric_date AS TIMESTAMP) AT TIME ZONE 'UTC'), tenant, 'reported', avg(CAST(stress_reduction_score AS DOUBLE)), NULL, NULL, NULL
FROM automation_reports
WHERE stress_reduction_score IS NOT NULL
GROUP BY 1, 2;

-- Now, over 30 days: seconds of people per processed order before, over the same now, less one. 'all' is everything
-- people do; a type is what they do in runs of that type. baseline.set with metric human_seconds_per_order says the
-- figures from before.
CREATE VIEW automation_efficiency_gain_ratio AS
WITH human AS (
    SELECT tenant, automation_type AS type, CAST(human_ms AS DOUBLE) AS human_ms FROM automation_runs
    WHERE human_ms IS NOT NULL AND window_start > now() - INTERVAL '30 days' AND window_start <= now()
    UNION ALL
    SELECT tenant, 'all', CAST(human_ms AS DOUBLE) FROM automation_runs
    WHERE human_ms IS NOT NULL AND window_start > now() - INTERVAL '30 days' AND window_start <= now()
    UNION ALL
    SELECT tenant, 'all', CAST(human_time_ms AS DOUBLE) FROM order_processing
    WHERE human_time_ms IS NOT NULL AND window_start > now() - INTERVAL '30 days' AND window_start <= now()
    UNION ALL
    SELECT tenant, 'all', CAST(human_ms AS DOUBLE) FROM action_state
    WHERE human_ms IS NOT NULL AND closed_by = 'human' AND closed_at > now() - INTERVAL '30 days' AND closed_at <= now()
), orders AS (
    SELECT tenant, approx_distinct(distinct_orders) AS orders
    FROM order_processing
    WHERE outcome = 'success' AND window_start > now() - INTERVAL '30 days' AND window_start <= now()
    GROUP BY 1
), current AS (
    SELECT h.tenant, h.type, sum(h.human_ms) / 1000 / max(o.orders) AS seconds_per_order
    FROM human h
    JOIN orders o ON o.tenant = h.tenant AND o.orders > 0
    GROUP BY 1, 2
)
SELECT c.tenant, c.type, CAST(b.value AS DOUBLE) / nullif(c.seconds_per_order, 0) - 1 AS value,
       CAST(b.value AS DOUBLE) AS baseline_seconds, c.seconds_per_order AS current_seconds
FROM current c
JOIN reference_values b
  ON b.tenant = c.tenant AND b.kind = 'baseline' AND b.metric = 'human_seconds_per_order' AND coalesce(b.scope, 'all') = c.type;

-- Now.
CREATE VIEW automation_adoption_ratio AS
SELECT tenant, CAST(count(*) FILTER (WHERE enabled) AS DOUBLE) / nullif(count(*), 0) AS value
FROM automation_features
WHERE available
GROUP BY 1;

-- Now, over 30 days: what people still do by hand that no active rule does, in seconds. Where no baseline is known for
-- the kind, what it took them is the measure.
CREATE VIEW automation_opportunity_seconds AS
SELECT tenant, kind, value, actions, rank
FROM (
    SELECT a.tenant, a.kind, a.actions,
           a.actions * coalesce(CAST(b.value AS DOUBLE), d.seconds, a.mean_seconds) AS value,
           row_number() OVER (PARTITION BY a.tenant
                              ORDER BY a.actions * coalesce(CAST(b.value AS DOUBLE), d.seconds, a.mean_seconds) DESC NULLS LAST, a.kind) AS rank
    FROM (
        SELECT tenant, kind, count(*) AS actions, avg(CAST(human_ms AS DOUBLE)) / 1000 AS mean_seconds
        FROM action_state
        WHERE closed_by = 'human' AND closed_at > now() - INTERVAL '30 days' AND closed_at <= now() AND kind IS NOT NULL
        GROUP BY 1, 2
    ) a
    LEFT JOIN reference_values b ON b.tenant = a.tenant AND b.kind = 'baseline' AND b.metric = 'manual_seconds' AND b.scope = a.kind
    LEFT JOIN manual_baseline_default d ON d.automation_type = a.kind
    LEFT JOIN (SELECT DISTINCT tenant, rule_type FROM automation_rule_active) r ON r.tenant = a.tenant AND r.rule_type = a.kind
    WHERE r.rule_type IS NULL
)
WHERE rank <= 20;

-- Now, over 7 days: a rule against the median of the rules of its type, of those with enough runs.
CREATE VIEW automation_rule_lift_ratio AS
WITH rule AS (
    SELECT r.tenant, r.rule_id, coalesce(t.rule_type, max(r.automation_type)) AS rule_type,
           sum(r.runs) AS runs,
           CAST(sum(CASE WHEN r.outcome = 'success' THEN r.runs ELSE 0 END) AS DOUBLE) / nullif(sum(r.runs), 0) AS success
    FROM automation_runs r
    JOIN parameter_default d ON d.name = 'rule_lift_min_runs'
    LEFT JOIN parameter_override o ON o.tenant = r.tenant AND o.name = 'rule_lift_min_runs'
    LEFT JOIN automation_rules t ON t.tenant = r.tenant AND t.rule_id = r.rule_id
    WHERE r.outcome IN ('success', 'failed') AND r.rule_id IS NOT NULL
      AND r.window_start > now() - INTERVAL '7 days' AND r.window_start <= now()
    GROUP BY r.tenant, r.rule_id, t.rule_type
    HAVING sum(r.runs) >= max(coalesce(o.value, d.value))
)
SELECT rule.tenant, rule.rule_id AS rule, rule.success / nullif(m.success, 0) - 1 AS value, rule.success, m.success AS median_success
FROM rule
JOIN (SELECT tenant, rule_type, median(success) AS success FROM rule GROUP BY 1, 2) m
  ON m.tenant = rule.tenant AND m.rule_type = rule.rule_type;

-- 2.3 Inventory ------------------------------------------------------------------------------------------------------

-- 1 minute.
CREATE VIEW inventory_sync_latency_seconds AS
SELECT date_bin(INTERVAL '1 minute', window_start) AS window_start, tenant, shop_id AS shop, trigger,
       quantile(latency_ms, 0.5) / 1000 AS p50, quantile(latency_ms, 0.9) / 1000 AS p90,
       quantile(latency_ms, 0.95) / 1000 AS p95, quantile(latency_ms, 0.99) / 1000 AS p99,
       CAST(sum(latency_mean_ms_sum) AS DOUBLE) / nullif(sum(latency_mean_ms_count), 0) / 1000 AS mean,
       sum(latency_mean_ms_count) AS count
FROM stock_syncs
GROUP BY 1, 2, 3, 4;

-- 1 hour.
CREATE VIEW inventory_sync_accuracy_ratio AS
SELECT date_bin(INTERVAL '1 hour', window_start) AS window_start, tenant, shop_id AS shop,
       CAST(sum(items_matched) AS DOUBLE) / nullif(CAST(sum(items_checked) AS DOUBLE), 0) AS value
FROM stock_syncs
GROUP BY 1, 2, 3;

-- 1 hour.
CREATE VIEW inventory_sync_runs_total AS
SELECT date_bin(INTERVAL '1 hour', window_start) AS window_start, tenant, shop_id AS shop, sync_status AS status, sum(runs) AS value
FROM stock_syncs
GROUP BY 1, 2, 3, 4;

-- Stock that is synchronised, without what is no longer sold.
CREATE VIEW stock_synced AS
SELECT s.tenant, s.shop_id, s.product_id, s.platform_stock, s.local_stock, s.synced_at
FROM stock_state s
LEFT JOIN product_state p ON p.tenant = s.tenant AND p.product_id = s.product_id
WHERE (s.synced_at IS NOT NULL OR s.platform_stock IS NOT NULL) AND coalesce(p.status, 'active') = 'active';

-- Now: of the product that waits longest.
CREATE VIEW inventory_sync_age_seconds AS
SELECT tenant, shop_id AS shop, date_part('epoch', now()) - date_part('epoch', min(synced_at)) AS value
FROM stock_synced
GROUP BY 1, 2;

-- Now.
CREATE VIEW inventory_sync_drift_units AS
SELECT tenant, shop_id AS shop, sum(abs(platform_stock - local_stock)) AS value
FROM stock_synced
WHERE platform_stock IS NOT NULL AND local_stock IS NOT NULL
GROUP BY 1, 2;

-- Now.
CREATE VIEW inventory_queue_depth AS
SELECT tenant, queue, depth AS value, oldest_age_seconds
FROM queue_now
WHERE system = 'inventory' AND depth IS NOT NULL;

-- 1 hour, of the failure: whether the same product of the same shop was synchronised within 30 s (slo), within 24 h (any).
CREATE VIEW inventory_error_recovery_ratio AS
SELECT f.window_start, f.tenant, h.horizon,
       CAST(count(*) FILTER (WHERE f.recovered_after <= h.seconds) AS DOUBLE) / nullif(count(*), 0) AS value, count(*) AS failures
FROM (
    SELECT date_bin(INTERVAL '1 hour', synced_at) AS window_start, tenant, sync_status,
           date_part('epoch', min(CASE WHEN sync_status = 'synced' THEN synced_at END) OVER (
               PARTITION BY tenant, shop_id, product_id ORDER BY synced_at ROWS BETWEEN 1 FOLLOWING AND UNBOUNDED FOLLOWING))
           - date_part('epoch', synced_at) AS recovered_after
    FROM stock_sync_log
) f
CROSS JOIN (VALUES ('slo', 30.0), ('any', 86400.0)) AS h(horizon, seconds)
WHERE f.sync_status = 'failed'
GROUP BY 1, 2, 3;

-- 1 hour.
CREATE VIEW inventory_adjustments_total AS
SELECT date_bin(INTERVAL '1 hour', window_start) AS window_start, tenant, reason, is_automated, sum(changes) AS value
FROM stock_changes
WHERE reason IN ('adjustment_auto', 'adjustment_manual', 'sync_correction')
GROUP BY 1, 2, 3, 4;

-- 1 hour.
CREATE VIEW inventory_oversell_preventions_total AS
SELECT date_bin(INTERVAL '1 hour', window_start) AS window_start, tenant, approx_distinct(cases) AS value
FROM oversells
WHERE outcome = 'prevented'
GROUP BY 1, 2;

-- 1 hour.
CREATE VIEW inventory_oversell_prevented_amount_total AS
SELECT date_bin(INTERVAL '1 hour', o.window_start) AS window_start, o.tenant, o.currency,
       sum(CAST(o.value_minor AS DOUBLE) / coalesce(u.minor_per_major, 100)) AS value
FROM oversells o
LEFT JOIN currency_unit u ON u.currency = o.currency
WHERE o.outcome = 'prevented' AND o.value_minor IS NOT NULL
GROUP BY 1, 2, 3;

-- 1 hour.
CREATE VIEW inventory_oversells_total AS
SELECT date_bin(INTERVAL '1 hour', window_start) AS window_start, tenant, approx_distinct(cases) AS value
FROM oversells
WHERE outcome = 'occurred'
GROUP BY 1, 2;

-- Units sold per product and day (UTC).
CREATE VIEW product_day AS
SELECT date_bin(INTERVAL '1 day', window_start) AS day, tenant, product_id,
       sum(units) AS units, sum(sales_minor) AS sales_minor, sum(cost_minor) AS cost_minor,
       sum(stock_delta) AS stock_delta, sum(returned_units) AS returned_units
FROM product_activity
GROUP BY 1, 2, 3;

-- Units per day of each product: days weigh half as much with every half-life (3 d for velocity, 7 d for cover) that they
-- are older. Full days since the first sale count, at most 56; days without a sale are zeros.
CREATE VIEW product_rate AS
SELECT tenant, product_id, units_28d,
       weighted_3 * (1 - power(0.5, 1.0 / 3)) / (power(0.5, 1.0 / 3) * (1 - power(0.5, days / 3))) AS velocity_units_per_day,
       weighted_7 * (1 - power(0.5, 1.0 / 7)) / (power(0.5, 1.0 / 7) * (1 - power(0.5, days / 7))) AS units_per_day
FROM (
    SELECT tenant, product_id, least(max(age), 56.0) AS days,
           sum(units * power(0.5, age / 3)) FILTER (WHERE age <= 56) AS weighted_3,
           sum(units * power(0.5, age / 7)) FILTER (WHERE age <= 56) AS weighted_7,
           sum(units) FILTER (WHERE age <= 28) AS units_28d
    FROM (
        SELECT tenant, product_id, CAST(units AS DOUBLE) AS units,
               (date_part('epoch', date_trunc('day', now())) - date_part('epoch', day)) / 86400 AS age
        FROM product_day
        WHERE units IS NOT NULL AND units > 0
    )
    WHERE age >= 1
    GROUP BY 1, 2
    HAVING min(age) <= 56
);

-- Products as they stand: stock over all places, catalogue, demand, what is on its way.
CREATE VIEW product_now AS
SELECT coalesce(s.tenant, p.tenant) AS tenant, coalesce(s.product_id, p.product_id) AS product_id,
       coalesce(p.sku, s.sku) AS sku, coalesce(p.category, s.category) AS category, coalesce(p.status, 'active') AS status,
       s.on_hand, s.reserved, s.available, s.low_threshold, s.lead_time_days,
       coalesce(s.unit_cost_minor, p.unit_cost_minor) AS unit_cost_minor,
       coalesce(s.unit_price_minor, p.base_price_minor) AS unit_price_minor,
       coalesce(s.currency, p.currency) AS currency,
       r.units_per_day, r.velocity_units_per_day, coalesce(i.inbound, 0) AS inbound,
       CASE WHEN s.available IS NOT NULL THEN greatest(s.available, 0) END / nullif(r.units_per_day, 0) AS cover_days
FROM (
    SELECT tenant, product_id, max(sku) AS sku, max(category) AS category,
           sum(on_hand) AS on_hand, sum(reserved) AS reserved, sum(available) AS available,
           max(low_threshold) AS low_threshold, max(CAST(lead_time_days AS DOUBLE)) AS lead_time_days,
           last_value(unit_cost_minor ORDER BY unit_cost_minor_at) FILTER (WHERE unit_cost_minor IS NOT NULL) AS unit_cost_minor,
           last_value(unit_price_minor ORDER BY unit_price_minor_at) FILTER (WHERE unit_price_minor IS NOT NULL) AS unit_price_minor,
           max(currency) AS currency
    FROM stock_state
    WHERE on_hand IS NOT NULL OR available IS NOT NULL
    GROUP BY 1, 2
) s
FULL JOIN product_state p ON p.tenant = s.tenant AND p.product_id = s.product_id
LEFT JOIN product_rate r ON r.tenant = coalesce(s.tenant, p.tenant) AND r.product_id = coalesce(s.product_id, p.product_id)
LEFT JOIN (
    SELECT tenant, product_id, sum(quantity) AS inbound FROM restock_plans
    WHERE planned_at IS NOT NULL AND received_at IS NULL GROUP BY 1, 2
) i ON i.tenant = coalesce(s.tenant, p.tenant) AND i.product_id = coalesce(s.product_id, p.product_id);

-- Now.
CREATE VIEW inventory_skus AS
SELECT tenant, category, count(*) AS value
FROM product_state
WHERE status = 'active'
GROUP BY 1, 2;

-- Now, over 90 days: how long the mean stock would last at that rate of sale. At cost; in units where no cost is known.
-- The stock of past days is that of now less what changed since.
CREATE VIEW inventory_turnover_seconds AS
WITH moved AS (
    SELECT tenant, product_id, sum(units) AS units, sum(cost_minor) AS cost_minor,
           -- A change of `age` days ago is missing from the 89 - age daily levels before it.
           sum(CAST(stock_delta AS DOUBLE) * (89 - age)) / 90 AS missing
    FROM (
        SELECT tenant, product_id, units, cost_minor, stock_delta,
               (date_part('epoch', date_trunc('day', now())) - date_part('epoch', day)) / 86400 AS age
        FROM product_day
    )
    WHERE age BETWEEN 0 AND 89
    GROUP BY 1, 2
), product AS (
    SELECT p.tenant, p.category, CAST(p.on_hand AS DOUBLE) - coalesce(m.missing, 0) AS mean_units, p.unit_cost_minor,
           CAST(m.units AS DOUBLE) AS units, CAST(m.cost_minor AS DOUBLE) AS cost_minor
    FROM product_now p
    LEFT JOIN moved m ON m.tenant = p.tenant AND m.product_id = p.product_id
    WHERE p.on_hand IS NOT NULL
), category AS (
    SELECT tenant, category, sum(mean_units * unit_cost_minor) AS mean_cost, sum(cost_minor) AS cost,
           sum(mean_units) AS mean_units, sum(units) AS units
    FROM product
    GROUP BY 1, 2
)
SELECT tenant, category,
       CASE WHEN mean_cost IS NOT NULL AND cost > 0 THEN 'cost' ELSE 'units' END AS basis,
       90 * 86400 * CASE WHEN mean_cost IS NOT NULL AND cost > 0 THEN mean_cost / cost ELSE mean_units / nullif(units, 0) END AS value
FROM category;

-- Now: the 20 best by each measure, since the tenant's midnight and over the last 7 and 30 times 24 hours.
CREATE VIEW inventory_top_products AS
WITH period AS (
    SELECT tenant, 'today' AS period, coalesce(max(starts_at), date_trunc('day', now() AT TIME ZONE 'UTC')) AS since
    FROM (
        SELECT a.tenant, t.starts_at FROM (SELECT DISTINCT tenant FROM product_activity) a LEFT JOIN tenant_today t ON t.tenant = a.tenant
    )
    GROUP BY tenant
    UNION ALL SELECT DISTINCT tenant, '7d', (now() AT TIME ZONE 'UTC') - INTERVAL '7 days' FROM product_activity
    UNION ALL SELECT DISTINCT tenant, '30d', (now() AT TIME ZONE 'UTC') - INTERVAL '30 days' FROM product_activity
), measured AS (
    SELECT p.period, a.tenant, a.product_id, 'units' AS by, CAST(NULL AS VARCHAR) AS currency, sum(CAST(a.units AS DOUBLE)) AS value
    FROM product_activity a JOIN period p ON p.tenant = a.tenant AND a.window_start >= p.since AND a.window_start <= now()
    WHERE a.units IS NOT NULL
    GROUP BY 1, 2, 3
    UNION ALL
    SELECT p.period, a.tenant, a.product_id, 'revenue', a.currency, sum(CAST(a.sales_minor AS DOUBLE)) / max(coalesce(u.minor_per_major, 100))
    FROM product_activity a JOIN period p ON p.tenant = a.tenant AND a.window_start >= p.since AND a.window_start <= now()
    LEFT JOIN currency_unit u ON u.currency = a.currency
    WHERE a.sales_minor IS NOT NULL
    GROUP BY p.period, a.tenant, a.product_id, a.currency
    UNION ALL
    SELECT p.period, r.tenant, r.product_id, 'profit', r.currency, sum(r.line_amount - r.cost_amount - r.shipping_amount - r.fee_amount)
    FROM order_line_result r JOIN period p ON p.tenant = r.tenant AND r.paid_at >= p.since AND r.paid_at <= now()
    WHERE r.cost_amount IS NOT NULL
    GROUP BY p.period, r.tenant, r.product_id, r.currency
)
SELECT tenant, period, by, rank, product, currency, value
FROM (
    SELECT tenant, period, by, product_id AS product, currency, value,
           row_number() OVER (PARTITION BY tenant, period, by, currency ORDER BY value DESC, product_id) AS rank
    FROM measured
)
WHERE rank <= 20;

-- Now: at unit cost, else at price.
CREATE VIEW inventory_value_amount AS
SELECT p.tenant, p.category, CASE WHEN p.unit_cost_minor IS NOT NULL THEN 'cost' ELSE 'price' END AS basis, p.currency,
       sum(CAST(p.on_hand AS DOUBLE) * coalesce(p.unit_cost_minor, p.unit_price_minor) / coalesce(u.minor_per_major, 100)) AS value
FROM product_now p
LEFT JOIN currency_unit u ON u.currency = p.currency
WHERE p.on_hand IS NOT NULL AND coalesce(p.unit_cost_minor, p.unit_price_minor) IS NOT NULL
GROUP BY 1, 2, 3, 4;

-- Now.
CREATE VIEW inventory_stock_units AS
SELECT tenant, sku, product_id AS product, 'on_hand' AS kind, on_hand AS value FROM product_now WHERE on_hand IS NOT NULL
UNION ALL SELECT tenant, sku, product_id, 'reserved', reserved FROM product_now WHERE reserved IS NOT NULL
UNION ALL SELECT tenant, sku, product_id, 'available', available FROM product_now WHERE available IS NOT NULL;

-- Now. Low: at its threshold, or gone before new stock can come. Critical: a quarter of the threshold, or nothing.
CREATE VIEW inventory_low_stock_skus AS
SELECT tenant, CASE WHEN available <= 0 OR available <= 0.25 * low_threshold THEN 'critical' ELSE 'low' END AS severity, count(*) AS value
FROM product_now
WHERE status = 'active' AND (available <= low_threshold OR cover_days < lead_time_days OR available <= 0)
GROUP BY 1, 2;

-- Now.
CREATE VIEW inventory_out_of_stock_skus AS
SELECT tenant, count(*) FILTER (WHERE available <= 0) AS value
FROM product_now
WHERE status = 'active' AND available IS NOT NULL
GROUP BY 1;

-- 1 hour.
CREATE VIEW inventory_stock_changes_total AS
SELECT date_bin(INTERVAL '1 hour', window_start) AS window_start, tenant, reason, sum(changes) AS value
FROM stock_changes
GROUP BY 1, 2, 3;

-- 1 hour, net.
CREATE VIEW inventory_stock_change_units_total AS
SELECT date_bin(INTERVAL '1 hour', window_start) AS window_start, tenant, reason, sum(units) AS value
FROM stock_changes
WHERE units IS NOT NULL
GROUP BY 1, 2, 3;

-- Now, by whole days (UTC) until due; each restock once.
CREATE VIEW inventory_restocks_upcoming AS
SELECT tenant,
       CASE WHEN days < 0 THEN 'overdue' WHEN days <= 3 THEN '3d' WHEN days <= 7 THEN '7d' WHEN days <= 30 THEN '30d' ELSE 'later' END AS horizon,
       count(*) AS value
FROM (
    SELECT tenant, (date_part('epoch', CAST(substr(planned_for, 1, 10) AS DATE)) - date_part('epoch', date_trunc('day', now()))) / 86400 AS days
    FROM restock_plans
    WHERE planned_for IS NOT NULL AND received_at IS NULL
)
GROUP BY 1, 2;

-- Now.
CREATE VIEW inventory_cover_seconds AS
SELECT tenant, sku, product_id AS product, cover_days * 86400 AS value, units_per_day
FROM product_now
WHERE available IS NOT NULL;

-- How long nothing is left before the next planned restock comes, in whole days from today; what is late may come today.
-- Below 0 it lasts longer than that.
CREATE VIEW inventory_stockout_gap_seconds AS
SELECT p.tenant, p.sku, p.product_id AS product, (greatest(r.days, 0) - p.cover_days) * 86400 AS value
FROM product_now p
JOIN (
    SELECT tenant, product_id,
           min((date_part('epoch', CAST(substr(planned_for, 1, 10) AS DATE)) - date_part('epoch', date_trunc('day', now()))) / 86400) AS days
    FROM restock_plans
    WHERE planned_for IS NOT NULL AND received_at IS NULL
    GROUP BY 1, 2
) r ON r.tenant = p.tenant AND r.product_id = p.product_id
WHERE p.status = 'active' AND p.cover_days IS NOT NULL;

-- 1 day.
CREATE VIEW inventory_stock_flow_units AS
SELECT date_bin(INTERVAL '1 day', s.window_start) AS window_start, s.tenant, f.source AS "from", f.target AS "to",
       sum(abs(s.units)) AS value
FROM stock_changes s
JOIN (VALUES ('restock', 'supplier', 'stock'), ('reservation', 'stock', 'reserved'), ('release', 'reserved', 'stock'),
             ('sale', 'reserved', 'sold'), ('return', 'sold', 'returned'), ('damage', 'stock', 'lost')) AS f(reason, source, target)
  ON f.reason = s.reason
WHERE s.units IS NOT NULL
GROUP BY 1, 2, 3, 4;

-- Now.
CREATE VIEW inventory_heatmap_units AS
SELECT tenant, category, coalesce(location, shop_id) AS location, sum(available) AS value
FROM stock_state
WHERE available IS NOT NULL
GROUP BY 1, 2, 3;

-- Now, over 8 weeks: mean units sold in that hour of that weekday (0 is Sunday) by the tenant's clock.
CREATE VIEW inventory_demand_profile_units AS
SELECT tenant, CAST(date_part('dow', local) AS BIGINT) AS weekday, CAST(date_part('hour', local) AS BIGINT) AS hour, category,
       CAST(sum(units) AS DOUBLE) / 8 AS value
FROM (
    SELECT a.tenant, a.category, a.units, coalesce(local_time(a.window_start, t.time_zone), local_time(a.window_start, 'UTC')) AS local
    FROM product_activity a
    LEFT JOIN tenant_current t ON t.tenant = a.tenant
    WHERE a.units IS NOT NULL AND a.window_start > now() - INTERVAL '56 days' AND a.window_start <= now()
)
GROUP BY 1, 2, 3, 4;

-- Now: 50 is the tenant's median seller. No sales in 28 days is 0.
CREATE VIEW product_velocity_score AS
SELECT p.tenant, p.product_id AS product,
       CASE WHEN coalesce(r.units_28d, 0) = 0 THEN 0
            ELSE CAST(round(100 * r.velocity_units_per_day / (r.velocity_units_per_day + m.median_units)) AS BIGINT) END AS value,
       r.velocity_units_per_day AS units_per_day
FROM (
    SELECT tenant, product_id FROM product_now UNION SELECT tenant, product_id FROM product_rate
) p
LEFT JOIN product_rate r ON r.tenant = p.tenant AND r.product_id = p.product_id
LEFT JOIN (
    SELECT tenant, median(velocity_units_per_day) AS median_units FROM product_rate WHERE units_28d > 0 GROUP BY 1
) m ON m.tenant = p.tenant;

-- Now: 30 full days (UTC) against the 30 before. From nothing there is no change, only something new. Revenue and profit
-- are of one currency; units have none.
CREATE VIEW product_story_change_ratio AS
WITH story AS (
    SELECT tenant, product_id, day, 'units' AS measure, CAST(NULL AS VARCHAR) AS currency, CAST(units AS DOUBLE) AS amount
    FROM product_day WHERE units IS NOT NULL
    UNION ALL
    SELECT tenant, product_id, date_bin(INTERVAL '1 day', window_start), 'revenue', currency, CAST(sales_minor AS DOUBLE)
    FROM product_activity WHERE sales_minor IS NOT NULL
    UNION ALL
    SELECT tenant, product_id, day, 'returns', NULL, CAST(returned_units AS DOUBLE) FROM product_day WHERE returned_units IS NOT NULL
    UNION ALL
    SELECT tenant, product, window_start, 'profit', currency, value FROM product_profit_amount
), aged AS (
    SELECT tenant, product_id, measure, currency, amount,
           (date_part('epoch', date_trunc('day', now())) - date_part('epoch', day)) / 86400 AS age
    FROM story
), compared AS (
    SELECT tenant, product_id, measure, currency,
           coalesce(sum(amount) FILTER (WHERE age <= 30), 0) AS current, coalesce(sum(amount) FILTER (WHERE age > 30), 0) AS previous
    FROM aged
    WHERE age BETWEEN 1 AND 60
    GROUP BY 1, 2, 3, 4
)
SELECT tenant, product_id AS product, measure, currency,
       CASE WHEN previous = 0 AND current = 0 THEN 0.0 ELSE (current - previous) / nullif(abs(previous), 0) END AS value
FROM compared;

-- Now: what should be ordered, and what lies there beyond need.
CREATE VIEW inventory_reorder_gap_units AS
SELECT tenant, sku, product, CASE WHEN gap IS NOT NULL THEN greatest(gap, 0) END AS value,
       CASE WHEN gap IS NOT NULL THEN greatest(-gap, 0) END AS excess_units
FROM (
    SELECT p.tenant, p.sku, p.product_id AS product,
           p.units_per_day * (p.lead_time_days + coalesce(o.value, d.value)) - p.available - p.inbound AS gap
    FROM product_now p
    JOIN parameter_default d ON d.name = 'safety_days'
    LEFT JOIN parameter_override o ON o.tenant = p.tenant AND o.name = 'safety_days'
    WHERE p.status = 'active' AND p.available IS NOT NULL
);

-- Now, 0 to 100: what grows, earns, and can be delivered. Growth and margin are ranks among the tenant's products.
CREATE VIEW market_opportunity_score AS
WITH sold AS (
    SELECT tenant, product_id,
           coalesce(sum(CAST(units AS DOUBLE)) FILTER (WHERE age <= 14), 0) AS current,
           coalesce(sum(CAST(units AS DOUBLE)) FILTER (WHERE age > 14), 0) AS previous
    FROM (
        SELECT tenant, product_id, units, (date_part('epoch', date_trunc('day', now())) - date_part('epoch', day)) / 86400 AS age
        FROM product_day WHERE units IS NOT NULL
    )
    WHERE age BETWEEN 1 AND 28
    GROUP BY 1, 2
), growth AS (
    SELECT tenant, product_id, percent_rank() OVER (PARTITION BY tenant ORDER BY (current - previous) / previous) AS growth
    FROM sold WHERE previous > 0
), margin AS (
    SELECT tenant, product_id, percent_rank() OVER (PARTITION BY tenant ORDER BY unit_price_minor - unit_cost_minor) AS margin
    FROM product_now
    WHERE status = 'active' AND unit_price_minor IS NOT NULL AND unit_cost_minor IS NOT NULL
), parts AS (
    SELECT p.tenant, p.product_id, g.growth, m.margin, CASE WHEN p.cover_days IS NOT NULL THEN least(1.0, p.cover_days / 14) END AS availability
    FROM product_now p
    LEFT JOIN growth g ON g.tenant = p.tenant AND g.product_id = p.product_id
    LEFT JOIN margin m ON m.tenant = p.tenant AND m.product_id = p.product_id
    WHERE p.status = 'active'
), weighed AS (
    SELECT p.*, coalesce(o.market_growth, d.market_growth) AS w_growth, coalesce(o.market_margin, d.market_margin) AS w_margin,
           coalesce(o.market_availability, d.market_availability) AS w_availability
    FROM parts p
    CROSS JOIN weight_default d
    LEFT JOIN weight_override o ON o.tenant = p.tenant
), scored AS (
    SELECT *, coalesce(w_growth * growth, 0) + coalesce(w_margin * margin, 0) + coalesce(w_availability * availability, 0) AS total,
           CASE WHEN growth IS NULL THEN 0 ELSE w_growth END + CASE WHEN margin IS NULL THEN 0 ELSE w_margin END
               + CASE WHEN availability IS NULL THEN 0 ELSE w_availability END AS known
    FROM weighed
)
SELECT tenant, product_id AS product,
       CASE WHEN known >= 0.5 * (w_growth + w_margin + w_availability) THEN 100 * total / known END AS value,
       growth, margin, availability, coalesce(growth >= 0.8 AND availability < 0.5, false) AS restock_winner
FROM scored;

-- 2.4 Shipping -------------------------------------------------------------------------------------------------------

-- Newest probe of each service of the last 15 minutes.
CREATE VIEW health_now AS
SELECT tenant, lower(service_name) AS service, last_value(status ORDER BY last_at) AS status
FROM health_checks
WHERE window_start > now() - INTERVAL '15 minutes' AND window_start <= now()
GROUP BY 1, 2;

-- Now: the worse of the newest probe and of the calls. Nothing known is 'unknown'. 0 nominal, 1 warning, 2 critical,
-- 3 unknown; unknown is worse than a warning, for it may hide anything.
CREATE VIEW carrier_status AS
WITH calls AS (
    SELECT tenant, upper(provider) AS carrier,
           coalesce(sum(requests) FILTER (WHERE window_start > now() - INTERVAL '5 minutes'), 0) AS calls_5m,
           coalesce(sum(requests) FILTER (WHERE window_start > now() - INTERVAL '5 minutes' AND outcome IN ('success', 'client_error')), 0) AS ok_5m,
           coalesce(sum(requests) FILTER (WHERE window_start > now() - INTERVAL '2 minutes'), 0) AS calls_2m,
           coalesce(sum(requests) FILTER (WHERE window_start > now() - INTERVAL '2 minutes' AND outcome = 'success'), 0) AS success_2m,
           quantile(duration_ms, 0.95) FILTER (WHERE window_start > now() - INTERVAL '5 minutes') AS p95_5m,
           quantile(duration_ms, 0.95) AS p95_7d
    FROM api_calls
    WHERE upper(provider) IN ('USPS', 'UPS', 'FEDEX', 'DHL') AND window_start > now() - INTERVAL '7 days' AND window_start <= now()
    GROUP BY 1, 2
), seen AS (
    SELECT coalesce(c.tenant, h.tenant) AS tenant, coalesce(c.carrier, h.carrier) AS carrier, h.status AS probe,
           c.calls_5m, CAST(c.ok_5m AS DOUBLE) / nullif(c.calls_5m, 0) AS availability_5m, c.p95_5m / 1000 AS p95_5m, c.p95_7d / 1000 AS p95_7d,
           CASE WHEN c.calls_5m IS NULL OR c.calls_5m = 0 THEN NULL
                WHEN CAST(c.ok_5m AS DOUBLE) / c.calls_5m < 0.9 OR (c.calls_2m >= 5 AND c.success_2m = 0) THEN 'critical'
                WHEN CAST(c.ok_5m AS DOUBLE) / c.calls_5m < 0.99 OR c.p95_5m > 2 * c.p95_7d THEN 'warning'
                ELSE 'nominal' END AS rule
    FROM calls c
    FULL JOIN (SELECT tenant, upper(service) AS carrier, status FROM health_now WHERE upper(service) IN ('USPS', 'UPS', 'FEDEX', 'DHL')) h
           ON h.tenant = c.tenant AND h.carrier = c.carrier
)
SELECT tenant, carrier,
       CASE WHEN probe = 'critical' OR rule = 'critical' THEN 2 WHEN coalesce(probe, rule) IS NULL OR probe = 'unknown' THEN 3
            WHEN probe = 'warning' OR rule = 'warning' THEN 1 ELSE 0 END AS value,
       CASE WHEN probe = 'critical' OR rule = 'critical' THEN 'critical' WHEN coalesce(probe, rule) IS NULL OR probe = 'unknown' THEN 'unknown'
            WHEN probe = 'warning' OR rule = 'warning' THEN 'warning' ELSE 'nominal' END AS status,
       probe, rule, calls_5m, availability_5m, p95_5m, p95_7d
FROM seen;

-- 1 minute. A call refused for the caller's mistake was answered.
CREATE VIEW carrier_availability_ratio AS
SELECT date_bin(INTERVAL '1 minute', window_start) AS window_start, tenant, upper(provider) AS carrier,
       CAST(coalesce(sum(requests) FILTER (WHERE outcome IN ('success', 'client_error')), 0) AS DOUBLE) / nullif(sum(requests), 0) AS value
FROM api_calls
WHERE upper(provider) IN ('USPS', 'UPS', 'FEDEX', 'DHL')
GROUP BY 1, 2, 3;

-- 1 minute.
CREATE VIEW carrier_api_seconds AS
SELECT date_bin(INTERVAL '1 minute', window_start) AS window_start, tenant, upper(provider) AS carrier, api,
       quantile(duration_ms, 0.5) / 1000 AS p50, quantile(duration_ms, 0.9) / 1000 AS p90,
       quantile(duration_ms, 0.95) / 1000 AS p95, quantile(duration_ms, 0.99) / 1000 AS p99,
       CAST(sum(duration_mean_ms_sum) AS DOUBLE) / nullif(sum(duration_mean_ms_count), 0) / 1000 AS mean,
       sum(duration_mean_ms_count) AS count
FROM api_calls
WHERE upper(provider) IN ('USPS', 'UPS', 'FEDEX', 'DHL')
GROUP BY 1, 2, 3, 4;

-- 1 hour.
CREATE VIEW shipping_labels_total AS
SELECT date_bin(INTERVAL '1 hour', window_start) AS window_start, tenant, carrier, outcome, is_automated, is_bulk AS bulk, sum(labels) AS value
FROM labels_completed
GROUP BY 1, 2, 3, 4, 5, 6;

-- 1 minute.
CREATE VIEW shipping_label_seconds AS
SELECT date_bin(INTERVAL '1 minute', window_start) AS window_start, tenant, carrier,
       quantile(label_ms, 0.5) / 1000 AS p50, quantile(label_ms, 0.9) / 1000 AS p90,
       quantile(label_ms, 0.95) / 1000 AS p95, quantile(label_ms, 0.99) / 1000 AS p99,
       CAST(sum(label_mean_ms_sum) AS DOUBLE) / nullif(sum(label_mean_ms_count), 0) / 1000 AS mean,
       sum(label_mean_ms_count) AS count
FROM labels_completed
GROUP BY 1, 2, 3;

-- 1 hour: labels that failed with the code, of all labels of the carrier.
CREATE VIEW shipping_label_failure_ratio AS
WITH attempts AS (
    SELECT date_bin(INTERVAL '1 hour', window_start) AS window_start, tenant, carrier, sum(labels) AS labels
    FROM labels_completed GROUP BY 1, 2, 3
), failures AS (
    SELECT date_bin(INTERVAL '1 hour', window_start) AS window_start, tenant, carrier, 'all' AS code,
           coalesce(sum(labels) FILTER (WHERE outcome = 'failed'), 0) AS labels
    FROM labels_completed GROUP BY 1, 2, 3
    UNION ALL
    SELECT date_bin(INTERVAL '1 hour', window_start), tenant, carrier, coalesce(error_code, 'unknown'), sum(labels)
    FROM labels_completed WHERE outcome = 'failed' GROUP BY 1, 2, 3, 4
)
SELECT a.window_start, a.tenant, a.carrier, f.code, CAST(f.labels AS DOUBLE) / nullif(a.labels, 0) AS value, a.labels
FROM attempts a
JOIN failures f ON f.window_start = a.window_start AND f.tenant = a.tenant AND f.carrier IS NOT DISTINCT FROM a.carrier;

-- 1 day, of the label.
CREATE VIEW shipping_cost_savings_ratio AS
SELECT date_bin(INTERVAL '1 day', labeled_at) AS window_start, tenant, carrier, currency,
       sum(baseline_amount - shipping_amount) / nullif(sum(baseline_amount), 0) AS value
FROM shipment_saving
WHERE baseline_amount IS NOT NULL
GROUP BY 1, 2, 3, 4;

-- 1 day. A carrier's invoice for a month (`period`, as in 2026-03) corrects what its labels of that month came to: the
-- difference is a line of its own on the day of the invoice, so that sums over both are what was invoiced.
CREATE VIEW shipping_spend_amount_total AS
SELECT date_bin(INTERVAL '1 day', labeled_at) AS window_start, tenant, carrier, service_type AS service, currency,
       sum(shipping_amount + insurance_amount) AS value
FROM shipment_saving
GROUP BY 1, 2, 3, 4, 5
UNION ALL
SELECT date_bin(INTERVAL '1 day', i.invoiced_at), i.tenant, i.carrier, 'invoice correction', i.currency, i.amount - coalesce(l.amount, 0)
FROM (
    SELECT s.tenant, upper(s.provider) AS carrier, s.currency, coalesce(s.period, to_char(s.last_at, '%Y-%m')) AS period,
           max(s.last_at) AS invoiced_at, sum(CAST(s.amount_minor AS DOUBLE) / coalesce(u.minor_per_major, 100)) AS amount
    FROM spend s
    LEFT JOIN currency_unit u ON u.currency = s.currency
    WHERE s.category = 'shipping_invoice' AND s.provider IS NOT NULL
    GROUP BY 1, 2, 3, 4
) i
LEFT JOIN (
    SELECT tenant, carrier, currency, to_char(labeled_at, '%Y-%m') AS period, sum(shipping_amount + insurance_amount) AS amount
    FROM shipment_saving GROUP BY 1, 2, 3, 4
) l ON l.tenant = i.tenant AND l.carrier = i.carrier AND l.currency = i.currency AND l.period = i.period;

-- 1 day, of the label.
CREATE VIEW shipping_cost_per_shipment_amount AS
SELECT date_bin(INTERVAL '1 day', labeled_at) AS window_start, tenant, carrier, zone, currency,
       sum(shipping_amount + insurance_amount) / nullif(sum(labels), 0) AS value, sum(labels) AS labels
FROM shipment_saving
GROUP BY 1, 2, 3, 4, 5;

-- Shipments with what they say of the carrier's promise. A promise is a day; without one nothing was late.
CREATE VIEW shipment_delivery AS
SELECT *, CASE WHEN delivered_at IS NOT NULL AND estimated_delivery IS NOT NULL
               THEN CAST(delivered_at AS DATE) <= CAST(substr(estimated_delivery, 1, 10) AS DATE) END AS on_time
FROM shipment_state;

-- Now, over 90 days: what a carrier saved, paid back and lost, per money spent on it. A late delivery costs the refunds
-- of its order, a lost shipment the order.
CREATE VIEW shipping_carrier_roi_ratio AS
WITH parts AS (
    SELECT tenant, carrier, currency, shipping_amount + insurance_amount AS spent,
           coalesce(baseline_amount - shipping_amount, 0) AS saved, 0.0 AS recovered, 0.0 AS refunded, 0.0 AS lost
    FROM shipment_saving WHERE labeled_at > now() - INTERVAL '90 days' AND labeled_at <= now()
    UNION ALL
    SELECT c.tenant, c.carrier, c.currency, 0.0, 0.0, CAST(c.recovered_minor AS DOUBLE) / coalesce(u.minor_per_major, 100), 0.0, 0.0
    FROM claim_state c LEFT JOIN currency_unit u ON u.currency = c.currency
    WHERE c.recovered_minor IS NOT NULL AND c.filed_at > now() - INTERVAL '90 days' AND c.filed_at <= now()
    UNION ALL
    SELECT s.tenant, s.carrier, o.currency, 0.0, 0.0, 0.0,
           CASE WHEN s.status <> 'lost' THEN CAST(coalesce(o.refunded_minor, 0) AS DOUBLE) / coalesce(u.minor_per_major, 100) ELSE 0.0 END,
           CASE WHEN s.status = 'lost' THEN CAST(o.total_minor AS DOUBLE) / coalesce(u.minor_per_major, 100) ELSE 0.0 END
    FROM shipment_delivery s
    JOIN order_state o ON o.tenant = s.tenant AND o.order_id = s.order_id
    LEFT JOIN currency_unit u ON u.currency = o.currency
    WHERE (s.status = 'lost' OR NOT s.on_time) AND s.final_at > now() - INTERVAL '90 days' AND s.final_at <= now()
)
SELECT tenant, carrier, currency,
       (sum(saved) + sum(recovered) - sum(refunded) - sum(lost)) / nullif(sum(spent), 0) AS value,
       sum(saved) AS saved_amount, sum(recovered) AS recovered_amount, sum(refunded) AS late_refund_amount,
       sum(lost) AS lost_amount, sum(spent) AS spent_amount
FROM parts
GROUP BY 1, 2, 3;

-- Now, over 90 days of labels: what to show a carrier when the contract is due.
CREATE VIEW carrier_negotiation_stat AS
SELECT s.tenant, s.carrier, s.service_type AS service, s.zone,
       CASE WHEN s.weight_g < 250 THEN '0-250 g' WHEN s.weight_g < 500 THEN '250-500 g' WHEN s.weight_g < 1000 THEN '500-1000 g'
            WHEN s.weight_g < 5000 THEN '1-5 kg' WHEN s.weight_g IS NOT NULL THEN '5 kg and more' END AS weight,
       s.currency, count(*) AS shipments,
       sum(s.shipping_amount + s.insurance_amount) / nullif(sum(s.labels), 0) AS mean_cost_amount,
       CAST(count(*) FILTER (WHERE d.on_time) AS DOUBLE) / nullif(count(d.on_time), 0) AS on_time_ratio,
       CAST(count(c.shipment_id) AS DOUBLE) / nullif(count(*), 0) AS claim_ratio
FROM shipment_saving s
LEFT JOIN shipment_delivery d ON d.tenant = s.tenant AND d.shipment_id = s.shipment_id
LEFT JOIN (SELECT DISTINCT tenant, shipment_id FROM claim_state WHERE shipment_id IS NOT NULL) c
       ON c.tenant = s.tenant AND c.shipment_id = s.shipment_id
WHERE s.labeled_at > now() - INTERVAL '90 days' AND s.labeled_at <= now()
GROUP BY 1, 2, 3, 4, 5, 6;

-- Now, over 30 days, against benchmark.set with metric shipping_cost_amount and scope service/zone. A service that
-- stands for several zones is weighed by its labels.
CREATE VIEW shipping_benchmark_cost_ratio AS
SELECT s.tenant, s.carrier, s.service_type AS service, s.currency,
       sum(s.shipping_amount + s.insurance_amount) / nullif(sum(s.labels * CAST(b.value AS DOUBLE)), 0) AS value
FROM shipment_saving s
JOIN reference_values b
  ON b.tenant = s.tenant AND b.kind = 'benchmark' AND b.metric = 'shipping_cost_amount'
 AND b.scope = concat_ws('/', s.service_type, s.zone)
WHERE s.labeled_at > now() - INTERVAL '30 days' AND s.labeled_at <= now()
GROUP BY 1, 2, 3, 4;

-- Now: shipments not yet picked up, and orders ready to go that have no shipment.
CREATE VIEW shipments_pending AS
SELECT w.tenant, w.carrier, date_part('epoch', now()) - date_part('epoch', w.since) > 3600 * coalesce(o.value, d.value) AS overdue, count(*) AS value
FROM (
    SELECT tenant, carrier, first_seen_at AS since
    FROM shipment_state
    WHERE picked_up_at IS NULL
      AND status IN ('pending', 'rate_selected', 'label_requested', 'label_created', 'label_failed')
    UNION ALL
    SELECT v.tenant, CAST(NULL AS VARCHAR), v.entered_at
    FROM order_stage_visit v
    JOIN order_open q ON q.tenant = v.tenant AND q.order_id = v.order_id
    LEFT JOIN (SELECT DISTINCT tenant, order_id FROM shipment_state WHERE order_id IS NOT NULL) s
           ON s.tenant = v.tenant AND s.order_id = v.order_id
    WHERE v.left_at IS NULL AND v.stage IN ('labeled', 'ready_to_ship') AND s.order_id IS NULL
) w
JOIN parameter_default d ON d.name = 'pending_overdue_hours'
LEFT JOIN parameter_override o ON o.tenant = w.tenant AND o.name = 'pending_overdue_hours'
GROUP BY 1, 2, 3;

-- Now.
CREATE VIEW shipments_by_status AS
SELECT tenant, carrier, status, count(*) AS value
FROM shipment_state
WHERE status IS NOT NULL
GROUP BY 1, 2, 3;

-- 1 day, of the final state. What nobody reported as wrong was right.
CREATE VIEW shipping_delivery_accuracy_ratio AS
SELECT date_bin(INTERVAL '1 day', final_at) AS window_start, tenant, carrier,
       CAST(count(*) FILTER (WHERE status = 'delivered' AND coalesce(address_ok, true) AND NOT coalesce(damage, false)) AS DOUBLE)
           / nullif(count(*), 0) AS value, count(*) AS shipments
FROM shipment_state
WHERE status IN ('delivered', 'returned_to_sender', 'lost')
GROUP BY 1, 2, 3;

-- 1 day, of delivery: of the deliveries that were promised for a day.
CREATE VIEW shipping_on_time_ratio AS
SELECT date_bin(INTERVAL '1 day', delivered_at) AS window_start, tenant, carrier, service_type AS service,
       CAST(count(*) FILTER (WHERE on_time) AS DOUBLE) / nullif(count(on_time), 0) AS value, count(*) AS delivered
FROM shipment_delivery
WHERE delivered_at IS NOT NULL
GROUP BY 1, 2, 3, 4;

-- 1 day, of delivery.
CREATE VIEW shipping_transit_seconds AS
SELECT window_start, tenant, carrier, service,
       hdr_quantile(sketch, 0.5) / 1000 AS p50, hdr_quantile(sketch, 0.9) / 1000 AS p90,
       hdr_quantile(sketch, 0.95) / 1000 AS p95, hdr_quantile(sketch, 0.99) / 1000 AS p99, mean, count
FROM (
    SELECT date_bin(INTERVAL '1 day', delivered_at) AS window_start, tenant, carrier, service_type AS service,
           hdr((CAST(delivered_at AS BIGINT) - CAST(picked_up_at AS BIGINT)) / 1000, 3) AS sketch,
           avg(CAST(CAST(delivered_at AS BIGINT) - CAST(picked_up_at AS BIGINT) AS DOUBLE)) / 1000000 AS mean, count(*) AS count
    FROM shipment_state
    WHERE delivered_at >= picked_up_at
    GROUP BY 1, 2, 3, 4
);

-- 1 hour.
CREATE VIEW shipping_tracking_updates_total AS
SELECT date_bin(INTERVAL '1 hour', window_start) AS window_start, tenant, carrier, sum(updates) AS value
FROM shipment_updates
GROUP BY 1, 2, 3;

-- Now: on their way, without news.
CREATE VIEW shipping_tracking_stale AS
SELECT s.tenant, s.carrier,
       count(*) FILTER (WHERE date_part('epoch', now()) - date_part('epoch', s.tracked_at) >= 3600 * coalesce(o.value, d.value)) AS value
FROM shipment_state s
JOIN parameter_default d ON d.name = 'tracking_stale_hours'
LEFT JOIN parameter_override o ON o.tenant = s.tenant AND o.name = 'tracking_stale_hours'
WHERE s.status IN ('picked_up', 'in_transit', 'out_for_delivery', 'delivery_exception')
GROUP BY 1, 2;

-- 1 day: where shipments arrived, or failed to.
CREATE VIEW shipping_geo_deliveries_total AS
SELECT date_bin(INTERVAL '1 day', window_start) AS window_start, tenant, dest_country AS country, dest_region AS region, status,
       sum(updates) AS value
FROM shipment_updates
WHERE status IN ('delivered', 'delivery_exception', 'returned_to_sender', 'lost')
GROUP BY 1, 2, 3, 4, 5;

-- 1 day: mean answer, 1 to 5. The carrier is that of the shipment, or of the order's last one, that the answer is about.
CREATE VIEW shipping_satisfaction_score AS
SELECT date_bin(INTERVAL '1 day', a.answered_at) AS window_start, a.tenant, coalesce(s.carrier, o.carrier) AS carrier,
       avg(CAST(a.value AS DOUBLE)) AS value, count(*) AS answers
FROM survey_answers a
LEFT JOIN shipment_state s ON s.tenant = a.tenant AND s.shipment_id = a.ref
LEFT JOIN (
    SELECT tenant, order_id, last_value(carrier ORDER BY first_seen_at, shipment_id) AS carrier
    FROM shipment_state WHERE order_id IS NOT NULL GROUP BY 1, 2
) o ON o.tenant = a.tenant AND o.order_id = a.ref
WHERE a.kind = 'delivery' AND a.value IS NOT NULL
GROUP BY 1, 2, 3;

-- 1 day: savings so far.
CREATE VIEW shipping_savings_journey_amount AS
SELECT window_start, tenant, currency, sum(saved) OVER (PARTITION BY tenant, currency ORDER BY window_start) AS value
FROM (
    SELECT date_bin(INTERVAL '1 day', window_start) AS window_start, tenant, currency, sum(value) AS saved
    FROM shipping_cost_savings_amount_total GROUP BY 1, 2, 3
);

-- 1 day: labels per hour that people spent on them.
CREATE VIEW shipping_efficiency_per_hour AS
SELECT l.window_start, l.tenant, CAST(l.labels AS DOUBLE) / nullif(h.hours, 0) AS value, l.labels, h.hours AS human_hours
FROM (
    SELECT date_bin(INTERVAL '1 day', window_start) AS window_start, tenant, sum(labels) AS labels
    FROM labels_completed WHERE outcome = 'created' GROUP BY 1, 2
) l
LEFT JOIN (
    SELECT window_start, tenant, sum(human_ms) / 3600000 AS hours
    FROM (
        SELECT date_bin(INTERVAL '1 day', window_start) AS window_start, tenant, CAST(human_ms AS DOUBLE) AS human_ms
        FROM automation_runs WHERE automation_type = 'label_generation' AND human_ms IS NOT NULL
        UNION ALL
        SELECT date_bin(INTERVAL '1 day', closed_at), tenant, CAST(human_ms AS DOUBLE)
        FROM action_state WHERE system = 'shipping' AND closed_by = 'human' AND human_ms IS NOT NULL
    )
    GROUP BY 1, 2
) h ON h.window_start = l.window_start AND h.tenant = l.tenant;

-- 1 hour.
CREATE VIEW shipping_carrier_switches_total AS
SELECT date_bin(INTERVAL '1 hour', window_start) AS window_start, tenant, upper(name) AS "from", upper(detail) AS "to", outcome AS mode,
       sum(events) AS value
FROM operations
WHERE kind = 'failover' AND (upper(name) IN ('USPS', 'UPS', 'FEDEX', 'DHL') OR upper(detail) IN ('USPS', 'UPS', 'FEDEX', 'DHL'))
GROUP BY 1, 2, 3, 4, 5;

-- 1 day, of filing.
CREATE VIEW shipping_claims_total AS
SELECT date_bin(INTERVAL '1 day', filed_at) AS window_start, tenant, carrier, kind, count(*) AS value
FROM claim_state
GROUP BY 1, 2, 3, 4;

-- 1 day, of filing.
CREATE VIEW shipping_claim_amount_total AS
SELECT date_bin(INTERVAL '1 day', c.filed_at) AS window_start, c.tenant, c.carrier, c.kind, c.currency,
       sum(CAST(c.claimed_minor AS DOUBLE) / coalesce(u.minor_per_major, 100)) AS value,
       sum(CAST(c.recovered_minor AS DOUBLE) / coalesce(u.minor_per_major, 100)) AS recovered_amount
FROM claim_state c
LEFT JOIN currency_unit u ON u.currency = c.currency
WHERE c.claimed_minor IS NOT NULL
GROUP BY 1, 2, 3, 4, 5;

-- 2.5 API health and TikTok integration ------------------------------------------------------------------------------

-- Now: by the same rules as carrier_status.
CREATE VIEW api_status AS
WITH calls AS (
    SELECT tenant, provider, api,
           coalesce(sum(requests) FILTER (WHERE window_start > now() - INTERVAL '5 minutes'), 0) AS calls_5m,
           coalesce(sum(requests) FILTER (WHERE window_start > now() - INTERVAL '5 minutes' AND outcome IN ('success', 'client_error')), 0) AS ok_5m,
           coalesce(sum(requests) FILTER (WHERE window_start > now() - INTERVAL '2 minutes'), 0) AS calls_2m,
           coalesce(sum(requests) FILTER (WHERE window_start > now() - INTERVAL '2 minutes' AND outcome = 'success'), 0) AS success_2m,
           quantile(duration_ms, 0.95) FILTER (WHERE window_start > now() - INTERVAL '5 minutes') AS p95_5m,
           quantile(duration_ms, 0.95) AS p95_7d
    FROM api_calls
    WHERE window_start > now() - INTERVAL '7 days' AND window_start <= now()
    GROUP BY 1, 2, 3
), seen AS (
    SELECT c.tenant, c.provider, c.api, h.status AS probe,
           c.calls_5m, CAST(c.ok_5m AS DOUBLE) / nullif(c.calls_5m, 0) AS availability_5m, c.p95_5m / 1000 AS p95_5m, c.p95_7d / 1000 AS p95_7d,
           CASE WHEN c.calls_5m = 0 THEN NULL
                WHEN CAST(c.ok_5m AS DOUBLE) / c.calls_5m < 0.9 OR (c.calls_2m >= 5 AND c.success_2m = 0) THEN 'critical'
                WHEN CAST(c.ok_5m AS DOUBLE) / c.calls_5m < 0.99 OR c.p95_5m > 2 * c.p95_7d THEN 'warning'
                ELSE 'nominal' END AS rule
    FROM calls c
    LEFT JOIN health_now h ON h.tenant = c.tenant AND h.service = lower(c.provider)
)
SELECT tenant, provider, api,
       CASE WHEN probe = 'critical' OR rule = 'critical' THEN 2 WHEN coalesce(probe, rule) IS NULL OR probe = 'unknown' THEN 3
            WHEN probe = 'warning' OR rule = 'warning' THEN 1 ELSE 0 END AS value,
       CASE WHEN probe = 'critical' OR rule = 'critical' THEN 'critical' WHEN coalesce(probe, rule) IS NULL OR probe = 'unknown' THEN 'unknown'
            WHEN probe = 'warning' OR rule = 'warning' THEN 'warning' ELSE 'nominal' END AS status,
       probe, rule, calls_5m, availability_5m, p95_5m, p95_7d
FROM seen;

-- 1 minute.
CREATE VIEW api_calls_total AS
SELECT date_bin(INTERVAL '1 minute', window_start) AS window_start, tenant, provider, api, outcome, status_class, sum(requests) AS value
FROM api_calls
GROUP BY 1, 2, 3, 4, 5, 6;

-- 1 minute.
CREATE VIEW api_call_seconds AS
SELECT date_bin(INTERVAL '1 minute', window_start) AS window_start, tenant, provider, api, operation,
       quantile(duration_ms, 0.5) / 1000 AS p50, quantile(duration_ms, 0.9) / 1000 AS p90,
       quantile(duration_ms, 0.95) / 1000 AS p95, quantile(duration_ms, 0.99) / 1000 AS p99,
       CAST(sum(duration_mean_ms_sum) AS DOUBLE) / nullif(sum(duration_mean_ms_count), 0) / 1000 AS mean,
       sum(duration_mean_ms_count) AS count
FROM api_operations
GROUP BY 1, 2, 3, 4, 5;

-- 1 minute. The caller's own mistakes are counted beside, not among the errors.
CREATE VIEW api_error_ratio AS
SELECT date_bin(INTERVAL '1 minute', window_start) AS window_start, tenant, provider, api,
       CAST(coalesce(sum(requests) FILTER (WHERE outcome IN ('server_error', 'timeout', 'network_error', 'rate_limited', 'auth_error')), 0) AS DOUBLE)
           / nullif(sum(requests), 0) AS value,
       coalesce(sum(requests) FILTER (WHERE outcome = 'client_error'), 0) AS client_errors, sum(requests) AS calls
FROM api_calls
GROUP BY 1, 2, 3, 4;

-- Minutes of an API: up with a healthy probe, or with calls of which fewer than half failed. A minute without either is
-- no evidence.
CREATE VIEW api_slot AS
SELECT tenant, provider, api, minute, max(up) AS up
FROM (
    SELECT tenant, provider, api, window_start AS minute, CASE WHEN value < 0.5 THEN 1 ELSE 0 END AS up FROM api_error_ratio
    UNION ALL
    SELECT a.tenant, a.provider, a.api, date_bin(INTERVAL '1 minute', h.window_start), CASE WHEN h.status = 'nominal' THEN 1 ELSE 0 END
    FROM (SELECT DISTINCT tenant, provider, api FROM api_calls) a
    JOIN health_checks h ON h.tenant = a.tenant AND lower(h.service_name) = lower(a.provider)
)
GROUP BY 1, 2, 3, 4;

-- 1 day.
CREATE VIEW api_availability_ratio AS
SELECT date_bin(INTERVAL '1 day', minute) AS window_start, tenant, provider, api, CAST(sum(up) AS DOUBLE) / nullif(count(*), 0) AS value,
       count(*) AS minutes
FROM api_slot
GROUP BY 1, 2, 3, 4;

-- 1 minute.
CREATE VIEW api_rate_limit_used_ratio AS
SELECT date_bin(INTERVAL '1 minute', window_start) AS window_start, tenant, provider, api, shop_id AS shop, max(rate_limit_used_max) AS value
FROM api_shops
WHERE rate_limit_used_max IS NOT NULL
GROUP BY 1, 2, 3, 4, 5;

-- 1 minute.
CREATE VIEW api_rate_limited_total AS
SELECT date_bin(INTERVAL '1 minute', window_start) AS window_start, tenant, provider, api, sum(rate_limited) AS value
FROM api_calls
GROUP BY 1, 2, 3, 4;

-- 1 hour, of the failure: logical calls that succeeded after all, within 30 s (slo) and within 24 h (any).
CREATE VIEW api_error_recovery_ratio AS
SELECT date_bin(INTERVAL '1 hour', r.failed_at) AS window_start, r.tenant, r.provider, h.horizon,
       CAST(count(*) FILTER (WHERE r.succeeded_at >= r.failed_at
                               AND date_part('epoch', r.succeeded_at) - date_part('epoch', r.failed_at) <= h.seconds) AS DOUBLE)
           / nullif(count(*), 0) AS value, count(*) AS failed_calls
FROM api_retries r
CROSS JOIN (VALUES ('slo', 30.0), ('any', 86400.0)) AS h(horizon, seconds)
WHERE r.failed_at IS NOT NULL
GROUP BY 1, 2, 3, 4;

-- 1 hour, of the failure: until the same call succeeded, or any other of the same shop. Others are known by panes: the
-- first success of a later pane, or the last one of the pane of the failure.
CREATE VIEW api_recovery_seconds AS
WITH recovery AS (
    SELECT r.tenant, r.provider, r.logical_call_id, r.failed_at,
           least(min(CASE WHEN r.succeeded_at >= r.failed_at THEN r.succeeded_at END),
                 min(CASE WHEN s.first_success_at >= r.failed_at THEN s.first_success_at
                          WHEN s.last_success_at >= r.failed_at THEN s.last_success_at END)) AS recovered_at
    FROM api_retries r
    LEFT JOIN api_shops s
           ON s.tenant = r.tenant AND s.provider = r.provider AND s.shop_id = r.shop_id AND s.last_success_at >= r.failed_at
    WHERE r.failed_at IS NOT NULL
    GROUP BY 1, 2, 3, 4
)
SELECT window_start, tenant, provider,
       hdr_quantile(sketch, 0.5) / 1000 AS p50, hdr_quantile(sketch, 0.9) / 1000 AS p90,
       hdr_quantile(sketch, 0.95) / 1000 AS p95, hdr_quantile(sketch, 0.99) / 1000 AS p99, mean, count
FROM (
    SELECT date_bin(INTERVAL '1 hour', failed_at) AS window_start, tenant, provider,
           hdr((CAST(recovered_at AS BIGINT) - CAST(failed_at AS BIGINT)) / 1000, 3) AS sketch,
           avg(CAST(CAST(recovered_at AS BIGINT) - CAST(failed_at AS BIGINT) AS DOUBLE)) / 1000000 AS mean, count(*) AS count
    FROM recovery
    WHERE recovered_at IS NOT NULL
    GROUP BY 1, 2, 3
);

-- Now: of the calls of the last hour that failed and recovered within the last 15 minutes, as alerts need it.
CREATE VIEW api_recovery_recent_seconds AS
WITH success AS (
    SELECT tenant, provider, shop_id, first_success_at, last_success_at
    FROM api_shops
    WHERE last_success_at IS NOT NULL AND window_start > now() - INTERVAL '61 minutes' AND window_start <= now()
), recovery AS (
    SELECT r.tenant, r.provider, r.logical_call_id, r.failed_at,
           least(min(CASE WHEN r.succeeded_at >= r.failed_at THEN r.succeeded_at END),
                 min(CASE WHEN s.first_success_at >= r.failed_at THEN s.first_success_at
                          WHEN s.last_success_at >= r.failed_at THEN s.last_success_at END)) AS recovered_at
    FROM api_retries r
    LEFT JOIN success s
           ON s.tenant = r.tenant AND s.provider = r.provider AND s.shop_id = r.shop_id AND s.last_success_at >= r.failed_at
    WHERE r.failed_at > now() - INTERVAL '1 hour' AND r.failed_at <= now()
    GROUP BY 1, 2, 3, 4
)
SELECT tenant, provider, hdr_quantile(sketch, 0.95) / 1000 AS p95, count
FROM (
    SELECT tenant, provider, hdr((CAST(recovered_at AS BIGINT) - CAST(failed_at AS BIGINT)) / 1000, 3) AS sketch, count(*) AS count
    FROM recovery
    WHERE recovered_at > now() - INTERVAL '15 minutes' AND recovered_at <= now()
    GROUP BY 1, 2
);

-- 1 minute, of arrival: webhooks, and those of them that were processed, whenever that was.
CREATE VIEW webhook_arrivals AS
SELECT date_bin(INTERVAL '1 minute', received_at) AS window_start, tenant, webhook_type AS type,
       count(*) AS received_total, count(processed_at) AS processed_total
FROM webhook_state
WHERE received_at IS NOT NULL
GROUP BY 1, 2, 3;

-- 1 hour, of arrival: of the webhooks that arrived at least 5 minutes ago.
CREATE VIEW webhook_delivery_ratio AS
SELECT date_bin(INTERVAL '1 hour', received_at) AS window_start, tenant, webhook_type AS type,
       CAST(count(processed_at) AS DOUBLE) / nullif(count(*), 0) AS value, count(*) AS received
FROM webhook_state
WHERE received_at <= now() - INTERVAL '5 minutes'
GROUP BY 1, 2, 3;

-- 1 minute.
CREATE VIEW webhooks_received_total AS
SELECT date_bin(INTERVAL '1 minute', window_start) AS window_start, tenant, webhook_type AS type, sum(webhooks) AS value
FROM webhooks_received
GROUP BY 1, 2, 3;

-- 1 minute.
CREATE VIEW webhooks_processed_total AS
SELECT date_bin(INTERVAL '1 minute', window_start) AS window_start, tenant, webhook_type AS type, processing_status AS status, sum(attempts) AS value
FROM webhooks_processed
GROUP BY 1, 2, 3, 4;

-- 1 minute.
CREATE VIEW webhook_processing_per_second AS
SELECT window_start, tenant, type, CAST(sum(value) AS DOUBLE) / 60 AS value
FROM webhooks_processed_total
WHERE status = 'processed'
GROUP BY 1, 2, 3;

-- 1 minute.
CREATE VIEW webhook_processing_seconds AS
SELECT date_bin(INTERVAL '1 minute', window_start) AS window_start, tenant, webhook_type AS type,
       quantile(processing_ms, 0.5) / 1000 AS p50, quantile(processing_ms, 0.9) / 1000 AS p90,
       quantile(processing_ms, 0.95) / 1000 AS p95, quantile(processing_ms, 0.99) / 1000 AS p99,
       CAST(sum(processing_mean_ms_sum) AS DOUBLE) / nullif(sum(processing_mean_ms_count), 0) / 1000 AS mean,
       sum(processing_mean_ms_count) AS count
FROM webhooks_processed
GROUP BY 1, 2, 3;

-- 1 minute.
CREATE VIEW webhook_lag_seconds AS
SELECT date_bin(INTERVAL '1 minute', window_start) AS window_start, tenant, webhook_type AS type,
       quantile(lag_ms, 0.5) / 1000 AS p50, quantile(lag_ms, 0.9) / 1000 AS p90,
       quantile(lag_ms, 0.95) / 1000 AS p95, quantile(lag_ms, 0.99) / 1000 AS p99,
       CAST(sum(lag_mean_ms_sum) AS DOUBLE) / nullif(sum(lag_mean_ms_count), 0) / 1000 AS mean,
       sum(lag_mean_ms_count) AS count
FROM webhooks_received
GROUP BY 1, 2, 3;

-- 1 hour, of arrival (of the first attempt where that is all we know): retries of each webhook, counted once.
CREATE VIEW webhook_retries_total AS
SELECT date_bin(INTERVAL '1 hour', coalesce(received_at, first_attempt_at)) AS window_start, tenant, webhook_type AS type, sum(retries) AS value
FROM webhook_state
WHERE retries IS NOT NULL
GROUP BY 1, 2, 3;

-- Webhooks that wait for their first attempt or their next one.
CREATE VIEW webhook_waiting AS
SELECT tenant, shop_id, provider, coalesce(received_at, first_attempt_at) AS since
FROM webhook_state
WHERE coalesce(processing_status, 'received') IN ('received', 'retrying');

-- Now.
CREATE VIEW webhook_backlog AS
SELECT tenant, shop_id AS shop, count(*) AS value
FROM webhook_waiting
GROUP BY 1, 2;

-- Now: of the one that waits longest.
CREATE VIEW webhook_backlog_age_seconds AS
SELECT tenant, shop_id AS shop, date_part('epoch', now()) - date_part('epoch', min(since)) AS value
FROM webhook_waiting
GROUP BY 1, 2;

-- 1 hour.
CREATE VIEW webhook_dead_letters_total AS
SELECT date_bin(INTERVAL '1 hour', dead_at) AS window_start, tenant, webhook_type AS type, count(*) AS value
FROM webhook_state
WHERE dead_at IS NOT NULL
GROUP BY 1, 2, 3;

-- 1 minute.
CREATE VIEW webhook_signature_failures_total AS
SELECT date_bin(INTERVAL '1 minute', window_start) AS window_start, tenant, shop_id AS shop, sum(invalid_signatures) AS value
FROM webhooks_received
GROUP BY 1, 2, 3;

-- Now: webhooks of the last 15 minutes that failed, and how long the oldest waits.
CREATE VIEW webhook_status AS
SELECT tenant, provider, shop,
       CASE WHEN failed_ratio > 0.05 OR backlog_age_seconds > 300 THEN 2 WHEN failed_ratio > 0.01 OR backlog_age_seconds > 60 THEN 1 ELSE 0 END AS value,
       CASE WHEN failed_ratio > 0.05 OR backlog_age_seconds > 300 THEN 'critical' WHEN failed_ratio > 0.01 OR backlog_age_seconds > 60 THEN 'warning'
            ELSE 'nominal' END AS status,
       failed_ratio, backlog_age_seconds
FROM (
    SELECT tenant, provider, shop_id AS shop,
           CAST(count(*) FILTER (WHERE processing_status IN ('failed', 'dead_letter') AND updated_at > now() - INTERVAL '15 minutes') AS DOUBLE)
               / nullif(count(*) FILTER (WHERE updated_at > now() - INTERVAL '15 minutes'), 0) AS failed_ratio,
           coalesce(date_part('epoch', now()) - date_part('epoch', min(CASE
               WHEN coalesce(processing_status, 'received') IN ('received', 'retrying') THEN coalesce(received_at, first_attempt_at) END)), 0) AS backlog_age_seconds
    FROM webhook_state
    GROUP BY 1, 2, 3
);

-- Now: by the age of the last success, or of the first try where nothing ever succeeded, and by failures in a row.
CREATE VIEW api_sync_status AS
WITH last_success AS (
    SELECT tenant, shop_id, kind, max(last_at) FILTER (WHERE outcome = 'success') AS succeeded_at, min(first_at) AS first_at
    FROM api_syncs
    WHERE window_start <= now()
    GROUP BY 1, 2, 3
), state AS (
    SELECT l.tenant, l.shop_id, l.kind, l.succeeded_at,
           date_part('epoch', now()) - date_part('epoch', coalesce(l.succeeded_at, l.first_at)) AS age_seconds,
           coalesce(sum(f.syncs), 0) AS failures_in_a_row
    FROM last_success l
    LEFT JOIN api_syncs f
           ON f.tenant = l.tenant AND (f.shop_id IS NOT DISTINCT FROM l.shop_id) AND f.kind = l.kind AND f.outcome <> 'success'
          AND f.window_start <= now() AND (l.succeeded_at IS NULL OR f.first_at > l.succeeded_at)
    GROUP BY 1, 2, 3, 4, 5
)
SELECT tenant, shop_id AS shop, kind,
       CASE WHEN age_seconds > 900 OR failures_in_a_row >= 3 THEN 2 WHEN age_seconds > 300 THEN 1 ELSE 0 END AS value,
       CASE WHEN age_seconds > 900 OR failures_in_a_row >= 3 THEN 'critical' WHEN age_seconds > 300 THEN 'warning' ELSE 'nominal' END AS status,
       age_seconds, failures_in_a_row
FROM state;

-- 1 hour.
CREATE VIEW api_sync_records_total AS
SELECT date_bin(INTERVAL '1 hour', window_start) AS window_start, tenant, shop_id AS shop, kind, trigger, result, sum(records) AS value
FROM (
    SELECT window_start, tenant, shop_id, kind, trigger, 'seen' AS result, records_seen AS records FROM api_syncs
    UNION ALL SELECT window_start, tenant, shop_id, kind, trigger, 'created', created FROM api_syncs
    UNION ALL SELECT window_start, tenant, shop_id, kind, trigger, 'updated', updated FROM api_syncs
    UNION ALL SELECT window_start, tenant, shop_id, kind, trigger, 'failed', failed FROM api_syncs
)
WHERE records IS NOT NULL
GROUP BY 1, 2, 3, 4, 5, 6;

-- 1 minute.
CREATE VIEW api_sync_lag_seconds AS
SELECT date_bin(INTERVAL '1 minute', window_start) AS window_start, tenant, shop_id AS shop, kind,
       quantile(lag_ms, 0.5) / 1000 AS p50, quantile(lag_ms, 0.9) / 1000 AS p90,
       quantile(lag_ms, 0.95) / 1000 AS p95, quantile(lag_ms, 0.99) / 1000 AS p99,
       CAST(sum(lag_mean_ms_sum) AS DOUBLE) / nullif(sum(lag_mean_ms_count), 0) / 1000 AS mean,
       sum(lag_mean_ms_count) AS count
FROM api_syncs
GROUP BY 1, 2, 3, 4;

-- Calls per provider and day.
CREATE VIEW api_calls_day AS
SELECT date_bin(INTERVAL '1 day', window_start) AS window_start, tenant, provider, sum(requests) AS calls
FROM api_calls
GROUP BY 1, 2, 3;

-- 1 day: what the calls cost, and invoices for APIs spread over the calls of their month. An invoice without a provider
-- is for all of them; one without any call stands on its own day.
CREATE VIEW api_cost_amount_total AS
WITH invoice AS (
    SELECT s.tenant, s.provider, s.currency, coalesce(s.period, to_char(s.last_at, '%Y-%m')) AS period,
           max(s.last_at) AS invoiced_at, sum(CAST(s.amount_minor AS DOUBLE) / coalesce(u.minor_per_major, 100)) AS amount
    FROM spend s
    LEFT JOIN currency_unit u ON u.currency = s.currency
    WHERE s.category = 'api'
    GROUP BY 1, 2, 3, 4
), spread AS (
    SELECT i.tenant, i.currency, i.amount, i.invoiced_at, i.provider AS billed, d.provider, d.window_start,
           CAST(d.calls AS DOUBLE) / nullif(CAST(sum(d.calls) OVER (PARTITION BY i.tenant, i.provider, i.currency, i.period) AS DOUBLE), 0) AS share
    FROM invoice i
    LEFT JOIN api_calls_day d
           ON d.tenant = i.tenant AND (i.provider IS NULL OR d.provider = i.provider) AND to_char(d.window_start, '%Y-%m') = i.period
)
SELECT window_start, tenant, provider, currency, sum(amount) AS value
FROM (
    SELECT date_bin(INTERVAL '1 day', window_start) AS window_start, tenant, provider, currency, CAST(cost_micro AS DOUBLE) / 1000000 AS amount
    FROM api_calls WHERE cost_micro IS NOT NULL
    UNION ALL
    SELECT coalesce(window_start, date_bin(INTERVAL '1 day', invoiced_at)), tenant, coalesce(provider, billed), currency, amount * coalesce(share, 1.0)
    FROM spread
)
GROUP BY 1, 2, 3, 4;

-- 1 day.
CREATE VIEW api_cost_per_call_amount AS
SELECT c.window_start, c.tenant, c.provider, c.currency, c.value / nullif(d.calls, 0) AS value
FROM api_cost_amount_total c
JOIN api_calls_day d ON d.window_start = c.window_start AND d.tenant = c.tenant AND d.provider = c.provider;

-- Now, over 30 days. Runs of system tiktok use the shop platform; a carrier saves on its labels; orders count for the
-- platform they came through. No cost, no return.
CREATE VIEW integration_roi_ratio AS
WITH parts AS (
    SELECT l.tenant, p.provider, l.currency, l.amount AS benefit, 0.0 AS cost
    FROM labour_value l
    JOIN (SELECT DISTINCT tenant, provider FROM api_calls WHERE provider LIKE 'tiktok%') p ON p.tenant = l.tenant
    WHERE l.system = 'tiktok' AND l.finished_at > now() - INTERVAL '30 days' AND l.finished_at <= now()
    UNION ALL
    SELECT tenant, lower(carrier), currency, baseline_amount - shipping_amount, 0.0
    FROM shipment_saving
    WHERE baseline_amount IS NOT NULL AND labeled_at > now() - INTERVAL '30 days' AND labeled_at <= now()
    UNION ALL
    SELECT s.tenant, s.sales_platform, r.currency, coalesce(o.value, d.value) * (r.line_amount - r.cost_amount), 0.0
    FROM order_line_result r
    JOIN order_state s ON s.tenant = r.tenant AND s.order_id = r.order_id
    JOIN parameter_default d ON d.name = 'margin_share'
    LEFT JOIN parameter_override o ON o.tenant = r.tenant AND o.name = 'margin_share'
    WHERE s.sales_platform IS NOT NULL AND r.cost_amount IS NOT NULL AND r.paid_at > now() - INTERVAL '30 days' AND r.paid_at <= now()
    UNION ALL
    SELECT tenant, lower(provider), currency, 0.0, value
    FROM api_cost_amount_total
    WHERE window_start > now() - INTERVAL '30 days' AND window_start <= now()
    UNION ALL
    SELECT s.tenant, s.sales_platform, s.currency, 0.0, CAST(s.fee_minor AS DOUBLE) / coalesce(u.minor_per_major, 100)
    FROM order_state s
    LEFT JOIN currency_unit u ON u.currency = s.currency
    WHERE s.sales_platform IS NOT NULL AND s.fee_minor IS NOT NULL AND s.paid_at > now() - INTERVAL '30 days' AND s.paid_at <= now()
    UNION ALL
    -- API invoices are in the API cost, postage is what a carrier is for.
    SELECT s.tenant, lower(s.provider), s.currency, 0.0, CAST(s.amount_minor AS DOUBLE) / coalesce(u.minor_per_major, 100)
    FROM spend s
    LEFT JOIN currency_unit u ON u.currency = s.currency
    WHERE s.provider IS NOT NULL AND s.category NOT IN ('api', 'shipping_invoice')
      AND s.window_start > now() - INTERVAL '30 days' AND s.window_start <= now()
)
SELECT tenant, provider, currency, (sum(benefit) - sum(cost)) / nullif(sum(cost), 0) AS value,
       sum(benefit) AS benefit_amount, sum(cost) AS cost_amount
FROM parts
GROUP BY 1, 2, 3;

-- Now, over 30 days. A platform's availability is that of its APIs; what nobody called has none.
CREATE VIEW platform_dependency_risk_ratio AS
WITH platform AS (
    SELECT tenant, currency, sales_platform, sum(amount) AS amount
    FROM order_money
    WHERE sales_platform IS NOT NULL AND moved_at > now() - INTERVAL '30 days' AND moved_at <= now()
    GROUP BY 1, 2, 3
    HAVING sum(amount) > 0
), share AS (
    SELECT tenant, currency, sales_platform, amount / sum(amount) OVER (PARTITION BY tenant, currency) AS share FROM platform
), availability AS (
    SELECT tenant, provider, CAST(sum(up) AS DOUBLE) / count(*) AS availability
    FROM api_slot
    WHERE minute > now() - INTERVAL '30 days' AND minute <= now()
    GROUP BY 1, 2
), pressure AS (
    SELECT tenant, hdr_quantile(hdr(CAST(round(10000 * value) AS BIGINT), 3), 0.95) / 10000 AS pressure
    FROM api_rate_limit_used_ratio
    WHERE value >= 0 AND window_start > now() - INTERVAL '30 days' AND window_start <= now()
    GROUP BY 1
), parts AS (
    SELECT s.tenant, s.currency, sum(s.share * s.share) AS concentration,
           sum(s.share * (1 - greatest(0.0, least(1.0, (a.availability - 0.99) / 0.009)))) FILTER (WHERE a.availability IS NOT NULL)
               / nullif(sum(s.share) FILTER (WHERE a.availability IS NOT NULL), 0) AS fragility,
           CASE WHEN max(p.pressure) > 1 THEN 1.0 ELSE max(p.pressure) END AS pressure
    FROM share s
    LEFT JOIN availability a ON a.tenant = s.tenant AND a.provider = s.sales_platform
    LEFT JOIN pressure p ON p.tenant = s.tenant
    GROUP BY 1, 2
), weighed AS (
    SELECT p.*, coalesce(o.platform_concentration, d.platform_concentration) AS w_concentration,
           coalesce(o.platform_fragility, d.platform_fragility) AS w_fragility, coalesce(o.platform_pressure, d.platform_pressure) AS w_pressure
    FROM parts p
    CROSS JOIN weight_default d
    LEFT JOIN weight_override o ON o.tenant = p.tenant
), scored AS (
    SELECT *, coalesce(w_concentration * concentration, 0) + coalesce(w_fragility * fragility, 0) + coalesce(w_pressure * pressure, 0) AS total,
           CASE WHEN concentration IS NULL THEN 0 ELSE w_concentration END + CASE WHEN fragility IS NULL THEN 0 ELSE w_fragility END
               + CASE WHEN pressure IS NULL THEN 0 ELSE w_pressure END AS known
    FROM weighed
)
SELECT tenant, currency, CASE WHEN known >= 0.5 * (w_concentration + w_fragility + w_pressure) THEN total / known END AS value,
       concentration, fragility, pressure
FROM scored;

-- Now: p95 of 7 days against benchmark.set with metric api_p95_seconds and scope provider/api, and against the best of
-- the weeks of 30 days.
CREATE VIEW api_benchmark_ratio AS
WITH week AS (
    SELECT tenant, provider, api, floor((date_part('epoch', now()) - date_part('epoch', window_start)) / 604800) AS week,
           quantile(duration_ms, 0.95) / 1000 AS p95
    FROM api_calls
    WHERE window_start > now() - INTERVAL '28 days' AND window_start <= now()
    GROUP BY 1, 2, 3, 4
), own AS (
    SELECT tenant, provider, api, max(p95) FILTER (WHERE week = 0) AS p95, min(p95) AS best_p95 FROM week GROUP BY 1, 2, 3
)
SELECT o.tenant, o.provider, o.api, o.p95 / nullif(CAST(b.value AS DOUBLE), 0) AS value, o.p95 / nullif(o.best_p95, 0) AS best_week_ratio, o.p95
FROM own o
LEFT JOIN reference_values b
       ON b.tenant = o.tenant AND b.kind = 'benchmark' AND b.metric = 'api_p95_seconds' AND b.scope = concat_ws('/', o.provider, o.api)
WHERE o.p95 IS NOT NULL;

-- 1 day: attempts after a refusal that was the caller's own mistake. Whether two calls asked for the same entity is not
-- in the events.
CREATE VIEW api_calls_saveable_total AS
SELECT date_bin(INTERVAL '1 day', client_error_at) AS window_start, tenant, provider, sum(greatest(last_attempt - client_error_attempt, 0)) AS value
FROM api_retries
WHERE client_error_at IS NOT NULL AND client_error_attempt IS NOT NULL
GROUP BY 1, 2, 3;

-- Shops with their newest connection and token.
CREATE VIEW shop_now AS
SELECT tenant, shop_id,
       last_value(connection_state ORDER BY changed_at) FILTER (WHERE connection_state IS NOT NULL) AS connection_state,
       last_value(token_change ORDER BY changed_at) FILTER (WHERE token_change IS NOT NULL) AS token_change,
       last_value(token_expires_at ORDER BY changed_at) FILTER (WHERE token_expires_at IS NOT NULL) AS token_expires_at
FROM shop_log
GROUP BY 1, 2;

-- Now. Negative once it has expired.
CREATE VIEW oauth_token_expiry_seconds AS
SELECT tenant, shop_id AS shop, date_part('epoch', token_expires_at) - date_part('epoch', now()) AS value
FROM shop_now
WHERE token_expires_at IS NOT NULL;

-- Now: the worst of connection, token, webhooks and synchronisation; 0 nominal, 1 warning, 2 critical.
CREATE VIEW shop_connection_status AS
WITH part AS (
    SELECT tenant, shop_id AS shop, 'connection' AS part,
           CASE connection_state WHEN 'connected' THEN 0 WHEN 'degraded' THEN 1 ELSE 2 END AS value
    FROM shop_now WHERE connection_state IS NOT NULL
    UNION ALL
    SELECT s.tenant, s.shop_id, 'token',
           CASE WHEN s.token_change IN ('expired', 'revoked') OR s.token_expires_at <= now() THEN 2
                WHEN s.token_change = 'refresh_failed'
                  OR date_part('epoch', s.token_expires_at) - date_part('epoch', now()) < 3600 * coalesce(o.value, d.value) THEN 1
                ELSE 0 END
    FROM shop_now s
    JOIN parameter_default d ON d.name = 'token_expiry_warning_hours'
    LEFT JOIN parameter_override o ON o.tenant = s.tenant AND o.name = 'token_expiry_warning_hours'
    WHERE s.token_change IS NOT NULL OR s.token_expires_at IS NOT NULL
    UNION ALL
    SELECT tenant, shop, 'webhook', value FROM webhook_status WHERE shop IS NOT NULL
    UNION ALL
    SELECT tenant, shop, 'sync', value FROM api_sync_status WHERE shop IS NOT NULL
)
SELECT tenant, shop, max(value) AS value, CASE max(value) WHEN 0 THEN 'nominal' WHEN 1 THEN 'warning' ELSE 'critical' END AS status,
       max(value) FILTER (WHERE part = 'connection') AS connection, max(value) FILTER (WHERE part = 'token') AS token,
       max(value) FILTER (WHERE part = 'webhook') AS webhook, max(value) FILTER (WHERE part = 'sync') AS sync
FROM part
GROUP BY 1, 2;

-- 1 hour.
CREATE VIEW oauth_refresh_failures_total AS
SELECT date_bin(INTERVAL '1 hour', changed_at) AS window_start, tenant, shop_id AS shop, count(*) AS value
FROM shop_log
WHERE token_change IN ('refresh_failed', 'expired', 'revoked')
GROUP BY 1, 2, 3;

-- 1 hour, by what was left.
CREATE VIEW api_failovers_total AS
SELECT date_bin(INTERVAL '1 hour', window_start) AS window_start, tenant, name AS provider, outcome AS mode, sum(events) AS value
FROM operations
WHERE kind = 'failover'
GROUP BY 1, 2, 3, 4;

-- 2.6 Spikes ---------------------------------------------------------------------------------------------------------

-- Orders per minute of the tenant, of each shop and of each product. An order has one time, so counts add up.
CREATE VIEW orders_minute AS
SELECT date_bin(INTERVAL '1 minute', window_start) AS minute, tenant, CAST(NULL AS VARCHAR) AS shop, CAST(NULL AS VARCHAR) AS product,
       CAST(sum(orders) AS DOUBLE) AS orders
FROM orders_received GROUP BY 1, 2
UNION ALL
SELECT date_bin(INTERVAL '1 minute', window_start), tenant, shop_id, NULL, CAST(sum(orders) AS DOUBLE)
FROM orders_received WHERE shop_id IS NOT NULL GROUP BY 1, 2, 3
UNION ALL
SELECT date_bin(INTERVAL '1 minute', window_start), tenant, NULL, product_id, CAST(sum(distinct_count(orders)) AS DOUBLE)
FROM product_activity WHERE product_id IS NOT NULL AND orders IS NOT NULL GROUP BY 1, 2, 4;

-- Now, by full minutes: orders of the last 5 and 15 minutes against the median of the same time of the week, one slot
-- around it, over 4 weeks. With less than two weeks of history, against their own mean with a half-life of 6 hours.
-- `dispersion` is variance over mean of what the baseline is made of, at least that of chance alone.
CREATE VIEW orders_spike AS
WITH slot AS (
    SELECT w.window, w.seconds, m.tenant, m.shop, m.product,
           floor((date_part('epoch', date_trunc('minute', now())) - date_part('epoch', m.minute) - 60) / w.seconds) AS slot,
           sum(m.orders) AS orders
    FROM orders_minute m
    CROSS JOIN (VALUES ('5m', 300.0), ('15m', 900.0)) AS w(window, seconds)
    WHERE m.minute < date_trunc('minute', now()) AND m.minute >= date_trunc('minute', now()) - INTERVAL '29 days'
    GROUP BY 1, 2, 3, 4, 5, 6
), series AS (
    SELECT window, seconds, tenant, shop, product, max(slot) AS history,
           coalesce(sum(orders) FILTER (WHERE slot = 0), 0) AS orders,
           sum(orders) AS volume,
           sum(orders * power(0.5, slot * seconds / 21600)) FILTER (WHERE slot >= 1) AS weighted,
           sum(orders * orders * power(0.5, slot * seconds / 21600)) FILTER (WHERE slot >= 1) AS weighted_squares,
           -- Sum of the weights of all slots since the first, also of those without orders.
           power(0.5, seconds / 21600) * (1 - power(0.5, max(slot) * seconds / 21600)) / (1 - power(0.5, seconds / 21600)) AS weights
    FROM slot
    GROUP BY 1, 2, 3, 4, 5
), ranked AS (
    SELECT *, row_number() OVER (PARTITION BY window, tenant, product IS NULL ORDER BY volume DESC, product, shop) AS rank FROM series
), season AS (
    SELECT s.window, s.tenant, s.shop, s.product,
           median(coalesce(o.orders, 0)) AS baseline, avg(coalesce(o.orders, 0)) AS mean, var_pop(coalesce(o.orders, 0)) AS variance
    FROM (
        SELECT r.window, r.tenant, r.shop, r.product, k.week * 604800 / r.seconds + k.shift AS slot
        FROM ranked r
        CROSS JOIN (VALUES (1, -1), (1, 0), (1, 1), (2, -1), (2, 0), (2, 1), (3, -1), (3, 0), (3, 1), (4, -1), (4, 0), (4, 1)) AS k(week, shift)
        WHERE r.history * r.seconds >= 2 * 604800 AND k.week * 604800 / r.seconds + k.shift <= r.history
    ) s
    LEFT JOIN slot o ON o.window = s.window AND o.tenant = s.tenant AND coalesce(o.shop, '') = coalesce(s.shop, '')
                    AND coalesce(o.product, '') = coalesce(s.product, '') AND o.slot = s.slot
    GROUP BY 1, 2, 3, 4
), based AS (
    SELECT r.window, r.tenant, r.shop, r.product, r.orders, coalesce(s.baseline, r.weighted / nullif(r.weights, 0)) AS baseline,
           coalesce(CASE WHEN s.baseline IS NOT NULL THEN s.variance / nullif(s.mean, 0)
                         ELSE (r.weighted_squares / nullif(r.weights, 0) - power(r.weighted / nullif(r.weights, 0), 2))
                              / nullif(r.weighted / nullif(r.weights, 0), 0) END, 1.0) AS dispersion
    FROM ranked r
    LEFT JOIN season s ON s.window = r.window AND s.tenant = r.tenant AND coalesce(s.shop, '') = coalesce(r.shop, '')
                      AND coalesce(s.product, '') = coalesce(r.product, '')
    WHERE r.product IS NULL OR r.rank <= 200
)
SELECT window, tenant, shop, product, orders, baseline, greatest(dispersion, 1.0) AS dispersion FROM based;

-- Now.
CREATE VIEW orders_spike_ratio AS
SELECT tenant, window, shop, product, orders / CASE WHEN baseline < 1 THEN 1.0 ELSE baseline END AS value, orders, baseline
FROM orders_spike;

-- Now.
CREATE VIEW orders_spike_zscore AS
SELECT tenant, window, shop, product,
       (orders - baseline) / sqrt(dispersion * CASE WHEN baseline < 1 THEN 1.0 ELSE baseline END) AS value, orders, baseline, dispersion
FROM orders_spike;

-- Milestones -----------------------------------------------------------------------------------------------------------

-- 1 day (UTC): milestones reached that day. A week counts on its Sunday. Days and weeks that are not over may yet fail.
CREATE VIEW achievements_total AS
WITH orders_day AS (
    SELECT tenant, day, orders, sum(orders) OVER (PARTITION BY tenant ORDER BY day) AS total
    FROM (SELECT tenant, date_bin(INTERVAL '1 day', window_start) AS day, sum(orders) AS orders FROM orders_received GROUP BY 1, 2)
), saved_day AS (
    SELECT tenant, day, hours, sum(hours) OVER (PARTITION BY tenant ORDER BY day) AS total
    FROM (
        SELECT tenant, date_bin(INTERVAL '1 day', window_start) AS day, sum(value) / 3600 AS hours
        FROM automation_time_saved_seconds_total GROUP BY 1, 2
    )
), revenue_day AS (
    SELECT tenant, currency, day, amount,
           max(amount) OVER (PARTITION BY tenant, currency ORDER BY day ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS record
    FROM (
        -- Equal amounts are no record, whichever way their parts were added up.
        SELECT tenant, currency, date_bin(INTERVAL '1 day', window_start) AS day, round(sum(value), 4) AS amount
        FROM order_revenue_amount_total GROUP BY 1, 2, 3
    )
), exception_day AS (
    SELECT tenant, date_bin(INTERVAL '1 day', window_start) AS day, sum(exceptions) AS exceptions FROM order_exceptions GROUP BY 1, 2
), delivery_week AS (
    SELECT tenant, date_trunc('week', delivered_at) AS week, count(on_time) AS delivered, count(*) FILTER (WHERE on_time) AS on_time
    FROM shipment_delivery WHERE delivered_at IS NOT NULL GROUP BY 1, 2
)
SELECT d.day AS window_start, d.tenant, concat('orders_', m.mark) AS kind, CAST(1 AS BIGINT) AS value
FROM orders_day d
JOIN (VALUES (1), (10), (100), (1000), (10000)) AS m(mark) ON d.total >= m.mark AND d.total - d.orders < m.mark
UNION ALL
SELECT d.day, d.tenant, concat('hours_saved_', m.mark), 1
FROM saved_day d
JOIN (VALUES (10), (100), (1000)) AS m(mark) ON d.total >= m.mark AND d.total - d.hours < m.mark
UNION ALL
SELECT DISTINCT day, tenant, 'record_revenue_day', 1 FROM revenue_day WHERE amount > record AND day < date_trunc('day', now())
UNION ALL
SELECT o.day, o.tenant, 'exception_free_day', 1
FROM orders_day o
LEFT JOIN exception_day e ON e.tenant = o.tenant AND e.day = o.day
WHERE o.orders >= 20 AND coalesce(e.exceptions, 0) = 0 AND o.day < date_trunc('day', now())
UNION ALL
SELECT week + INTERVAL '6 days', tenant, 'on_time_week', 1
FROM delivery_week
WHERE delivered > 0 AND on_time >= 0.99 * delivered AND week + INTERVAL '7 days' <= now();
