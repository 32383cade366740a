use super::*;
use crate::test_support::{alertmanager_data, amtools, config, run, scratch};

const RICH: &str = r#"
route:
  receiver: default
  group_by: [alertname]
  routes:
    - {matchers: [team="a"], receiver: a, continue: true, routes: [{matchers: [severity="critical"], receiver: a-pager}, {matchers: [severity=~"warn.*|info"], receiver: a-mail, continue: true}, {match: {severity: warning}, receiver: a-chat}]}
    - {match_re: {team: "a|b"}, receiver: ab, group_by: ['...'], routes: [{matchers: [service!="", severity!~"info"]}]}
    - {matchers: ['service=""', 'team!="c"'], receiver: no-service}
    - {matchers: ['{service=~"x.+", team="c"}'], receiver: c, group_by: []}
receivers: [{name: default}, {name: a}, {name: a-pager}, {name: a-mail}, {name: a-chat}, {name: ab}, {name: no-service}, {name: c}]
"#;

#[test]
fn settings_are_inherited_and_keys_are_alertmanagers() {
    let tree = RouteTree::new(&config(RICH));
    let labels = Labels::from([("team", "a"), ("severity", "critical"), ("alertname", "X")]);
    let found = tree.matching(&labels);
    assert_eq!(
        found.iter().map(|route| route.key.as_str()).collect::<Vec<_>>(),
        [r#"{}/{team="a"}/{severity="critical"}"#, r#"{}/{team=~"^(?:a|b)$"}"#]
    );
    assert_eq!(found[0].settings.group_by, BTreeSet::from(["alertname".to_string()]));
    assert!(found[1].settings.group_by_all);
    assert_eq!(
        found[0].group_key(&found[0].settings.group_labels(&labels)),
        r#"{}/{team="a"}/{severity="critical"}:{alertname="X"}"#
    );
    let c = tree.matching(&Labels::from([("team", "c"), ("service", "xy")]));
    assert_eq!((c[0].settings.receiver.as_str(), c[0].settings.group_by.len()), ("c", 0));
    assert_eq!(tree.route(&c[0].id).map(|route| &route.key), Some(&c[0].key));
}

/// Sets that hit and miss: every value that a matcher mentions, one that none mentions, and none, for three labels.
fn label_sets(tree: &RouteTree) -> Vec<Labels> {
    let mut values: std::collections::BTreeMap<String, BTreeSet<String>> = std::collections::BTreeMap::new();
    for route in tree.routes() {
        for matcher in route.matchers.iter() {
            let parts = matcher.value().split(['|', '^', '(', ')', '$', '?', ':', '.', '*', '+', '[', ']']);
            let plain = parts.filter(|part| !part.is_empty()).map(String::from);
            values.entry(matcher.name().to_string()).or_default().extend(plain.chain(["other".to_string()]));
        }
    }
    let mut sets = vec![Labels::default()];
    for (name, values) in values.into_iter().take(4) {
        let base = sets.clone();
        for value in values {
            sets.extend(base.iter().map(|set| {
                let mut set = set.clone();
                set.0.insert(name.clone(), value.clone());
                set
            }));
        }
    }
    sets
}

#[test]
fn amtool_routes_alike() {
    let Some(data) = alertmanager_data() else { return };
    let folder = scratch("routes");
    let rich = folder.join("rich.yml");
    std::fs::write(&rich, RICH).unwrap();
    let files = [
        "config/testdata/conf.good.yml",
        "config/testdata/conf.opsgenie-default-apikey.yml",
        "config/testdata/conf.empty-fields.yml",
        "cli/testdata/conf.routing.yml",
        "cli/testdata/conf.routing-reverted.yml",
        "config/testdata/conf.group-by-all.yml",
        "config/testdata/conf.victorops-default-apikey.yml",
    ];
    let Some(amtool) = amtools().into_iter().next() else { return };
    let mut compared = 0;
    for file in files.map(|file| data.join(file)).into_iter().chain([rich]) {
        let tree = RouteTree::new(&config(&std::fs::read_to_string(&file).unwrap()));
        let sets = label_sets(&tree);
        // Evenly over the sets: each is one run of a program.
        let step = sets.len().div_ceil(36);
        for labels in sets.iter().step_by(step) {
            let pairs: Vec<String> = labels.0.iter().map(|(name, value)| format!("{name}={value}")).collect();
            let flag = format!("--config.file={}", file.display());
            let mut arguments = vec!["config", "routes", "test", &flag];
            arguments.extend(pairs.iter().map(String::as_str));
            let output = run(&amtool, &arguments);
            let theirs = String::from_utf8_lossy(&output.stdout).trim().to_string();
            assert_eq!(tree.receivers(labels).join(","), theirs, "{} {pairs:?} {output:?}", file.display());
            compared += 1;
        }
    }
    assert!(compared > 60, "{compared} label sets compared");
    std::fs::remove_dir_all(folder).unwrap();
}
