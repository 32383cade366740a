CREATE TABLE calls (
  `time` TIMESTAMP_LTZ(3),
  tenantid STRING,
  `data` ROW<endpoint STRING, status_code BIGINT, duration_ms BIGINT>,
  WATERMARK FOR `time` AS `time` - INTERVAL '5' SECOND
) WITH (
  'connector' = 'kafka',
  'properties.bootstrap.servers' = '${servers}',
  'properties.group.id' = 'flink',
  'topic' = '${topic}',
  'scan.startup.mode' = 'earliest-offset',
  'scan.bounded.mode' = 'latest-offset',
  'format' = 'json',
  'json.timestamp-format.standard' = 'ISO-8601',
  'json.ignore-parse-errors' = 'false'
);

CREATE TABLE calls_by_endpoint (
  window_start TIMESTAMP(3),
  tenant STRING,
  endpoint STRING,
  requests BIGINT,
  errors BIGINT,
  p95_ms DOUBLE
) WITH (
  'connector' = 'filesystem',
  'path' = '${output}',
  'format' = 'csv'
);

INSERT INTO calls_by_endpoint
SELECT window_start, tenantid, `data`.endpoint,
       COUNT(*),
       COUNT(*) FILTER (WHERE `data`.status_code >= 500),
       PERCENTILE(`data`.duration_ms, 0.95)
FROM TUMBLE(TABLE calls, DESCRIPTOR(`time`), INTERVAL '10' SECOND)
GROUP BY window_start, window_end, tenantid, `data`.endpoint;
