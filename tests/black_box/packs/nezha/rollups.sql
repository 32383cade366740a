CREATE ROLLUP spans_by_service AS
SELECT service,
       count(*)                       AS spans,
       hdr(duration_us, 3)            AS duration_us,
       min(duration_us)               AS duration_min_us,
       max(duration_us)               AS duration_max_us,
       avg(duration_us)               AS duration_mean_us
FROM span_finished
GROUP BY tumble(INTERVAL '1 minute'), service;

CREATE ROLLUP spans_by_operation AS
SELECT service, operation,
       count(*)                       AS spans,
       count(*) FILTER (WHERE duration_us > 100000) AS slow,
       hdr(duration_us)               AS duration_us,
       approx_distinct(event_id)      AS ids
FROM span_finished
GROUP BY tumble(INTERVAL '10 seconds'), service, operation;
