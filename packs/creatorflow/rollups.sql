-- What CreatorFlow counts. Every measure is kept so that windows, tenants and dimensions merge exactly.
--
-- Tables with a window answer "how many, how long, how much"; tables without one hold the latest state of a key, or
-- the times of its steps, and are read by counting keys. A key that holds an event_time is a log: copies of an event
-- meet in one row.

-- Orders -----------------------------------------------------------------------------------------------------------

-- Orders as they come in. Amounts are gross, in minor units of their currency. Kept for ever: lifetime counts read it.
CREATE ROLLUP orders_received WITH (tiers = '10s 2d, 1m 30d, 1h 400d, 1d forever') AS
SELECT tenant, shop_id, channel, priority_level, impact_level, currency,
       count(*)                                        AS orders,
       count(*) FILTER (WHERE is_automated)            AS automated_orders,
       sum(total_minor)                                AS gross_minor,
       max(viral_score)                                AS viral_score_max,
       approx_distinct(customer_key)                   AS customers
FROM order_created
GROUP BY tumble(INTERVAL '10 seconds'), tenant, shop_id, channel, priority_level, impact_level, currency;

-- Which piece of content the orders come from: a viral video shows here within seconds.
CREATE ROLLUP orders_by_content AS
SELECT tenant, content_id,
       count(*)                                        AS orders,
       sum(total_minor)                                AS gross_minor
FROM order_created
WHERE content_id IS NOT NULL
GROUP BY tumble(INTERVAL '10 seconds'), tenant, content_id;

-- Money that moved. Revenue is paid minus refunded; cancellations before payment move none.
CREATE ROLLUP order_payments AS
SELECT tenant, shop_id, currency, payment_status,
       count(*)                                        AS changes,
       sum(total_minor)  FILTER (WHERE payment_status = 'paid')                             AS paid_minor,
       sum(refund_minor) FILTER (WHERE payment_status IN ('refunded', 'partially_refunded')) AS refunded_minor,
       sum(fee_minor)    FILTER (WHERE payment_status = 'paid')                             AS fee_minor
FROM order_payment_changed
GROUP BY tumble(INTERVAL '10 seconds'), tenant, shop_id, currency, payment_status;

-- The way of orders through their states.
CREATE ROLLUP order_transitions AS
SELECT tenant, shop_id, previous_status, order_status, fulfillment_stage,
       count(*)                                        AS transitions
FROM order_status_changed
GROUP BY tumble(INTERVAL '10 seconds'), tenant, shop_id, previous_status, order_status, fulfillment_stage;

-- How fast orders are processed, and what automation saves. The two times of an order say more than the duration that
-- its producer computed, so they win.
CREATE ROLLUP order_processing AS
SELECT tenant, shop_id, is_automated, priority_level, outcome,
       count(*)                                        AS attempts,
       hdr(coalesce((CAST(processed_at AS BIGINT) - CAST(processing_started_at AS BIGINT)) / 1000, processing_ms)) AS processing_ms,
       avg(coalesce((CAST(processed_at AS BIGINT) - CAST(processing_started_at AS BIGINT)) / 1000, processing_ms)) AS processing_mean_ms,
       sum(human_ms)                                   AS human_time_ms,
       sum(manual_touches)                             AS manual_touches,
       approx_distinct(order_id)                       AS distinct_orders,
       approx_distinct(order_id) FILTER (WHERE coalesce(manual_touches, 0) = 0) AS untouched_orders
FROM order_processed
GROUP BY tumble(INTERVAL '10 seconds'), tenant, shop_id, is_automated, priority_level, outcome;

-- What goes wrong with orders.
CREATE ROLLUP order_exceptions AS
SELECT tenant, shop_id, exception_source, exception_code,
       count(*)                                        AS exceptions,
       approx_distinct(order_id)                       AS distinct_orders
FROM order_exception_raised
GROUP BY tumble(INTERVAL '10 seconds'), tenant, shop_id, exception_source, exception_code;

-- Every order as it stands now, with the times of its milestones.
CREATE ROLLUP order_state WITH (retention = '400d') AS
SELECT tenant, order_id,
       last(shop_id)                                   AS shop_id,
       last(channel)                                   AS channel,
       last(sales_platform)                            AS sales_platform,
       last(ship_country)                              AS ship_country,
       last(customer_key)                              AS customer_key,
       last(customer_tier)                             AS customer_tier,
       last(currency)                                  AS currency,
       last(total_minor)                               AS total_minor,
       last(fee_minor)                                 AS fee_minor,
       last(order_status)                              AS order_status,
       last(payment_status)                            AS payment_status,
       last(fulfillment_stage)                         AS fulfillment_stage,
       last(priority_level)                            AS priority_level,
       last(impact_level)                              AS impact_level,
       min(event_time)                                 AS received_at,
       min(coalesce(ordered_at, event_time))           AS ordered_at,
       min(event_time)   FILTER (WHERE payment_status = 'paid') AS paid_at,
       last(total_minor) FILTER (WHERE payment_status = 'paid') AS paid_minor
FROM order_created
GROUP BY tenant, order_id
UNION ALL BY NAME
SELECT tenant, order_id,
       last(shop_id)                                   AS shop_id,
       last(order_status)                              AS order_status,
       last(fulfillment_stage)                         AS fulfillment_stage,
       last(priority_level)                            AS priority_level,
       last(impact_level)                              AS impact_level,
       min(event_time) FILTER (WHERE fulfillment_stage = 'ready_to_ship' OR order_status = 'ready_to_ship') AS ready_at,
       min(coalesce(shipped_at, CASE WHEN order_status = 'shipped' THEN event_time END))                    AS shipped_at,
       min(coalesce(delivered_at, CASE WHEN order_status = 'delivered' THEN event_time END))                AS delivered_at,
       min(event_time) FILTER (WHERE order_status = 'cancelled') AS cancelled_at,
       min(event_time) FILTER (WHERE order_status = 'returned')  AS returned_at
FROM order_status_changed
GROUP BY tenant, order_id
UNION ALL BY NAME
-- An order is paid once, however often a dispute makes it paid again.
SELECT tenant, order_id,
       last(shop_id)                                   AS shop_id,
       last(currency)                                  AS currency,
       last(payment_status)                            AS payment_status,
       last(priority_level)                            AS priority_level,
       last(impact_level)                              AS impact_level,
       min(event_time)   FILTER (WHERE payment_status = 'paid') AS paid_at,
       last(total_minor) FILTER (WHERE payment_status = 'paid') AS paid_minor,
       sum(refund_minor) FILTER (WHERE payment_status IN ('refunded', 'partially_refunded')) AS refunded_minor
FROM order_payment_changed
GROUP BY tenant, order_id
UNION ALL BY NAME
SELECT tenant, order_id,
       last(shop_id)                                   AS shop_id,
       min(event_time) FILTER (WHERE outcome = 'success') AS processed_at,
       last(coalesce((CAST(processed_at AS BIGINT) - CAST(processing_started_at AS BIGINT)) / 1000, processing_ms))
           FILTER (WHERE outcome = 'success')          AS processing_ms,
       count(*)                                        AS attempts,
       sum(manual_touches)                             AS manual_touches,
       sum(human_ms)                                   AS human_ms
FROM order_processed
GROUP BY tenant, order_id
UNION ALL BY NAME
SELECT tenant, order_id,
       last(shop_id)                                   AS shop_id,
       count(*)                                        AS exceptions
FROM order_exception_raised
GROUP BY tenant, order_id
UNION ALL BY NAME
SELECT tenant, order_id,
       max(event_time) FILTER (WHERE resolved_by = 'auto')  AS auto_resolved_at,
       max(event_time) FILTER (WHERE resolved_by = 'human') AS human_resolved_at
FROM order_exception_resolved
GROUP BY tenant, order_id;

-- What happened to an order when, for what lies between two steps of one order and for money by its own day.
CREATE ROLLUP order_log WITH (retention = '400d') AS
SELECT tenant, order_id, event_time AS changed_at,
       last(fulfillment_stage)                         AS stage
FROM order_created
GROUP BY tenant, order_id, event_time
UNION ALL BY NAME
SELECT tenant, order_id, event_time AS changed_at,
       last(fulfillment_stage)                         AS stage
FROM order_status_changed
GROUP BY tenant, order_id, event_time
UNION ALL BY NAME
SELECT tenant, order_id, event_time AS changed_at,
       sum(refund_minor)                               AS refund_minor
FROM order_payment_changed
WHERE payment_status IN ('refunded', 'partially_refunded')
GROUP BY tenant, order_id, event_time
UNION ALL BY NAME
SELECT tenant, order_id, event_time AS changed_at,
       count(*)                                        AS raised,
       last(exception_code)                            AS exception_code,
       last(exception_source)                          AS exception_source
FROM order_exception_raised
GROUP BY tenant, order_id, event_time
UNION ALL BY NAME
SELECT tenant, order_id, event_time AS changed_at,
       count(*)                                        AS resolved,
       last(exception_code)                            AS exception_code,
       last(exception_source)                          AS exception_source,
       last(resolved_by)                               AS resolved_by
FROM order_exception_resolved
GROUP BY tenant, order_id, event_time;

-- What was in an order: money by category and product.
CREATE ROLLUP order_lines WITH (retention = '400d') AS
SELECT tenant, order_id, product_id,
       last(category)                                  AS category,
       last(sku)                                       AS sku,
       sum(quantity)                                   AS quantity,
       sum(line_total_minor)                           AS line_total_minor,
       sum(quantity * unit_cost_minor)                 AS cost_minor,
       count(*) FILTER (WHERE unit_cost_minor IS NULL) AS lines_without_cost
FROM order_item
GROUP BY tenant, order_id, product_id;

-- Automation -------------------------------------------------------------------------------------------------------

-- Every attempt of every automation. 30 s is the limit that the platform promises for an order and a label.
CREATE ROLLUP automation_runs AS
SELECT tenant, automation_type, system, rule_id, outcome, error_code,
       count(*)                                        AS runs,
       count(*) FILTER (WHERE duration_ms <= 30000)    AS timely_runs,
       hdr(duration_ms)                                AS duration_ms,
       avg(duration_ms)                                AS duration_mean_ms,
       sum(items)                                      AS items,
       sum(actions_averted)                            AS actions_averted,
       sum(human_ms)                                   AS human_ms,
       sum(cost_micro)                                 AS cost_micro,
       max(coalesce(finished_at, event_time))          AS last_run_at
FROM automation_run_finished
GROUP BY tumble(INTERVAL '10 seconds'), tenant, automation_type, system, rule_id, outcome, error_code;

-- One piece of automated work with all its attempts: a rescued failure counts as a success, and time is saved once.
CREATE ROLLUP automation_jobs WITH (retention = '400d') AS
SELECT tenant, coalesce(logical_run_id, run_id) AS job_id,
       last(automation_type)                           AS automation_type,
       last(system)                                    AS system,
       count(*) FILTER (WHERE outcome = 'success')     AS successes,
       count(*) FILTER (WHERE outcome = 'failed')      AS failures,
       min(event_time) FILTER (WHERE outcome = 'failed' AND coalesce(attempt, 1) = 1) AS first_failed_at,
       min(event_time) FILTER (WHERE outcome = 'success')         AS succeeded_at,
       max(event_time) FILTER (WHERE outcome = 'failed')          AS failed_at,
       last(items) FILTER (WHERE outcome = 'success')             AS items,
       last(human_ms) FILTER (WHERE outcome = 'success')          AS human_ms,
       last(manual_baseline_ms) FILTER (WHERE outcome = 'success') AS manual_baseline_ms,
       last(time_saved_ms) FILTER (WHERE outcome = 'success')     AS time_saved_ms,
       last(rework_ms) FILTER (WHERE outcome = 'failed')          AS rework_ms
FROM automation_run_finished
WHERE outcome IN ('success', 'failed')
GROUP BY tenant, coalesce(logical_run_id, run_id);

-- Rules as they stand.
CREATE ROLLUP automation_rules AS
SELECT tenant, rule_id,
       last(rule_name)                                 AS rule_name,
       last(rule_type)                                 AS rule_type,
       last(is_active)                                 AS is_active,
       last(change)                                    AS change
FROM automation_rule_changed
GROUP BY tenant, rule_id;

-- What could be switched on, and what is.
CREATE ROLLUP automation_features AS
SELECT tenant, feature,
       last(available)                                 AS available,
       last(enabled)                                   AS enabled
FROM automation_feature_toggled
GROUP BY tenant, feature;

-- What producers computed themselves, beside what we compute.
CREATE ROLLUP automation_reports AS
SELECT tenant, automation_type, metric_date,
       last(orders_processed)                          AS orders_processed,
       last(time_saved_hours)                          AS time_saved_hours,
       last(stress_reduction_score)                    AS stress_reduction_score,
       last(efficiency_gain)                           AS efficiency_gain,
       last(error_count)                               AS error_count
FROM automation_metric_reported
GROUP BY tenant, automation_type, metric_date;

-- What waits for a person, or waited.
CREATE ROLLUP action_state WITH (retention = '400d') AS
SELECT tenant, action_id,
       last(system)                                    AS system,
       last(kind)                                      AS kind,
       last(priority_level)                            AS priority_level,
       last(due_at)                                    AS due_at,
       min(event_time)                                 AS opened_at
FROM action_opened
GROUP BY tenant, action_id
UNION ALL BY NAME
SELECT tenant, action_id,
       last(system)                                    AS system,
       last(kind)                                      AS kind,
       last(priority_level)                            AS priority_level,
       last(due_at)                                    AS due_at,
       min(event_time)                                 AS closed_at,
       last(closed_by)                                 AS closed_by,
       last(human_ms)                                  AS human_ms
FROM action_closed
GROUP BY tenant, action_id;

-- Switches, settings and controls: rare events that explain the others. `name` and `detail` by kind:
-- control: the control and its scope; flag: the flag and who changed it; maintenance: the scope and who; config: the
-- key and who; failover: from and to.
CREATE ROLLUP operations AS
SELECT tenant, 'control' AS kind, control AS name, coalesce(scope, 'all') AS detail, outcome,
       count(*)                                        AS events,
       sum(items)                                      AS items,
       -- A control that failed switched nothing.
       last(coalesce(is_on, true)) FILTER (WHERE outcome IS DISTINCT FROM 'failed') AS is_on
FROM control_invoked
GROUP BY tumble(INTERVAL '10 seconds'), tenant, 'control', control, coalesce(scope, 'all'), outcome
UNION ALL BY NAME
SELECT tenant, 'flag' AS kind, flag AS name, actor_role AS detail, nullif(flag, flag) AS outcome,
       count(*)                                        AS events,
       last(is_on)                                     AS is_on
FROM flag_changed
GROUP BY tumble(INTERVAL '10 seconds'), tenant, 'flag', flag, actor_role, nullif(flag, flag)
UNION ALL BY NAME
SELECT tenant, 'maintenance' AS kind, scope AS name, actor_role AS detail, nullif(scope, scope) AS outcome,
       count(*)                                        AS events,
       last(is_on)                                     AS is_on
FROM maintenance_changed
GROUP BY tumble(INTERVAL '10 seconds'), tenant, 'maintenance', scope, actor_role, nullif(scope, scope)
UNION ALL BY NAME
SELECT tenant, 'config' AS kind, key AS name, actor_role AS detail, nullif(key, key) AS outcome,
       count(*)                                        AS events
FROM config_changed
GROUP BY tumble(INTERVAL '10 seconds'), tenant, 'config', key, actor_role, nullif(key, key)
UNION ALL BY NAME
SELECT tenant, 'failover' AS kind, "from" AS name, "to" AS detail, mode AS outcome,
       count(*)                                        AS events
FROM failover_switched
GROUP BY tumble(INTERVAL '10 seconds'), tenant, 'failover', "from", "to", mode;

-- Inventory --------------------------------------------------------------------------------------------------------

-- What sells and what lies in stock, by product. Minutes, because there are many products; days for five years.
CREATE ROLLUP product_activity WITH (tiers = '1m 30d, 1h 400d, 1d 1830d') AS
SELECT tenant, product_id, category, currency,
       approx_distinct(order_id)                       AS orders,
       sum(quantity)                                   AS units,
       sum(line_total_minor)                           AS sales_minor,
       sum(quantity * unit_cost_minor)                 AS cost_minor
FROM order_item
GROUP BY tumble(INTERVAL '1 minute'), tenant, product_id, category, currency
UNION ALL BY NAME
SELECT tenant, product_id, category, currency,
       sum(quantity_after - quantity_before)           AS stock_delta,
       sum(delta) FILTER (WHERE reason = 'return')     AS returned_units
FROM stock_changed
GROUP BY tumble(INTERVAL '1 minute'), tenant, product_id, category, currency;

-- Changes of stock and why.
CREATE ROLLUP stock_changes AS
SELECT tenant, shop_id, category, reason, is_automated,
       count(*)                                        AS changes,
       sum(delta)                                      AS units
FROM stock_changed
GROUP BY tumble(INTERVAL '10 seconds'), tenant, shop_id, category, reason, is_automated;

-- More sold than there was, or nearly. A case is an order and a product: the detector and the stock level may both
-- tell of it.
CREATE ROLLUP oversells AS
SELECT tenant, outcome, currency,
       approx_distinct(concat(order_id, '/', product_id)) AS cases,
       sum(value_minor)                                AS value_minor
FROM oversell_detected
GROUP BY tumble(INTERVAL '10 seconds'), tenant, outcome, currency
UNION ALL BY NAME
SELECT tenant, 'occurred' AS outcome, currency,
       approx_distinct(concat(coalesce(order_id, transaction_id, event_id), '/', product_id)) AS cases
FROM stock_changed
WHERE reason = 'sale' AND available < 0
GROUP BY tumble(INTERVAL '10 seconds'), tenant, 'occurred', currency;

-- Stock as it stands, and what the shop platform thinks of it. A synchronisation knows no location, so its values
-- lie in the row without one.
CREATE ROLLUP stock_state AS
SELECT tenant, product_id, shop_id, location,
       last(sku)                                       AS sku,
       last(category)                                  AS category,
       last(quantity_after)                            AS on_hand,
       last(reserved)                                  AS reserved,
       last(available)                                 AS available,
       last(low_threshold)                             AS low_threshold,
       last(lead_time_days)                            AS lead_time_days,
       last(unit_cost_minor)                           AS unit_cost_minor,
       last(unit_price_minor)                          AS unit_price_minor,
       last(currency)                                  AS currency
FROM stock_changed
GROUP BY tenant, product_id, shop_id, location
UNION ALL BY NAME
SELECT tenant, product_id, shop_id, location,
       last(platform_stock)                            AS platform_stock,
       last(local_stock)                               AS local_stock,
       max(coalesce(synced_at, event_time)) FILTER (WHERE sync_status = 'synced') AS synced_at
FROM stock_sync_completed
GROUP BY tenant, product_id, shop_id, location;

-- Synchronisations of stock with the shop platform.
CREATE ROLLUP stock_syncs AS
SELECT tenant, shop_id, sync_status, trigger,
       count(*)                                        AS runs,
       sum(items_checked)                              AS items_checked,
       sum(items_matched)                              AS items_matched,
       hdr(coalesce(sync_latency_ms, (CAST(synced_at AS BIGINT) - CAST(source_changed_at AS BIGINT)) / 1000)) AS latency_ms,
       avg(coalesce(sync_latency_ms, (CAST(synced_at AS BIGINT) - CAST(source_changed_at AS BIGINT)) / 1000)) AS latency_mean_ms
FROM stock_sync_completed
GROUP BY tumble(INTERVAL '10 seconds'), tenant, shop_id, sync_status, trigger;

-- The same one by one: whether a failure was followed by a success takes both. A day is the longest horizon.
CREATE ROLLUP stock_sync_log WITH (retention = '8d') AS
SELECT tenant, shop_id, product_id, event_time AS synced_at,
       last(sync_status)                               AS sync_status
FROM stock_sync_completed
GROUP BY tenant, shop_id, product_id, event_time;

-- Restocks on their way.
CREATE ROLLUP restock_plans AS
SELECT tenant, plan_id,
       last(product_id)                                AS product_id,
       last(quantity)                                  AS quantity,
       last(planned_for)                               AS planned_for,
       min(event_time)                                 AS planned_at
FROM restock_planned
GROUP BY tenant, plan_id
UNION ALL BY NAME
SELECT tenant, plan_id,
       last(product_id)                                AS product_id,
       min(coalesce(received_at, event_time))          AS received_at,
       last(quantity)                                  AS received_quantity
FROM restock_received
GROUP BY tenant, plan_id;

-- The catalogue of products.
CREATE ROLLUP product_state AS
SELECT tenant, product_id,
       last(sku)                                       AS sku,
       last(category)                                  AS category,
       last(status)                                    AS status,
       last(base_price_minor)                          AS base_price_minor,
       last(unit_cost_minor)                           AS unit_cost_minor,
       last(currency)                                  AS currency,
       last(velocity_score)                            AS reported_velocity_score
FROM product_upserted
GROUP BY tenant, product_id;

-- Shipping ---------------------------------------------------------------------------------------------------------

-- Attempts at labels.
CREATE ROLLUP labels_completed AS
SELECT tenant, upper(carrier) AS carrier, service_type, outcome, is_automated, batch_id IS NOT NULL AS is_bulk,
       error_code, currency,
       count(*)                                        AS labels,
       hdr(label_ms)                                   AS label_ms,
       avg(label_ms)                                   AS label_mean_ms,
       sum(shipping_minor)                             AS shipping_minor,
       sum(insurance_minor)                            AS insurance_minor
FROM label_completed
GROUP BY tumble(INTERVAL '10 seconds'), tenant, upper(carrier), service_type, outcome, is_automated,
         batch_id IS NOT NULL, error_code, currency;

-- Every shipment as it stands, with the times of its milestones and what its label cost.
CREATE ROLLUP shipment_state WITH (retention = '400d') AS
SELECT tenant, shipment_id,
       last(order_id)                                  AS order_id,
       last(upper(carrier))                            AS carrier,
       last(service_type)                              AS service_type,
       last(CASE WHEN outcome = 'created' THEN 'label_created' ELSE 'label_failed' END) AS status,
       last(zone)                                      AS zone,
       last(weight_g)                                  AS weight_g,
       last(currency)                                  AS currency,
       min(event_time)                                 AS first_seen_at,
       count(*)             FILTER (WHERE outcome = 'created') AS labels,
       min(event_time)      FILTER (WHERE outcome = 'created') AS labeled_at,
       sum(shipping_minor)  FILTER (WHERE outcome = 'created') AS shipping_minor,
       sum(insurance_minor) FILTER (WHERE outcome = 'created') AS insurance_minor,
       sum(baseline_cost_minor) FILTER (WHERE outcome = 'created') AS baseline_minor,
       -- What has no baseline of its own is compared with the quotes of its order.
       count(*) FILTER (WHERE outcome = 'created' AND baseline_cost_minor IS NULL) AS labels_without_baseline
FROM label_completed
GROUP BY tenant, shipment_id
UNION ALL BY NAME
SELECT tenant, shipment_id,
       last(order_id)                                  AS order_id,
       last(upper(carrier))                            AS carrier,
       last(service_type)                              AS service_type,
       last(status)                                    AS status,
       last(estimated_delivery)                        AS estimated_delivery,
       last(address_ok)                                AS address_ok,
       last(damage)                                    AS damage,
       min(event_time)                                 AS first_seen_at,
       max(event_time)                                 AS tracked_at,
       min(coalesce(occurred_at, event_time)) FILTER (WHERE status = 'picked_up') AS picked_up_at,
       min(coalesce(delivered_at, occurred_at, event_time)) FILTER (WHERE status = 'delivered') AS delivered_at,
       max(coalesce(occurred_at, event_time)) FILTER (WHERE status IN ('delivered', 'returned_to_sender', 'lost')) AS final_at
FROM shipment_status_changed
GROUP BY tenant, shipment_id;

-- News of shipments, by destination.
CREATE ROLLUP shipment_updates AS
SELECT tenant, upper(carrier) AS carrier, status, dest_country, dest_region,
       count(*)                                        AS updates
FROM shipment_status_changed
GROUP BY tumble(INTERVAL '10 seconds'), tenant, upper(carrier), status, dest_country, dest_region;

-- Claims against carriers. What is recovered comes later, under the same claim.
CREATE ROLLUP claim_state AS
SELECT tenant, claim_id,
       last(shipment_id)                               AS shipment_id,
       last(upper(carrier))                            AS carrier,
       last(kind)                                      AS kind,
       last(claimed_minor)                             AS claimed_minor,
       last(recovered_minor)                           AS recovered_minor,
       last(currency)                                  AS currency,
       min(event_time)                                 AS filed_at
FROM claim_filed
GROUP BY tenant, claim_id;

-- What carriers asked for an order. Needed until its label is made, and for comparing afterwards.
CREATE ROLLUP rate_quotes WITH (retention = '100d') AS
SELECT tenant, order_id, upper(carrier) AS carrier, service_type,
       min(cost_minor)                                 AS cost_minor
FROM rate_quote
GROUP BY tenant, order_id, upper(carrier), service_type
UNION ALL BY NAME
SELECT tenant, order_id, upper(chosen_carrier) AS carrier, chosen_service AS service_type,
       last(baseline_cost_minor)                       AS baseline_cost_minor
FROM rate_quoted
GROUP BY tenant, order_id, upper(chosen_carrier), chosen_service;

-- API health -------------------------------------------------------------------------------------------------------

-- Calls to other systems: the shop platform, carriers, payment.
CREATE ROLLUP api_calls AS
SELECT tenant, provider, api, outcome, status_class(status_code) AS status_class, currency,
       count(*)                                        AS requests,
       count(*) FILTER (WHERE outcome IN ('server_error', 'timeout', 'network_error')) AS errors,
       count(*) FILTER (WHERE outcome = 'rate_limited') AS rate_limited,
       hdr(duration_ms)                                AS duration_ms,
       avg(duration_ms)                                AS duration_mean_ms,
       sum(cost_micro)                                 AS cost_micro,
       min(rate_limit_remaining)                       AS rate_limit_remaining_min,
       approx_distinct(shop_id)                        AS shops
FROM api_call_completed
GROUP BY tumble(INTERVAL '10 seconds'), tenant, provider, api, outcome, status_class(status_code), currency;

-- The same calls by operation, which is a route template.
CREATE ROLLUP api_operations AS
SELECT tenant, provider, api, operation, outcome,
       count(*)                                        AS requests,
       hdr(duration_ms)                                AS duration_ms,
       avg(duration_ms)                                AS duration_mean_ms
FROM api_call_completed
GROUP BY tumble(INTERVAL '10 seconds'), tenant, provider, api, operation, outcome;

-- The same calls by shop: limits are per shop, and a shop's next success ends its failure.
CREATE ROLLUP api_shops AS
SELECT tenant, provider, api, shop_id,
       count(*)                                        AS requests,
       max(1 - CAST(rate_limit_remaining AS DOUBLE) / nullif(rate_limit_limit, 0)) AS rate_limit_used_max,
       min(event_time) FILTER (WHERE outcome = 'success') AS first_success_at,
       max(event_time) FILTER (WHERE outcome = 'success') AS last_success_at
FROM api_call_completed
GROUP BY tumble(INTERVAL '10 seconds'), tenant, provider, api, shop_id
UNION ALL BY NAME
SELECT tenant, provider, api, shop_id,
       max(CAST(used AS DOUBLE) / nullif("limit", 0))  AS rate_limit_used_max
FROM rate_limit_sampled
GROUP BY tumble(INTERVAL '10 seconds'), tenant, provider, api, shop_id;

-- Calls that took more than one attempt, or failed: few, beside all that went well at once.
CREATE ROLLUP api_retries WITH (retention = '35d') AS
SELECT tenant, provider, logical_call_id,
       last(shop_id)                                   AS shop_id,
       count(*)                                        AS attempts,
       max(attempt)                                    AS last_attempt,
       min(attempt)    FILTER (WHERE outcome = 'client_error') AS client_error_attempt,
       min(event_time) FILTER (WHERE outcome = 'client_error') AS client_error_at,
       min(event_time) FILTER (WHERE outcome NOT IN ('success', 'client_error')) AS failed_at,
       min(event_time) FILTER (WHERE outcome = 'success') AS succeeded_at
FROM api_call_completed
WHERE logical_call_id IS NOT NULL AND (outcome <> 'success' OR attempt > 1)
GROUP BY tenant, provider, logical_call_id;

-- Webhooks as they arrive.
CREATE ROLLUP webhooks_received AS
SELECT tenant, provider, webhook_type, shop_id,
       count(*)                                        AS webhooks,
       count(*) FILTER (WHERE NOT signature_valid)     AS invalid_signatures,
       hdr((CAST(coalesce(received_at, event_time) AS BIGINT) - CAST(sent_at AS BIGINT)) / 1000) AS lag_ms,
       avg((CAST(coalesce(received_at, event_time) AS BIGINT) - CAST(sent_at AS BIGINT)) / 1000) AS lag_mean_ms
FROM webhook_received
GROUP BY tumble(INTERVAL '10 seconds'), tenant, provider, webhook_type, shop_id;

-- And what became of them.
CREATE ROLLUP webhooks_processed AS
SELECT tenant, provider, webhook_type, processing_status,
       count(*)                                        AS attempts,
       max(retry_count)                                AS retries_max,
       hdr(processing_ms)                              AS processing_ms,
       avg(processing_ms)                              AS processing_mean_ms
FROM webhook_processed
GROUP BY tumble(INTERVAL '10 seconds'), tenant, provider, webhook_type, processing_status;

-- Every webhook as it stands.
CREATE ROLLUP webhook_state WITH (retention = '35d') AS
SELECT tenant, shop_id, webhook_event_id,
       last(provider)                                  AS provider,
       last(webhook_type)                              AS webhook_type,
       min(event_time)                                 AS received_at
FROM webhook_received
GROUP BY tenant, shop_id, webhook_event_id
UNION ALL BY NAME
SELECT tenant, shop_id, webhook_event_id,
       last(provider)                                  AS provider,
       last(webhook_type)                              AS webhook_type,
       last(processing_status)                         AS processing_status,
       max(retry_count)                                AS retries,
       min(event_time)                                 AS first_attempt_at,
       min(event_time) FILTER (WHERE processing_status = 'processed')   AS processed_at,
       min(event_time) FILTER (WHERE processing_status = 'dead_letter') AS dead_at
FROM webhook_processed
GROUP BY tenant, shop_id, webhook_event_id;

-- Synchronisations of orders and products.
CREATE ROLLUP api_syncs AS
SELECT tenant, shop_id, kind, trigger, outcome,
       count(*)                                        AS syncs,
       sum(records_seen)                               AS records_seen,
       sum(created)                                    AS created,
       sum(updated)                                    AS updated,
       sum(failed)                                     AS failed,
       hdr(lag_ms)                                     AS lag_ms,
       avg(lag_ms)                                     AS lag_mean_ms,
       min(event_time)                                 AS first_at,
       max(event_time)                                 AS last_at
FROM api_sync_completed
GROUP BY tumble(INTERVAL '10 seconds'), tenant, shop_id, kind, trigger, outcome;

-- Tokens and connections of shops.
CREATE ROLLUP shop_log AS
SELECT tenant, shop_id, event_time AS changed_at,
       last(change)                                    AS token_change,
       last(token_expires_at)                          AS token_expires_at
FROM oauth_token_changed
GROUP BY tenant, shop_id, event_time
UNION ALL BY NAME
SELECT tenant, shop_id, event_time AS changed_at,
       last(state)                                     AS connection_state,
       last(reason)                                    AS reason
FROM shop_connection_changed
GROUP BY tenant, shop_id, event_time;

-- Platform ---------------------------------------------------------------------------------------------------------

-- How full things are, in ten-thousandths of their capacity, and how long queues are. 100 connections are the limit
-- of a database that states none.
CREATE ROLLUP capacity AS
SELECT tenant, resource, host AS name,
       hdr(CAST(round(10000 * used / nullif(capacity, 0)) AS BIGINT)) AS used_per_10000
FROM resource_sampled
GROUP BY tumble(INTERVAL '10 seconds'), tenant, resource, host
UNION ALL BY NAME
SELECT tenant, 'db_connections' AS resource, db AS name,
       hdr(10000 * active_connections / coalesce(nullif(max_connections, 0), 100)) AS used_per_10000
FROM db_sampled
GROUP BY tumble(INTERVAL '10 seconds'), tenant, 'db_connections', db
UNION ALL BY NAME
SELECT tenant, 'queue_workers' AS resource, queue AS name,
       hdr(10000 * workers_busy / nullif(workers_total, 0)) AS used_per_10000,
       last(depth)                                     AS depth,
       max(depth)                                      AS depth_max,
       last(oldest_age_ms)                             AS oldest_age_ms
FROM queue_sampled
GROUP BY tumble(INTERVAL '10 seconds'), tenant, 'queue_workers', queue;

-- What the probes say.
CREATE ROLLUP health_checks AS
SELECT tenant, component, service_name, status,
       count(*)                                        AS checks,
       hdr(response_time_ms)                           AS response_ms,
       max(event_time)                                 AS last_at
FROM health_check_completed
GROUP BY tumble(INTERVAL '10 seconds'), tenant, component, service_name, status;

-- Money spent, from invoices.
CREATE ROLLUP spend AS
SELECT tenant, category, provider, currency, period,
       sum(amount_minor)                               AS amount_minor,
       max(event_time)                                 AS last_at
FROM spend_recorded
GROUP BY tumble(INTERVAL '15 minutes'), tenant, category, provider, currency, period;

-- What people answered.
CREATE ROLLUP survey_answers AS
SELECT tenant, kind, event_id AS answer_id,
       last(value)                                     AS value,
       last(ref)                                       AS ref,
       min(event_time)                                 AS answered_at
FROM survey_answered
GROUP BY tenant, kind, event_id;

-- Plans and their limits.
CREATE ROLLUP subscription_state AS
SELECT tenant, subscription_id,
       last(plan_name)                                 AS plan_name,
       last(status)                                    AS status,
       last(order_limit)                               AS order_limit,
       last(current_period_start)                      AS current_period_start,
       last(current_period_end)                        AS current_period_end
FROM subscription_changed
GROUP BY tenant, subscription_id;

-- What tenants are, and since when: a commission rate holds for the orders of its time.
CREATE ROLLUP tenant_log AS
SELECT tenant, event_time AS valid_from,
       last(time_zone)                                 AS time_zone,
       last(currency)                                  AS currency,
       last(plan)                                      AS plan,
       last(commission_rate)                           AS commission_rate
FROM tenant_upserted
GROUP BY tenant, event_time;

-- Who is expected to report, when and how often.
CREATE ROLLUP declared_rhythms AS
SELECT tenant, event_type, shop_id,
       last(time_zone)                                 AS time_zone,
       last(opening_hours)                             AS opening_hours,
       last(holidays)                                  AS holidays,
       last(rhythm)                                    AS rhythm
FROM rhythm_set
GROUP BY tenant, event_type, shop_id;

-- Numbers that people set: parameters of scores, figures from before, figures of others.
CREATE ROLLUP reference_values AS
SELECT tenant, 'parameter' AS kind, parameter AS metric, nullif(parameter, parameter) AS scope,
       last(value)                                     AS value
FROM threshold_set
GROUP BY tenant, 'parameter', parameter, nullif(parameter, parameter)
UNION ALL BY NAME
SELECT tenant, 'baseline' AS kind, metric, scope,
       last(value)                                     AS value
FROM baseline_set
GROUP BY tenant, 'baseline', metric, scope
UNION ALL BY NAME
SELECT tenant, 'benchmark' AS kind, metric, scope,
       last(value)                                     AS value
FROM benchmark_set
GROUP BY tenant, 'benchmark', metric, scope;
