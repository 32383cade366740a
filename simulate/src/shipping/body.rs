//! What the events of a parcel say.

use super::{Carrier, Parcel, Quote};
use crate::event::{Envelope, EventKind, Key, Owner, SHIPPING_TOPIC, Truth};
use crate::flow::Scene;
use crate::json::Object;
use crate::population::ShopIndex;
use crate::random::Stream;

const QUOTED: EventKind = kind("shipping.rate.quoted.v1");
const LABELLED: EventKind = kind("shipping.label.completed.v1");
const MOVED: EventKind = kind("shipping.shipment.status_changed.v1");
const CLAIMED: EventKind = kind("shipping.claim.filed.v1");

const fn kind(event_type: &'static str) -> EventKind {
    EventKind { topic: SHIPPING_TOPIC, event_type, source: "/creatorflow/shipping-automation" }
}

/// Whose parcel it is, and what the scenario has to do with the moment.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Moment<'a> {
    pub shop: ShopIndex,
    pub order_id: &'a str,
    pub region: &'static str,
    pub truth: Truth,
}

/// How the attempt to buy a label went.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LabelOutcome {
    pub error_code: Option<&'static str>,
    pub took_us: i64,
    pub is_automated: bool,
    /// Of the batch that it was bought in.
    pub batch: Option<u64>,
    /// What the creator's usual carrier asks.
    pub baseline_minor: i64,
}

/// What is asked of the carrier.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Claim {
    pub kind: &'static str,
    pub claimed_minor: i64,
    pub recovered_minor: i64,
}

impl Parcel {
    pub fn id(&self, scene: &Scene<'_>) -> String {
        scene.world.ids.named("shm_", self.entity, 0).to_string()
    }

    pub fn tracking_number(&self, scene: &Scene<'_>) -> String {
        // 22 digits, as those of USPS.
        format!("94{:020}", scene.world.ids.unique(self.entity, 1))
    }

    /// Tells what the carriers ask; the choice is the parcel's quote.
    pub fn tell_quotes(&mut self, scene: &mut Scene<'_>, moment: Moment<'_>, quotes: &[Quote; 4], baseline: i64) {
        self.quotes += 1;
        let world = scene.world;
        let quote_id = world.ids.named("quo_", self.entity, self.quotes).to_string();
        let chosen = self.quote;
        let entity = self.entity.stream_of(Stream::Quotes);
        let (kind, subject) = (QUOTED, ("quote", quote_id.as_str()));
        self.tell(scene, moment, kind, world.ids.ulid(entity, self.quotes, scene.now_us), subject, None, |o| {
            o.text("quote_id", &quote_id);
            o.text("order_id", moment.order_id);
            o.objects("quotes", quotes, |quote, o| {
                o.text("carrier", quote.carrier.as_str());
                o.text("service_type", quote.service);
                o.integer("cost_minor", quote.cost_minor);
                o.integer("eta_days", quote.days);
            });
            o.text("chosen_carrier", chosen.carrier.as_str());
            o.text("chosen_service", chosen.service);
            o.integer("chosen_cost_minor", chosen.cost_minor);
            o.integer("baseline_cost_minor", baseline);
            o.text("currency", world.population.creator_of(moment.shop).market.currency);
        });
    }

    pub fn tell_label(&mut self, scene: &mut Scene<'_>, moment: Moment<'_>, label: LabelOutcome) {
        self.labels += 1;
        let shipment_id = self.id(scene);
        let (quote, zone, weight_g, attempt) = (self.quote, self.zone, self.weight_g, self.labels);
        let world = scene.world;
        let (requested_us, now_us) = (scene.now_us - label.took_us, scene.now_us);
        self.tell_shipment(scene, moment, LABELLED, &shipment_id, |o| {
            o.text("shipment_id", &shipment_id);
            o.text("order_id", moment.order_id);
            write_carrier(quote, o);
            o.text("outcome", if label.error_code.is_some() { "failed" } else { "created" });
            o.time("requested_at", requested_us);
            o.time("created_at", now_us);
            o.integer("label_ms", now_us.div_euclid(1000) - requested_us.div_euclid(1000));
            o.integer("shipping_minor", quote.cost_minor);
            o.integer("insurance_minor", if quote.cost_minor > 900 { 120 } else { 0 });
            o.integer("baseline_cost_minor", label.baseline_minor);
            o.integer("savings_minor", label.baseline_minor - quote.cost_minor);
            o.text("currency", world.population.creator_of(moment.shop).market.currency);
            o.boolean("is_automated", label.is_automated);
            if let Some(batch) = label.batch {
                o.text("batch_id", &format!("lbl_{batch}"));
            }
            o.optional_text("error_code", label.error_code);
            o.integer("attempt", attempt);
            o.text("zone", &zone.to_string());
            o.integer("weight_g", weight_g);
        });
    }

    /// The parcel is somewhere else, or something happened to it.
    pub fn tell_status(&mut self, scene: &mut Scene<'_>, moment: Moment<'_>, status: &'static str) {
        let shipment_id = self.id(scene);
        let tracking_number = self.tracking_number(scene);
        let (previous, quote) = (std::mem::replace(&mut self.status, status), self.quote);
        let (promised_us, now_us, attempts) = (self.promised_us, scene.now_us, self.deliveries);
        let (is_address_ok, is_damaged) = (self.is_address_ok, self.is_damaged);
        let country = scene.world.population.creator_of(moment.shop).market.country;
        self.tell_shipment(scene, moment, MOVED, &shipment_id, |o| {
            o.text("shipment_id", &shipment_id);
            o.text("order_id", moment.order_id);
            o.text("tracking_number", &tracking_number);
            write_carrier(quote, o);
            o.text("status", status);
            o.text("previous_status", previous);
            o.time("occurred_at", now_us);
            o.date("estimated_delivery", promised_us);
            if status == "delivered" {
                o.time("delivered_at", now_us);
            }
            if matches!(status, "delivered" | "delivery_exception" | "returned_to_sender") {
                o.boolean("address_ok", is_address_ok);
                o.boolean("damage", is_damaged);
            }
            o.integer("attempts", attempts);
            o.text("dest_country", country);
            o.text("dest_region", moment.region);
        });
    }

    pub fn tell_claim(&mut self, scene: &mut Scene<'_>, moment: Moment<'_>, claim: Claim) {
        let world = scene.world;
        let entity = self.entity.stream_of(Stream::Claims);
        let claim_id = world.ids.named("clm_", entity, 0).to_string();
        let shipment_id = self.id(scene);
        let carrier: Carrier = self.quote.carrier;
        let id = world.ids.ulid(entity, 1, scene.now_us);
        self.tell(scene, moment, CLAIMED, id, ("claim", &claim_id), None, |o| {
            o.text("claim_id", &claim_id);
            o.text("shipment_id", &shipment_id);
            o.text("carrier", carrier.as_str());
            o.text("kind", claim.kind);
            o.integer("claimed_minor", claim.claimed_minor);
            o.integer("recovered_minor", claim.recovered_minor);
            o.text("currency", world.population.creator_of(moment.shop).market.currency);
        });
    }

    /// An event of the shipment itself, which are numbered.
    fn tell_shipment(
        &mut self,
        scene: &mut Scene<'_>,
        moment: Moment<'_>,
        kind: EventKind,
        shipment_id: &str,
        data: impl FnOnce(&mut Object<'_>),
    ) {
        self.sequence += 1;
        let id = scene.world.ids.ulid(self.entity, self.sequence as u8, scene.now_us);
        self.tell(scene, moment, kind, id, ("shipment", shipment_id), Some(self.sequence), data);
    }

    #[expect(clippy::too_many_arguments, reason = "the parts of an envelope, in one place")]
    fn tell(
        &mut self,
        scene: &mut Scene<'_>,
        moment: Moment<'_>,
        kind: EventKind,
        id: crate::ids::Ulid,
        subject: (&str, &str),
        sequence: Option<u32>,
        data: impl FnOnce(&mut Object<'_>),
    ) {
        let shipment_id = self.id(scene);
        let owner = Owner::Shop(moment.shop);
        let envelope = Envelope {
            kind,
            id,
            owner,
            subject,
            key: Key::OfTenant(&shipment_id),
            sequence,
            correlation: Some(moment.order_id),
            truth: moment.truth,
        };
        let event = envelope.event(scene.world, scene.now_us, data);
        scene.send(&mut self.lane, owner, event);
    }
}

fn write_carrier(quote: Quote, o: &mut Object<'_>) {
    o.text("carrier", quote.carrier.as_str());
    o.text("service_type", quote.service);
}
