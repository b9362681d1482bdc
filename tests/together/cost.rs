//! What a step costs with a thousand readers on a key, beside what it costs with
//! ten: the server's own time on a processor, in turn on one server, as medians.

use super::holding::granted;
use super::support::process::cpu_ns;
use super::support::resp::{command, Wire};
use super::support::Server;

const FEW: usize = 10;
const MANY: usize = 1_000;
const ROUNDS: usize = 31;
/// Calls on their way at once: what a call costs should be the call, not the socket.
const CALLS: usize = 200;
const RATIO_MOST: f64 = 1.5;

/// The server's time for the calls of one round, in nanoseconds each.
fn cost(pid: u32, wire: &mut Wire, lines: &[String]) -> f64 {
    let mut bytes = Vec::new();
    for line in lines {
        let words: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
        bytes.extend(command(&words));
    }
    let before = cpu_ns(pid);
    wire.send(&bytes).expect("it listens");
    for line in lines {
        let told = wire.line().expect("an answer");
        assert!(told.starts_with(b":"), "{line}: {}", told.escape_ascii());
    }
    (cpu_ns(pid) - before) as f64 / lines.len() as f64
}

fn median(mut costs: Vec<f64>) -> f64 {
    costs.sort_unstable_by(f64::total_cmp);
    costs[costs.len() / 2]
}

#[test]
fn a_thousand_readers_make_no_step_slower() {
    let mut server = Server::start();
    let mut client = server.client();
    let sizes = [("few", FEW), ("many", MANY)];
    let mut lowest = Vec::new();
    for (key, count) in sizes {
        let rest = |i| format!("{key} reader:{i} 3600000 SHARED");
        let tokens: Vec<i64> = (0..count).map(|i| granted(&mut client, &rest(i))).collect();
        lowest.push(tokens[count / 2]);
    }
    type Lines<'a> = Box<dyn Fn(&str, i64) -> Vec<String> + 'a>;
    let each = |line: &dyn Fn(usize) -> Vec<String>| (0..CALLS / 2).flat_map(line).collect();
    let steps: [(&str, Lines<'_>); 4] = [
        (
            "joining and leaving",
            Box::new(|key, _| {
                each(&|i| {
                    vec![
                        format!("LOCK.ACQUIRE {key} new:{i} 3600000 SHARED"),
                        format!("LOCK.RELEASE {key} new:{i}"),
                    ]
                })
            }),
        ),
        (
            "asking again",
            Box::new(|key, _| {
                each(&|_| {
                    vec![
                        format!("LOCK.ACQUIRE {key} reader:5 3600000 SHARED"),
                        format!("LOCK.EXTEND {key} reader:7 3600000"),
                    ]
                })
            }),
        ),
        (
            "looking",
            Box::new(|key, token| {
                each(&|_| {
                    vec![
                        format!("LOCK.FENCE {key}"),
                        format!("LOCK.FENCE {key} {token}"),
                    ]
                })
            }),
        ),
        (
            "guarding",
            Box::new(|key, token| each(&|_| vec![format!("LOCK.GUARD {key} {token} INCR n")])),
        ),
    ];
    let pid = server.pid();
    let mut wire = Wire::connect(server.port());
    for (name, lines) in steps {
        let mut costs = [Vec::new(), Vec::new()];
        for _ in 0..ROUNDS {
            for (which, (key, _)) in sizes.iter().enumerate() {
                let lines = lines(key, lowest[which]);
                costs[which].push(cost(pid, &mut wire, &lines));
            }
        }
        let [few, many] = costs.map(median);
        let ratio = many / few;
        println!("{name}: {few:.0} ns with {FEW}, {many:.0} ns with {MANY}: {ratio:.2}");
        assert!(ratio < RATIO_MOST, "{name}: {ratio:.2} times as much");
    }
    server.assert_healthy();
}
