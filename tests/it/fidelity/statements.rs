//! Statement events with all that their meaning depends on, and DDL of many kinds.

use super::*;

/// Contexts of statements; `@` stands for the schema. `elsewhere` is a schema that only the source has.
const CONTEXTS: &str = r#"
CREATE DATABASE @; USE @;
CREATE TABLE t (id INT AUTO_INCREMENT PRIMARY KEY, v VARCHAR(200), w VARCHAR(200) CHARACTER SET latin1, n DECIMAL(30,10), f DOUBLE, at TIMESTAMP(6) NULL, dt DATETIME(3), d DATE, b VARBINARY(200));
SET sql_mode='ANSI_QUOTES'; INSERT INTO "t" (v) VALUES ('ansi');
SET sql_mode='NO_BACKSLASH_ESCAPES'; INSERT INTO t (v) VALUES ('a\'), ('\\');
SET sql_mode='PIPES_AS_CONCAT,IGNORE_SPACE,HIGH_NOT_PRECEDENCE'; INSERT INTO t (v,n) VALUES ('a' || 'b', NOT 1 BETWEEN -5 AND 5);
SET sql_mode=''; INSERT INTO t (v,d,dt,n) VALUES ("double", '2024-02-31', '0000-00-00', 'garbage'), (REPEAT('long',100), NULL, NULL, 1/0); SET sql_mode='NO_AUTO_VALUE_ON_ZERO,NO_UNSIGNED_SUBTRACTION'; INSERT INTO t (id,n) VALUES (0, CAST(1 AS UNSIGNED) - 2);
SET sql_mode='TIME_TRUNCATE_FRACTIONAL'; INSERT INTO t (v,dt) VALUES ('trunc','2024-01-01 00:00:00.9999'); SET sql_mode=''; INSERT INTO t (v,dt) VALUES ('round','2024-01-01 00:00:00.9999'); SET sql_mode='REAL_AS_FLOAT,PAD_CHAR_TO_FULL_LENGTH,NO_ZERO_DATE'; INSERT INTO t (v,d) VALUES ('pad', NULL);
SET sql_mode=DEFAULT; SET NAMES latin1; INSERT INTO t (v,w) VALUES ('äöü','ÿ'), (HEX('ä'), CHARSET('x')); SET NAMES gbk; INSERT INTO t (v,b) VALUES ('éé','éé'); SET NAMES utf8mb4 COLLATE utf8mb4_bin; INSERT INTO t (v) VALUES ('A'='a'), ('😀'), (COLLATION('x'));
SET NAMES utf8mb4; SET character_set_connection=utf16; INSERT INTO t (v,b) VALUES ('x中','x中'); SET NAMES binary; INSERT INTO t (b,w) VALUES ('\xff\x00raw','é'); SET NAMES utf8mb4; SET collation_server=latin1_swedish_ci; CREATE DATABASE @_l; CREATE TABLE @_l.t (a VARCHAR(9) PRIMARY KEY); INSERT INTO @_l.t VALUES ('ä'); SET collation_server=DEFAULT;
SET time_zone='Europe/Berlin'; INSERT INTO t (v,at,dt,d) VALUES ('berlin', NOW(6), NOW(3), CURDATE()), ('u', '2024-07-01 12:00:00', FROM_UNIXTIME(1720000000.123), FROM_UNIXTIME(86400*300)); UPDATE t SET n=UNIX_TIMESTAMP('2024-01-01 00:00:00') WHERE v='u'; SET time_zone='-11:30'; INSERT INTO t (v,at) VALUES (NOW(), '2001-01-01'); SET time_zone=DEFAULT; INSERT INTO t (v,at,dt) VALUES (CURRENT_TIME(3), NOW(6), UTC_TIMESTAMP(3));
SET timestamp=1000000000.654321; INSERT INTO t (v,at) VALUES (NOW(6), NOW(6)); SET timestamp=DEFAULT; SET lc_time_names='de_DE'; INSERT INTO t (v) VALUES (DATE_FORMAT('2024-03-05','%W %M')); SET lc_time_names=DEFAULT;
INSERT INTO t (v) VALUES ('one'),('two'),('three'); INSERT INTO t (v) VALUES (LAST_INSERT_ID()); INSERT INTO t (id,v) VALUES (5000,'jump'); INSERT INTO t (v) VALUES ('after'); SET insert_id=6000; INSERT INTO t (v) VALUES ('set'); SET last_insert_id=77; INSERT INTO t (n) VALUES (LAST_INSERT_ID());
SET auto_increment_increment=7, auto_increment_offset=3; INSERT INTO t (v) VALUES ('i7'),('i7'); SET auto_increment_increment=1, auto_increment_offset=1; INSERT INTO t (v) VALUES ('i1'); INSERT INTO t (v) SELECT v FROM t WHERE id < 5 ORDER BY id;
INSERT INTO t (v,n) VALUES ('connection', CONNECTION_ID()); INSERT INTO t (v,f) VALUES ('rand', RAND()), ('rand', RAND()); UPDATE t SET f=RAND(id) WHERE v='two'; SET rand_seed1=5, rand_seed2=7; INSERT INTO t (f) VALUES (RAND());
SET @i=42, @neg=-9223372036854775808, @u=18446744073709551615, @d=CAST('-12345678901234567890.0123456789' AS DECIMAL(40,10)), @r=1.5e-300, @r2=0.1e0, @s='it''s \\ 😀', @l=_latin1 X'E4F6FC', @bin=X'00FF27', @nul=NULL, @cs=_utf8mb4'ABC' COLLATE utf8mb4_bin, @`we``ird name`='w', @e='';
INSERT INTO t (n) VALUES (@i),(@d),(@i+1); INSERT INTO t (v) VALUES (@neg),(@u),(@s),(@l),(@nul),(@`we``ird name`),(@e),(@cs='abc'),(COLLATION(@cs)),(CHARSET(@l)); INSERT INTO t (f) VALUES (@r),(@r2),(@r2*3); INSERT INTO t (b,w) VALUES (@bin,@l); SET @a=1; UPDATE t SET n=@a:=@a+1 WHERE id<4 ORDER BY id; INSERT INTO t (v) VALUES (@a);
CREATE TABLE p (id INT PRIMARY KEY); CREATE TABLE c (id INT PRIMARY KEY, p INT, FOREIGN KEY (p) REFERENCES p (id) ON DELETE CASCADE); SET foreign_key_checks=0; INSERT INTO c VALUES (1,99); SET foreign_key_checks=1; INSERT INTO p VALUES (1); INSERT INTO c VALUES (2,1); SET unique_checks=0; INSERT INTO p VALUES (2); SET unique_checks=1; INSERT INTO c VALUES (3,2); DELETE FROM p WHERE id=1;
SET default_collation_for_utf8mb4=utf8mb4_general_ci; CREATE TABLE dc (a VARCHAR(9) CHARACTER SET utf8mb4); SET default_collation_for_utf8mb4=DEFAULT; SET explicit_defaults_for_timestamp=0; CREATE TABLE ed (a TIMESTAMP); INSERT INTO ed VALUES (); SET explicit_defaults_for_timestamp=1; SET sql_auto_is_null=1; INSERT INTO t (v) VALUES ('auto'); UPDATE t SET n=5 WHERE id IS NULL; SET sql_auto_is_null=0;
BEGIN; INSERT INTO t (v) VALUES ('in'); SAVEPOINT `a``b`; INSERT INTO t (v) VALUES ('gone'); ROLLBACK TO `a``b`; UPDATE t SET v='kept' WHERE v='in'; SAVEPOINT c; RELEASE SAVEPOINT c; COMMIT; BEGIN; INSERT INTO t (v) VALUES ('never'); ROLLBACK;
XA START 'x1','branch',7; INSERT INTO t (v) VALUES ('xa'); XA END 'x1','branch',7; XA PREPARE 'x1','branch',7; XA COMMIT 'x1','branch',7; XA START 'x2'; INSERT INTO t (v) VALUES ('xa2'); XA END 'x2'; XA COMMIT 'x2' ONE PHASE; XA START 'x3'; INSERT INTO t (v) VALUES ('xa3'); XA END 'x3'; XA PREPARE 'x3'; XA ROLLBACK 'x3';
INSERT INTO t (v) VALUES ('comment') -- to the end of the line
; INSERT INTO t (v) /* in */ VALUES ('x') # end
; INSERT INTO t (v) VALUES ('semi;colon'); INSERT INTO t (v) VALUES ('a
newline'); REPLACE INTO t (id,v) VALUES (1,'replaced'); INSERT INTO t (id,v) VALUES (1,'dup') ON DUPLICATE KEY UPDATE v=CONCAT(v,'!'); INSERT IGNORE INTO t (id,v) VALUES (1,'ignored'),(9000,'new'); DELETE FROM t ORDER BY id DESC LIMIT 1; UPDATE t, p SET t.n=p.id WHERE t.id=p.id; WITH x AS (SELECT 2 AS id) UPDATE t JOIN x USING (id) SET v='cte';
USE elsewhere; INSERT INTO @.t (v) VALUES ('from elsewhere'); UPDATE @.t SET v='still' WHERE v='from elsewhere'; USE @;
DELIMITER //
CREATE PROCEDURE pr(x INT) MODIFIES SQL DATA BEGIN DECLARE i INT DEFAULT 0; WHILE i < x DO INSERT INTO t (v,n) VALUES (CONCAT('pr;', i), x); SET i = i + 1; END WHILE; END//
CREATE FUNCTION fn(x INT) RETURNS INT MODIFIES SQL DATA BEGIN INSERT INTO t (v) VALUES (CONCAT('fn', x)); RETURN x + 1; END//
CREATE TRIGGER tr AFTER INSERT ON p FOR EACH ROW BEGIN INSERT INTO t (v) VALUES (CONCAT('tr;', NEW.id)); UPDATE t SET n = NEW.id WHERE id = 1; END//
DELIMITER ;
CALL pr(3); SELECT fn(1), fn(2); DO fn(3); INSERT INTO p VALUES (fn(9)); UPDATE c SET p=NULL WHERE fn(4)=5; SET @p=2; CALL pr(@p); PREPARE s FROM 'INSERT INTO t (v, n) VALUES (?, ?)'; SET @x='prep', @y=1.25; EXECUTE s USING @x, @y; TRUNCATE TABLE ed; INSERT INTO ed VALUES (NOW()), ('2020-01-01');
"#;

/// DDL of many kinds, with rows between.
const DDL: &str = r"
CREATE DATABASE ddl DEFAULT CHARACTER SET latin1; USE ddl; ALTER DATABASE ddl CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
CREATE TABLE a (id INT PRIMARY KEY, v VARCHAR(20)) COMMENT='semi;colon'; INSERT INTO a VALUES (1,'x'),(2,'y'); CREATE TABLE b LIKE a; INSERT INTO b SELECT * FROM a; CREATE TABLE IF NOT EXISTS a (x INT); CREATE TABLE cs AS SELECT id, v, RAND() AS r FROM a; CREATE TABLE cs2 (PRIMARY KEY (id)) IGNORE SELECT 1 AS id UNION ALL SELECT 1;
ALTER TABLE a ADD COLUMN g INT AS (id * 2) STORED, ADD COLUMN h VARCHAR(40) AS (CONCAT(v,'h')) VIRTUAL, ADD COLUMN i INT INVISIBLE DEFAULT 3, ADD KEY ((id + 1)), ADD UNIQUE KEY u (v, id); INSERT INTO a (id,v) VALUES (3,'z'); ALTER TABLE a DROP COLUMN h; ALTER TABLE a RENAME COLUMN v TO vv, ALGORITHM=INPLACE; UPDATE a SET vv='q' WHERE id=1; ALTER TABLE a MODIFY vv VARCHAR(300) CHARACTER SET latin1 FIRST; INSERT INTO a (id,vv) VALUES (4,'ÿ'); ALTER TABLE a ADD COLUMN instant JSON, ALGORITHM=INSTANT; ALTER TABLE a ADD COLUMN dflt JSON DEFAULT (JSON_OBJECT()); INSERT INTO a (id,vv) VALUES (5,'i');
RENAME TABLE a TO tmp, b TO a, tmp TO b; INSERT INTO a VALUES (9,'swapped'); ALTER TABLE a RENAME TO a2; ALTER TABLE a2 ADD KEY k1 (v); ALTER TABLE a2 RENAME INDEX k1 TO k2; RENAME TABLE a2 TO a;
CREATE TABLE parts (id INT, y INT, PRIMARY KEY (id,y)) PARTITION BY RANGE (y) (PARTITION p0 VALUES LESS THAN (10), PARTITION p1 VALUES LESS THAN (20)); INSERT INTO parts VALUES (1,1),(2,15); ALTER TABLE parts ADD PARTITION (PARTITION p2 VALUES LESS THAN (30)); INSERT INTO parts VALUES (3,25); ALTER TABLE parts TRUNCATE PARTITION p1; ALTER TABLE parts REORGANIZE PARTITION p2 INTO (PARTITION p2a VALUES LESS THAN (25), PARTITION p2b VALUES LESS THAN (30)); CREATE TABLE ex (id INT, y INT, PRIMARY KEY (id,y)); INSERT INTO ex VALUES (7,7); ALTER TABLE parts EXCHANGE PARTITION p0 WITH TABLE ex; ALTER TABLE parts REMOVE PARTITIONING; UPDATE parts SET y=y+1;
CREATE VIEW vw AS SELECT id, vv FROM b WHERE id < 3 WITH CHECK OPTION; UPDATE vw SET vv='through view' WHERE id=2; CREATE OR REPLACE ALGORITHM=MERGE SQL SECURITY INVOKER VIEW vw (x) AS SELECT id FROM b; ALTER VIEW vw AS SELECT 1 AS one; CREATE VIEW v2 AS SELECT * FROM vw; DROP VIEW v2;
DELIMITER $$
CREATE PROCEDURE p1(IN a INT, OUT b TEXT) COMMENT 'does; nothing' BEGIN SET b = 'x;y'; IF a > 1 THEN SELECT 1; END IF; END$$
CREATE FUNCTION f1(s CHAR(20)) RETURNS CHAR(50) DETERMINISTIC RETURN CONCAT('Hello; ', s)$$
CREATE TRIGGER t1 BEFORE INSERT ON ex FOR EACH ROW BEGIN SET NEW.y = NEW.y + 1; SET @ignored = 'a;b'; END$$
CREATE TRIGGER t2 BEFORE INSERT ON ex FOR EACH ROW FOLLOWS t1 SET NEW.y = NEW.y * 2$$
CREATE EVENT e1 ON SCHEDULE EVERY 1 SECOND DO BEGIN INSERT INTO ddl.fired VALUES (NULL, 'e;1'); END$$
DELIMITER ;
CREATE TABLE fired (id INT AUTO_INCREMENT PRIMARY KEY, v VARCHAR(9)); INSERT INTO ex VALUES (8,8); ALTER PROCEDURE p1 COMMENT 'still nothing'; ALTER EVENT e1 ON SCHEDULE EVERY 2 SECOND; ALTER EVENT e1 RENAME TO e2; DROP TRIGGER t2; INSERT INTO ex VALUES (9,9); CREATE INDEX ix ON ex (y DESC); DROP INDEX ix ON ex; CREATE TABLE sp (g GEOMETRY NOT NULL SRID 0, SPATIAL INDEX (g)); CREATE FULLTEXT INDEX ft ON cs (v); ANALYZE TABLE ex; OPTIMIZE TABLE ex; ALTER TABLE ex ENGINE=InnoDB, FORCE; TRUNCATE ex; INSERT INTO ex VALUES (1,1);
CREATE TABLE `UPPER` (`Id` INT PRIMARY KEY, CONSTRAINT chk CHECK (`Id` > 0)); INSERT INTO UPPER VALUES (1); ALTER TABLE `UPPER` ALTER CHECK chk NOT ENFORCED; INSERT INTO `UPPER` VALUES (-1); CREATE TABLE fk (id INT PRIMARY KEY, u INT, CONSTRAINT fk1 FOREIGN KEY (u) REFERENCES `UPPER` (`Id`)); INSERT INTO fk VALUES (1,1); ALTER TABLE fk DROP FOREIGN KEY fk1; DELETE FROM `UPPER` WHERE `Id`=1;
CREATE DATABASE gone; CREATE TABLE gone.x (a INT); INSERT INTO gone.x VALUES (1); DROP DATABASE gone; DROP TABLE IF EXISTS nothing_here, cs2; CREATE USER IF NOT EXISTS someone@localhost IDENTIFIED BY 'Some-one1'; GRANT SELECT ON ddl.* TO someone@localhost; DROP USER someone@localhost; FLUSH TABLES; CREATE TEMPORARY TABLE tt (a INT); INSERT INTO tt VALUES (1); DROP TEMPORARY TABLE tt; CREATE TABLE `😀 ta``ble` (`ä` INT DEFAULT 7); INSERT INTO `😀 ta``ble` VALUES (DEFAULT); LOCK TABLES a WRITE; INSERT INTO a VALUES (10,'locked'); UNLOCK TABLES; CREATE UNDO TABLESPACE u1 ADD DATAFILE 'u1.ibu'; ALTER UNDO TABLESPACE u1 SET INACTIVE;
";

/// What the two have of views, programs and definitions, without what is each server's own.
fn definitions(server: &Server) -> String {
    let query = "
        SELECT 'v', LOWER(table_name), view_definition, security_type FROM information_schema.views WHERE table_schema = 'ddl' UNION ALL
        SELECT 'r', routine_name, CONCAT(IFNULL(routine_definition, ''), routine_comment, sql_mode, definer, character_set_client), routine_type FROM information_schema.routines WHERE routine_schema = 'ddl' UNION ALL
        SELECT 't', trigger_name, action_statement, action_order FROM information_schema.triggers WHERE trigger_schema = 'ddl' UNION ALL
        SELECT 'e', event_name, event_definition, interval_value FROM information_schema.events WHERE event_schema = 'ddl' UNION ALL
        SELECT 'c', LOWER(CONCAT(table_name, '.', column_name)), CONCAT_WS(' ', column_type, column_default, collation_name, is_nullable), generation_expression FROM information_schema.columns WHERE table_schema = 'ddl' AND column_name <> 'my_row_id' UNION ALL
        SELECT 'k', LOWER(CONCAT(table_name, '.', index_name)), CONCAT_WS(' ', column_name, expression), CONCAT(seq_in_index, IFNULL(collation, '')) FROM information_schema.statistics WHERE table_schema = 'ddl' AND IFNULL(column_name, '') <> 'my_row_id' UNION ALL
        SELECT 's', schema_name, default_collation_name, '' FROM information_schema.schemata WHERE schema_name = 'ddl' ORDER BY 1, 2, 4";
    server.sql(query)
}

#[test]
fn statements_in_any_context_leave_what_a_native_replica_has() {
    let mut three = Three::start(ServerOptions::new("source").line("log_bin_trust_function_creators=ON"));
    for server in [&three.native, &three.target] {
        server.sql("SET GLOBAL log_bin_trust_function_creators = ON");
    }
    three.source.sql("SET sql_log_bin = 0; CREATE DATABASE elsewhere");
    for format in ["STATEMENT", "MIXED", "ROW"] {
        let schema = format!("c_{}", format.to_lowercase());
        let local = format!("{schema}_l");
        let sql = format!("SET SESSION binlog_format = '{format}';{}", CONTEXTS.replace('@', "\u{1}"));
        // User variables keep their signs: only the schema's stands before a name of ours.
        three.same_after(format, &place_schema(&sql, &schema), &[&schema, &local]);
    }
    three.source.sql(DDL);
    // Its event fires every other second for ever: no two looks at the source would see the same.
    three.source.sql("SET GLOBAL event_scheduler = OFF");
    let fires = "SELECT COUNT(*) FROM information_schema.processlist WHERE command = 'Connect'";
    wait_until("no event runs", LIMIT, || three.source.sql(fires) == "0");
    three.same("ddl", &["ddl"]);
    let expected = definitions(&three.source);
    assert_eq!(definitions(&three.target), expected);
    assert_eq!(
        three.target.sql("SELECT DISTINCT status FROM information_schema.events"),
        three.native.sql("SELECT DISTINCT status FROM information_schema.events")
    );
    assert_eq!(three.bridge.stop().code(), Some(0), "{}", three.bridge.log());
    assert!(!three.bridge.log().contains("level=warn"), "{}", three.bridge.log());
}

/// Puts the schema's name where a lone `@` stood: one that is followed by a space, a dot, an underscore or a semicolon.
fn place_schema(sql: &str, schema: &str) -> String {
    let mut text = String::new();
    let mut rest = sql;
    while let Some(at) = rest.find('\u{1}') {
        let after = &rest[at + 1..];
        let lone = after.starts_with([' ', '.', ';']) || after.starts_with("_l");
        text.push_str(&rest[..at]);
        text.push_str(if lone { schema } else { "@" });
        rest = after;
    }
    text + rest
}
