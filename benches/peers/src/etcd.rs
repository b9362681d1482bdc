//! etcd's own Lock service: Lock waits in line, Unlock gives back, and a lease for
//! each client bounds what it holds.
//!
//! Its messages are few and small. They are written down here, so that no compiler for
//! protocol files is needed; fields that are not read are left out.

use crate::process::{directory, free_port, Process};
use crate::Failure;
use prost::Message;
use std::path::Path;
use std::process::Command;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::transport::{Channel, Endpoint};

/// No lease ends while the benchmark runs.
const LEASE_SECONDS: i64 = 600;

#[derive(Clone, PartialEq, Message)]
struct LeaseGrantRequest {
    #[prost(int64, tag = "1")]
    ttl: i64,
    #[prost(int64, tag = "2")]
    id: i64,
}

#[derive(Clone, PartialEq, Message)]
struct LeaseGrantResponse {
    #[prost(int64, tag = "2")]
    id: i64,
}

#[derive(Clone, PartialEq, Message)]
struct LockRequest {
    #[prost(bytes = "vec", tag = "1")]
    name: Vec<u8>,
    #[prost(int64, tag = "2")]
    lease: i64,
}

#[derive(Clone, PartialEq, Message)]
struct LockResponse {
    #[prost(bytes = "vec", tag = "2")]
    key: Vec<u8>,
}

#[derive(Clone, PartialEq, Message)]
struct UnlockRequest {
    #[prost(bytes = "vec", tag = "1")]
    key: Vec<u8>,
}

#[derive(Clone, PartialEq, Message)]
struct UnlockResponse {}

/// Starts one, as it comes: every change is on disk before it answers.
pub fn start(peers: &Path, data: &Path) -> Result<Process, Failure> {
    let program = peers.join("etcd/usr/bin/etcd");
    if !program.exists() {
        return Err(format!(
            "{} is not there; `make peers` fetches it",
            program.display()
        )
        .into());
    }
    let directory = directory(data)?;
    let (port, peer_port) = (free_port()?, free_port()?);
    let clients = format!("http://127.0.0.1:{port}");
    let peers = format!("http://127.0.0.1:{peer_port}");
    let mut command = Command::new(&program);
    command.arg("--data-dir").arg(directory.path().join("data"));
    command.args([
        "--listen-client-urls",
        &clients,
        "--advertise-client-urls",
        &clients,
    ]);
    command.args([
        "--listen-peer-urls",
        &peers,
        "--initial-advertise-peer-urls",
        &peers,
    ]);
    command.args(["--initial-cluster", &format!("default={peers}")]);
    let is_up = || crate::crowd::wait_for(Client::connect(port)).map(|_| ());
    let said = Command::new(&program).arg("--version").output()?;
    let said = String::from_utf8_lossy(&said.stdout).into_owned();
    let version = said
        .lines()
        .next()
        .unwrap_or_default()
        .replace(" Version:", "");
    Process::start(&mut command, (port, version), directory, is_up)
}

/// A client, on a connection of its own.
pub struct Client {
    service: tonic::client::Grpc<Channel>,
    lease: i64,
    key: Vec<u8>,
}

impl Client {
    /// Connects, and gets its lease.
    pub async fn connect(port: u16) -> Result<Self, Failure> {
        let endpoint = Endpoint::from_shared(format!("http://127.0.0.1:{port}"))?;
        let channel = endpoint.tcp_nodelay(true).connect().await?;
        let mut client = Self {
            service: tonic::client::Grpc::new(channel),
            lease: 0,
            key: Vec::new(),
        };
        let request = LeaseGrantRequest {
            ttl: LEASE_SECONDS,
            id: 0,
        };
        let granted: LeaseGrantResponse = client
            .call("/etcdserverpb.Lease/LeaseGrant", request)
            .await?;
        client.lease = granted.id;
        Ok(client)
    }

    async fn call<Q, A>(&mut self, path: &'static str, request: Q) -> Result<A, Failure>
    where
        Q: Message + Send + Sync + 'static,
        A: Message + Default + Send + Sync + 'static,
    {
        self.service.ready().await?;
        let codec = tonic::codec::ProstCodec::<Q, A>::default();
        let path = PathAndQuery::from_static(path);
        let request = tonic::Request::new(request);
        Ok(self.service.unary(request, path, codec).await?.into_inner())
    }

    /// Waits for the lock.
    pub async fn acquire(&mut self, lock: &str) -> Result<(), Failure> {
        let request = LockRequest {
            name: lock.as_bytes().to_vec(),
            lease: self.lease,
        };
        let granted: LockResponse = self.call("/v3lockpb.Lock/Lock", request).await?;
        self.key = granted.key;
        Ok(())
    }

    /// Gives it back.
    pub async fn release(&mut self) -> Result<(), Failure> {
        let key = std::mem::take(&mut self.key);
        let request = UnlockRequest { key };
        let _: UnlockResponse = self.call("/v3lockpb.Lock/Unlock", request).await?;
        Ok(())
    }
}
