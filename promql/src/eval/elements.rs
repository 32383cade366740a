//! Functions of single values: arithmetic, comparison, trigonometry, dates, quantiles of a list.

use crate::calendar::Civil;
use crate::parse::ast::BinaryOp;
use crate::parse::functions::Func;

/// The function of one float, if it is one.
pub fn float_function(function: Func) -> Option<fn(f64) -> f64> {
    Some(match function {
        Func::Abs => f64::abs,
        Func::Acos => f64::acos,
        Func::Acosh => f64::acosh,
        Func::Asin => f64::asin,
        Func::Asinh => f64::asinh,
        Func::Atan => f64::atan,
        Func::Atanh => f64::atanh,
        Func::Ceil => f64::ceil,
        Func::Cos => f64::cos,
        Func::Cosh => f64::cosh,
        Func::Deg => |value| value * 180.0 / std::f64::consts::PI,
        Func::Exp => f64::exp,
        Func::Floor => f64::floor,
        Func::Ln => f64::ln,
        Func::Log10 => f64::log10,
        Func::Log2 => f64::log2,
        Func::Rad => |value| value * std::f64::consts::PI / 180.0,
        Func::Sgn => |value| {
            if value < 0.0 {
                -1.0
            } else if value > 0.0 {
                1.0
            } else {
                value
            }
        },
        Func::Sin => f64::sin,
        Func::Sinh => f64::sinh,
        Func::Sqrt => f64::sqrt,
        Func::Tan => f64::tan,
        Func::Tanh => f64::tanh,
        _ => return None,
    })
}

/// The function of the date of a float in seconds since the Unix epoch, if it is one.
pub fn date_function(function: Func) -> Option<fn(f64) -> f64> {
    Some(match function {
        Func::DayOfMonth => |seconds| civil(seconds).day as f64,
        Func::DayOfWeek => |seconds| civil(seconds).day_of_week as f64,
        Func::DayOfYear => |seconds| civil(seconds).day_of_year as f64,
        Func::DaysInMonth => |seconds| civil(seconds).days_in_month() as f64,
        Func::Hour => |seconds| civil(seconds).hour as f64,
        Func::Minute => |seconds| civil(seconds).minute as f64,
        Func::Month => |seconds| civil(seconds).month as f64,
        Func::Year => |seconds| civil(seconds).year as f64,
        _ => return None,
    })
}

fn civil(seconds: f64) -> Civil {
    // What does not fit is kept within half of what the calendar can count.
    Civil::of((seconds as i64).clamp(i64::MIN / 2, i64::MAX / 2))
}

/// `left op right` for arithmetic operators; NaN for others.
#[inline]
pub fn arithmetic(op: BinaryOp, left: f64, right: f64) -> f64 {
    match op {
        BinaryOp::Add => left + right,
        BinaryOp::Sub => left - right,
        BinaryOp::Mul => left * right,
        BinaryOp::Div => left / right,
        BinaryOp::Mod => left % right,
        BinaryOp::Pow => left.powf(right),
        BinaryOp::Atan2 => left.atan2(right),
        _ => f64::NAN,
    }
}

/// `left op right` for comparisons; false for other operators.
#[inline]
pub fn compare(op: BinaryOp, left: f64, right: f64) -> bool {
    match op {
        BinaryOp::Eq => left == right,
        BinaryOp::Ne => left != right,
        BinaryOp::Lt => left < right,
        BinaryOp::Le => left <= right,
        BinaryOp::Gt => left > right,
        BinaryOp::Ge => left >= right,
        _ => false,
    }
}

/// The quantile `q` of `values`, which are reordered: NaN counts as the least value, neighbours are
/// interpolated linearly; -Inf below 0, +Inf above 1, NaN without values.
pub fn quantile_of(q: f64, values: &mut [f64]) -> f64 {
    if values.is_empty() || q.is_nan() {
        return f64::NAN;
    }
    if q < 0.0 {
        return f64::NEG_INFINITY;
    }
    if q > 1.0 {
        return f64::INFINITY;
    }
    let last = values.len() - 1;
    let rank = q * last as f64;
    let (lower, weight) = (rank.floor() as usize, rank - rank.floor());
    let (_, low, above) = values.select_nth_unstable_by(lower.min(last), nan_first);
    let low = *low;
    let high = above.iter().copied().min_by(nan_first).unwrap_or(low);
    low * (1.0 - weight) + high * weight
}

fn nan_first(left: &f64, right: &f64) -> std::cmp::Ordering {
    match (left.is_nan(), right.is_nan()) {
        (true, true) => std::cmp::Ordering::Equal,
        (true, false) => std::cmp::Ordering::Less,
        (false, true) => std::cmp::Ordering::Greater,
        (false, false) => left.partial_cmp(right).unwrap_or(std::cmp::Ordering::Equal),
    }
}
