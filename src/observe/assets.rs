//! Dashboard and alerts, shipped with the program so that they fit its metrics.

/// A Grafana dashboard, with variables for data source and bridge.
pub const DASHBOARD: &str = include_str!("assets/dashboard.json");
/// Prometheus alerting rules.
pub const ALERTS: &str = include_str!("assets/alerts.yaml");

#[cfg(test)]
mod tests {
    use super::super::metrics::{ALL, Kind};
    use super::*;

    /// Every word of the text that looks like a metric of ours.
    fn named(text: &str) -> Vec<&str> {
        let word = |c: char| !(c.is_ascii_alphanumeric() || c == '_');
        text.split(word).filter(|name| name.starts_with("binbridge_")).collect()
    }

    fn exists(name: &str) -> bool {
        ALL.iter().any(|metric| match metric.kind {
            Kind::Histogram(_) => {
                ["_bucket", "_sum", "_count", ""].iter().any(|end| name == format!("{}{end}", metric.name))
            }
            Kind::Gauge | Kind::Counter => name == metric.name,
        })
    }

    #[test]
    fn every_metric_on_the_dashboard_and_in_the_alerts_exists() {
        for (file, text) in [("dashboard", DASHBOARD), ("alerts", ALERTS)] {
            let names = named(text);
            assert!(names.len() > 10, "{file}");
            for name in names {
                assert!(exists(name), "{file} names {name}");
            }
        }
    }

    #[test]
    fn the_dashboard_asks_for_its_data_source_and_bridge() {
        let dashboard: serde_json::Value = serde_json::from_str(DASHBOARD).unwrap();
        let variables = dashboard["templating"]["list"].as_array().unwrap();
        let names: Vec<_> = variables.iter().map(|variable| variable["name"].as_str().unwrap()).collect();
        assert_eq!(names, ["datasource", "bridge"]);
        for panel in dashboard["panels"].as_array().unwrap() {
            assert_eq!(panel["datasource"]["uid"], "${datasource}", "{panel}");
        }
    }
}
