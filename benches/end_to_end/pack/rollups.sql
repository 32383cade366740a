-- Twelve rollups of four sources, as CreatorFlow has them.

CREATE ROLLUP orders_received AS
SELECT tenant, shop_id, channel, priority_level, impact_level, currency,
       count(*)                                        AS orders,
       count(*) FILTER (WHERE is_automated)            AS automated_orders,
       sum(total_minor)                                AS gross_minor,
       approx_distinct(customer_key)                   AS customers
FROM order_created
GROUP BY tumble(INTERVAL '10 seconds'), tenant, shop_id, channel, priority_level, impact_level, currency;

CREATE ROLLUP orders_by_content AS
SELECT tenant, content_id, count(*) AS orders, sum(total_minor) AS gross_minor
FROM order_created
WHERE content_id IS NOT NULL
GROUP BY tumble(INTERVAL '10 seconds'), tenant, content_id;

CREATE ROLLUP orders_by_shop AS
SELECT tenant, shop_id, count(*) AS orders, max(total_minor) AS largest_minor, max(event_time) AS last_at
FROM order_created
GROUP BY tumble(INTERVAL '1 minute'), tenant, shop_id;

CREATE ROLLUP stock_changes AS
SELECT tenant, shop_id, category, reason, is_automated, count(*) AS changes, sum(delta) AS units
FROM stock_changed
GROUP BY tumble(INTERVAL '10 seconds'), tenant, shop_id, category, reason, is_automated;

CREATE ROLLUP stock_by_product AS
SELECT tenant, product_id, category, sum(delta) AS units, min(available) AS available_min
FROM stock_changed
GROUP BY tumble(INTERVAL '1 minute'), tenant, product_id, category;

CREATE ROLLUP oversold AS
SELECT tenant, shop_id, count(*) AS changes, approx_distinct(product_id) AS products
FROM stock_changed
WHERE reason = 'sale' AND available < 0
GROUP BY tumble(INTERVAL '10 seconds'), tenant, shop_id;

CREATE ROLLUP shipment_updates AS
SELECT tenant, upper(carrier) AS carrier, status, dest_country, dest_region, count(*) AS updates
FROM shipment_status_changed
GROUP BY tumble(INTERVAL '10 seconds'), tenant, upper(carrier), status, dest_country, dest_region;

CREATE ROLLUP shipments_by_service AS
SELECT tenant, carrier, service_type, count(*) AS updates,
       count(*) FILTER (WHERE status IN ('delivery_exception', 'lost')) AS failures
FROM shipment_status_changed
GROUP BY tumble(INTERVAL '10 seconds'), tenant, carrier, service_type;

CREATE ROLLUP shipments_seen AS
SELECT tenant, status, approx_distinct(shipment_id) AS shipments
FROM shipment_status_changed
GROUP BY tumble(INTERVAL '1 minute'), tenant, status;

CREATE ROLLUP api_calls AS
SELECT tenant, provider, api, outcome, status_class(status_code) AS status_class,
       count(*)                                        AS requests,
       count(*) FILTER (WHERE outcome IN ('server_error', 'timeout', 'network_error')) AS errors,
       count(*) FILTER (WHERE outcome = 'rate_limited') AS rate_limited,
       hdr(duration_ms)                                AS duration_ms,
       avg(duration_ms)                                AS duration_mean_ms,
       sum(cost_micro)                                 AS cost_micro,
       approx_distinct(shop_id)                        AS shops
FROM api_call_completed
GROUP BY tumble(INTERVAL '10 seconds'), tenant, provider, api, outcome, status_class(status_code);

CREATE ROLLUP api_operations AS
SELECT tenant, provider, api, operation, outcome,
       count(*) AS requests, hdr(duration_ms) AS duration_ms, avg(duration_ms) AS duration_mean_ms
FROM api_call_completed
GROUP BY tumble(INTERVAL '10 seconds'), tenant, provider, api, operation, outcome;

CREATE ROLLUP api_shops AS
SELECT tenant, provider, api, shop_id, count(*) AS requests,
       max(1 - CAST(rate_limit_remaining AS DOUBLE) / nullif(rate_limit_limit, 0)) AS rate_limit_used_max,
       max(event_time) FILTER (WHERE outcome = 'success') AS last_success_at
FROM api_call_completed
GROUP BY tumble(INTERVAL '10 seconds'), tenant, provider, api, shop_id;
