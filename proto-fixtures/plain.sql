-- No checksums, minimal metadata, anonymous transactions.
SET GLOBAL binlog_row_metadata = MINIMAL;
SET GLOBAL binlog_checksum = NONE;
SET GLOBAL gtid_mode = ON_PERMISSIVE;
SET GLOBAL gtid_mode = OFF_PERMISSIVE;
CREATE DATABASE shop;
USE shop;
CREATE TABLE t (id INT UNSIGNED PRIMARY KEY, v VARCHAR(20), e ENUM('a', 'b'), n DECIMAL(5, 2));
INSERT INTO t VALUES (1, 'one', 'a', 1.25), (2, 'two', 'b', -1.25);
UPDATE t SET v = 'uno' WHERE id = 1;
DELETE FROM t WHERE id = 2;
FLUSH BINARY LOGS;
INSERT INTO t VALUES (3, 'three', 'a', 3);
UPDATE t SET id = id + 100;
DELETE FROM t WHERE id = 101;
