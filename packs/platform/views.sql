-- The metrics of the platforms that alerts need, each a view of its own name over the rollups; what is a counter or a
-- distribution of a rollup needs no view.
--
-- Every view has `tenant` or `audience`, its labels and `value`; durations are seconds, money is major units beside
-- `currency`, shares are 0 to 1. Views with `window_start` have one row per window (the width is said at each), the
-- others speak of now. What has no denominator has no value: NULL, never 0.

-- Parameters -------------------------------------------------------------------------------------------------------

-- threshold.set with `parameter` = name replaces a value for its tenant.
CREATE VIEW platform_parameter AS
SELECT name, value, meaning FROM (VALUES
    ('visibility_interval_seconds', 300.0, 'a service is probed so often; after twice as long it is out of sight'),
    ('post_grace_seconds', 600.0, 'a scheduled post may be so late'),
    ('security_posture.mfa', 20.0, 'weight'),
    ('security_posture.encryption', 15.0, 'weight'),
    ('security_posture.gdpr', 15.0, 'weight'),
    ('security_posture.soc2', 10.0, 'weight'),
    ('security_posture.backup', 15.0, 'weight'),
    ('security_posture.findings', 10.0, 'weight'),
    ('security_posture.incidents', 5.0, 'weight'),
    ('security_posture.suspicious', 5.0, 'weight'),
    ('security_posture.keys', 5.0, 'weight')
) AS p(name, value, meaning);

-- Currencies whose minor unit is not a hundredth (ISO 4217).
CREATE VIEW platform_minor_unit AS
SELECT currency, minor_per_major FROM (VALUES
    ('BIF', 1), ('CLP', 1), ('DJF', 1), ('GNF', 1), ('ISK', 1), ('JPY', 1), ('KMF', 1), ('KRW', 1), ('PYG', 1), ('RWF', 1),
    ('UGX', 1), ('VND', 1), ('VUV', 1), ('XAF', 1), ('XOF', 1), ('XPF', 1),
    ('BHD', 1000), ('IQD', 1000), ('JOD', 1000), ('KWD', 1000), ('LYD', 1000), ('OMR', 1000), ('TND', 1000)
) AS c(currency, minor_per_major);

-- Services ---------------------------------------------------------------------------------------------------------

-- 1 while the service that is needed is not critical. What was never probed has no row.
CREATE VIEW service_dependency_up AS
SELECT d.tenant, d.from_service AS "from", d.to_service AS "to", d.criticality,
       CASE WHEN s.status = 'critical' THEN 0 ELSE 1 END AS value
FROM service_dependencies d
JOIN service_state s ON s.tenant = d.tenant AND s.service_name = d.to_service
WHERE s.status IS NOT NULL AND s.status <> 'unknown';

-- Of the services that some dependency names, those that were probed lately.
CREATE VIEW system_visibility_ratio AS
SELECT d.tenant, CAST(count(*) FILTER (WHERE date_part('epoch', now()) - date_part('epoch', s.checked_at) <= 2 * coalesce(o.value, p.value)) AS DOUBLE) / count(*) AS value,
       count(*) AS services
FROM (
    SELECT tenant, from_service AS service FROM service_dependencies
    UNION
    SELECT tenant, to_service FROM service_dependencies
) d
CROSS JOIN (SELECT value FROM platform_parameter WHERE name = 'visibility_interval_seconds') p
LEFT JOIN (SELECT tenant, CAST(value AS DOUBLE) AS value FROM platform_parameters WHERE parameter = 'visibility_interval_seconds') o ON o.tenant = d.tenant
LEFT JOIN service_state s ON s.tenant = d.tenant AND s.service_name = d.service
GROUP BY d.tenant;

-- 0 healthy, 1 warning, 2 failed.
CREATE VIEW backup_status AS
SELECT tenant, kind, CASE status WHEN 'healthy' THEN 0 WHEN 'warning' THEN 1 ELSE 2 END AS value
FROM backup_state
WHERE status IS NOT NULL;

-- Since the last healthy backup; a test of restoring is none.
CREATE VIEW backup_age_seconds AS
SELECT tenant, kind, date_part('epoch', now()) - date_part('epoch', healthy_at) AS value
FROM backup_state
WHERE kind <> 'restore_test' AND healthy_at IS NOT NULL;

-- Users ------------------------------------------------------------------------------------------------------------

-- 1 hour.
CREATE VIEW users_active_now AS
SELECT date_bin(INTERVAL '1 hour', window_start) AS window_start, split_part(tenant, ':', 1) AS audience,
       approx_distinct(users) AS value
FROM user_activity
GROUP BY 1, 2;

-- 1 day (UTC).
CREATE VIEW users_active AS
SELECT date_bin(INTERVAL '1 day', window_start) AS window_start, split_part(tenant, ':', 1) AS audience,
       approx_distinct(users) AS value
FROM user_activity
GROUP BY 1, 2;

-- Users and projects that wait for somebody's yes, and for how long the oldest of them.
CREATE VIEW approvals_pending AS
SELECT kind, count(*) AS value, max(date_part('epoch', now()) - date_part('epoch', since)) AS oldest_seconds
FROM (
    SELECT 'user' AS kind, CASE WHEN decided_at > pending_at THEN status_at ELSE pending_at END AS since
    FROM user_state WHERE status = 'pending_approval'
    UNION ALL
    SELECT 'project', CASE WHEN decided_at > pending_at THEN state_at ELSE pending_at END
    FROM project_state WHERE state = 'pending_approval'
)
GROUP BY kind;

-- Security and compliance ------------------------------------------------------------------------------------------

CREATE VIEW incidents_open AS
SELECT tenant, coalesce(kind, 'unknown') AS kind, coalesce(severity, 'unknown') AS severity, count(*) AS value
FROM incident_state
WHERE state = 'open'
GROUP BY 1, 2, 3;

-- Active users with a second factor, by what they are.
CREATE VIEW mfa_adoption_ratio AS
SELECT tenant, coalesce(persona, role, 'unknown') AS role,
       CAST(count(*) FILTER (WHERE has_mfa) AS DOUBLE) / count(*) AS value,
       count(*) - count(*) FILTER (WHERE has_mfa) AS without
FROM user_state
WHERE status = 'active'
GROUP BY 1, 2;

CREATE VIEW api_key_age_seconds AS
SELECT tenant, key_id AS key, CAST(age_days AS DOUBLE) * 86400 + date_part('epoch', now()) - date_part('epoch', age_days_at) AS value
FROM api_key_state;

-- The newest score of each framework beside the one before.
CREATE VIEW compliance_score_ratio AS
SELECT tenant, framework, CAST(score_ratio AS DOUBLE) AS value, CAST(before AS DOUBLE) AS previous
FROM (
    SELECT tenant, framework, score_ratio,
           lag(score_ratio) OVER (PARTITION BY tenant, framework ORDER BY assessed_at) AS before,
           row_number() OVER (PARTITION BY tenant, framework ORDER BY assessed_at DESC) AS place
    FROM compliance_log WHERE score_ratio IS NOT NULL
)
WHERE place = 1;

-- 0 compliant, 1 partial, 2 non-compliant.
CREATE VIEW compliance_status AS
SELECT tenant, framework,
       CASE last_value(status ORDER BY assessed_at) WHEN 'compliant' THEN 0 WHEN 'partial' THEN 1 ELSE 2 END AS value
FROM compliance_log
WHERE status IS NOT NULL
GROUP BY 1, 2;

-- 1 minute: findings by when they were first called critical.
CREATE VIEW compliance_findings AS
SELECT date_bin(INTERVAL '1 minute', critical_at) AS window_start, tenant, count(*) AS critical_total
FROM finding_state
WHERE critical_at IS NOT NULL
GROUP BY 1, 2;

CREATE VIEW compliance_findings_open AS
SELECT tenant, coalesce(severity, 'unknown') AS severity, count(*) AS value
FROM finding_state
WHERE state = 'open'
GROUP BY 1, 2;

-- How safe a tenant is, by part: 1 is as it should be. What was never told has no row.
CREATE VIEW security_posture_part AS
SELECT tenant, 'mfa' AS part, CAST(count(*) FILTER (WHERE has_mfa) AS DOUBLE) / count(*) AS share
FROM user_state WHERE status = 'active' GROUP BY tenant
UNION ALL
SELECT tenant, 'encryption', CAST(assets_encrypted AS DOUBLE) / nullif(assets_total, 0) FROM encryption_state
UNION ALL
SELECT tenant, 'gdpr', value FROM compliance_score_ratio WHERE framework = 'gdpr'
UNION ALL
SELECT tenant, 'soc2', 1 - CAST(value AS DOUBLE) / 2 FROM compliance_status WHERE framework = 'soc2'
UNION ALL
-- The newest of any kind; from 26 to 72 hours after the last that was healthy it counts less and less.
SELECT tenant, 'backup', newest * CASE WHEN healthy_s IS NULL THEN 0.0 ELSE greatest(least((72 * 3600 - (now_s - healthy_s)) / (46 * 3600), 1.0), 0.0) END
FROM (
    SELECT tenant, last_value(CASE status WHEN 'healthy' THEN 1.0 WHEN 'warning' THEN 0.5 ELSE 0.0 END ORDER BY status_at) AS newest,
           max(date_part('epoch', healthy_at)) AS healthy_s, max(date_part('epoch', now())) AS now_s
    FROM backup_state WHERE kind <> 'restore_test' AND status IS NOT NULL GROUP BY tenant
)
UNION ALL
SELECT tenant, 'findings', exp(-sum(CASE WHEN state IS DISTINCT FROM 'open' THEN 0.0 WHEN severity = 'critical' THEN 1.0 WHEN severity = 'high' THEN 0.5 ELSE 0.1 END) / 2)
FROM finding_state GROUP BY tenant
UNION ALL
SELECT tenant, 'incidents', 1 / (1 + 2 * CAST(count(*) FILTER (WHERE state = 'open') AS DOUBLE)) FROM incident_state GROUP BY tenant
UNION ALL
SELECT tenant, 'suspicious', 1 / (1 + greatest(CAST(coalesce(sum(flags) FILTER (WHERE state = 'open'), 0) AS DOUBLE) - CAST(coalesce(sum(flags) FILTER (WHERE state = 'closed'), 0) AS DOUBLE), 0.0) / 5)
FROM suspicious_flags GROUP BY tenant
UNION ALL
SELECT tenant, 'keys', CAST(count(*) FILTER (WHERE value <= 90 * 86400) AS DOUBLE) / count(*) FROM api_key_age_seconds GROUP BY tenant;

-- The parts, weighed, 0 to 100: no value where less than half of the weight is known. `coverage` is the weight that is.
CREATE VIEW security_posture_score AS
SELECT tenant, CASE WHEN known >= 50 THEN 100 * points / known END AS value, known / 100 AS coverage
FROM (
    SELECT s.tenant, sum(coalesce(o.value, p.value) * s.share) AS points, sum(coalesce(o.value, p.value)) AS known
    FROM security_posture_part s
    JOIN platform_parameter p ON p.name = concat('security_posture.', s.part)
    LEFT JOIN (SELECT tenant, parameter, CAST(value AS DOUBLE) AS value FROM platform_parameters) o ON o.tenant = s.tenant AND o.parameter = p.name
    WHERE s.share IS NOT NULL
    GROUP BY s.tenant
);

-- Money ------------------------------------------------------------------------------------------------------------

-- Every subscription as it stood now and at the ends of the seven periods of 30 days before.
CREATE VIEW subscription_moment AS
SELECT p.period, split_part(l.tenant, ':', 1) AS audience, l.tenant, l.subscription_id,
       last_value(l.status ORDER BY l.changed_at) FILTER (WHERE l.status IS NOT NULL) IN ('active', 'past_due') AS is_paying,
       last_value(l.monthly_fee_minor ORDER BY l.changed_at) FILTER (WHERE l.monthly_fee_minor IS NOT NULL) AS monthly_fee_minor,
       last_value(l.currency ORDER BY l.changed_at) FILTER (WHERE l.currency IS NOT NULL) AS currency
FROM (VALUES (0), (1), (2), (3), (4), (5), (6), (7)) AS p(period)
JOIN subscription_log l ON date_part('epoch', l.changed_at) <= date_part('epoch', now()) - p.period * 2592000
GROUP BY 1, 2, 3, 4;

-- What subscriptions bring in a month, and brought 30 days ago.
CREATE VIEW subscription_mrr_amount AS
SELECT m.audience, m.currency,
       CAST(coalesce(sum(m.monthly_fee_minor) FILTER (WHERE m.period = 0), 0) AS DOUBLE) / max(coalesce(u.minor_per_major, 100)) AS value,
       CAST(sum(m.monthly_fee_minor) FILTER (WHERE m.period = 1) AS DOUBLE) / max(coalesce(u.minor_per_major, 100)) AS month_before
FROM subscription_moment m
LEFT JOIN platform_minor_unit u ON u.currency = m.currency
WHERE m.is_paying AND m.period <= 1
GROUP BY 1, 2;

-- Reached of the target of this month (UTC), which is in the one currency there is; with several there is no value.
CREATE VIEW target_attainment_ratio AS
SELECT t.tenant, t.metric, m.value / nullif(CAST(t.value AS DOUBLE), 0) AS value
FROM platform_targets t
CROSS JOIN (
    SELECT sum(value) AS value FROM subscription_mrr_amount HAVING count(DISTINCT currency) = 1
) m
WHERE t.metric = 'mrr' AND t.period = to_char(now(), '%Y-%m');

-- Paying subscriptions of 30 days ago that pay no more, and the mean of the same in the six periods before.
CREATE VIEW customer_churn_ratio AS
SELECT audience,
       max(CAST(lost AS DOUBLE) / customers) FILTER (WHERE period = 0) AS value,
       avg(CAST(lost AS DOUBLE) / customers) FILTER (WHERE period > 0) AS usual,
       max(customers) FILTER (WHERE period = 0) AS customers
FROM (
    SELECT later.period, earlier.audience, count(*) AS customers, count(*) FILTER (WHERE NOT later.is_paying) AS lost
    FROM subscription_moment earlier
    JOIN subscription_moment later ON later.tenant = earlier.tenant AND later.subscription_id = earlier.subscription_id
                                  AND later.period = earlier.period - 1
    WHERE earlier.is_paying
    GROUP BY 1, 2
)
GROUP BY audience;

-- Workflows and content --------------------------------------------------------------------------------------------

-- What has begun and not ended, and since when the oldest of it.
CREATE VIEW workflow_running AS
SELECT tenant, engine, workflow_id AS workflow, count(*) AS value,
       max(date_part('epoch', now()) - date_part('epoch', started_at)) AS oldest_seconds
FROM workflow_execution_state
WHERE status IN ('pending', 'running')
GROUP BY 1, 2, 3;

-- Posts of the last day that are not out although their time has come.
CREATE VIEW posts_overdue AS
SELECT s.tenant, s.network, count(*) AS value
FROM post_state s
CROSS JOIN (SELECT value FROM platform_parameter WHERE name = 'post_grace_seconds') p
LEFT JOIN (SELECT tenant, CAST(value AS DOUBLE) AS value FROM platform_parameters WHERE parameter = 'post_grace_seconds') o ON o.tenant = s.tenant
WHERE s.state IN ('scheduled', 'failed') AND s.scheduled_for > now() - INTERVAL '1 day'
  AND date_part('epoch', now()) - date_part('epoch', s.scheduled_for) > coalesce(o.value, p.value)
GROUP BY 1, 2;

-- Support, sales, certification ------------------------------------------------------------------------------------

-- Tickets that are open, and how many were on average of the last 30 days.
CREATE VIEW tickets_open AS
SELECT audience, count(*) FILTER (WHERE is_open) AS value, sum(greatest(until_s - greatest(since_s, now_s - 2592000), 0.0)) / 2592000 AS usual
FROM (
    SELECT split_part(tenant, ':', 1) AS audience, state IN ('open', 'pending', 'escalated') AS is_open,
           date_part('epoch', opened_at) AS since_s, date_part('epoch', now()) AS now_s,
           date_part('epoch', CASE WHEN state IN ('open', 'pending', 'escalated') THEN now() ELSE closed_at END) AS until_s
    FROM ticket_state
)
WHERE until_s > now_s - 2592000
GROUP BY audience;

-- Leads that the newest version of the rules has scored.
CREATE VIEW crm_lead_scored_ratio AS
SELECT l.tenant, CAST(count(*) FILTER (WHERE l.score IS NOT NULL AND l.rule_version = v.rule_version) AS DOUBLE) / count(*) AS value,
       count(*) AS leads
FROM lead_state l
JOIN (
    SELECT tenant, last_value(rule_version ORDER BY rule_version_at) AS rule_version
    FROM lead_state WHERE rule_version IS NOT NULL GROUP BY tenant
) v ON v.tenant = l.tenant
GROUP BY l.tenant;

CREATE VIEW certificates_expiring AS
SELECT tenant, CASE WHEN days <= 30 THEN '30d' WHEN days <= 60 THEN '60d' ELSE '90d' END AS horizon, count(*) AS value
FROM (
    SELECT tenant, (date_part('epoch', CAST(substr(valid_until, 1, 10) AS DATE)) - date_part('epoch', date_trunc('day', now()))) / 86400 AS days
    FROM certificate_state
    WHERE state IN ('issued', 'renewed', 'expiring') AND valid_until IS NOT NULL
)
WHERE days BETWEEN 0 AND 90
GROUP BY 1, 2;

CREATE VIEW compliance_items AS
SELECT tenant, state, count(*) AS value
FROM compliance_item_state
WHERE state IS NOT NULL
GROUP BY 1, 2;

-- Of the periods that were recorded in the last 7 days.
CREATE VIEW instructor_utilization_ratio AS
SELECT tenant, instructor_id AS instructor, CAST(sum(assigned_min) AS DOUBLE) / nullif(sum(available_min), 0) AS value
FROM instructor_workload
WHERE recorded_at > now() - INTERVAL '7 days'
GROUP BY 1, 2;
