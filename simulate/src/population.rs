//! Who takes part: creators of very unequal size, their shops and their products.

use crate::random::{Entity, Random, Stream, Weights};

#[derive(Debug)]
pub(crate) struct Population {
    pub creators: Vec<Creator>,
    pub sizes: Weights,
}

#[derive(Debug)]
pub(crate) struct Creator {
    pub id: String,
    /// The first is the main one.
    pub shops: Vec<String>,
    pub products: Vec<Product>,
    pub market: &'static Market,
}

#[derive(Debug)]
pub(crate) struct Product {
    pub id: String,
    pub sku: String,
    pub category: &'static str,
    pub variant: &'static str,
    pub price_minor: i64,
    pub cost_minor: i64,
}

/// Where a creator sells.
#[derive(Debug)]
pub(crate) struct Market {
    pub currency: &'static str,
    pub country: &'static str,
    pub regions: &'static [&'static str],
}

/// A creator and one of the shops, by index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ShopIndex {
    pub creator: usize,
    pub shop: usize,
}

static US: Market = Market {
    currency: "USD",
    country: "US",
    regions: &["US-CA", "US-TX", "US-FL", "US-NY", "US-PA", "US-IL", "US-OH", "US-GA", "US-WA"],
};
static GB: Market = Market { currency: "GBP", country: "GB", regions: &["GB-ENG", "GB-SCT", "GB-WLS", "GB-NIR"] };
static DE: Market = Market { currency: "EUR", country: "DE", regions: &["DE-BE", "DE-BY", "DE-NW", "DE-HH", "DE-HE"] };

/// Category, prefix of the SKU, variants.
const KINDS: &[(&str, &str, &[&str])] = &[
    ("beauty", "GLW", &["30ml", "50ml", "set"]),
    ("fashion", "APP", &["S", "M", "L", "XL"]),
    ("home", "HOM", &["small", "large"]),
    ("electronics", "ELC", &["black", "white"]),
    ("food", "FOD", &["single", "6-pack", "12-pack"]),
    ("fitness", "FIT", &["light", "medium", "heavy"]),
];

impl Population {
    pub fn new(seed: u64, creators: usize) -> Self {
        let mut numbers = Numbers { shop: 0, product: 300 };
        let creators: Vec<_> = (0..creators).map(|index| Creator::new(seed, index, &mut numbers)).collect();
        let sizes = Weights::heavy_tailed(creators.len());
        Self { creators, sizes }
    }

    /// The creator of that rank, or the smallest.
    pub fn ranked(&self, rank: usize) -> usize {
        rank.min(self.creators.len() - 1)
    }

    /// One of the creator's shops; the first has most of the business.
    pub fn any_shop_of(&self, creator: usize, random: &mut Random) -> ShopIndex {
        let shops = self.creators[creator].shops.len();
        let shop = random.weighted(&[(0, 60), (1, 30), (2, 10)]).min(shops - 1);
        ShopIndex { creator, shop }
    }

    pub fn any_shop(&self, random: &mut Random) -> ShopIndex {
        let creator = self.sizes.pick(random);
        self.any_shop_of(creator, random)
    }

    pub fn shop_id(&self, index: ShopIndex) -> &str {
        &self.creators[index.creator].shops[index.shop]
    }
}

/// Numbers given out to shops and products so far.
struct Numbers {
    shop: u32,
    product: u32,
}

impl Creator {
    fn new(seed: u64, index: usize, numbers: &mut Numbers) -> Self {
        let mut random = Random::of(seed, Entity { stream: Stream::Population, number: index as u64 });
        let market = random.weighted(&[(&US, 80), (&GB, 12), (&DE, 8)]);
        let shops = (0..random.between(1, 3))
            .map(|_| {
                numbers.shop += 1;
                format!("shp_{}", numbers.shop)
            })
            .collect();
        // A creator keeps to one line of goods.
        let kind = random.pick(KINDS);
        let products = (0..random.between(4, 12))
            .map(|_| {
                numbers.product += 1;
                Product::new(*kind, numbers.product, &mut random)
            })
            .collect();
        Self { id: format!("crt_{:04}", index + 1), shops, products, market }
    }
}

impl Product {
    fn new(kind: (&'static str, &str, &[&'static str]), number: u32, random: &mut Random) -> Self {
        let (category, prefix, variants) = kind;
        let price_minor = (random.log_normal(2400.0, 0.6) as i64).clamp(500, 25_000) / 100 * 100 + 99;
        let cost_minor = price_minor * random.between(25, 45) / 100;
        Self {
            id: format!("prd_{number}"),
            sku: format!("{prefix}-{number}"),
            category,
            variant: *random.pick(variants),
            price_minor,
            cost_minor,
        }
    }
}
