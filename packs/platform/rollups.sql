-- What the platforms count. Every measure is kept so that windows, tenants and dimensions merge exactly.
--
-- Tables with a window answer "how many, how long"; tables without one hold the latest state of a key. Where single
-- tenants say nothing, because every customer signs up once, rows are of an `audience`: the kind of tenant (account,
-- builder, end_user, team, creator, platform).

-- Performance ------------------------------------------------------------------------------------------------------

-- Requests to our own services. A failure is a 5xx, or whatever carries an error message.
CREATE ROLLUP requests WITH (fold = 'endpoint') AS
SELECT tenant, service, endpoint, status_class(status_code) AS status_class,
       count(*)                                        AS requests,
       count(*) FILTER (WHERE status_code >= 500 OR error_message IS NOT NULL) AS errors,
       hdr(response_time_ms)                           AS response_ms
FROM request_completed
GROUP BY tumble(INTERVAL '10 seconds'), tenant, service, endpoint, status_class(status_code);

-- What people wait for in front of a dashboard.
CREATE ROLLUP ui_timings AS
SELECT tenant, dashboard, metric, device,
       hdr(duration_ms)                                AS duration_ms
FROM ui_timing_measured
GROUP BY tumble(INTERVAL '10 seconds'), tenant, dashboard, metric, device;

-- Numbers that producers report under names of their own. A quarter of an hour is what is judged at once.
CREATE ROLLUP reported WITH (tiers = '15m 35d, 1h 400d, 1d 1830d', fold = 'metric_type') AS
SELECT tenant, metric_type,
       last(metric_value)                              AS newest,
       avg(metric_value)                               AS mean,
       min(metric_value)                               AS least,
       max(metric_value)                               AS most
FROM metric_reported
GROUP BY tumble(INTERVAL '15 minutes'), tenant, metric_type;

-- Services ---------------------------------------------------------------------------------------------------------

-- The newest probe of each service.
CREATE ROLLUP service_state WITH (retention = '35d') AS
SELECT tenant, service_name,
       last(status)                                    AS status,
       max(event_time)                                 AS checked_at
FROM service_checked
GROUP BY tenant, service_name;

-- Which service needs which. An edge is known for as long as it is declared again.
CREATE ROLLUP service_dependencies WITH (retention = '100d') AS
SELECT tenant, from_service, to_service,
       last(criticality)                               AS criticality
FROM service_dependency_declared
GROUP BY tenant, from_service, to_service;

CREATE ROLLUP databases AS
SELECT tenant, db,
       max(active_connections)                         AS active_connections,
       sum(deadlocks)                                  AS deadlocks
FROM database_sampled
GROUP BY tumble(INTERVAL '10 seconds'), tenant, db;

-- A slow query takes more than a second on average, over more than 10 calls.
CREATE ROLLUP database_queries WITH (fold = 'fingerprint') AS
SELECT tenant, fingerprint,
       count(*) FILTER (WHERE coalesce(mean_ms, total_ms / nullif(calls, 0)) > 1000 AND calls > 10) AS slow,
       sum(calls)                                      AS calls,
       hdr(coalesce(mean_ms, total_ms / nullif(calls, 0))) AS mean_ms
FROM database_query_observed
GROUP BY tumble(INTERVAL '1 minute'), tenant, fingerprint;

CREATE ROLLUP backup_state AS
SELECT tenant, kind,
       last(status)                                    AS status,
       max(event_time) FILTER (WHERE status = 'healthy') AS healthy_at
FROM backup_completed
GROUP BY tenant, kind;

-- Users ------------------------------------------------------------------------------------------------------------

-- Who does something: sessions that start, and whatever is done in them.
CREATE ROLLUP user_activity WITH (tiers = '1m 2d, 1h 400d, 1d 1830d') AS
SELECT tenant,
       approx_distinct(user_id)                        AS users,
       count(*)                                        AS events
FROM activity_recorded
GROUP BY tumble(INTERVAL '1 minute'), tenant
UNION ALL BY NAME
SELECT tenant,
       approx_distinct(user_id)                        AS users,
       count(*)                                        AS events
FROM session_started
GROUP BY tumble(INTERVAL '1 minute'), tenant;

-- Users who come, and customers who begin to pay: a trial or a free plan that becomes active, or a plan that begins so.
CREATE ROLLUP signups WITH (tiers = '1m 2d, 1h 400d, 1d 1830d') AS
SELECT split_part(tenant, ':', 1) AS audience, signup_channel AS via,
       count(*)                                        AS users
FROM user_registered
GROUP BY tumble(INTERVAL '1 minute'), split_part(tenant, ':', 1), signup_channel
UNION ALL BY NAME
SELECT split_part(tenant, ':', 1) AS audience, acquired_via AS via,
       count(*) FILTER (WHERE status = 'active' AND (previous_status IN ('trialing', 'free') OR (previous_status IS NULL AND previous_plan IS NULL))) AS conversions
FROM plan_changed
GROUP BY tumble(INTERVAL '1 minute'), split_part(tenant, ':', 1), acquired_via;

-- Every user as they stand.
CREATE ROLLUP user_state AS
SELECT tenant, user_id,
       last(role)                                      AS role,
       last(persona)                                   AS persona,
       last(status)                                    AS status,
       min(event_time) FILTER (WHERE status = 'pending_approval') AS pending_at,
       max(event_time) FILTER (WHERE status <> 'pending_approval') AS decided_at
FROM user_registered
GROUP BY tenant, user_id
UNION ALL BY NAME
SELECT tenant, user_id,
       last(role)                                      AS role,
       last(persona)                                   AS persona,
       last(status)                                    AS status,
       min(event_time) FILTER (WHERE status = 'pending_approval') AS pending_at,
       max(event_time) FILTER (WHERE status <> 'pending_approval') AS decided_at
FROM user_status_changed
GROUP BY tenant, user_id
UNION ALL BY NAME
SELECT tenant, user_id,
       last(enabled)                                   AS has_mfa
FROM mfa_changed
GROUP BY tenant, user_id;

-- Security ---------------------------------------------------------------------------------------------------------

CREATE ROLLUP logins AS
SELECT tenant, outcome, reason,
       count(*)                                        AS attempts,
       count(*) FILTER (WHERE mfa_used)                AS with_mfa
FROM login_attempted
GROUP BY tumble(INTERVAL '10 seconds'), tenant, outcome, reason;

-- Failed logins by user: a row only where one failed.
CREATE ROLLUP login_failures WITH (tiers = '10s 2d, 1h 35d', fold = 'user_id') AS
SELECT tenant, user_id,
       count(*)                                        AS failures
FROM login_attempted
WHERE outcome = 'failed' AND user_id IS NOT NULL
GROUP BY tumble(INTERVAL '10 seconds'), tenant, user_id;

-- Flags of suspicious behaviour; from a risk of 0.8 on they are high.
CREATE ROLLUP suspicious_flags AS
SELECT tenant, kind, state, CASE WHEN risk >= 0.8 THEN 'high' ELSE 'normal' END AS risk,
       count(*)                                        AS flags
FROM suspicious_flagged
GROUP BY tumble(INTERVAL '10 seconds'), tenant, kind, state, CASE WHEN risk >= 0.8 THEN 'high' ELSE 'normal' END;

CREATE ROLLUP incident_state AS
SELECT tenant, incident_id,
       last(kind)                                      AS kind,
       last(severity)                                  AS severity,
       last(state)                                     AS state,
       min(coalesce(detected_at, event_time))          AS detected_at
FROM security_incident_changed
GROUP BY tenant, incident_id;

CREATE ROLLUP api_key_state WITH (retention = '400d') AS
SELECT tenant, key_id,
       last(coalesce(age_days, 0))                     AS age_days
FROM api_key_rotated
GROUP BY tenant, key_id;

-- What people with rights do, by role.
CREATE ROLLUP audit_events AS
SELECT tenant, action_class, role, outcome,
       count(*)                                        AS events
FROM audit_recorded
GROUP BY tumble(INTERVAL '10 seconds'), tenant, action_class, role, outcome;

-- Who exports how much.
CREATE ROLLUP audit_exports WITH (tiers = '1m 2d, 1h 100d', fold = 'actor_id') AS
SELECT tenant, actor_id,
       count(*)                                        AS exports
FROM audit_recorded
WHERE action_class = 'export'
GROUP BY tumble(INTERVAL '1 minute'), tenant, actor_id;

-- Compliance -------------------------------------------------------------------------------------------------------

-- One row per assessment: a score is compared with the one before.
CREATE ROLLUP compliance_log AS
SELECT tenant, framework, event_time AS assessed_at,
       last(score_ratio)                               AS score_ratio,
       last(status)                                    AS status
FROM compliance_assessed
GROUP BY tenant, framework, event_time;

CREATE ROLLUP finding_state AS
SELECT tenant, finding_id,
       last(severity)                                  AS severity,
       last(state)                                     AS state,
       min(event_time) FILTER (WHERE severity = 'critical') AS critical_at
FROM finding_changed
GROUP BY tenant, finding_id;

CREATE ROLLUP encryption_state AS
SELECT tenant,
       last(assets_total)                              AS assets_total,
       last(assets_encrypted)                          AS assets_encrypted
FROM encryption_assessed
GROUP BY tenant;

-- Money ------------------------------------------------------------------------------------------------------------

CREATE ROLLUP payments AS
SELECT tenant, kind, outcome, currency,
       count(*)                                        AS payments,
       sum(amount_minor)                               AS amount_minor
FROM payment_settled
GROUP BY tumble(INTERVAL '10 seconds'), tenant, kind, outcome, currency;

-- One row per change of a subscription: what it was worth at any time.
CREATE ROLLUP subscription_log WITH (retention = '1000d') AS
SELECT tenant, subscription_id, event_time AS changed_at,
       last(plan_name)                                 AS plan_name,
       last(status)                                    AS status,
       last(monthly_fee_minor)                         AS monthly_fee_minor,
       last(currency)                                  AS currency
FROM plan_changed
GROUP BY tenant, subscription_id, event_time;

CREATE ROLLUP platform_targets AS
SELECT tenant, metric, period,
       last(value)                                     AS value
FROM platform_target_set
GROUP BY tenant, metric, period;

CREATE ROLLUP platform_parameters AS
SELECT tenant, parameter,
       last(value)                                     AS value
FROM platform_parameter_set
GROUP BY tenant, parameter;

-- Workflows and content --------------------------------------------------------------------------------------------

CREATE ROLLUP workflow_executions WITH (fold = 'workflow_id') AS
SELECT tenant, engine, workflow_id, execution_status,
       count(*)                                        AS executions,
       hdr(duration_ms)                                AS duration_ms
FROM workflow_execution_finished
GROUP BY tumble(INTERVAL '10 seconds'), tenant, engine, workflow_id, execution_status;

-- Executions as they stand: what has begun and not ended.
CREATE ROLLUP workflow_execution_state WITH (retention = '8d') AS
SELECT tenant, execution_id,
       last(engine)                                    AS engine,
       last(workflow_id)                               AS workflow_id,
       last(execution_status)                          AS status,
       min(coalesce(started_at, event_time))           AS started_at
FROM workflow_execution_finished
GROUP BY tenant, execution_id;

CREATE ROLLUP content_pieces AS
SELECT tenant, kind, model, outcome,
       count(*)                                        AS pieces,
       count(*) FILTER (WHERE quality_score IS NOT NULL) AS rated,
       sum(quality_score)                              AS quality
FROM content_generated
GROUP BY tumble(INTERVAL '1 minute'), tenant, kind, model, outcome;

CREATE ROLLUP post_state WITH (retention = '100d') AS
SELECT tenant, post_id,
       last(network)                                   AS network,
       last(state)                                     AS state,
       last(scheduled_for)                             AS scheduled_for
FROM post_changed
GROUP BY tenant, post_id;

-- Support ----------------------------------------------------------------------------------------------------------

CREATE ROLLUP ticket_state WITH (retention = '400d') AS
SELECT tenant, ticket_id,
       last(category)                                  AS category,
       last(priority)                                  AS priority,
       last(state)                                     AS state,
       min(coalesce(opened_at, event_time))            AS opened_at,
       max(event_time) FILTER (WHERE state IN ('resolved', 'closed')) AS closed_at
FROM ticket_changed
GROUP BY tenant, ticket_id;

CREATE ROLLUP opinions AS
SELECT split_part(tenant, ':', 1) AS audience, kind,
       count(*) FILTER (WHERE value IS NOT NULL)       AS answers,
       sum(value)                                      AS points
FROM opinion_given
GROUP BY tumble(INTERVAL '1 minute'), split_part(tenant, ':', 1), kind;

-- Sales ------------------------------------------------------------------------------------------------------------

CREATE ROLLUP lead_state WITH (retention = '800d') AS
SELECT tenant, lead_id,
       last(stage)                                     AS stage,
       last(score)                                     AS score,
       last(rule_version)                              AS rule_version
FROM lead_changed
GROUP BY tenant, lead_id;

-- Certification ----------------------------------------------------------------------------------------------------

CREATE ROLLUP certificate_state AS
SELECT tenant, certificate_id,
       last(course_id)                                 AS course_id,
       last(state)                                     AS state,
       last(valid_until)                               AS valid_until
FROM certificate_changed
GROUP BY tenant, certificate_id;

-- A period that is recorded again replaces what was said of it.
CREATE ROLLUP instructor_workload WITH (retention = '400d') AS
SELECT tenant, instructor_id, period,
       last(available_min)                             AS available_min,
       last(assigned_min)                              AS assigned_min,
       min(event_time)                                 AS recorded_at
FROM instructor_workload_recorded
GROUP BY tenant, instructor_id, period;

CREATE ROLLUP compliance_item_state AS
SELECT tenant, item_id,
       last(state)                                     AS state
FROM compliance_item_changed
GROUP BY tenant, item_id;

-- Marketplace ------------------------------------------------------------------------------------------------------

CREATE ROLLUP project_state AS
SELECT tenant, project_id,
       last(category)                                  AS category,
       last(state)                                     AS state,
       min(event_time) FILTER (WHERE state = 'pending_approval') AS pending_at,
       max(event_time) FILTER (WHERE state <> 'pending_approval') AS decided_at
FROM project_changed
GROUP BY tenant, project_id;

CREATE ROLLUP project_ratings WITH (tiers = '1m 2d, 1h 400d, 1d 1830d', fold = 'project_id') AS
SELECT tenant, project_id,
       count(*)                                        AS ratings,
       sum(stars)                                      AS stars
FROM project_rated
GROUP BY tumble(INTERVAL '1 minute'), tenant, project_id;

CREATE ROLLUP widget_usage WITH (fold = 'widget_id') AS
SELECT tenant, project_id, widget_id,
       sum(calls)                                      AS calls,
       sum(errors)                                     AS errors
FROM widget_usage_recorded
GROUP BY tumble(INTERVAL '10 seconds'), tenant, project_id, widget_id;
