//! What is looked at after every step: the node that it happened at, and a replica
//! beside its master.

use crate::clocks::MS;
use crate::deployment::Deployment;
use crate::judge::{Broken, Verdict};
use crate::lock::{BootTime, Tolerance};
use crate::mirror::owner_number;
use crate::node::{Node, Role};
use crate::requests::KEYS;
use crate::server::{Leave, Server};

impl Deployment {
    pub(crate) fn look_at_node(&mut self, number: usize) -> Verdict {
        let now = self.now;
        let node = &mut self.nodes[number];
        node.at(now);
        let leave = node.leave(now);
        let Some(server) = &node.server else {
            return Ok(());
        };
        if let Some(name) = server.locks.broken_invariant() {
            return Err(Broken::new(name, format!("at node {number}")));
        }
        let tokens = server.locks.tokens();
        let known = node.mirror.known;
        if tokens.last() < known.last || tokens.ceiling() < known.ceiling {
            let detail = format!("node {number}: {tokens:?} though it was told {known:?}");
            return Err(Broken::new("counters never go down", detail));
        }
        if node.role == Role::Master {
            for key in 0..node.eras.len() {
                look_at_holds(node, server, key)?;
                if leave != Leave::Wait {
                    look_at_key(server, key)?;
                }
                if leave == Leave::Write {
                    look_at_line(node, server, key)?;
                }
            }
            if leave != Leave::Wait {
                nothing_is_left(server)?;
            }
        }
        Ok(())
    }

    /// A replica that heard everything says what its master says, for no less time.
    pub(crate) fn compare_with_master(&mut self, number: usize) -> Verdict {
        let now = self.now;
        let node = &self.nodes[number];
        let Some(link) = node.link.as_ref() else {
            return Ok(());
        };
        let master = &self.nodes[link.master];
        let has_all = master.is_master()
            && link.sync.is_none()
            && link.stream == Some(master.stream_number)
            && link.cursor == master.stream.len();
        let (Some(theirs), Some(ours)) = (&master.server, &node.server) else {
            return Ok(());
        };
        if !has_all {
            return Ok(());
        }
        // Clocks go at different speeds for as long as a lease, at most.
        let drift_ns = self.setting.ttl_most_ms * MS / 900;
        let (there, here) = (master.boot(now), node.boot(now));
        for key in KEYS.iter().take(self.setting.keys) {
            compare((theirs, there), (ours, here), key, drift_ns)?;
        }
        if ours.locks.tokens().ceiling() < theirs.locks.tokens().stored().map_or(0, |it| it.ceiling)
        {
            return Err(Broken::new("replicas know the ceiling", String::new()));
        }
        self.totals.agreements += 1;
        Ok(())
    }
}

/// Who holds the lock by what was sent is who holds it.
fn look_at_holds(node: &Node, server: &Server, key: usize) -> Verdict {
    let now = server.now;
    let found = server.found(0, &KEYS[key]);
    let lock = found.and_then(|found| server.locks.lock(found));
    let mut counted = 0;
    for seen in &node.mirror.holds[key] {
        if !seen.counts(now.as_ns()) {
            continue;
        }
        counted += 1;
        let mut holds = lock.into_iter().flat_map(|lock| lock.holders.iter());
        let hold = holds.find(|it| it.token.get() == seen.token);
        let is_same = hold.is_some_and(|it| {
            owner_number(it.owner) == seen.owner
                && it.is_live(now) == seen.is_live(now.as_ns())
                && it.over_at().as_ns() == seen.over_at()
        });
        if !is_same {
            let detail = format!("at {now:?} {seen:?} is {hold:?}");
            return Err(Broken::new("the table holds what was sent", detail));
        }
    }
    let holds = lock.into_iter().flat_map(|lock| lock.holders.iter());
    let holds = holds.filter(|hold| hold.counts(now)).count();
    if holds != counted {
        let detail = format!("{lock:?} beside {:?}", node.mirror.holds[key]);
        return Err(Broken::new("what the table holds was sent", detail));
    }
    Ok(())
}

/// A key exists exactly while it has a holder.
fn look_at_key(server: &Server, key: usize) -> Verdict {
    let found = server.found(0, &KEYS[key]);
    let lock = found.and_then(|found| server.locks.lock(found));
    let counts = lock.is_some_and(|lock| lock.holders.iter().any(|it| it.counts(server.now)));
    if found.is_some() && !counts {
        let detail = format!("key {key} with {lock:?} at {:?}", server.now);
        return Err(Broken::new("nothing-left: a key without a holder", detail));
    }
    Ok(())
}

fn nothing_is_left(server: &Server) -> Verdict {
    let keys = server.keys().count();
    if server.locks.len() != keys || server.keys().any(|(db, _, _)| db != 0) {
        let detail = format!("{} locks, {keys} keys", server.locks.len());
        return Err(Broken::new("nothing-left", detail));
    }
    Ok(())
}

/// Nobody waits for a lock that would let it in.
fn look_at_line(node: &Node, server: &Server, key: usize) -> Verdict {
    let Some(head) = node.mirror.lines[key].first() else {
        return Ok(());
    };
    let now = server.now.as_ns();
    let counted = node.mirror.holds[key].iter().filter(|it| it.counts(now));
    let (count, least) = counted.fold((1, head.tolerates), |(count, least), hold| {
        (count + 1, least.min(hold.tolerates))
    });
    if least == Tolerance::ANY || count <= least.to_number() {
        let detail = format!("{head:?} beside {:?}", node.mirror.holds[key]);
        return Err(Broken::new("a free lock is granted to who waits", detail));
    }
    Ok(())
}

fn compare(
    (theirs, there): (&Server, BootTime),
    (ours, here): (&Server, BootTime),
    key: &[u8],
    drift_ns: u64,
) -> Verdict {
    let lock_of = |server: &Server| {
        let found = server.found(0, key)?;
        server.locks.lock(found).map(|_| found)
    };
    let (master, replica) = (lock_of(theirs), lock_of(ours));
    let detail = || format!("{:?} beside {:?}", theirs.locks, ours.locks);
    if master.is_some() != replica.is_some() {
        return Err(Broken::new("replicas agree: keys", detail()));
    }
    let (Some(master), Some(replica)) = (master, replica) else {
        return Ok(());
    };
    let (Some(master), Some(replica)) = (theirs.locks.lock(master), ours.locks.lock(replica))
    else {
        return Ok(());
    };
    for hold in master.holders.iter().filter(|hold| hold.counts(there)) {
        let known = replica.holders.with_token(hold.token);
        let Some(known) = known.filter(|it| it.owner == hold.owner) else {
            return Err(Broken::new("replicas agree: holders", detail()));
        };
        let left = hold.deadline.as_ns().saturating_sub(there.as_ns());
        let left_here = known.deadline.as_ns().saturating_sub(here.as_ns());
        if left_here + drift_ns < left || known.tolerates != hold.tolerates {
            return Err(Broken::new("replicas agree: leases", detail()));
        }
    }
    Ok(())
}
