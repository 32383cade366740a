-- The metrics of CreatorFlow, each a view of its own name over the rollups.
--
-- Every view has `tenant`, its labels and `value`; durations are seconds, money is major units beside `currency`,
-- shares are 0 to 1. Quantiles stand in p50, p90, p95, p99 with mean and count. Views with `window_start` have one row
-- per window (the width is said at each), the others speak of now. What has no denominator has no value: NULL, never 0.
-- A score leaves out what it lacks and rescales the weights; with more than half of the weight missing it has no value.
-- Where a metric is a share, a label says 'all' in the rows that do not split by it.

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

-- What an hour of the same work takes by hand, in seconds per item, where neither the run nor baseline.set says it.
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

-- Commission rates with the time in which each was in force.
CREATE VIEW tenant_commission AS
SELECT tenant, CAST(commission_rate AS DOUBLE) AS commission_rate, valid_from,
       lead(valid_from) OVER (PARTITION BY tenant ORDER BY valid_from) AS valid_until
FROM tenant_log
WHERE commission_rate IS NOT NULL;

-- Midnight in the zones of the shop platform's markets. A zone must be a literal, hence the list; another zone counts
-- as UTC.
CREATE VIEW zone_today AS
SELECT 'America/New_York' AS time_zone, date_trunc('day', (now() AT TIME ZONE 'UTC') AT TIME ZONE 'America/New_York') AT TIME ZONE 'UTC' AS starts_at
UNION ALL SELECT 'America/Chicago', date_trunc('day', (now() AT TIME ZONE 'UTC') AT TIME ZONE 'America/Chicago') AT TIME ZONE 'UTC'
UNION ALL SELECT 'America/Denver', date_trunc('day', (now() AT TIME ZONE 'UTC') AT TIME ZONE 'America/Denver') AT TIME ZONE 'UTC'
UNION ALL SELECT 'America/Phoenix', date_trunc('day', (now() AT TIME ZONE 'UTC') AT TIME ZONE 'America/Phoenix') AT TIME ZONE 'UTC'
UNION ALL SELECT 'America/Los_Angeles', date_trunc('day', (now() AT TIME ZONE 'UTC') AT TIME ZONE 'America/Los_Angeles') AT TIME ZONE 'UTC'
UNION ALL SELECT 'America/Mexico_City', date_trunc('day', (now() AT TIME ZONE 'UTC') AT TIME ZONE 'America/Mexico_City') AT TIME ZONE 'UTC'
UNION ALL SELECT 'America/Sao_Paulo', date_trunc('day', (now() AT TIME ZONE 'UTC') AT TIME ZONE 'America/Sao_Paulo') AT TIME ZONE 'UTC'
UNION ALL SELECT 'Europe/London', date_trunc('day', (now() AT TIME ZONE 'UTC') AT TIME ZONE 'Europe/London') AT TIME ZONE 'UTC'
UNION ALL SELECT 'Europe/Dublin', date_trunc('day', (now() AT TIME ZONE 'UTC') AT TIME ZONE 'Europe/Dublin') AT TIME ZONE 'UTC'
UNION ALL SELECT 'Europe/Madrid', date_trunc('day', (now() AT TIME ZONE 'UTC') AT TIME ZONE 'Europe/Madrid') AT TIME ZONE 'UTC'
UNION ALL SELECT 'Europe/Paris', date_trunc('day', (now() AT TIME ZONE 'UTC') AT TIME ZONE 'Europe/Paris') AT TIME ZONE 'UTC'
UNION ALL SELECT 'Europe/Berlin', date_trunc('day', (now() AT TIME ZONE 'UTC') AT TIME ZONE 'Europe/Berlin') AT TIME ZONE 'UTC'
UNION ALL SELECT 'Europe/Amsterdam', date_trunc('day', (now() AT TIME ZONE 'UTC') AT TIME ZONE 'Europe/Amsterdam') AT TIME ZONE 'UTC'
UNION ALL SELECT 'Europe/Rome', date_trunc('day', (now() AT TIME ZONE 'UTC') AT TIME ZONE 'Europe/Rome') AT TIME ZONE 'UTC'
UNION ALL SELECT 'Asia/Jakarta', date_trunc('day', (now() AT TIME ZONE 'UTC') AT TIME ZONE 'Asia/Jakarta') AT TIME ZONE 'UTC'
UNION ALL SELECT 'Asia/Bangkok', date_trunc('day', (now() AT TIME ZONE 'UTC') AT TIME ZONE 'Asia/Bangkok') AT TIME ZONE 'UTC'
UNION ALL SELECT 'Asia/Ho_Chi_Minh', date_trunc('day', (now() AT TIME ZONE 'UTC') AT TIME ZONE 'Asia/Ho_Chi_Minh') AT TIME ZONE 'UTC'
UNION ALL SELECT 'Asia/Kuala_Lumpur', date_trunc('day', (now() AT TIME ZONE 'UTC') AT TIME ZONE 'Asia/Kuala_Lumpur') AT TIME ZONE 'UTC'
UNION ALL SELECT 'Asia/Manila', date_trunc('day', (now() AT TIME ZONE 'UTC') AT TIME ZONE 'Asia/Manila') AT TIME ZONE 'UTC'
UNION ALL SELECT 'Asia/Singapore', date_trunc('day', (now() AT TIME ZONE 'UTC') AT TIME ZONE 'Asia/Singapore') AT TIME ZONE 'UTC'
UNION ALL SELECT 'Asia/Shanghai', date_trunc('day', (now() AT TIME ZONE 'UTC') AT TIME ZONE 'Asia/Shanghai') AT TIME ZONE 'UTC'
UNION ALL SELECT 'Asia/Tokyo', date_trunc('day', (now() AT TIME ZONE 'UTC') AT TIME ZONE 'Asia/Tokyo') AT TIME ZONE 'UTC';

-- Since when it is "today" for a tenant: sum an hourly view from here. What its clocks are ahead of UTC follows from
-- where its midnight lies.
CREATE VIEW tenant_today AS
SELECT t.tenant, t.time_zone,
       coalesce(z.starts_at, date_trunc('day', now() AT TIME ZONE 'UTC')) AS starts_at,
       coalesce((2160 - CAST(60 * date_part('hour', z.starts_at) + date_part('minute', z.starts_at) AS BIGINT)) % 1440 - 720, 0) AS ahead_minutes
FROM tenant_current t
LEFT JOIN zone_today z ON z.time_zone = t.time_zone;
