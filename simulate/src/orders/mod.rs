//! Orders: placed, paid, processed, sent and delivered; some fail, are cancelled or come back.
//!
//! An order is one flow through all of its life, and so are its stock, its parcel and the runs of rules
//! on its behalf: what is told of them in different topics agrees.

mod body;
mod fulfilment;
mod life;
mod stock;
#[cfg(test)]
mod tests;
mod trouble;

pub(crate) use life::EVENTS_PER_ORDER;

use crate::automation::{Rule, Work, run_rule};
use crate::event::{Owner, SimulatedEvent, Truth};
use crate::flow::{Flow, Lane, Scene};
use crate::population::{ProductIndex, ShopIndex};
use crate::random::{Entity, Random, Stream, mix};
use crate::shipping::Parcel;
use crate::webhooks::Webhook;
use crate::world::World;
use life::{Step, usually};
use trouble::Exception;

/// One order, between two steps of its life.
#[derive(Debug)]
pub(crate) struct Order {
    entity: Entity,
    shop: ShopIndex,
    random: Random,
    lane: Lane,
    step: Step,
    /// Number of the next event of the order itself, from 1.
    sequence: u8,
    /// Runs of rules so far.
    runs: u8,
    is_viral: bool,
    viral_score: i64,
    impact_level: &'static str,
    priority_level: &'static str,
    is_automated: bool,
    region: &'static str,
    lines: Vec<Line>,
    money: Money,
    order_status: &'static str,
    payment_status: &'static str,
    stage: &'static str,
    processing_started_us: i64,
    /// Attempts at processing so far.
    attempt: i64,
    is_processed: bool,
    /// Some line is not in stock.
    is_short: bool,
    exceptions: u8,
    exception: Option<Box<Exception>>,
    parcel: Option<Box<Parcel>>,
}

/// Pieces of one product.
#[derive(Debug, Clone, Copy)]
struct Line {
    product: ProductIndex,
    quantity: i64,
    held: Held,
}

/// What was done to the stock for a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Held {
    Nothing,
    Reserved,
    Taken,
}

/// Amounts in minor units, known once the order was placed.
#[derive(Debug, Default, Clone, Copy)]
struct Money {
    total: i64,
    shipping: i64,
    fee: i64,
    /// Given back so far.
    refunded: i64,
}

impl Order {
    /// An order about to be announced by that shop.
    pub fn new(world: &World, entity: Entity, shop: ShopIndex, random: Random) -> Self {
        Self {
            entity,
            shop,
            random,
            lane: Lane::new(world.seed, entity),
            step: Step::Announce,
            sequence: 1,
            runs: 0,
            is_viral: false,
            viral_score: 0,
            impact_level: "AUTO",
            priority_level: "automated",
            is_automated: false,
            region: "",
            lines: Vec::new(),
            money: Money::default(),
            order_status: "pending",
            payment_status: "authorized",
            stage: "received",
            processing_started_us: 0,
            attempt: 1,
            is_processed: false,
            is_short: false,
            exceptions: 0,
            exception: None,
            parcel: None,
        }
    }

    /// The first event of the order when it is placed at that time, without its consequences.
    pub fn placed(&mut self, world: &World, now_us: i64) -> SimulatedEvent {
        self.place(world, now_us);
        body::created(self, world, now_us)
    }

    /// Draws what the customer wants.
    fn place(&mut self, world: &World, now_us: i64) {
        let shop = world.population.shop(self.shop);
        let random = &mut self.random;
        // Both readings are drawn, so that going viral changes nothing else about an order.
        let quiet = random.weighted(&[(("AUTO", "automated"), 60), (("MED", "standard"), 30), (("HIGH", "high"), 10)]);
        let (score, few) = (random.between(60, 98), random.between(1, 25));
        let usual_score = if random.chance(0.9) { 0 } else { few };
        self.is_viral = world.is_viral(shop.creator, now_us);
        (self.impact_level, self.priority_level) = if self.is_viral { ("VIRAL", "urgent") } else { quiet };
        self.viral_score = if self.is_viral { score } else { usual_score };
        self.is_automated = random.chance(0.88);
        let region: &&str = random.pick(world.population.creators[shop.creator].market.regions);
        self.region = region;
        let wanted = random.weighted(&[(1, 75), (2, 20), (3, 5)]);
        for _ in 0..wanted {
            let Some(product) = shop.products.get(shop.any_position(random)).copied() else { continue };
            let quantity = random.weighted(&[(1, 80), (2, 16), (3, 4)]);
            // Each product stands in one line.
            match self.lines.iter_mut().find(|line| line.product == product) {
                Some(line) => line.quantity += quantity,
                None => self.lines.push(Line { product, quantity, held: Held::Nothing }),
            }
        }
        let price = |line: &Line| world.population.product(line.product).price_minor * line.quantity;
        let total: i64 = self.lines.iter().map(price).sum();
        let shipping = if total >= 5000 { 0 } else { 499 };
        self.money = Money { total, shipping, fee: total * 6 / 100, refunded: 0 };
    }

    fn order_id(&self, world: &World) -> String {
        world.ids.named("ord_", self.entity, 0).to_string()
    }

    fn truth(&self) -> Truth {
        if self.is_viral { Truth::ViralSpike } else { Truth::Normal }
    }

    fn send(&mut self, scene: &mut Scene<'_>, event: SimulatedEvent) {
        scene.send(&mut self.lane, Owner::Shop(self.shop), event);
    }

    /// Tells of a new status and, with it, of a new stage.
    fn set_status(&mut self, scene: &mut Scene<'_>, status: &'static str, stage: Option<&'static str>) {
        let event = body::status(self, scene, status, stage.unwrap_or(self.stage));
        self.send(scene, event);
        let shop = &mut scene.state.shops[self.shop.0];
        shop.orders_updated += 1;
        shop.newest_change_us = Some(scene.now_us);
    }

    fn set_payment(&mut self, scene: &mut Scene<'_>, status: &'static str, refund: i64) {
        self.money.refunded += refund;
        let event = body::payment(self, scene, status, refund);
        self.send(scene, event);
    }

    /// Lets a rule work for this order, if machines do.
    fn run(&mut self, scene: &mut Scene<'_>, rule: Rule) {
        if !self.is_automated {
            return;
        }
        let order_id = self.order_id(scene.world);
        let entity = self.entity.child(Stream::AutomationRuns);
        let work = Work { entity, step: self.runs, correlation: Some(&order_id) };
        self.runs += 1;
        // Rules draw apart from the order, whose fate does not depend on how many there are.
        let mut random = Random::of(mix(scene.world.seed ^ u64::from(self.runs)), entity);
        run_rule(scene, rule, self.shop, work, &mut random, &mut self.lane);
    }

    fn create(&mut self, scene: &mut Scene<'_>) -> Step {
        self.place(scene.world, scene.now_us);
        let creator = scene.world.population.shop(self.shop).creator;
        self.is_automated &= scene.state.creators[creator].rules.is_active(Rule::Process);
        let event = body::created(self, scene.world, scene.now_us);
        self.send(scene, event);
        let shop = &mut scene.state.shops[self.shop.0];
        shop.orders_created += 1;
        shop.newest_change_us = Some(scene.now_us);
        self.reserve(scene);
        usually(Step::Pay, 0.02, Step::FailPayment, &mut self.random)
    }

    fn process(&mut self, scene: &mut Scene<'_>, is_done: bool) -> Step {
        let event = body::processed(self, scene, if is_done { "success" } else { "failed" });
        self.send(scene, event);
        if !is_done {
            self.attempt += 1;
            return Step::Stop;
        }
        self.is_processed = true;
        self.run(scene, Rule::Process);
        Step::MakeReady
    }

    /// Starts processing if everything is in stock; otherwise something is in the way.
    fn start_processing(&mut self, scene: &mut Scene<'_>) -> Step {
        if !self.can_take(scene) {
            self.is_short = true;
            return self.stop(scene);
        }
        self.processing_started_us = scene.now_us;
        self.set_status(scene, "processing", Some("allocated"));
        self.take(scene);
        usually(Step::Process, 0.03, Step::FailProcessing, &mut self.random)
    }

    /// Takes the step that is due; returns the next.
    fn go_on(&mut self, scene: &mut Scene<'_>) -> Option<Step> {
        let next = match self.step {
            Step::Announce => {
                let (world, order_id) = (scene.world, self.order_id(scene.world));
                let entity = self.entity.child(Stream::OrderWebhooks);
                scene.begin(scene.now_us, Webhook::of_order(world, entity, scene.now_us, self.shop, order_id));
                Step::Create
            }
            Step::Create => self.create(scene),
            Step::Pay => {
                self.set_payment(scene, "paid", 0);
                usually(Step::Confirm, 0.015, Step::Cancel, &mut self.random)
            }
            Step::FailPayment => {
                self.set_payment(scene, "failed", 0);
                Step::Cancel
            }
            Step::Confirm => {
                self.set_status(scene, "confirmed", Some("validated"));
                Step::StartProcessing
            }
            Step::StartProcessing => self.start_processing(scene),
            Step::Process => self.process(scene, true),
            Step::FailProcessing => self.process(scene, false),
            Step::Stop => self.stop(scene),
            Step::Recheck => self.recheck(scene),
            Step::MakeReady => {
                self.set_status(scene, "ready_to_ship", Some("ready_to_ship"));
                Step::AskRates
            }
            Step::Complete => {
                self.set_status(scene, "completed", None);
                return self.random.chance(0.002).then_some(Step::Dispute);
            }
            Step::Dispute => {
                self.set_payment(scene, "disputed", 0);
                return self.random.chance(0.5).then_some(Step::Refund);
            }
            Step::Cancel => {
                self.set_status(scene, "cancelled", None);
                self.give_back(scene);
                return (self.payment_status == "paid").then_some(Step::Refund);
            }
            Step::Refund => {
                let rest = self.money.total + self.money.shipping - self.money.refunded;
                self.set_payment(scene, "refunded", rest);
                return None;
            }
            Step::RefundPart => {
                self.set_payment(scene, "partially_refunded", self.money.total / 4);
                Step::Complete
            }
            Step::Return => {
                self.set_status(scene, "returned", Some("returned"));
                self.give_back(scene);
                Step::Refund
            }
            _ => return self.go_on_shipping(scene),
        };
        Some(next)
    }
}

impl Flow for Order {
    fn step(&mut self, scene: &mut Scene<'_>) -> Option<i64> {
        self.step = self.go_on(scene)?;
        Some(scene.now_us + life::gap_us(self.step, self, scene.world))
    }
}
