//! Measures `dpu-agent` at work: 256 interfaces and 50 chains on a real Open vSwitch without privileges, its devices made up.
//! In: the program, and where it takes its objects from. Out: a report on stderr, one line of JSON. Touches: temporary folders, and the
//! daemons of Open vSwitch that it starts and ends.
#![expect(clippy::print_stderr, reason = "a program of the bench: the report is its product")]
#![expect(clippy::disallowed_methods, reason = "a program of the bench: it runs programs and reads clocks")]
#![expect(clippy::unwrap_used, reason = "a bench that cannot go on ends, and says where")]

mod lab;
mod peer;
#[path = "../../tests/agent_objects/server.rs"]
#[allow(dead_code, reason = "tests need more of it")]
mod server;
#[path = "../../tests/ovs/switch.rs"]
#[allow(dead_code, reason = "tests need more of it")]
mod switch;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::Parser;
use dpu_render::agent::openflow::connection::{Connection, Times};
use dpu_render::agent::openflow::{FlowEntry, FlowFilter};
use serde_json::{Value, json};

use lab::{Lab, Objects};

/// Measure the agent between objects and a switch
#[derive(Parser)]
struct Args {
    /// Where objects come from
    #[arg(value_parser = ["folder", "cluster"])]
    objects: String,
    /// The program to measure
    #[arg(long)]
    program: PathBuf,
    /// Changes of one chain
    #[arg(long, default_value_t = 200)]
    changes: usize,
    /// Seconds at rest
    #[arg(long, default_value_t = 10)]
    rest: u64,
    /// Restarts of ovs-vswitchd
    #[arg(long, default_value_t = 5)]
    restarts: usize,
    /// Also do the same with a process for each object
    #[arg(long)]
    peer: bool,
}

/// What is on the switch: interfaces, and chains of two ports but for every tenth, which has five.
const INTERFACES: usize = 256;
const CHAINS: usize = 50;
const FLOWS: usize = 45 * 2 + 5 * 15;

/// Between two looks at the switch: a look takes as long, so that a core is half free for those who are measured.
const LOOKS: Duration = Duration::from_micros(200);
/// Nothing here takes longer, if it happens at all.
const WITHIN: Duration = Duration::from_secs(60);

fn main() {
    let args = Args::parse();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let report = runtime.block_on(measure(&args));
    eprintln!("{report}");
}

async fn measure(args: &Args) -> Value {
    let objects = if args.objects == "folder" { Objects::folder() } else { Objects::cluster() };
    let mut lab = Lab::start(objects);
    lab.put_all();
    let (connection, _events) = lab.switch.connect("br-sfc").await;

    let begin = Instant::now();
    let agent = lab.agent(&args.program);
    look(&connection, FlowFilter::default(), "all flows are there", |flows| flows.len() == FLOWS).await;
    let from_nothing = milliseconds(begin);
    lab.until_ready();
    let to_status = milliseconds(begin);
    let peak_of_start = agent.memory("VmHWM");

    // What was put off to after the status comes to its end.
    std::thread::sleep(Duration::from_secs(2));
    let ticks = agent.ticks();
    std::thread::sleep(Duration::from_secs(args.rest));
    let rest_ticks = agent.ticks() - ticks;
    let resident = agent.memory("VmRSS");

    let changes = change(&lab, &connection, args.changes).await;
    drop(connection);
    let restarts = restart(&mut lab, args.restarts).await;

    let peer = if args.peer { peer::measure(&lab) } else { Value::Null };
    json!({
        "from_nothing_ms": from_nothing, "to_status_ms": to_status, "rest_ticks": rest_ticks,
        "changes_ms": spread(changes), "restarts_ms": spread(restarts),
        "resident_kib": resident, "peak_of_start_kib": peak_of_start, "resident_after_kib": agent.memory("VmRSS"),
        "peak_kib": agent.memory("VmHWM"), "threads": agent.threads(), "peer": peer,
    })
}

/// From the write of a chain until its flows lead to the other port.
async fn change(lab: &Lab, connection: &Connection, count: usize) -> Vec<f64> {
    let free = [INTERFACES - 2, INTERFACES - 1];
    let ports = free.map(|interface| lab.ofport(interface));
    let first = lab.ofport(lab::first_interface(CHAINS - 1));
    let all = look(connection, FlowFilter::default(), "the flows of a chain", |_| true).await;
    let of_chain = all.iter().find(|entry| entry.flow.matches.in_port == Some(first)).unwrap();
    let filter = FlowFilter { cookie: of_chain.flow.cookie, mask: u64::MAX };
    let mut times = Vec::new();
    for round in 0..count {
        let begin = Instant::now();
        lab.put_chain(CHAINS - 1, &[lab::first_interface(CHAINS - 1), free[round % 2]]);
        let there =
            |flows: &[FlowEntry]| flows.iter().any(|entry| entry.flow.matches.in_port == Some(ports[round % 2]));
        look(connection, filter, "the flows of the change", there).await;
        times.push(milliseconds(begin));
        // The status of one change is written before the next is made.
        std::thread::sleep(Duration::from_millis(20));
    }
    times
}

/// From the first answer of a switch that was killed until every flow is back.
async fn restart(lab: &mut Lab, count: usize) -> Vec<f64> {
    let mut times = Vec::new();
    for _ in 0..count {
        lab.switch.kill_vswitchd();
        lab.switch.spawn_vswitchd();
        let path = lab.switch.path("br-sfc.mgmt");
        let begin = Instant::now();
        let connection = loop {
            if let Ok((connection, _events)) = Connection::open(&path, Times::default()).await {
                break connection;
            }
            assert!(begin.elapsed() < WITHIN, "the switch does not answer");
            std::thread::sleep(LOOKS);
        };
        let answered = Instant::now();
        look(&connection, FlowFilter::default(), "the flows are back", |flows| flows.len() >= FLOWS).await;
        times.push(milliseconds(answered));
        lab.until_ready();
    }
    times
}

/// Looks at the flows until it holds.
async fn look(
    connection: &Connection,
    filter: FlowFilter,
    what: &str,
    holds: impl Fn(&[FlowEntry]) -> bool,
) -> Vec<FlowEntry> {
    let begin = Instant::now();
    loop {
        let flows = connection.flows(filter).await.unwrap();
        if holds(&flows) {
            return flows;
        }
        assert!(begin.elapsed() < WITHIN, "{what}: not within {WITHIN:?}; there are {} flows", flows.len());
        std::thread::sleep(LOOKS);
    }
}

fn milliseconds(since: Instant) -> f64 {
    since.elapsed().as_secs_f64() * 1e3
}

/// Median, 99th of a hundred, and most.
fn spread(mut times: Vec<f64>) -> Value {
    times.sort_by(f64::total_cmp);
    let at = |part: f64| times.get(((times.len() as f64 * part).ceil() as usize).saturating_sub(1)).copied();
    json!({"count": times.len(), "median": at(0.5), "p99": at(0.99), "most": times.last()})
}
