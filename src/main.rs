//! The binbridge program.
use binbridge::*;
use std::time::Duration;
fn ep(port: &str, user: &str) -> wire::Endpoint {
    wire::Endpoint { host: "127.0.0.1".into(), port: port.parse().unwrap(), user: user.into(), secret: wire::Secret::Text(wire::Redacted::new("p")), tls: Default::default(), timeouts: Default::default(), program: "binbridge" }
}
#[tokio::main]
async fn main() {
    tracing_subscriber::fmt().init();
    let a: Vec<String> = std::env::args().collect();
    let observer = observe::Observer::new("main");
    let plan = bridge::Plan { name: "main".into(), schema: "binbridge".into(), source: ep(&a[1], "repl"), target: ep(&a[2], "azadmin"), server_id: None, report_host: "x".into(), heartbeat: Duration::from_secs(2),
        rules: transaction::Rules { own_schema: "binbridge".into(), ..Default::default() }, fold_names: None,
        limits: apply::BatchLimits { transactions: 1000, bytes: 4 << 20, time: Duration::from_secs(1) }, depth: 4, memory: 32 << 20, large_transaction: 8 << 20 };
    if a.len() > 3 {
        let owner = apply::Owner::new("binbridge", "main");
        let mut s = apply::Session::open(&plan.target).await.unwrap();
        s.run(&owner.tables.create()).await.unwrap();
        let low = progress::Mark { seq: progress::Seq(0), at: Some(position::Coordinates { file: a[4].as_str().into(), offset: a[5].parse().unwrap() }), gtids: None };
        s.run(&owner.tables.start(uuid::Uuid::new_v4(), &a[3], &low, clock::now_us())).await.unwrap();
        s.run(&["COMMIT".into()]).await.unwrap();
        return;
    }
    let stop = tokio_util::sync::CancellationToken::new();
    let s2 = stop.clone();
    tokio::spawn(async move { tokio::signal::ctrl_c().await.unwrap(); s2.cancel(); });
    match bridge::Bridge::new(plan, observer.clone(), stop).run().await { Ok(m) => println!("ended at {m:?}"), Err(e) => println!("ERROR {e} server={:?}", e.server()) }
}
