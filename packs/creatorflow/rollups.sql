-- What CreatorFlow counts. Every measure is kept so that windows, tenants and dimensions merge exactly.

-- Orders as they come in. Amounts are gross, in minor units of their currency.
CREATE ROLLUP orders_received AS
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

-- How fast orders are processed, and what automation saves.
CREATE ROLLUP order_processing AS
SELECT tenant, shop_id, is_automated, priority_level, outcome,
       count(*)                                        AS attempts,
       hdr(processing_ms)                              AS processing_ms,
       avg(processing_ms)                              AS processing_mean_ms,
       sum(human_ms)                                   AS human_time_ms,
       sum(manual_touches)                             AS manual_touches,
       approx_distinct(order_id)                       AS distinct_orders
FROM order_processed
GROUP BY tumble(INTERVAL '10 seconds'), tenant, shop_id, is_automated, priority_level, outcome;

-- What goes wrong with orders.
CREATE ROLLUP order_exceptions AS
SELECT tenant, shop_id, exception_source, exception_code,
       count(*)                                        AS exceptions
FROM order_exception_raised
GROUP BY tumble(INTERVAL '10 seconds'), tenant, shop_id, exception_source, exception_code;

-- Calls to other systems: the shop platform, carriers, payment.
CREATE ROLLUP api_calls AS
SELECT tenant, provider, api, status_class(status_code) AS status_class,
       count(*)                                        AS requests,
       count(*) FILTER (WHERE outcome IN ('server_error', 'timeout', 'network_error')) AS errors,
       count(*) FILTER (WHERE outcome = 'rate_limited') AS rate_limited,
       hdr(duration_ms)                                AS duration_ms,
       sum(cost_micro)                                 AS cost_micro,
       min(rate_limit_remaining)                       AS rate_limit_remaining_min,
       approx_distinct(shop_id)                        AS shops
FROM api_call_completed
GROUP BY tumble(INTERVAL '10 seconds'), tenant, provider, api, status_class(status_code);

-- The same calls without tenants: what an operator looks at first. Operations are route templates.
CREATE ROLLUP api_operations AS
SELECT provider, operation, outcome,
       count(*)                                        AS requests,
       hdr(duration_ms)                                AS duration_ms
FROM api_call_completed
GROUP BY tumble(INTERVAL '10 seconds'), provider, operation, outcome;

-- Webhooks as they arrive.
CREATE ROLLUP webhooks_received AS
SELECT tenant, provider, webhook_type,
       count(*)                                        AS webhooks,
       count(*) FILTER (WHERE NOT signature_valid)     AS invalid_signatures
FROM webhook_received
GROUP BY tumble(INTERVAL '10 seconds'), tenant, provider, webhook_type;

-- And what became of them.
CREATE ROLLUP webhooks_processed AS
SELECT tenant, provider, webhook_type, processing_status,
       count(*)                                        AS attempts,
       max(retry_count)                                AS retries_max,
       hdr(processing_ms)                              AS processing_ms
FROM webhook_processed
GROUP BY tumble(INTERVAL '10 seconds'), tenant, provider, webhook_type, processing_status;
