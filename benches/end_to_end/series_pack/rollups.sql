CREATE ROLLUP api_calls WITH (tiers = '10s forever') AS
SELECT tenant, provider, api, count(*) AS requests, count(*) FILTER (WHERE status_code >= 500) AS errors,
       sum(duration_ms) AS duration_ms
FROM api_call_completed
GROUP BY tumble(INTERVAL '10 seconds'), tenant, provider, api;
