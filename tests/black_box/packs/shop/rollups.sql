CREATE ROLLUP orders AS
SELECT tenant, currency, count(*) AS orders, sum(total_minor) AS total_minor, sum(weight_kg) AS weight_kg,
       hdr(total_minor) AS totals
FROM order_created
GROUP BY tumble(INTERVAL '1 minute'), tenant, currency;

-- When each order was made and when it left.
CREATE ROLLUP order_way AS
SELECT tenant, order_id, min(event_time) AS created_at FROM order_created GROUP BY tenant, order_id
UNION ALL BY NAME
SELECT tenant, order_id, max(event_time) AS shipped_at FROM order_shipped GROUP BY tenant, order_id;
