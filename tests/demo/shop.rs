//! The shop: its tables, and the customers, tills and clerks that write to it from the beginning to the end.

use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::support::{APP, Server};

/// Its schema; on the Azure-like target it becomes `shop`.
pub const SCHEMA: &str = "Shop";
/// How many write at once.
pub const WRITERS: u64 = 3;
/// The pause from one transaction of a writer to its next.
const BEAT: Duration = Duration::from_millis(10);
const PRODUCTS: u64 = 40;
const FIRST_CUSTOMERS: u64 = 200;

/// `Ledger` has no key: a commit that is applied twice is there twice, and one that is lost leaves a gap in `n`.
const TABLES: &str = "
CREATE DATABASE Shop CHARACTER SET utf8mb4;
CREATE TABLE Shop.Customers (id BIGINT UNSIGNED AUTO_INCREMENT PRIMARY KEY, name VARCHAR(60) NOT NULL,
  email VARCHAR(80) NOT NULL UNIQUE, city VARCHAR(40), since DATETIME(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6));
CREATE TABLE Shop.Products (id INT UNSIGNED PRIMARY KEY, name VARCHAR(60) NOT NULL, price DECIMAL(9,2) NOT NULL,
  stock INT NOT NULL, attributes JSON, KEY (name));
CREATE TABLE Shop.Orders (id BIGINT UNSIGNED AUTO_INCREMENT PRIMARY KEY, customer BIGINT UNSIGNED NOT NULL,
  state ENUM('open','paid','shipped') NOT NULL DEFAULT 'open', total DECIMAL(12,2) NOT NULL, note TEXT,
  placed TIMESTAMP(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6), FOREIGN KEY (customer) REFERENCES Customers (id));
CREATE TABLE Shop.OrderLines (`order` BIGINT UNSIGNED NOT NULL, line TINYINT UNSIGNED NOT NULL,
  product INT UNSIGNED NOT NULL, quantity SMALLINT NOT NULL, PRIMARY KEY (`order`, line), KEY (product),
  FOREIGN KEY (`order`) REFERENCES Orders (id) ON DELETE CASCADE);
CREATE TABLE Shop.`棚卸し` (id BIGINT AUTO_INCREMENT PRIMARY KEY, `商品` VARCHAR(60), `数` INT, `時刻` TIME(3));
CREATE TABLE Shop.Ledger (writer TINYINT UNSIGNED NOT NULL, n BIGINT UNSIGNED NOT NULL);
";

const NAMES: [&str; 6] = ["佐藤 さくら", "鈴木 一郎", "Ada Lovelace", "José Núñez", "Zoë Ångström", "Ötzi 🏔"];
const CITIES: [&str; 4] = ["東京", "Zürich", "São Paulo", "Kraków"];
const GOODS: [&str; 5] = ["緑茶", "Röstkaffee", "Piñata", "scissors", "お弁当"];

/// Makes the tables, a first stock and the first customers.
pub fn open(source: &Server) {
    let mut sql = TABLES.to_owned();
    for id in 1..=PRODUCTS {
        let name = pick(&GOODS, id);
        let _ = writeln!(
            sql,
            "INSERT INTO Shop.Products VALUES ({id}, '{name} {id}', {id}.95, 100000, '{{\"色\": \"赤\", \"weight\": {id}}}');"
        );
    }
    let customers =
        (1..=FIRST_CUSTOMERS).map(|id| format!("('{}', 'first{id}@example.com', '東京')", pick(&NAMES, id)));
    let _ = write!(
        sql,
        "INSERT INTO Shop.Customers (name, email, city) VALUES {};",
        customers.collect::<Vec<_>>().join(", ")
    );
    source.sql_as(APP, &sql).unwrap_or_else(|error| panic!("the shop does not open: {error}"));
}

fn pick<'a>(from: &[&'a str], number: u64) -> &'a str {
    let index = number % from.len() as u64;
    from.iter().copied().cycle().nth(usize::try_from(index).unwrap_or(0)).unwrap_or_default()
}

/// The writers; each counts its commits.
pub struct Business {
    closing: Arc<AtomicBool>,
    commits: Vec<Arc<AtomicU64>>,
    writers: Vec<JoinHandle<Result<(), String>>>,
    since: Instant,
}

impl Business {
    /// Begins to write.
    pub fn start(source: &Server) -> Self {
        let closing = Arc::new(AtomicBool::new(false));
        let commits: Vec<_> = (0..WRITERS).map(|_| Arc::new(AtomicU64::new(0))).collect();
        let writers = (0..WRITERS).zip(&commits).map(|(writer, count)| {
            let mut session =
                source.session_as(APP).unwrap_or_else(|error| panic!("writer {writer}: {error}"));
            let (closing, count) = (Arc::clone(&closing), Arc::clone(count));
            std::thread::spawn(move || {
                let mut random = fastrand::Rng::with_seed(writer);
                let mut next = Instant::now();
                while !closing.load(Ordering::Relaxed) {
                    let n = count.load(Ordering::Relaxed) + 1;
                    session.run(&transaction(writer, n, &mut random))?;
                    count.store(n, Ordering::Relaxed);
                    next += BEAT;
                    std::thread::sleep(next.saturating_duration_since(Instant::now()));
                }
                Ok(())
            })
        });
        let writers = writers.collect();
        Self { closing, commits, writers, since: Instant::now() }
    }

    /// Commits so far, of all writers.
    pub fn commits(&self) -> u64 {
        self.commits.iter().map(|count| count.load(Ordering::Relaxed)).sum()
    }

    /// Commits per second, from the beginning.
    #[allow(clippy::cast_precision_loss, reason = "for people")]
    pub fn rate(&self) -> f64 {
        self.commits() as f64 / self.since.elapsed().as_secs_f64()
    }

    /// Ends the writing; what each writer has committed.
    pub fn close(self) -> Vec<u64> {
        self.closing.store(true, Ordering::Relaxed);
        for writer in self.writers {
            let ended = writer.join().unwrap_or_else(|_| Err("panicked".to_owned()));
            ended.unwrap_or_else(|error| panic!("a writer failed on the source: {error}"));
        }
        self.commits.iter().map(|count| count.load(Ordering::Relaxed)).collect()
    }
}

/// One transaction: something happens in the shop, and the ledger counts it.
///
/// Locks are taken in one order (stock by product, then the rest), so writers do not deadlock.
fn transaction(writer: u64, n: u64, random: &mut fastrand::Rng) -> String {
    let happens = match random.u32(..100) {
        0..50 => order(random),
        50..75 => "UPDATE Shop.Orders SET state = 'paid' WHERE state = 'open' AND id = @order".to_owned(),
        75..82 => "DELETE FROM Shop.Orders WHERE id = @order".to_owned(),
        82..90 => format!(
            "INSERT INTO Shop.Customers (name, email, city) VALUES ('{}', 'w{writer}n{n}@example.com', '{}')",
            pick(&NAMES, random.u64(..)),
            pick(&CITIES, random.u64(..))
        ),
        90..95 => format!(
            "UPDATE Shop.Products SET price = price * 1.01, attributes = JSON_SET(attributes, '$.revision', {n}) WHERE id = {}",
            random.u64(1..=PRODUCTS)
        ),
        _ => format!(
            "INSERT INTO Shop.`棚卸し` (`商品`, `数`, `時刻`) VALUES ('{}', {}, CURTIME(3))",
            pick(&GOODS, random.u64(..)),
            random.u32(..1000)
        ),
    };
    format!("BEGIN; {happens}; INSERT INTO Shop.Ledger VALUES ({writer}, {n}); COMMIT")
}

fn order(random: &mut fastrand::Rng) -> String {
    let customer = random.u64(1..=FIRST_CUSTOMERS);
    // The lower numbers sell best.
    let (one, two) = (random.u64(1..=PRODUCTS / 2), random.u64(PRODUCTS / 2 + 1..=PRODUCTS));
    let quantity = random.u32(1..5);
    format!(
        "UPDATE Shop.Products SET stock = stock - {quantity} WHERE id IN ({one}, {two}); \
         INSERT INTO Shop.Orders (customer, total, note) VALUES ({customer}, {quantity} * 19.90, 'ありがとう №{quantity}'); \
         SET @order = LAST_INSERT_ID(); \
         INSERT INTO Shop.OrderLines VALUES (@order, 1, {one}, {quantity}), (@order, 2, {two}, {quantity})"
    )
}

/// What the target's ledger says beside what the writers know: how many commits are missing, and how many are there
/// more than once.
pub fn audit(target: &Server, commits: &[u64]) -> (u64, u64) {
    let (mut missing, mut twice) = (0, 0);
    for (writer, commits) in commits.iter().enumerate() {
        let row = target
            .sql(&format!("SELECT COUNT(*), COUNT(DISTINCT n) FROM shop.ledger WHERE writer = {writer}"));
        let numbers: Vec<u64> = row.split('\t').filter_map(|text| text.parse().ok()).collect();
        let &[rows, distinct] = numbers.as_slice() else { panic!("the ledger cannot be read: {row}") };
        missing += commits.saturating_sub(distinct);
        twice += rows - distinct;
    }
    (missing, twice)
}
