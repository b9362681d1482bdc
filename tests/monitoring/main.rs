//! Monitoring, for real: Prometheus scrapes redis_exporter, which asks a server with the
//! module by the script of packaging/monitoring. Every expression of the dashboard and of
//! the alerts has to be answered with numbers, while locks are taken in all ways.
//!
//! `make test-dashboard` fetches the programs; without them the tests say that they were
//! skipped.

#[allow(
    dead_code,
    unused_imports,
    reason = "each group of tests uses a part of it"
)]
#[path = "../support/mod.rs"]
mod support;

mod programs;
mod traffic;

use programs::Watched;
use serde_json::Value;
use std::collections::BTreeMap;
use support::{eventually, Client, Server};
use traffic::Traffic;

const DASHBOARD: &str = include_str!("../../packaging/monitoring/dashboard.json");
const ALERTS: &str = include_str!("../../packaging/monitoring/alerts.yml");
const PAGE: &str = include_str!("../../docs/MONITORING.md");

/// The expressions of the dashboard, each with the title of its panel. What Grafana puts
/// in place of its variables is in place.
fn expressions() -> Vec<(String, String)> {
    let dashboard: Value = serde_json::from_str(DASHBOARD).expect("JSON");
    let mut found = Vec::new();
    for panel in dashboard["panels"].as_array().expect("panels") {
        for target in panel["targets"].as_array().expect("targets") {
            let text = target["expr"].as_str().expect("an expression");
            let text = text.replace("$instance", ".*");
            let text = text.replace("$__rate_interval", "10s");
            let text = text.replace("$__range", "1m");
            assert!(!text.contains('$'), "an unknown variable: {text}");
            let title = panel["title"].as_str().expect("a title");
            found.push((title.to_owned(), text));
        }
    }
    assert!(found.len() > 20, "the dashboard has panels");
    found
}

/// What INFO says, by name.
fn info(client: &mut Client) -> BTreeMap<String, f64> {
    let text = client.text("INFO redislock");
    let fields = text.lines().filter_map(|line| line.split_once(':'));
    let number = |value: &str| value.parse().expect("a number");
    let fields = fields.map(|(name, value)| (name.to_owned(), number(value)));
    fields.collect()
}

#[test]
fn every_expression_of_the_dashboard_has_an_answer() {
    let Some(programs) = programs::found() else {
        return;
    };
    let server = Server::start();
    let watched = Watched::start(&programs, &server);
    let mut traffic = Traffic::new(&server);
    for (title, expression) in expressions() {
        eventually(&format!("{title}: a number above 0: {expression}"), || {
            traffic.goes_on();
            let numbers = watched.numbers(&expression);
            (!numbers.is_empty() && numbers.iter().all(|number| *number > 0.0)).then_some(())
        });
    }
}

#[test]
fn every_field_of_info_is_scraped_with_its_value() {
    let Some(programs) = programs::found() else {
        return;
    };
    let server = Server::start();
    let watched = Watched::start(&programs, &server);
    Traffic::new(&server).goes_on();
    let said = info(&mut server.client());
    assert!(said.len() >= 24, "{said:?}");
    for (name, value) in said {
        let expression = format!("redis_script_values{{key=\"{name}\"}}");
        eventually(&format!("{name} is {value}"), || {
            (watched.numbers(&expression) == [value]).then_some(())
        });
        let is_described = PAGE.contains(&format!("`{name}`"));
        assert!(is_described, "{name} is on the page");
    }
}

#[test]
fn the_alerts_are_sound_and_fire_when_they_should() {
    let Some(programs) = programs::found() else {
        return;
    };
    programs.promtool(&["test", "rules", "tests/monitoring/alerts_test.yml"]);
    let server = Server::start();
    let watched = Watched::start(&programs, &server);
    let names: Vec<&str> = ALERTS.split("- alert: ").skip(1).collect();
    let names = names.into_iter().filter_map(|rest| rest.lines().next());
    for name in names {
        let cases = include_str!("alerts_test.yml");
        assert!(
            cases.contains(&format!("alertname: {name}\n")),
            "{name} is tested"
        );
        assert!(PAGE.contains(&format!("`{name}`")), "{name} is on the page");
        eventually(&format!("{name} is evaluated"), || {
            let rules = watched.get("/api/v1/rules")?;
            let rules = rules["data"]["groups"][0]["rules"].as_array()?.clone();
            let rule = rules.iter().find(|rule| rule["name"] == name)?;
            (rule["health"] == "ok").then_some(())
        });
    }
}

/// On a replica, without memory, while writes are paused, and for a user who may do this
/// and nothing else.
#[test]
fn the_script_works_wherever_info_does() {
    let script = include_str!("../../packaging/monitoring/redislock.lua");
    let master = Server::start();
    let replica = support::replica_of(&master, &[]);
    let mut admin = master.client();
    let fields = info(&mut admin).len();
    admin.say("CONFIG SET maxmemory 1");
    let user = master.user("+eval +info");
    admin.say("CLIENT PAUSE 60000 WRITE");
    for mut client in [replica.client(), user] {
        let said = client.call(&["EVAL", script, "0", "0"]);
        let redis::Value::Array(said) = said else {
            panic!("{said:?}");
        };
        assert_eq!(said.len(), 2 * fields);
    }
    admin.say("CLIENT UNPAUSE");
}
