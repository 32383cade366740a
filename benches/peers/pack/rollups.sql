-- The query that all peers run. The events are of a fixed day, so nothing may expire.
CREATE ROLLUP calls_by_endpoint WITH (tiers = '10s forever') AS
SELECT tenant, endpoint,
       count(*)                                    AS requests,
       count(*) FILTER (WHERE status_code >= 500)  AS errors,
       hdr(duration_ms)                            AS duration_ms
FROM call_completed
GROUP BY tumble(INTERVAL '10 seconds'), tenant, endpoint;
