"""All comparisons of views; which views are compared only through others, and which may have nothing to compare."""

import re

import views_api
import views_automation
import views_carriers
import views_inventory
import views_money
import views_orders
import views_platform
import views_shipping
import views_spikes
import views_stock
import views_value

VIEWS = (
    views_value.views(views_money.PLAN, views_platform.API_COST) + views_carriers.VIEWS + views_platform.VIEWS + views_spikes.VIEWS
    + views_stock.VIEWS + views_orders.VIEWS + views_money.VIEWS + views_automation.VIEWS + views_inventory.VIEWS + views_shipping.VIEWS
    + views_api.VIEWS
)

# Views that are no metric of the catalogue, and a compared view that reads each of them, if through others of these.
IMPLICIT = {
    "parameter_override": "workflow_revenue_impact_amount",
    "weight_default": "market_opportunity_score",
    "weight_override": "workflow_efficiency_score_ratio",
    "tenant_commission": "creator_commission_amount_total",
    "order_exception_case": "order_exceptions_total",
    "order_open": "order_pipeline_depth",
    "order_stage_visit": "order_stage_dwell_seconds",
    "order_part": "order_gross_amount_total",
    "order_money": "order_revenue_amount_total",
    "order_cohort": "order_cancel_ratio",
    "order_shipping": "product_profit_amount",
    "order_line_result": "product_profit_amount",
    "customer_tier": "customers_by_tier",
    "customer": "customer_lifetime_value_amount",
    "automation_rule_active": "automation_rules_active",
    "automation_saving": "automation_time_saved_seconds_total",
    "shipment_saving": "shipping_cost_savings_amount_total",
    "labour_value": "automation_cost_savings_amount_total",
    "switch_now": "automation_paused",
    "queue_now": "inventory_queue_depth",
    "automation_recent": "automation_health_score_ratio",
    "exception_loss": "workflow_revenue_impact_amount",
    "resource_use": "scalability_headroom_ratio",
    "stock_synced": "inventory_sync_age_seconds",
    "product_day": "inventory_turnover_seconds",
    "product_rate": "product_velocity_score",
    "product_now": "inventory_value_amount",
    "health_now": "carrier_status",
    "shipment_delivery": "shipping_on_time_ratio",
    "api_slot": "api_availability_ratio",
    "webhook_waiting": "webhook_backlog",
    "api_calls_day": "api_cost_per_call_amount",
    "shop_now": "shop_connection_status",
    "orders_spike": "orders_spike_ratio",
}

# Comparisons without rows, or columns without a value in any row: a name, or a name and a column, with the reason.
EMPTY = {
    "view automation_stress_reduction_score quiet": "alerts at night are not among the events of the pack",
}


def uncovered(views_sql, rollups_sql, rollups):
    """What the pack has and nothing here compares, and what is said here that is not so."""
    text = re.sub(r"--.*", "", views_sql)
    bodies = dict(re.findall(r"CREATE VIEW (\w+) AS\b(.*?);", text, re.DOTALL))
    read = {name: set(re.findall(r"\w+", body)) & bodies.keys() - {name} for name, body in bodies.items()}
    compared = {comparison.name.removeprefix("view ") for comparison in VIEWS}
    found = [f"view {name} is compared but not in the pack" for name in compared - bodies.keys()]
    found += [f"rollup {name} is not compared" for name in set(re.findall(r"CREATE ROLLUP (\w+)", rollups_sql)) - {r.name for r in rollups}]
    for name in bodies.keys() | IMPLICIT.keys():
        reader = IMPLICIT.get(name)
        if name not in compared and reader is None:
            found.append(f"view {name} is neither compared nor named with a compared view that reads it")
        elif reader is not None and (name in compared or reader not in compared or not reads(read, reader, name)):
            found.append(f"view {name} is not compared through {reader}")
    return sorted(found)


def reads(read, reader, name):
    """Whether one view reads another, itself or through views that are not compared themselves."""
    names = read.get(reader, set())
    return name in names or any(reads(read, other, name) for other in names & IMPLICIT.keys())
