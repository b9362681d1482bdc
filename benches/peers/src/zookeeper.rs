//! ZooKeeper's recipe for locks, step by step as its documentation has it: an ephemeral
//! sequential node for each who wants the lock; the lowest has it; everybody else
//! watches the node before its own; to give back is to delete one's node.

use crate::process::{directory, free_port, Process};
use crate::Failure;
use std::path::Path;
use std::process::Command;
use std::time::Duration;
use zookeeper_client::{Acls, Client as Session, CreateMode, Error};

/// Starts one, as it comes: every change is on disk before it answers.
pub fn start(peers: &Path, data: &Path) -> Result<Process, Failure> {
    let jars = peers.join("zookeeper/usr/share/java");
    if !jars.join("zookeeper.jar").exists() {
        return Err(format!("{} is not there; `make peers` fetches it", jars.display()).into());
    }
    let jars = jars.canonicalize()?;
    let directory = directory(data)?;
    let port = free_port()?;
    let config = directory.path().join("zoo.cfg");
    // Its example file's settings, on loopback, with room for the clients.
    let settings = format!(
        "tickTime=2000\ninitLimit=10\nsyncLimit=5\ndataDir={}\nclientPort={port}\n\
         clientPortAddress=127.0.0.1\nmaxClientCnxns=0\nadmin.enableServer=false\n",
        directory.path().join("data").display()
    );
    std::fs::write(&config, settings)?;
    let mut command = Command::new("java");
    command.arg("-cp").arg(jars.join("*"));
    command
        .arg("org.apache.zookeeper.server.ZooKeeperServerMain")
        .arg(&config);
    if let Err(error) = Command::new("java").arg("-version").output() {
        return Err(format!("there is no java ({error}); Debian has default-jre-headless").into());
    }
    let is_up = || crate::crowd::wait_for(Client::connect(port)).map(|_| ());
    let jar = std::fs::read_dir(&jars)?.flatten().find_map(|file| {
        let name = file.file_name().into_string().ok()?;
        let version = name.strip_prefix("zookeeper-")?.strip_suffix(".jar")?;
        version
            .starts_with(|first: char| first.is_ascii_digit())
            .then(|| version.to_owned())
    });
    let version = format!("ZooKeeper {}", jar.unwrap_or_default());
    Process::start(&mut command, (port, version), directory, is_up)
}

/// A client, with a session of its own.
pub struct Client {
    session: Session,
    node: String,
}

impl Client {
    /// Connects.
    pub async fn connect(port: u16) -> Result<Self, Failure> {
        let mut connector = Session::connector();
        connector.session_timeout(Duration::from_secs(30));
        let session = connector.connect(&format!("127.0.0.1:{port}")).await?;
        let node = String::new();
        Ok(Self { session, node })
    }

    /// Makes the node under which those who want the lock line up.
    pub async fn prepare(&self, lock: &str) -> Result<(), Failure> {
        let options = CreateMode::Persistent.with_acls(Acls::anyone_all());
        match self
            .session
            .create(&format!("/{lock}"), b"", &options)
            .await
        {
            Ok(_) | Err(Error::NodeExists) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Waits for the lock.
    pub async fn acquire(&mut self, lock: &str) -> Result<(), Failure> {
        let options = CreateMode::EphemeralSequential.with_acls(Acls::anyone_all());
        let path = format!("/{lock}/lock-");
        let (_, sequence) = self.session.create(&path, b"", &options).await?;
        let own = format!("lock-{sequence}");
        self.node = format!("/{lock}/{own}");
        loop {
            let children = self.session.list_children(&format!("/{lock}")).await?;
            let before = children.into_iter().filter(|child| *child < own).max();
            let Some(before) = before else {
                return Ok(());
            };
            let before = format!("/{lock}/{before}");
            let (stat, watcher) = self.session.check_and_watch_stat(&before).await?;
            if stat.is_some() {
                watcher.changed().await;
            } else {
                // It went meanwhile; the watch for its return is of no use.
                watcher.remove().await?;
            }
        }
    }

    /// Gives it back.
    pub async fn release(&mut self) -> Result<(), Failure> {
        Ok(self.session.delete(&self.node, None).await?)
    }
}
