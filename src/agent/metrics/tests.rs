//! Pages, read back by a reader that knows the format.

use std::time::Duration;

use super::exposition::{self, Samples};
use super::*;

fn figures() -> Figures {
    let interface =
        |ofport, up| Interface { port: "p0".to_owned(), bridge: "br-sfc".to_owned(), ofport, up, ready: up };
    let chain = Chain { cookie: 7, ready: Truth::False, desired: 2, installed: Some(2), learned: None };
    let mut tallies = Tallies::default();
    for millis in [3, 30, 120_000] {
        tallies.reconciled.observe(Duration::from_millis(millis));
    }
    tallies.flows_repaired = 4;
    Figures {
        interfaces: [
            (Key::new("ns", "p0"), interface(Some(1), Truth::True)),
            (Key::new("ns", "p0-vlan"), interface(None, Truth::False)),
            (Key::new("ns", "unknown"), interface(Some(9), Truth::Unknown)),
        ]
        .into(),
        chains: [(Key::new("ns", "c"), chain.clone()), (Key::new("o", "c"), Chain { cookie: 8, ..chain })].into(),
        database: true,
        tallies,
        ..Figures::default()
    }
}

fn live() -> Live {
    let port =
        PortStatistics { ofport: 1, rx_bytes: 8, tx_bytes: 9, rx_dropped: u64::MAX, ..PortStatistics::default() };
    let chain = LiveChain { installed: 1, learned: 3, packets: 5, bytes: 500 };
    Live { ports: [(1, port)].into(), chains: [(7, chain)].into() }
}

fn read(figures: &Figures, live: Option<&Live>) -> Samples {
    let process = Some(Process { resident: 1 << 20, cpu: 0.25, start: 1.5e9 });
    exposition::read(&text(&Page { version: "1.2.3", figures, live, process }))
}

#[test]
fn every_family_has_a_sample_and_the_page_can_be_read() {
    let samples = read(&figures(), Some(&live()));
    for (name, kind, help, _) in FAMILIES {
        let first = if *kind == Kind::Histogram { format!("{name}_count") } else { (*name).to_owned() };
        assert!(samples.keys().any(|series| series.starts_with(&first)), "{name}: {samples:#?}");
        assert!(!help.contains(['\\', '\n']), "{help}");
    }
    for (series, value) in [
        (r#"dpu_agent_build_info{version="1.2.3"}"#, 1.0),
        (r#"dpu_agent_ovs_connected{endpoint="database"}"#, 1.0),
        (r#"dpu_agent_ovs_connected{endpoint="bridge"}"#, 0.0),
        (r#"dpu_agent_interfaces{ready="unknown"}"#, 1.0),
        (r#"dpu_agent_port_bytes_total{bridge="br-sfc",direction="tx",interface="p0",namespace="ns",port="p0"}"#, 9.0),
        (r#"dpu_agent_port_up{bridge="br-sfc",interface="p0-vlan",namespace="ns",port="p0"}"#, 0.0),
        (r#"dpu_agent_chain_flows{chain="c",namespace="ns",state="desired"}"#, 2.0),
        (r#"dpu_agent_chain_flows{chain="c",namespace="ns",state="installed"}"#, 1.0),
        (r#"dpu_agent_chain_flows{chain="c",namespace="o",state="installed"}"#, 2.0),
        (r#"dpu_agent_chain_bytes_total{chain="c",namespace="ns"}"#, 500.0),
        (r#"dpu_agent_reconcile_seconds_bucket{le="0.005"}"#, 1.0),
        (r#"dpu_agent_reconcile_seconds_bucket{le="60"}"#, 2.0),
        (r#"dpu_agent_reconcile_seconds_bucket{le="+Inf"}"#, 3.0),
        ("dpu_agent_reconcile_seconds_sum", 120.033),
        (r#"dpu_agent_drift_repaired_total{kind="flow"}"#, 4.0),
        ("process_cpu_seconds_total", 0.25),
    ] {
        assert_eq!(samples.get(series), Some(&value), "{series}: {samples:#?}");
    }
}

#[test]
fn what_nobody_can_tell_has_no_sample() {
    let has = |samples: &Samples, start: &str| samples.keys().any(|series| series.starts_with(start));
    let samples = read(&figures(), Some(&live()));
    // No link to look at, a counter that the switch does not keep, an interface that shares its port, a chain that was not read.
    let unknown = ["dpu_agent_port_up", "dpu_agent_port_bytes_total"];
    assert!(
        !samples
            .keys()
            .any(|series| series.contains("\"unknown\"") && unknown.iter().any(|one| series.starts_with(one)))
    );
    assert!(!samples.keys().any(|series| series.starts_with("dpu_agent_port_dropped") && series.contains("\"rx\"")));
    assert!(!samples.keys().any(|series| series.starts_with("dpu_agent_port_bytes") && series.contains("vlan")));
    assert!(!has(&samples, r#"dpu_agent_chain_bytes_total{chain="c",namespace="o"}"#));
    // A switch that does not answer.
    let samples = read(&figures(), None);
    for start in ["dpu_agent_port_bytes", "dpu_agent_chain_packets"] {
        assert!(!has(&samples, start), "{samples:#?}");
    }
    assert_eq!(samples[r#"dpu_agent_chain_flows{chain="c",namespace="ns",state="installed"}"#], 2.0);
}

#[test]
fn names_may_be_anything() {
    let odd = "a\"b\\c\nd{e},é";
    let mut figures = figures();
    let chain = figures.chains[&Key::new("ns", "c")].clone();
    figures.chains.insert(Key::new(odd, "\\"), chain);
    let samples = read(&figures, None);
    assert_eq!(samples[&format!("dpu_agent_chain_ready{{chain={:?},namespace={odd:?}}}", "\\")], 0.0);
}

#[test]
fn a_page_has_an_end() {
    let mut figures = figures();
    let (interface, chain) =
        (figures.interfaces[&Key::new("ns", "p0")].clone(), figures.chains[&Key::new("ns", "c")].clone());
    figures.interfaces = (0..2000).map(|n| (Key::new("ns", &n.to_string()), interface.clone())).collect();
    figures.chains = (0..2000).map(|n| (Key::new("ns", &n.to_string()), chain.clone())).collect();
    let samples = read(&figures, Some(&live()));
    let count = |start: &str| samples.keys().filter(|series| series.starts_with(start)).count();
    assert_eq!((count("dpu_agent_port_up"), count("dpu_agent_chain_ready")), (MOST, MOST));
    assert_eq!(samples[r#"dpu_agent_interfaces{ready="true"}"#], 2000.0);
}
