CREATE ROLLUP revenue WITH (tiers = '10s forever, 1m forever, 1h forever, 1d forever') AS
SELECT country, count(*) AS invoices, sum(total) AS amount, sum(lines) AS lines
FROM order_created
GROUP BY tumble(INTERVAL '10 seconds'), country;

CREATE ROLLUP cancelled WITH (tiers = '10s forever, 1m forever, 1h forever, 1d forever') AS
SELECT country, count(*) AS invoices, sum(refund) AS amount, sum(lines) AS lines
FROM order_cancelled
GROUP BY tumble(INTERVAL '10 seconds'), country;
