use super::*;
use tidewatch_ingest::clock::SystemClock;
use tracing_subscriber::layer::SubscriberExt;

fn traced(sample_ratio: f64, act: impl FnOnce()) -> Vec<Ended> {
    let (sender, mut receiver) = mpsc::channel(100);
    let layer = TraceLayer::new(sender, sample_ratio, Arc::new(SystemClock::new()), Arc::default());
    tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), act);
    std::iter::from_fn(|| receiver.try_recv().ok()).collect()
}

#[test]
fn spans_have_their_parents_and_attributes() {
    let spans = traced(1.0, || {
        let outer =
            tracing::info_span!(target: TARGET, "outer", kind = "server", rows = 3, answered = tracing::field::Empty);
        let _entered = outer.enter();
        tracing::info_span!(target: TARGET, "inner", error = tracing::field::Empty).record("error", "no");
        outer.record("answered", true);
    });
    let [inner, outer] = spans.as_slice() else { panic!("{spans:?}") };
    assert_eq!((inner.name, outer.name), ("inner", "outer"));
    assert_eq!((inner.parent, inner.trace), (Some(outer.id), outer.trace));
    assert_eq!((outer.parent, outer.kind), (None, Kind::Server));
    assert_eq!(outer.attributes, [("rows", Value::Integer(3)), ("answered", Value::Flag(true))]);
    assert_eq!((inner.error.as_deref(), outer.error.as_deref()), (Some("no"), None));
    assert!(inner.start_us >= outer.start_us && inner.end_us <= outer.end_us);
}

#[test]
fn a_callers_trace_goes_on_and_its_wish_is_followed() {
    let call = |traceparent: &'static str| {
        traced(0.0, || drop(tracing::info_span!(target: TARGET, "request", traceparent).entered()))
    };
    let spans = call("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
    assert_eq!(spans[0].trace, 0x0af7_6519_16cd_43dd_8448_eb21_1c80_319c);
    assert_eq!(spans[0].parent, Some(0xb7ad_6b71_6920_3331));
    let unsampled = call("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00");
    assert!(unsampled.is_empty(), "it does not want to be traced");
    assert!(call("nonsense").is_empty(), "a trace of our own, of which none are sampled");
}

#[test]
fn as_many_traces_as_asked_for_are_sampled() {
    let begin = || drop(tracing::info_span!(target: TARGET, "request").entered());
    assert_eq!(traced(0.0, || (0..50).for_each(|_| begin())).len(), 0);
    assert_eq!(traced(1.0, || (0..50).for_each(|_| begin())).len(), 50);
    let layer = TraceLayer::new(mpsc::channel(1).0, 0.25, Arc::new(SystemClock::new()), Arc::default());
    let sampled = (0..10_000).filter(|_| layer.root().is_sampled).count();
    assert!((2200..2800).contains(&sampled), "{sampled} of 10000");
}
