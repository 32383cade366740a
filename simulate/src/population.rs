//! Who takes part: creators of very unequal size, their shops and their products.

use crate::random::{Entity, Random, Stream, Weights};
use crate::shipping::Carrier;

#[derive(Debug)]
pub(crate) struct Population {
    pub creators: Vec<Creator>,
    pub shops: Vec<Shop>,
    pub products: Vec<Product>,
    pub sizes: Weights,
}

#[derive(Debug)]
pub(crate) struct Creator {
    pub id: String,
    /// The first is the main one.
    pub shops: Vec<ShopIndex>,
    pub market: &'static Market,
    /// What the creator used before rates were compared.
    pub usual_carrier: Carrier,
}

#[derive(Debug)]
pub(crate) struct Shop {
    pub id: String,
    pub creator: usize,
    /// No other shop sells them, so that each has one stock.
    pub products: Vec<ProductIndex>,
    popularity: Weights,
}

#[derive(Debug)]
pub(crate) struct Product {
    pub id: String,
    pub sku: String,
    pub name: String,
    pub category: &'static str,
    pub variant: &'static str,
    pub price_minor: i64,
    pub cost_minor: i64,
    pub weight_g: i64,
    pub lead_time_days: i64,
    pub shop: ShopIndex,
}

/// Where a creator sells.
#[derive(Debug)]
pub(crate) struct Market {
    pub currency: &'static str,
    pub country: &'static str,
    pub regions: &'static [&'static str],
}

/// A shop, counted over all creators.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ShopIndex(pub usize);

/// A product, counted over all creators.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ProductIndex(pub usize);

static US: Market = Market {
    currency: "USD",
    country: "US",
    regions: &["US-CA", "US-TX", "US-FL", "US-NY", "US-PA", "US-IL", "US-OH", "US-GA", "US-WA"],
};
static GB: Market = Market { currency: "GBP", country: "GB", regions: &["GB-ENG", "GB-SCT", "GB-WLS", "GB-NIR"] };
static DE: Market = Market { currency: "EUR", country: "DE", regions: &["DE-BE", "DE-BY", "DE-NW", "DE-HH", "DE-HE"] };

/// Category, prefix of the SKU, variants, weight of a piece in grams.
type Goods = (&'static str, &'static str, &'static [&'static str], i64);

const GOODS: &[Goods] = &[
    ("beauty", "GLW", &["30ml", "50ml", "set"], 160),
    ("fashion", "APP", &["S", "M", "L", "XL"], 320),
    ("home", "HOM", &["small", "large"], 900),
    ("electronics", "ELC", &["black", "white"], 450),
    ("food", "FOD", &["single", "6-pack", "12-pack"], 600),
    ("fitness", "FIT", &["light", "medium", "heavy"], 1400),
];

impl Population {
    pub fn new(seed: u64, creators: usize) -> Self {
        let mut population = Self {
            creators: Vec::with_capacity(creators),
            shops: Vec::new(),
            products: Vec::new(),
            sizes: Weights::heavy_tailed(creators),
        };
        for index in 0..creators {
            population.add_creator(seed, index);
        }
        population
    }

    fn add_creator(&mut self, seed: u64, index: usize) {
        let mut random = Random::of(seed, Entity { stream: Stream::Population, number: index as u64 });
        let market = random.weighted(&[(&US, 80), (&GB, 12), (&DE, 8)]);
        let first = self.shops.len();
        let shops: Vec<_> = (0..random.between(1, 3) as usize).map(|number| ShopIndex(first + number)).collect();
        // A creator keeps to one line of goods.
        let goods = *random.pick(GOODS);
        let count = random.between(4, 12) as usize;
        for (position, shop) in shops.iter().enumerate() {
            let on_sale = (0..count).filter(|product| product % shops.len() == position);
            let products: Vec<_> = on_sale
                .map(|_| {
                    let number = self.products.len();
                    self.products.push(Product::new(goods, number, *shop, &mut random));
                    ProductIndex(number)
                })
                .collect();
            let popularity = Weights::heavy_tailed(products.len());
            self.shops.push(Shop { id: format!("shp_{}", shop.0 + 1), creator: index, products, popularity });
        }
        let usual_carrier =
            random.weighted(&[(Carrier::Usps, 40), (Carrier::Ups, 30), (Carrier::Fedex, 20), (Carrier::Dhl, 10)]);
        self.creators.push(Creator { id: format!("crt_{:04}", index + 1), shops, market, usual_carrier });
    }

    /// The creator of that rank, or the smallest.
    pub fn ranked(&self, rank: usize) -> usize {
        rank.min(self.creators.len() - 1)
    }

    pub fn main_shop(&self, rank: usize) -> ShopIndex {
        self.creators[self.ranked(rank)].shops[0]
    }

    /// One of the creator's shops; the first has most of the business.
    pub fn any_shop_of(&self, creator: usize, random: &mut Random) -> ShopIndex {
        let shops = &self.creators[creator].shops;
        shops[random.weighted(&[(0, 60), (1, 30), (2, 10)]).min(shops.len() - 1)]
    }

    pub fn any_shop(&self, random: &mut Random) -> ShopIndex {
        let creator = self.sizes.pick(random);
        self.any_shop_of(creator, random)
    }

    pub fn shop(&self, index: ShopIndex) -> &Shop {
        &self.shops[index.0]
    }

    pub fn product(&self, index: ProductIndex) -> &Product {
        &self.products[index.0]
    }

    pub fn creator_of(&self, shop: ShopIndex) -> &Creator {
        &self.creators[self.shop(shop).creator]
    }

    /// Share of all orders that a shop has: its creator's, shared out as in [`Self::any_shop_of`].
    pub fn share_of(&self, index: ShopIndex) -> f64 {
        let creator = self.shop(index).creator;
        let shops = &self.creators[creator].shops;
        let position = shops.iter().position(|shop| *shop == index).unwrap_or(0);
        let part: f64 = match (shops.len(), position) {
            (1, _) => 1.0,
            (2, 1) => 0.4,
            (_, 0) => 0.6,
            (_, 1) => 0.3,
            _ => 0.1,
        };
        part * self.sizes.share(creator)
    }

    /// Share of its shop's items that a product has.
    pub fn share_in_shop(&self, index: ProductIndex) -> f64 {
        let shop = self.shop(self.product(index).shop);
        let position = shop.products.iter().position(|product| *product == index).unwrap_or(0);
        shop.popularity.share(position)
    }
}

impl Shop {
    /// Position of a product in the shop; the first sell best.
    pub fn any_position(&self, random: &mut Random) -> usize {
        self.popularity.pick(random)
    }
}

impl Product {
    fn new(goods: Goods, number: usize, shop: ShopIndex, random: &mut Random) -> Self {
        let (category, prefix, variants, grams) = goods;
        let number = number + 301;
        let price_minor = (random.log_normal(2400.0, 0.6) as i64).clamp(500, 25_000) / 100 * 100 + 99;
        let cost_minor = price_minor * random.between(25, 45) / 100;
        let variant: &&str = random.pick(variants);
        Self {
            id: format!("prd_{number}"),
            sku: format!("{prefix}-{number}"),
            name: format!("{category} {number} {variant}"),
            category,
            variant,
            price_minor,
            cost_minor,
            weight_g: grams * random.between(70, 150) / 100,
            lead_time_days: random.between(2, 4),
            shop,
        }
    }
}
