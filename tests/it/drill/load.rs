//! What the source is written to meanwhile.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::support::{APP, RdsLike, Server};

/// The tables that the load writes to.
pub(super) fn create_tables(source: &Server) {
    source.sql(
        "CREATE DATABASE app; CREATE TABLE app.beat (id BIGINT AUTO_INCREMENT PRIMARY KEY, n INT NOT NULL); \
         CREATE TABLE app.sum (id INT PRIMARY KEY, n BIGINT NOT NULL); \
         INSERT INTO app.sum VALUES (1, 0), (2, 0), (3, 0), (4, 0); \
         CREATE TABLE app.conflict (id INT PRIMARY KEY, c VARCHAR(20))",
    );
}

/// Whether each beat has been counted once.
pub(super) fn require_counted(target: &Server) {
    let [beats, sum] =
        ["SELECT COUNT(*) FROM app.beat", "SELECT SUM(n) FROM app.sum"].map(|sql| target.sql(sql));
    assert_eq!(beats, sum, "each beat counts once");
}

/// Writes until dropped: each transaction inserts a beat and counts it.
pub(super) struct Load {
    over: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Load {
    pub(super) fn start(source: &Arc<RdsLike>) -> Self {
        let over = Arc::new(AtomicBool::new(false));
        let threads = (1..=4).map(|client| {
            let over = Arc::clone(&over);
            // One after the other: each writes the file that it reads its account from.
            let mut session = source.session_as(APP).unwrap();
            std::thread::spawn(move || {
                while !over.load(Ordering::Relaxed) {
                    let sql = format!(
                        "BEGIN; INSERT INTO app.beat (n) VALUES ({client}); UPDATE app.sum SET n=n+1 WHERE id={client}; COMMIT"
                    );
                    session.run(&sql).unwrap();
                    std::thread::sleep(Duration::from_millis(10));
                }
            })
        });
        Self { over: Arc::clone(&over), threads: threads.collect() }
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}
