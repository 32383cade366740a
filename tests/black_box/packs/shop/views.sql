CREATE VIEW order_value AS
SELECT window_start, tenant, CAST(sum(total_minor) AS DOUBLE) / sum(orders) / 100 AS mean_value
FROM orders GROUP BY window_start, tenant;

CREATE VIEW shipping_time AS
SELECT tenant, hdr((CAST(shipped_at AS BIGINT) - CAST(created_at AS BIGINT)) / 1000000) AS seconds
FROM order_way WHERE shipped_at IS NOT NULL GROUP BY tenant;

CREATE VIEW waiting AS
SELECT tenant, order_id, now() - created_at > INTERVAL '1 hour' AS is_late FROM order_way WHERE shipped_at IS NULL;
