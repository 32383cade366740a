"""2.4 of the catalogue: shipping."""

from compare import EXACT, FLOAT
from rollup import start_of
from views import DAY, HOUR, MINUTE, NOW, counted, newest, quantiles, view

CARRIER = {"carrier": "upper(carrier)", "bulk": "batch_id IS NOT NULL"}
CARRIERS = "('USPS', 'UPS', 'FEDEX', 'DHL')"
CALLS = {"carrier": "upper(provider)"}

# Everything that says something of a shipment: labels and news.
SHIPMENT_NEWS = """
    SELECT tenant, shipment_id, sequence, time, order_id, upper(carrier) AS carrier, service_type,
           CASE outcome WHEN 'created' THEN 'label_created' ELSE 'label_failed' END AS status, zone, weight_g, currency
    FROM label_completed
    UNION ALL BY NAME
    SELECT tenant, shipment_id, sequence, time, order_id, upper(carrier) AS carrier, service_type, status, estimated_delivery,
           address_ok, damage,
           CASE WHEN status = 'picked_up' THEN coalesce(occurred_at, time) END AS picked_up_at,
           CASE WHEN status = 'delivered' THEN coalesce(delivered_at, occurred_at, time) END AS delivered_at,
           CASE WHEN status IN ('delivered', 'returned_to_sender', 'lost') THEN coalesce(occurred_at, time) END AS final_at,
           time AS tracked_at
    FROM shipment_status_changed
"""

SHIPMENT = f"""
    SELECT tenant, shipment_id, {newest('order_id')} AS order_id, {newest('carrier')} AS carrier,
           {newest('service_type')} AS service, {newest('status')} AS status, {newest('estimated_delivery')}::DATE AS promised,
           {newest('weight_g')} AS weight_g, {newest('address_ok')} AS address_ok, {newest('damage')} AS damage, {newest('zone')} AS zone,
           {newest('currency')} AS currency, min(picked_up_at) AS picked_up_at, min(delivered_at) AS delivered_at,
           max(final_at) AS final_at, max(tracked_at) AS tracked_at, min(time) AS first_seen_at
    FROM ({SHIPMENT_NEWS}) GROUP BY tenant, shipment_id
"""

# Labels that were made; each has its cost, and what its tenant would have paid.
LABELS = f"""
    SELECT l.tenant, l.shipment_id, l.order_id, s.carrier, s.service, s.weight_g, s.zone, s.currency, min(l.time) OVER (PARTITION BY l.tenant, l.shipment_id) AS time,
           l.shipping_minor, l.insurance_minor,
           coalesce(l.baseline_cost_minor, q.baseline_minor, q.median_minor) AS baseline_minor
    FROM label_completed l
    JOIN ({SHIPMENT}) s ON s.tenant = l.tenant AND s.shipment_id = l.shipment_id
    LEFT JOIN (
        SELECT tenant, order_id, max(baseline_cost_minor) AS baseline_minor,
               (SELECT median(cost_minor) FROM rate_quote q WHERE q.tenant = r.tenant AND q.order_id = r.order_id) AS median_minor
        FROM rate_quoted r GROUP BY ALL
    ) q ON q.tenant = l.tenant AND q.order_id = l.order_id
    WHERE l.outcome = 'created'
"""

COST = "major(coalesce(shipping_minor, 0) + coalesce(insurance_minor, 0), currency)"

# What labels cost; and per carrier, currency and month what the invoices say beyond that, on the day of the last invoice.
SPEND = f"""
    SELECT {start_of(DAY)} AS window_start, tenant, carrier, service, currency, sum({COST}) AS value FROM ({LABELS}) GROUP BY ALL
    UNION ALL
    SELECT {start_of(DAY, 'i.time')}, tenant, carrier, 'invoice correction', currency, i.amount - coalesce(l.amount, 0) FROM (
        SELECT tenant, upper(provider) AS carrier, currency, coalesce(period, strftime(time, '%Y-%m')) AS month, max(time) AS time,
               sum(major(amount_minor, currency)) AS amount
        FROM spend_recorded WHERE category = 'shipping_invoice' AND provider IS NOT NULL
        GROUP BY tenant, upper(provider), currency, coalesce(period, strftime(time, '%Y-%m'))
    ) i LEFT JOIN (
        SELECT tenant, carrier, currency, strftime(time, '%Y-%m') AS month, sum({COST}) AS amount FROM ({LABELS}) GROUP BY ALL
    ) l USING (tenant, carrier, currency, month)
"""

FAILURES = f"""
    SELECT window_start, tenant, carrier, code, labels::DOUBLE / all_labels AS value FROM (
        SELECT {start_of(HOUR)} AS window_start, tenant, upper(carrier) AS carrier, 'all' AS code,
               count(*) FILTER (WHERE outcome = 'failed') AS labels FROM label_completed GROUP BY ALL
        UNION ALL
        SELECT {start_of(HOUR)}, tenant, upper(carrier), coalesce(error_code, 'unknown'), count(*)
        FROM label_completed WHERE outcome = 'failed' GROUP BY ALL
    ) JOIN (
        SELECT {start_of(HOUR)} AS window_start, tenant, upper(carrier) AS carrier, count(*) AS all_labels FROM label_completed GROUP BY ALL
    ) USING (window_start, tenant, carrier)
"""


def of_labels(name, seconds, keys, value, where="true"):
    listed = ", ".join(keys.split())
    return view(
        name, f"window_start tenant {keys}",
        f"SELECT {start_of(seconds)} AS window_start, tenant, {listed}, {value} AS value FROM ({LABELS}) WHERE {where} GROUP BY ALL",
        value=FLOAT,
    )


def of_shipments(name, time, keys, value, where, kinds=None):
    listed = ", ".join(keys.split())
    counts = "".join(f", count(*) AS {column}" for column in kinds or {})
    return view(
        name, f"window_start tenant {keys}",
        f"SELECT {start_of(DAY, time)} AS window_start, tenant, {listed}, {value} AS value{counts} FROM ({SHIPMENT}) WHERE {where} GROUP BY ALL",
        kinds, value=FLOAT,
    )


VIEWS = [
    counted(
        "carrier_availability_ratio", "api_call_completed", MINUTE, "carrier",
        "count(*) FILTER (WHERE outcome IN ('success', 'client_error'))::DOUBLE / count(*)", f"upper(provider) IN {CARRIERS}",
        at=CALLS, kind=FLOAT,
    ),
    quantiles("carrier_api_seconds", "api_call_completed", MINUTE, "carrier api", "duration_ms", f"upper(provider) IN {CARRIERS}", at=CALLS),
    counted("shipping_labels_total", "label_completed", HOUR, "carrier outcome is_automated bulk", at=CARRIER),
    quantiles("shipping_label_seconds", "label_completed", MINUTE, "carrier", "label_ms", at=CARRIER),
    view("shipping_label_failure_ratio", "window_start tenant carrier code", FAILURES, value=FLOAT),
    of_labels(
        "shipping_cost_savings_amount_total", HOUR, "carrier currency", "sum(major(baseline_minor - shipping_minor, currency))",
        "baseline_minor IS NOT NULL",
    ),
    of_labels(
        "shipping_cost_savings_ratio", DAY, "carrier currency",
        "sum(baseline_minor - shipping_minor)::DOUBLE / nullif(sum(baseline_minor), 0)", "baseline_minor IS NOT NULL",
    ),
    of_labels(
        "shipping_cost_per_shipment_amount", DAY, "carrier zone currency",
        "sum(major(coalesce(shipping_minor, 0) + coalesce(insurance_minor, 0), currency)) / count(*)",
    ),
    view(
        "shipping_spend_amount_total", "window_start tenant carrier service currency",
        SPEND, value=FLOAT,
    ),
    view(
        "shipments_by_status", "tenant carrier status",
        f"SELECT tenant, carrier, status, count(*) AS value FROM ({SHIPMENT}) WHERE status IS NOT NULL GROUP BY ALL",
    ),
    of_shipments(
        "shipping_delivery_accuracy_ratio", "final_at", "carrier",
        "count(*) FILTER (WHERE status = 'delivered' AND coalesce(address_ok, true) AND NOT coalesce(damage, false))::DOUBLE / count(*)",
        "status IN ('delivered', 'returned_to_sender', 'lost')", {"shipments": EXACT},
    ),
    of_shipments(
        "shipping_on_time_ratio", "delivered_at", "carrier service",
        "count(*) FILTER (WHERE delivered_at::DATE <= promised)::DOUBLE / nullif(count(promised), 0)",
        "delivered_at IS NOT NULL", {"delivered": EXACT},
    ),
    quantiles(
        "shipping_transit_seconds", f"({SHIPMENT})", DAY, "carrier service", "(epoch_us(delivered_at) - epoch_us(picked_up_at)) // 1000",
        "delivered_at >= picked_up_at", time="delivered_at", fine=True,
    ),
    counted("shipping_tracking_updates_total", "shipment_status_changed", HOUR, "carrier", at=CARRIER),
    view(
        "shipping_tracking_stale", "tenant carrier",
        f"SELECT tenant, carrier, count(*) FILTER (WHERE epoch({NOW}) - epoch(tracked_at) >= 3600 * param(tenant, 'tracking_stale_hours')) AS value FROM ({SHIPMENT}) "
        f"WHERE status IN ('picked_up', 'in_transit', 'out_for_delivery', 'delivery_exception') GROUP BY ALL",
    ),
    counted(
        "shipping_geo_deliveries_total", "shipment_status_changed", DAY, "country region status",
        where="status IN ('delivered', 'delivery_exception', 'returned_to_sender', 'lost')",
        at={"country": "dest_country", "region": "dest_region"},
    ),
    view(
        "shipping_claims_total", "window_start tenant carrier kind",
        f"SELECT {start_of(DAY, 'filed_at')} AS window_start, tenant, carrier, kind, count(*) AS value FROM ("
        f"SELECT tenant, claim_id, {newest('upper(carrier)')} AS carrier, {newest('kind')} AS kind, min(time) AS filed_at "
        f"FROM claim_filed GROUP BY ALL) GROUP BY ALL",
    ),
    view(
        "shipping_claim_amount_total", "window_start tenant carrier kind currency",
        f"SELECT {start_of(DAY, 'filed_at')} AS window_start, tenant, carrier, kind, currency, sum(major(claimed, currency)) AS value, sum(major(recovered, currency)) AS recovered_amount FROM ("
        f"SELECT tenant, claim_id, {newest('upper(carrier)')} AS carrier, {newest('kind')} AS kind, {newest('currency')} AS currency, "
        f"{newest('claimed_minor')} AS claimed, {newest('recovered_minor')} AS recovered, "
        f"min(time) AS filed_at FROM claim_filed GROUP BY ALL) WHERE claimed IS NOT NULL GROUP BY ALL",
        {"recovered_amount": FLOAT}, value=FLOAT,
    ),
    view(
        "order_delivery_seconds", "window_start tenant carrier",
        f"SELECT {start_of(DAY, 'delivered_at')} AS window_start, tenant, carrier, count(*) AS count, "
        f"avg((epoch_us(delivered_at) - epoch_us(ordered_at))::DOUBLE) / 1e6 AS mean FROM ("
        f"SELECT tenant, order_id, min(coalesce(delivered_at, CASE WHEN order_status = 'delivered' THEN time END)) AS delivered_at "
        f"FROM order_status_changed GROUP BY ALL) "
        f"JOIN (SELECT tenant, order_id, min(coalesce(ordered_at, time)) AS ordered_at FROM order_created GROUP BY ALL) USING (tenant, order_id) "
        f"LEFT JOIN (SELECT tenant, order_id, arg_max(carrier, row(first_seen_at, shipment_id)) AS carrier FROM ({SHIPMENT}) GROUP BY ALL) "
        f"USING (tenant, order_id) WHERE delivered_at >= ordered_at GROUP BY ALL",
        {"mean": FLOAT, "count": EXACT}, value=None,
    ),
]
