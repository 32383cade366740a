CREATE ROLLUP revenue AS
SELECT country, count(*) AS invoices, sum(total) AS amount, sum(lines) AS lines
FROM order_created
GROUP BY tumble(INTERVAL '15 minutes'), country;

CREATE ROLLUP cancelled AS
SELECT country, count(*) AS invoices, sum(refund) AS amount, sum(lines) AS lines
FROM order_cancelled
GROUP BY tumble(INTERVAL '15 minutes'), country;
