-- Compressed transactions.
CREATE DATABASE shop;
USE shop;
CREATE TABLE orders (id INT PRIMARY KEY AUTO_INCREMENT, customer VARCHAR(40), note TEXT);
SET binlog_transaction_compression = ON;
INSERT INTO orders (customer, note) VALUES ('Ann', REPEAT('note ', 200)), ('Bob', REPEAT('x', 500)), ('Cid', NULL);
START TRANSACTION;
INSERT INTO orders (customer, note) SELECT customer, note FROM orders;
UPDATE orders SET note = CONCAT(note, '!') WHERE id <= 3;
DELETE FROM orders WHERE customer = 'Bob';
COMMIT;
SET binlog_rows_query_log_events = ON;
UPDATE orders SET customer = 'Dora' WHERE id = 1;
CREATE TABLE copied AS SELECT * FROM orders;
SET binlog_transaction_compression_level_zstd = 22;
UPDATE orders SET note = REPEAT('level ', 100);
SET binlog_transaction_compression = OFF;
INSERT INTO orders (customer) VALUES ('Eve');
