"""Orders as few have them: of customers who come back, months old, without lines, without costs, in yen and dinars."""

PLACES = [("shp_1", "tiktok_live"), ("shp_1", "shop_tab"), ("shp_2", "tiktok_video")]
PRODUCTS = [(f"prd_r{number}", f"RARE-{number}", ("beauty", "home", "beauty", "toys")[number]) for number in range(4)]
DAYS = 24


def order(events, tenant, number, hours):
    """One order, from its creation to whatever becomes of it before the week ends."""
    chance, pick, between = events.random.random, events.pick, events.random.randrange
    order_id, end = f"rare_o_{number}", 7 * DAYS
    shop, channel = pick(*PLACES)
    common = {"order_id": order_id, "shop_id": shop, "priority_level": pick("standard", "high"), "impact_level": "MED"}
    currency = pick("USD", "USD", "EUR", "JPY", "KWD")
    items = []
    for product, sku, category in events.random.sample(PRODUCTS, between(0, 4)):
        quantity, price = between(1, 6), pick(0, 1250, 3999, 12000)
        items.append({
            "product_id": product, "sku": sku, "category": category, "quantity": quantity, "unit_price_minor": price,
            "line_total_minor": quantity * price,
        } | ({"unit_cost_minor": price // 3 + 1} if chance() < 0.8 else {}))
    total = sum(item["line_total_minor"] for item in items) + 499
    is_paid = chance() < 0.5
    events.add("orders.order.created.v1", tenant, hours, common | {
        "order_status": "pending", "payment_status": "paid" if is_paid else "pending", "fulfillment_stage": "received",
        "total_minor": total, "fee_minor": pick(None, 120, 99), "currency": currency, "items": items,
        "customer_key": f"rare_c_{between(8)}", "customer_tier": pick(None, "gold", "silver"), "ship_country": pick("US", "DE"),
        "channel": channel, "sales_platform": pick("tiktok_shop", "tiktok_shop", "shopify", None),
        "ordered_at": events.time(hours - 0.01), "is_automated": chance() < 0.5,
    })

    def later(event_type, after, data):
        if hours + after < end:
            events.add(event_type, tenant, hours + after, data)
        return hours + after < end

    def status(after, name, stage):
        return later("orders.order.status_changed.v1", after, common | {
            "previous_status": pick("pending", "on_hold"), "order_status": name, "fulfillment_stage": stage,
        })

    if not is_paid and chance() < 0.8:
        later("orders.order.payment_changed.v1", 0.5, common | {
            "payment_status": "paid", "total_minor": total, "fee_minor": None, "refund_minor": 0, "currency": currency,
        })
    for attempt, outcome in enumerate(pick(["success"], ["success"], ["failed", "success"], ["failed"]), 1):
        later("orders.order.processed.v1", 0.6 * attempt, common | {
            "outcome": outcome, "attempt": attempt, "processing_ms": pick(900, 29_999, 30_000, 30_001, 900_000, None),
            "is_automated": chance() < 0.7, "manual_touches": pick(0, 0, 2, None), "human_ms": pick(0, 45_000, None),
        })
    status(1.3, "processing", "validated")
    if chance() < 0.4:
        code, resolved_by = pick("address", "stock"), pick("auto", "human", "human")
        exception = {"order_id": order_id, "shop_id": shop, "exception_code": code, "exception_source": "order"}
        later("orders.order.exception_raised.v1", 1.4, exception)
        later("orders.order.exception_resolved.v1", 1.5, exception | {"resolved_by": resolved_by})
    if chance() < 0.2:
        status(2, "cancelled", None)
        return
    status(2, "ready_to_ship", pick("labeled", "ready_to_ship"))
    if chance() < 0.8:
        shipment(events, tenant, number, hours + 2.5, order_id, currency)
        delivered_after = between(20, 200)
        if status(3, "shipped", "handed_over") and status(delivered_after, "delivered", "delivered"):
            if chance() < 0.3:
                later("orders.order.payment_changed.v1", delivered_after + 3, common | {
                    "payment_status": "partially_refunded", "total_minor": total, "refund_minor": between(total + 1), "currency": currency,
                })


def shipment(events, tenant, number, hours, order_id, currency):
    """Labels with and without the price that would have been paid, quotes, and parcels early, late, lost and broken."""
    chance, pick, between = events.random.random, events.pick, events.random.randrange
    shipment_id, end = f"rare_s_{number}", 7 * DAYS
    if hours >= end:
        return
    carrier, service = pick(("USPS", "ground_advantage"), ("ups", "ups_ground"), ("FEDEX", "rare_air"))
    if chance() < 0.8:
        quotes = [
            {"carrier": name, "service_type": kind, "cost_minor": between(400, 900)}
            for name, kind in (("USPS", "ground_advantage"), ("ups", "ups_ground"), ("FEDEX", "rare_air"))
        ]
        chosen = next(quote for quote in quotes if quote["carrier"] == carrier)
        events.add("shipping.rate.quoted.v1", tenant, hours - 0.2, {
            "order_id": order_id, "quotes": quotes, "chosen_carrier": carrier, "chosen_service": service,
            "chosen_cost_minor": chosen["cost_minor"], "baseline_cost_minor": pick(None, 777), "currency": currency,
        })
    common = {"shipment_id": shipment_id, "order_id": order_id, "carrier": carrier, "service_type": service}
    labels = pick(["created"], ["failed", "created"], ["created", "created"], ["failed"])
    # What one label saved cannot be told from what the shipment cost: all of them have a baseline, or none.
    baseline = pick(None, 650)
    for attempt, outcome in enumerate(labels):
        if hours + attempt * 0.1 < end:
            events.add("shipping.label.completed.v1", tenant, hours + attempt * 0.1, common | {
                "outcome": outcome, "label_ms": between(90_000), "shipping_minor": between(300, 800),
                "insurance_minor": pick(0, 150, None), "baseline_cost_minor": baseline, "currency": currency,
                "is_automated": True, "error_code": "E1" if outcome == "failed" else None, "zone": pick("1", "5", None),
                "weight_g": pick(249, 250, 999, 1000, 5000, None),
            })
    if labels == ["failed"]:
        return
    promised = events.time(hours + 72)[:10] if chance() < 0.8 else None
    last = pick("delivered", "delivered", "delivered", "lost", "returned_to_sender")
    for after, name in ((5, "picked_up"), (30, "in_transit"), (between(40, 140), last)):
        if hours + after < end:
            events.add("shipping.shipment.status_changed.v1", tenant, hours + after, common | {
                "status": name, "occurred_at": events.time(hours + after), "estimated_delivery": promised,
                "delivered_at": events.time(hours + after) if name == "delivered" else None,
                "address_ok": pick(True, None), "damage": chance() < 0.2, "dest_country": "US", "dest_region": "US-TX",
            })
            if name == last and chance() < 0.6:
                events.add("support.survey.answered.v1", tenant, min(hours + after + 1, end - 0.001), {
                    "kind": "delivery", "value": pick(1, 4, 5), "ref": pick(shipment_id, order_id),
                })
            if name == last and chance() < 0.4:
                events.add("shipping.claim.filed.v1", tenant, min(hours + after + 2, end - 0.001), {
                    "claim_id": f"rare_claim_{number}", "shipment_id": shipment_id, "carrier": carrier, "kind": pick("late", "damaged"),
                    "claimed_minor": 900, "recovered_minor": pick(None, 0, 850), "currency": currency,
                })


def orders(events, tenant):
    """This week, and for the tenants with even numbers months of history: what is new has no growth."""
    for number in range(30):
        order(events, tenant, number, events.moment())
    if int(tenant[-1]) % 2 == 0:
        for number in range(30, 110):
            order(events, tenant, number, events.moment() - events.random.randrange(70) * DAYS)


def products(events, tenant):
    """Stock in two places whose costs differ, products without stock, and drafts."""
    for place, (product, sku, category) in enumerate(PRODUCTS):
        events.add("inventory.product.upserted.v1", tenant, 1, {
            "product_id": product, "sku": sku, "category": category, "base_price_minor": 1250 + place,
            "unit_cost_minor": events.pick(None, 410 + place), "currency": "USD", "status": "draft" if place == 3 else "active", "velocity_score": 40 + place,
        })
        if place == 2:
            continue
        for location in ("main", "annex"):
            before = events.random.randrange(50)
            events.add("inventory.stock.changed.v1", tenant, events.moment(), {
                "transaction_id": f"rare_{product}_{location}", "product_id": product, "sku": sku, "category": category,
                "location": location, "quantity_before": before, "quantity_after": before + 3, "delta": 3, "reserved": 1,
                "available": 0 if place == 1 else before + 2, "reason": "restock", "low_threshold": events.pick(0, 60), "lead_time_days": events.pick(2, 200),
                "unit_cost_minor": events.pick(None, 400, 500, 600), "unit_price_minor": events.pick(1250, 1350), "currency": "USD",
            })
        # News of a place that say nothing of its costs.
        events.add("inventory.stock_sync.completed.v1", tenant, events.moment(), {
            "product_id": product, "location": "main", "platform_stock": 3, "local_stock": 4, "sync_status": events.pick("synced", "failed"),
            "items_checked": 1, "items_matched": 0, "sync_latency_ms": 1000, "trigger": "manual",
        })
        events.add("inventory.restock.planned.v1", tenant, events.moment(), {
            "plan_id": f"rare_{product}", "product_id": product, "quantity": 25, "planned_for": events.time(24 * 9)[:10],
        })
