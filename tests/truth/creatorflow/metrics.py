"""All comparisons of views; and the views that are compared only through those that read them."""

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
    views_money.VIEWS + views_orders.VIEWS + views_automation.VIEWS + views_value.views(views_money.PLAN, views_platform.API_COST)
    + views_inventory.VIEWS + views_stock.VIEWS + views_shipping.VIEWS + views_carriers.VIEWS + views_api.VIEWS + views_platform.VIEWS
    + views_spikes.VIEWS
)
