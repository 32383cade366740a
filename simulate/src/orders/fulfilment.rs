//! The parcel of an order: rates, label, and the way to the customer.

use super::Order;
use super::life::{Step, usually};
use crate::automation::Rule;
use crate::event::Truth;
use crate::flow::Scene;
use crate::shipping::{Carrier, Claim, LabelOutcome, Moment, Parcel, Quote, Wanted};

const LABEL_FAILURE_SHARE: f64 = 0.012;
/// Labels asked for before a person has to look.
const LABELS_MAX: i64 = 3;
/// Attempts at the door before the parcel goes back.
const DELIVERIES_MAX: i64 = 3;
const MOVES: u8 = 2;

impl Order {
    /// The steps from the warehouse to the customer.
    pub(super) fn go_on_shipping(&mut self, scene: &mut Scene<'_>) -> Option<Step> {
        let order_id = self.order_id(scene.world);
        // Taken out for the step, so that parcel and order can change side by side.
        let mut parcel = match self.parcel.take() {
            Some(parcel) => parcel,
            None => Box::new(self.pack(scene)),
        };
        let moment = Moment { shop: self.shop, order_id: &order_id, region: self.region, truth: self.truth() };
        let next = match self.step {
            Step::AskRates => self.ask_rates(scene, &mut parcel, moment),
            Step::BuyLabel => self.buy_label(scene, &mut parcel, moment),
            Step::PickUp => {
                parcel.tell_status(scene, moment, "picked_up");
                self.set_status(scene, "shipped", Some("handed_over"));
                self.run(scene, Rule::Notify);
                Some(usually(Step::Move, 0.004, Step::Lose, &mut self.random))
            }
            Step::Move => {
                parcel.tell_status(scene, moment, "in_transit");
                parcel.moves += 1;
                Some(if parcel.moves < MOVES { Step::Move } else { Step::SetOut })
            }
            Step::SetOut => {
                parcel.deliveries += 1;
                parcel.tell_status(scene, moment, "out_for_delivery");
                Some(Step::Deliver)
            }
            Step::Deliver => Some(self.deliver(scene, &mut parcel, moment)),
            Step::ReturnToSender => {
                parcel.tell_status(scene, moment, "returned_to_sender");
                self.set_status(scene, "returned", Some("returned"));
                self.give_back(scene);
                Some(Step::Refund)
            }
            Step::Lose => {
                parcel.tell_status(scene, moment, "lost");
                Some(Step::Claim)
            }
            Step::Claim => Some(self.claim(scene, &mut parcel, moment)),
            _ => None,
        };
        self.parcel = Some(parcel);
        next
    }

    fn pack(&mut self, scene: &Scene<'_>) -> Parcel {
        let population = &scene.world.population;
        let goods_g = |line: &super::Line| population.product(line.product).weight_g * line.quantity;
        let weight_g = 60 + self.lines.iter().map(goods_g).sum::<i64>();
        let zone = self.random.between(1, 8);
        let wanted = Wanted { weight_g, zone, is_urgent: self.is_viral };
        let quotes = Quote::all(wanted, &mut self.random);
        Parcel::new(scene.world, self.entity, quotes[0], weight_g, zone)
    }

    fn ask_rates(&mut self, scene: &mut Scene<'_>, parcel: &mut Parcel, moment: Moment<'_>) -> Option<Step> {
        let is_urgent = self.is_viral || self.priority_level == "high";
        let wanted = Wanted { weight_g: parcel.weight_g, zone: parcel.zone, is_urgent };
        let quotes = Quote::all(wanted, &mut self.random);
        let mut without = scene.state.switched_off.clone();
        without.extend(parcel.failed_at);
        parcel.quote = Quote::choose(&quotes, &without);
        let usual = scene.world.population.creator_of(self.shop).usual_carrier;
        let baseline = quotes.iter().find(|quote| quote.carrier == usual).map_or(0, |quote| quote.cost_minor);
        parcel.baseline_minor = baseline;
        parcel.tell_quotes(scene, moment, &quotes, baseline);
        Some(Step::BuyLabel)
    }

    fn buy_label(&mut self, scene: &mut Scene<'_>, parcel: &mut Parcel, moment: Moment<'_>) -> Option<Step> {
        let carrier = parcel.quote.carrier;
        let outage = scene.world.outage(carrier.provider(), scene.now_us);
        let failure_share = outage.map_or(LABEL_FAILURE_SHARE, |outage| outage.error_share);
        let error_code = self.random.chance(failure_share).then_some("carrier_unavailable");
        let creator = scene.world.population.shop(self.shop).creator;
        let is_automated = self.is_automated && scene.state.creators[creator].rules.is_active(Rule::Label);
        let took_us = (self.random.log_normal(6.2, 0.45) * 1e6) as i64;
        // Batches of an hour, in which a quarter of the labels are bought.
        let hour = (scene.now_us / 3_600_000_000) as u64;
        let batch = self.random.chance(0.25).then_some(hour * 1000 + creator as u64);
        let truth = if outage.is_some() { Truth::CarrierOutage } else { moment.truth };
        let moment = Moment { truth, ..moment };
        let took_us = outage.map_or(took_us, |_| took_us * 3);
        let label = LabelOutcome { error_code, took_us, is_automated, batch, baseline_minor: parcel.baseline_minor };
        parcel.tell_label(scene, moment, label);
        if error_code.is_some() {
            parcel.tell_status(scene, moment, "label_failed");
            return Some(self.after_failed_label(parcel, carrier));
        }
        parcel.failures = 0;
        parcel.promised_us = scene.now_us + scene.world.days_us(parcel.quote.days as f64 + 0.5);
        parcel.tell_status(scene, moment, "label_created");
        if is_automated {
            self.run(scene, Rule::Label);
        }
        Some(Step::PickUp)
    }

    /// Another carrier is asked, some times; then a person.
    fn after_failed_label(&self, parcel: &mut Parcel, carrier: Carrier) -> Step {
        parcel.failed_at = Some(carrier);
        parcel.failures += 1;
        if parcel.failures < LABELS_MAX {
            return Step::AskRates;
        }
        parcel.failures = 0;
        Step::Stop
    }

    fn deliver(&mut self, scene: &mut Scene<'_>, parcel: &mut Parcel, moment: Moment<'_>) -> Step {
        let nobody_home = self.random.chance(0.03);
        if parcel.deliveries == 1 && self.random.chance(0.008) {
            parcel.is_address_ok = false;
        }
        if nobody_home || !parcel.is_address_ok {
            parcel.tell_status(scene, moment, "delivery_exception");
            let is_over = parcel.deliveries >= DELIVERIES_MAX || !parcel.is_address_ok && self.random.chance(0.6);
            return if is_over { Step::ReturnToSender } else { Step::SetOut };
        }
        parcel.is_damaged = self.random.chance(0.006);
        parcel.tell_status(scene, moment, "delivered");
        self.set_status(scene, "delivered", Some("delivered"));
        self.run(scene, Rule::Notify);
        parcel.is_late = scene.now_us > parcel.promised_us;
        let claims = parcel.is_damaged || parcel.is_late && self.random.chance(0.1);
        if claims { Step::Claim } else { usually(Step::Complete, 0.03, Step::Return, &mut self.random) }
    }

    fn claim(&mut self, scene: &mut Scene<'_>, parcel: &mut Parcel, moment: Moment<'_>) -> Step {
        let value = self.money.total;
        let (kind, claimed_minor, next) = match parcel.status {
            "lost" => ("lost", value, Step::Refund),
            _ if parcel.is_damaged => ("damaged", value / 2, Step::RefundPart),
            _ => ("late", parcel.quote.cost_minor, Step::Complete),
        };
        let recovered_minor = claimed_minor * self.random.weighted(&[(0, 25), (50, 25), (80, 20), (100, 30)]) / 100;
        parcel.tell_claim(scene, moment, Claim { kind, claimed_minor, recovered_minor });
        next
    }
}
