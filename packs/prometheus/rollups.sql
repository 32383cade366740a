-- Every sample, as a set of times and values per series and window: one that is sent twice is there once.
-- Beside it what tools without Prometheus can read.
CREATE ROLLUP samples WITH (tiers = '15m 30d, 1h 400d') AS
SELECT tenant, metric, labels,
       samples(sample) AS samples,
       min(value) AS value_min,
       max(value) AS value_max,
       last(value) AS value_last
FROM pushed_sample
GROUP BY tumble(INTERVAL '15 minutes'), tenant, metric, labels;
