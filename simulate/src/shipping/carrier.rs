//! Carriers and what they ask for a parcel.

use crate::random::Random;

/// Who brings parcels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Carrier {
    Usps,
    Ups,
    Fedex,
    Dhl,
}

/// One service of a carrier.
#[derive(Debug)]
struct Service {
    name: &'static str,
    base_minor: i64,
    per_100_g_minor: i64,
    per_zone_minor: i64,
    days: i64,
}

/// Price and promise of a carrier.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Quote {
    pub carrier: Carrier,
    pub service: &'static str,
    pub cost_minor: i64,
    pub days: i64,
}

/// What is to be sent, and how.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wanted {
    pub weight_g: i64,
    pub zone: i64,
    pub is_urgent: bool,
}

const fn service(name: &'static str, base_minor: i64, per_100_g_minor: i64, days: i64) -> Service {
    Service { name, base_minor, per_100_g_minor, per_zone_minor: 14, days }
}

static GROUND: [Service; 4] = [
    service("ground_advantage", 395, 22, 3),
    service("ups_ground", 470, 16, 3),
    service("fedex_home", 490, 15, 3),
    service("dhl_ecommerce", 430, 24, 4),
];
static EXPRESS: [Service; 4] = [
    service("priority_mail", 790, 38, 2),
    service("ups_2nd_day", 1190, 34, 2),
    service("fedex_2day", 1150, 36, 2),
    service("dhl_express", 1390, 40, 1),
];

impl Carrier {
    pub const ALL: [Self; 4] = [Self::Usps, Self::Ups, Self::Fedex, Self::Dhl];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Usps => "USPS",
            Self::Ups => "UPS",
            Self::Fedex => "FEDEX",
            Self::Dhl => "DHL",
        }
    }

    /// The name of the carrier's API.
    pub fn provider(self) -> &'static str {
        match self {
            Self::Usps => "usps",
            Self::Ups => "ups",
            Self::Fedex => "fedex",
            Self::Dhl => "dhl",
        }
    }

    pub fn of_provider(provider: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|carrier| carrier.provider() == provider)
    }

    /// Who stands in when the carrier is out.
    pub fn stand_in(self) -> Self {
        if self == Self::Ups { Self::Fedex } else { Self::Ups }
    }

    fn quote(self, wanted: Wanted, random: &mut Random) -> Quote {
        let service = &if wanted.is_urgent { &EXPRESS } else { &GROUND }[self as usize];
        let list_minor = service.base_minor
            + service.per_100_g_minor * wanted.weight_g / 100
            + service.per_zone_minor * (wanted.zone - 1);
        let cost_minor = list_minor * random.between(92, 112) / 100;
        Quote { carrier: self, service: service.name, cost_minor, days: service.days }
    }
}

impl Quote {
    /// What each carrier asks.
    pub fn all(wanted: Wanted, random: &mut Random) -> [Self; 4] {
        Carrier::ALL.map(|carrier| carrier.quote(wanted, random))
    }

    /// The cheapest one, without the carriers that are not to be used; all of them if none is left.
    pub fn choose(quotes: &[Self; 4], without: &[Carrier]) -> Self {
        let usable = |quote: &&Self| !without.contains(&quote.carrier);
        let cheapest = quotes.iter().filter(usable).min_by_key(|quote| quote.cost_minor);
        *cheapest.unwrap_or(&quotes[0])
    }
}
