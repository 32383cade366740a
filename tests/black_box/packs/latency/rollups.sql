CREATE ROLLUP calls AS
SELECT provider, count(*) AS requests, count(*) FILTER (WHERE outcome = 'error') AS errors, hdr(duration_ms) AS duration_ms
FROM api_call
GROUP BY tumble(INTERVAL '10 seconds'), provider;

CREATE ROLLUP payments AS
SELECT shop, count(*) AS failed
FROM payment_failed
GROUP BY tumble(INTERVAL '10 seconds'), shop;
