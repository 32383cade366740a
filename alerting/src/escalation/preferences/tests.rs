use super::*;
use crate::test_support::at;

#[test]
fn severities_channels_and_quiet_hours_decide() {
    let wanted: Vec<PreferenceConfig> = serde_yaml_ng::from_str(
        "[{user: anna, severities: [critical, warning], channels: {warning: [slack]}, break_through: [critical],
          quiet_hours: {times: [{start_time: '12:00', end_time: '13:00'}]}}]",
    )
    .unwrap();
    let decide = |user, severity, channel, now| Preferences(&wanted).decide(user, severity, channel, at(now));
    assert_eq!(decide("bob", "info", "mail", 0.0), Delivery::Now);
    assert!(matches!(decide("anna", "info", "slack", 7200.0), Delivery::Never(_)));
    assert!(matches!(decide("anna", "warning", "mail", 7200.0), Delivery::Never(_)));
    assert_eq!(decide("anna", "warning", "slack", 7200.0), Delivery::Now);
    assert!(matches!(decide("anna", "warning", "slack", 0.0), Delivery::Later(_)));
    assert_eq!(decide("anna", "critical", "mail", 0.0), Delivery::Now);
}
