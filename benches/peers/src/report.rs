//! What was measured, for people (a table) and for machines (JSON).

use crate::{Arguments, Failure, Shape, Way, SHAPES, WAYS};
use serde::Serialize;
use std::collections::BTreeMap;

/// One way in one shape.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// Whose locks.
    pub way: Way,
    /// How many clients want how many locks.
    pub shape: Shape,
    /// That many clients.
    pub clients: usize,
    /// The median of the rounds.
    pub cycles_per_second: f64,
    /// The least and the most of them.
    pub from_to: (f64, f64),
}

/// A promise about two rows.
#[derive(Clone, Debug, Serialize)]
pub struct Promise {
    /// What it says.
    pub says: String,
    /// At least so many times.
    pub least: f64,
    /// So many times it is.
    pub ratio: f64,
    /// Whether it is kept.
    pub met: bool,
}

/// A whole run.
#[derive(Debug, Default, Serialize)]
pub struct Report {
    /// What the servers call themselves.
    pub versions: BTreeMap<String, String>,
    /// How often everything was measured.
    pub rounds: usize,
    /// How long each was watched.
    pub seconds: f64,
    /// The medians.
    pub rows: Vec<Row>,
    /// What the project promises itself.
    pub promises: Vec<Promise>,
    /// Appends that reach the disk in a second, one after the other: the least, the
    /// median and the most of what was seen before each measurement.
    pub disk_writes_per_second: Option<(f64, f64, f64)>,
    #[serde(skip)]
    disk: Vec<f64>,
    #[serde(skip)]
    seen: BTreeMap<(Shape, Way), Vec<f64>>,
}

impl Report {
    /// One round of one way in one shape.
    pub fn see(&mut self, way: Way, shape: Shape, cycles_per_second: f64) {
        self.seen
            .entry((shape, way))
            .or_default()
            .push(cycles_per_second);
    }

    /// What the disk did by itself.
    pub fn see_disk(&mut self, writes_per_second: f64) {
        eprintln!("the disk: {writes_per_second:.0} writes/s");
        self.disk.push(writes_per_second);
    }

    /// All rounds are over: the medians, and what they say of the promises.
    pub fn finish(&mut self, arguments: &Arguments) {
        self.rounds = arguments.rounds;
        self.seconds = arguments.seconds;
        self.disk.sort_by(f64::total_cmp);
        if let (Some(&least), Some(&most)) = (self.disk.first(), self.disk.last()) {
            let median = self.disk[self.disk.len() / 2];
            self.disk_writes_per_second = Some((least, median, most));
        }
        for ((shape, way), speeds) in &mut self.seen {
            speeds.sort_by(f64::total_cmp);
            let (Some(&least), Some(&most)) = (speeds.first(), speeds.last()) else {
                continue;
            };
            self.rows.push(Row {
                way: *way,
                shape: *shape,
                clients: arguments.clients(*shape),
                cycles_per_second: speeds[speeds.len() / 2],
                from_to: (least, most),
            });
        }
        let promises = [
            (Way::Everysec, Way::Etcd, 20.0),
            (Way::Everysec, Way::Zookeeper, 12.0),
            (Way::Always, Way::Etcd, 2.0),
            (Way::Always, Way::Zookeeper, 2.0),
        ];
        for (ours, theirs, least) in promises {
            let of = |way| self.speed(Shape::Crowd, way);
            let (Some(ours_is), Some(theirs_is)) = (of(ours), of(theirs)) else {
                continue;
            };
            let ratio = ours_is / theirs_is;
            self.promises.push(Promise {
                says: format!("{}: that of {}, one lock", ours.name(), theirs.name()),
                least,
                ratio,
                met: ratio >= least,
            });
        }
    }

    /// The median of one way in one shape.
    pub fn speed(&self, shape: Shape, way: Way) -> Option<f64> {
        let row = self
            .rows
            .iter()
            .find(|row| (row.shape, row.way) == (shape, way));
        row.map(|row| row.cycles_per_second)
    }

    /// What a shape is called.
    pub fn title(&self, shape: Shape) -> String {
        let row = self.rows.iter().find(|row| row.shape == shape);
        let clients = row.map_or(0, |row| row.clients);
        match shape {
            Shape::Alone => "1 client".into(),
            Shape::Apart => format!("{clients} clients, a lock each"),
            Shape::Crowd => format!("{clients} clients, one lock"),
        }
    }

    /// For people.
    pub fn table(&self) -> String {
        let mut table = String::from("| cycles/s |");
        let shapes: Vec<_> = SHAPES
            .into_iter()
            .filter(|shape| self.rows.iter().any(|row| row.shape == *shape))
            .collect();
        for &shape in &shapes {
            table += &format!(" {} |", self.title(shape));
        }
        table += &format!("\n|---|{}\n", "---:|".repeat(shapes.len()));
        for way in WAYS {
            if !self.rows.iter().any(|row| row.way == way) {
                continue;
            }
            table += &format!("| {} |", way.name());
            for &shape in &shapes {
                let speed = self.speed(shape, way);
                table += &speed.map_or(" |".into(), |speed| format!(" {speed:.0} |"));
            }
            table += "\n";
        }
        table += "\n| contended | times | at least | |\n|---|---:|---:|---|\n";
        for promise in &self.promises {
            let met = if promise.met { "met" } else { "**missed**" };
            table += &format!(
                "| {} | {:.1} | {} | {met} |\n",
                promise.says, promise.ratio, promise.least
            );
        }
        let mut versions: Vec<_> = self.versions.values().cloned().collect();
        versions.dedup();
        table += &format!(
            "\n{}; server and clients on one machine, data on one disk, medians of {} rounds of \
             {} s. etcd and ZooKeeper write every change to disk before they answer, as they \
             come; so does `appendfsync always`.\n",
            versions.join(", "),
            self.rounds,
            self.seconds
        );
        if let Some((least, median, most)) = self.disk_writes_per_second {
            table += &format!(
                "The disk by itself takes {median:.0} appends a second, one after the other \
                 ({least:.0} to {most:.0} during the run): \
                 if these differ much, rows that write every change down cannot be compared.\n"
            );
        }
        table
    }

    /// For machines.
    pub fn json(&self) -> Result<String, Failure> {
        Ok(serde_json::to_string_pretty(self)? + "\n")
    }
}
