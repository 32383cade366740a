-- Spans of several months are replayed at once: nothing of them is too old.
CREATE ROLLUP spans_by_service WITH (tiers = '1m forever, 1h forever, 1d forever') AS
SELECT service,
       count(*)                       AS spans,
       hdr(duration_us, 3)            AS duration_us,
       min(duration_us)               AS duration_min_us,
       max(duration_us)               AS duration_max_us,
       avg(duration_us)               AS duration_mean_us
FROM span_finished
GROUP BY tumble(INTERVAL '1 minute'), service;

CREATE ROLLUP spans_by_operation WITH (tiers = '10s forever, 1m forever, 1h forever, 1d forever') AS
SELECT service, operation,
       count(*)                       AS spans,
       count(*) FILTER (WHERE duration_us > 100000) AS slow,
       hdr(duration_us)               AS duration_us,
       approx_distinct(event_id)      AS ids
FROM span_finished
GROUP BY tumble(INTERVAL '10 seconds'), service, operation;
