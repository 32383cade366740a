use super::*;

#[test]
fn later_replicas_wait_longer() {
    assert_eq!(wait(0, TimeDelta::seconds(15)), TimeDelta::zero());
    assert_eq!(wait(2, TimeDelta::seconds(15)), TimeDelta::seconds(30));
}
