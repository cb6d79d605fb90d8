//! Row events: every type with its extremes, in every image mode.

use super::*;

/// `@` stands for the schema. Zero dates and the like need a permissive `sql_mode`.
const TABLES: &str = "
CREATE DATABASE @; USE @; SET sql_mode = '', time_zone = '+02:00';
CREATE TABLE ints (id INT PRIMARY KEY, a TINYINT, au TINYINT UNSIGNED, b SMALLINT, bu SMALLINT UNSIGNED, c MEDIUMINT,
  cu MEDIUMINT UNSIGNED, d INT, du INT UNSIGNED, e BIGINT, eu BIGINT UNSIGNED, z INT(8) ZEROFILL, bo BOOL);
CREATE TABLE numbers (id BIGINT UNSIGNED PRIMARY KEY, f FLOAT, d DOUBLE, n1 DECIMAL(65,30), n2 DECIMAL(1,0), n3 DECIMAL(65,0),
  n4 DECIMAL(10,10), n5 DECIMAL(18,9), fu FLOAT UNSIGNED);
CREATE TABLE times (id INT PRIMARY KEY, d DATE, t0 TIME, t1 TIME(1), t3 TIME(3), t6 TIME(6), dt0 DATETIME, dt2 DATETIME(2),
  dt6 DATETIME(6), ts0 TIMESTAMP NULL, ts4 TIMESTAMP(4) NULL, ts6 TIMESTAMP(6) NULL DEFAULT CURRENT_TIMESTAMP(6) ON UPDATE CURRENT_TIMESTAMP(6), y YEAR);
CREATE TABLE bits (id INT PRIMARY KEY, b1 BIT(1), b8 BIT(8), b9 BIT(9), b33 BIT(33), b64 BIT(64));
CREATE TABLE texts (id INT PRIMARY KEY, c CHAR(5), cl CHAR(255) CHARACTER SET utf8mb4, v VARCHAR(255), v2 VARCHAR(9000), b BINARY(16),
  vb VARBINARY(300), tt TINYTEXT, t TEXT, mt MEDIUMTEXT, lt LONGTEXT, tb TINYBLOB, bl BLOB, mb MEDIUMBLOB, lb LONGBLOB);
CREATE TABLE charsets (id INT PRIMARY KEY, l1 VARCHAR(20) CHARACTER SET latin1, g VARCHAR(20) CHARACTER SET gbk,
  u2 VARCHAR(20) CHARACTER SET ucs2, s VARCHAR(20) CHARACTER SET sjis, u3 VARCHAR(20) CHARACTER SET utf8mb3, u4 CHAR(20) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin,
  u16 TEXT CHARACTER SET utf16, UNIQUE KEY (u4), KEY (g(3)));
CREATE TABLE js (id INT PRIMARY KEY, j JSON, k JSON, n INT);
CREATE TABLE geo (id INT PRIMARY KEY, g GEOMETRY, p POINT NOT NULL SRID 4326, l LINESTRING, mp MULTIPOLYGON, gc GEOMETRYCOLLECTION, SPATIAL KEY (p));
CREATE TABLE vec (id INT PRIMARY KEY, v VECTOR(3), w VECTOR(2048));
CREATE TABLE gen (id INT PRIMARY KEY, a INT, b INT AS (a + 1) STORED, c INT AS (a * 2) VIRTUAL, d INT INVISIBLE DEFAULT 5, e VARCHAR(20) AS (CONCAT('x', a)) VIRTUAL,
  KEY (c), UNIQUE KEY ((a * 3 + id)), KEY (e));
CREATE TABLE nokey (a INT, b TEXT, c FLOAT);
CREATE TABLE uniques (a INT NULL, b VARCHAR(20) COLLATE utf8mb4_0900_ai_ci NOT NULL, c INT, UNIQUE KEY (b DESC), UNIQUE KEY (a));
CREATE TABLE multi (id INT PRIMARY KEY, j JSON, UNIQUE KEY ((CAST(j->'$.x' AS UNSIGNED ARRAY))), KEY ((CAST(j->>'$.y' AS CHAR(20)))));
CREATE TABLE parts (id INT, y INT, v TEXT, PRIMARY KEY (id, y)) PARTITION BY RANGE (y) SUBPARTITION BY HASH (id) SUBPARTITIONS 2
  (PARTITION a VALUES LESS THAN (10), PARTITION b VALUES LESS THAN (20), PARTITION z VALUES LESS THAN MAXVALUE);
CREATE TABLE parent (id INT PRIMARY KEY, v INT); CREATE TABLE child (id INT PRIMARY KEY, p INT, q INT,
  FOREIGN KEY (p) REFERENCES parent (id) ON DELETE CASCADE ON UPDATE CASCADE, FOREIGN KEY (q) REFERENCES parent (id) ON DELETE SET NULL ON UPDATE SET NULL);
CREATE TABLE fired (n INT AUTO_INCREMENT PRIMARY KEY, what VARCHAR(20));
CREATE TRIGGER fires AFTER UPDATE ON ints FOR EACH ROW INSERT INTO fired (what) VALUES (CONCAT(OLD.id, '>', NEW.id));
CREATE TABLE `We``ird \"Näme` (`Co``l` INT PRIMARY KEY, `käse` VARCHAR(9), `select` INT);
SET sql_generate_invisible_primary_key = ON; CREATE TABLE hidden (a INT, b VARCHAR(9)); SET sql_generate_invisible_primary_key = DEFAULT;
";

const CHANGES: &str = r#"
INSERT INTO ints VALUES (1,-128,0,-32768,0,-8388608,0,-2147483648,0,-9223372036854775808,0,0,0),
 (2,127,255,32767,65535,8388607,16777215,2147483647,4294967295,9223372036854775807,18446744073709551615,12345678,1),
 (3,-1,1,-1,1,-1,1,-1,1,-1,1,42,1), (4,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL), (-5,0,128,0,32768,0,8388608,0,2147483648,0,9223372036854775808,1,0);
INSERT INTO numbers VALUES (1,3.4028234e38,1.7976931348623157e308,12345678901234567890123456789012345.123456789012345678901234567890,9,REPEAT('9',65),0.9999999999,-123456789.987654321,0),
 (2,-1.17549435e-38,2.2250738585072014e-308,-0.000000000000000000000000000001,-9,CONCAT('-',REPEAT('9',65)),-0.0000000001,0.1,3.4028234e38),
 (3,0.1,-0.0,0,0,0,0,0,1e-45), (18446744073709551615,-0.0,0.1,NULL,NULL,NULL,NULL,NULL,NULL), (9,1.5,4.9e-324,1,1,1,0.1,1.1,1);
INSERT INTO times VALUES (1,'0000-00-00','-838:59:59','-00:00:00.1','-00:00:00.001','-00:00:00.000001','0000-00-00','0000-00-00','0000-00-00','1970-01-01 02:00:01','1970-01-01 02:00:01.0001','1970-01-01 02:00:01.000001',0),
 (2,'2024-02-00','838:59:59','838:59:58.9','-838:59:58.999','-00:00:01.999999','2024-00-00','2024-02-00 11:22:33.44','9999-12-31 23:59:59.999999','2038-01-19 05:14:07','2038-01-19 05:14:07.9999','2038-01-19 05:14:07.999999',1901),
 (3,'1000-01-01','00:00:00','00:00:00.0','12:34:56.789','-12:34:56.789012','1000-01-01','2024-02-29 23:59:59.99','2024-03-31 02:30:00.000001',0,0,0,2155),
 (4,'9999-12-31','-00:00:01','-01:00:00.9','-00:00:01.500','00:00:00.999999','9999-12-31 23:59:59','1000-01-01','0000-00-00 00:00:00.000001','2024-10-27 02:30:00','2024-03-31 03:30:00.5','2001-09-09 03:46:40',1970),
 (5,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO bits VALUES (1,b'0',0,0,0,0),(2,b'1',255,511,8589934591,18446744073709551615),(3,NULL,NULL,NULL,NULL,NULL),(4,1,170,b'101010101',4294967296,9223372036854775808);
INSERT INTO texts VALUES (1,'','','','','','','','','','','','','',''),
 (2,'a  ',REPEAT('é',255),REPEAT('x',255),REPEAT('y',9000),X'00',X'0000',REPEAT('t',255),REPEAT('t',65535),REPEAT('m',70000),REPEAT('l',100000),X'00FF27225C0A',REPEAT(X'00',65535),REPEAT(X'FF',70000),REPEAT(X'27',100000)),
 (3,'  b',REPEAT('😀',64),'''"\\\n\0%_','back`tick',X'61006200',CONCAT(X'FF',REPEAT(X'00',299)),'\Z','\r\n','日本語','ñ',X'',X'00',X'0102',X'27'),
 (4,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL), (5,'ÀÉ','trail   ','trail   ','v','0123456789abcdef','b','a','b','c','d','e','f','g','h');
INSERT INTO charsets VALUES (1,'äöüß€','中文字符','中é𐍈','日本語','grüß 中','😀 ä','𝄞 ok'),(2,'','','','','','',''),(3,NULL,NULL,NULL,NULL,NULL,NULL,NULL),(4,'ÿ','﹏','z','ｱｲｳ','ÿ','A','a'),(5,'a','a','a','a','a','a','A');
INSERT INTO js VALUES (1,'null','true',1),(2,'"text \\" \\u00e9"','-1',2),(3,'[]','{}',3),(4,NULL,NULL,4),
 (5,JSON_OBJECT('d',CAST('2024-02-29' AS DATE),'t',CAST('-12:34:56.123456' AS TIME(6)),'dt',CAST('2024-02-29 11:22:33.654321' AS DATETIME(6)),'dec',CAST('-12345.6789' AS DECIMAL(20,4)),
   'big',CAST(18446744073709551615 AS UNSIGNED),'min',-9223372036854775808,'i16',-32768,'u16',65535,'i32',2147483647,'dbl',1.5e300,'bin',CAST(X'00FF10' AS BINARY),'geo',ST_GeomFromText('POINT(1 2)'),'nul',NULL,'yr',CAST(2024 AS YEAR)),'{"a":{"b":{"c":[1,2,{"d":null}]}}}',5),
 (6,JSON_ARRAY(REPEAT('x',70000),1,'y',JSON_OBJECT('k',REPEAT('z',40000))),'{"":"empty key","ключ":"значение","a":1,"aa":2,"b":3}',6),(7,'1.0','1e2',7),
 (8,'{"name":"abc","list":[1,2,3],"deep":{"x":1,"y":"some longer text here"},"n":123456789}','[1,[2,[3,[4]]]]',8);
INSERT INTO geo VALUES (1,ST_GeomFromText('POINT(1 2)'),ST_SRID(POINT(10,20),4326),ST_GeomFromText('LINESTRING(0 0,1 1,2 2)'),ST_GeomFromText('MULTIPOLYGON(((0 0,10 0,10 10,0 10,0 0),(1 1,2 1,2 2,1 2,1 1)))'),ST_GeomFromText('GEOMETRYCOLLECTION(POINT(1 1),LINESTRING(0 0,1 1))')),
 (2,ST_GeomFromText('POINT(1 2)',4326),ST_SRID(POINT(-180,-90),4326),NULL,NULL,ST_GeomFromText('GEOMETRYCOLLECTION EMPTY')),(3,NULL,ST_SRID(POINT(0,0),4326),NULL,NULL,NULL);
INSERT INTO vec VALUES (1,STRING_TO_VECTOR('[1,-2.5,3e-38]'),NULL),(2,NULL,STRING_TO_VECTOR('[0.1]')),(3,STRING_TO_VECTOR('[3.4e38]'),STRING_TO_VECTOR(CONCAT('[',REPEAT('1.5,',2047),'0]')));
INSERT INTO gen (id,a) VALUES (1,1),(2,NULL),(3,-7); INSERT INTO gen (id,a,d) VALUES (4,100,NULL);
INSERT INTO nokey VALUES (1,'a',1.5),(1,'a',1.5),(NULL,NULL,NULL),(2,'b',0.1),(2,'b',0.1),(3,REPEAT('q',5000),-0.0);
INSERT INTO uniques VALUES (NULL,'a',1),(1,'b',2),(NULL,'Straße',3),(2,'c ',4);
INSERT INTO multi VALUES (1,'{"x":[1,2],"y":"a"}'),(2,'{"x":[3]}'),(3,'{}'),(4,NULL);
INSERT INTO parts VALUES (1,1,'a'),(2,15,'b'),(3,99,'c'),(4,1,NULL);
INSERT INTO parent VALUES (1,1),(2,2),(3,3),(4,4); INSERT INTO child VALUES (1,1,2),(2,2,1),(3,3,NULL),(4,NULL,4),(5,4,4);
INSERT INTO `We``ird "Näme` VALUES (1,'ä',1),(2,NULL,2);
INSERT INTO hidden VALUES (1,'a'),(1,'a'),(NULL,NULL);
BEGIN; UPDATE ints SET a=a+1, eu=eu+1, c=-8388607 WHERE id IN (1,3); UPDATE ints SET id=id+100 WHERE id=2; UPDATE ints SET z=NULL, bo=NULL; COMMIT;
UPDATE numbers SET f=f/3, d=d/3, n1=-n1 WHERE id IN (1,2,3); UPDATE numbers SET id=id-1 WHERE id > 100;
UPDATE times SET t1='-00:00:00.9', t3=NULL, dt2='2024-01-01 00:00:00.01' WHERE id<3; UPDATE times SET d='2024-12-31' WHERE id=5; UPDATE times SET id=id+10;
UPDATE bits SET b9=b9^1, b64=~b64; UPDATE texts SET c='zz', b=X'6100', lt=CONCAT(lt,'!') WHERE id<>4; UPDATE texts SET bl=NULL,t='' WHERE id=2; UPDATE texts SET v='was null' WHERE id=4;
UPDATE charsets SET g=CONCAT(g,'汉'), l1=UPPER(l1), u16='𝄞'; UPDATE charsets SET u4='😀😀' WHERE id=5; DELETE FROM charsets WHERE id=4;
UPDATE js SET j=JSON_SET(j,'$.name','a rather longer name than before','$.new',JSON_ARRAY(1,2)), n=n+1 WHERE id=8; UPDATE js SET j=JSON_REPLACE(j,'$.n',5,'$.deep.y','short') WHERE id=8;
UPDATE js SET j=JSON_REMOVE(j,'$.list[1]','$.deep.x') WHERE id=8; UPDATE js SET k=JSON_SET(k,'$.a.b.c[2].d',CAST('1.10' AS DECIMAL(5,2))), j=JSON_REMOVE(j,'$.d') WHERE id=5;
UPDATE js SET k=JSON_ARRAY_INSERT(k,'$[0]',0), j=JSON_ARRAY_APPEND(j,'$.list',9) WHERE id=8; UPDATE js SET j=JSON_SET(j,'$[1]',REPEAT('w',66000)) WHERE id=6; UPDATE js SET j='[]' WHERE id=1; UPDATE js SET j=NULL WHERE id=2; UPDATE js SET j='{"a":1}' WHERE id=4; UPDATE js SET n=n WHERE id=3; UPDATE js SET k=JSON_SET(k,'$.b',4) WHERE id=6;
UPDATE geo SET g=ST_GeomFromText('POLYGON((0 0,1 0,1 1,0 0))',3857) WHERE id=1; UPDATE geo SET p=ST_SRID(POINT(1,1),4326); UPDATE vec SET v=STRING_TO_VECTOR('[9,9,9]') WHERE id<3;
UPDATE gen SET a=a+1; UPDATE gen SET d=7 WHERE id=1; UPDATE gen SET id=id+10 WHERE id>2;
UPDATE nokey SET c=2.5 WHERE a=1 LIMIT 1; DELETE FROM nokey WHERE a=2 LIMIT 1; UPDATE nokey SET b='null' WHERE a IS NULL; UPDATE nokey SET a=4 WHERE a=3;
UPDATE uniques SET c=c+1; UPDATE uniques SET b='B2' WHERE a=1; UPDATE uniques SET a=NULL WHERE a=2; DELETE FROM uniques WHERE b='strasse';
UPDATE multi SET j='{"x":[2,5]}' WHERE id=1; UPDATE multi SET j='{"x":[1]}' WHERE id=2; UPDATE parts SET y=12 WHERE id=1; UPDATE parts SET v='n' WHERE v IS NULL; UPDATE parts SET id=30 WHERE id=3; DELETE FROM parts WHERE id=2;
DELETE FROM parent WHERE id=1; UPDATE parent SET id=20 WHERE id=2; SET foreign_key_checks=0; INSERT INTO child VALUES (99,999,998); DELETE FROM parent WHERE id=4; SET foreign_key_checks=1; UPDATE parent SET v=v+1;
BEGIN; INSERT INTO hidden VALUES (5,'x'); ROLLBACK;
UPDATE `We``ird "Näme` SET `käse`='e', `select`=NULL; UPDATE hidden SET b='c' WHERE a=1 LIMIT 1; DELETE FROM hidden WHERE a IS NULL;
REPLACE INTO ints (id,a) VALUES (3,9); INSERT INTO ints (id,a) VALUES (4,1) ON DUPLICATE KEY UPDATE a=77; INSERT IGNORE INTO ints (id) VALUES (4),(50);
UPDATE ints, numbers SET ints.b=1, numbers.n2=1 WHERE ints.id=numbers.id; DELETE ints, bits FROM ints JOIN bits USING (id) WHERE id=4;
BEGIN; INSERT INTO ints (id) VALUES (60); SAVEPOINT a; INSERT INTO ints (id) VALUES (61); ROLLBACK TO a; INSERT INTO ints (id) VALUES (62); SAVEPOINT b; DELETE FROM ints WHERE id=60; RELEASE SAVEPOINT b; COMMIT;
"#;

/// Enumerations with more members than one byte counts, and sets with all their 64.
fn enumerations() -> String {
    let members =
        |prefix: &str, count: u32| (0..count).map(|n| format!("'{prefix}{n}'")).collect::<Vec<_>>().join(",");
    format!(
        "CREATE TABLE enums (id INT PRIMARY KEY, e ENUM('','a','ü') CHARACTER SET latin1, e2 ENUM({}), s SET({}), s2 SET('x','y'));
         INSERT INTO enums VALUES (1,'','m0','',''),(2,'ü','m299','s0,s63','x,y'),(3,NULL,NULL,NULL,NULL);
         INSERT IGNORE INTO enums VALUES (4,'nonsense','nonsense','nonsense','z'); INSERT INTO enums VALUES (5,1,256,18446744073709551615,3);
         UPDATE enums SET e='a', e2='m255', s='s7,s8' WHERE id<>3; UPDATE enums SET s2=NULL WHERE id=5;",
        members("m", 300),
        members("s", 64),
    )
}

#[test]
fn every_type_in_every_image_mode_arrives_as_on_a_native_replica() {
    let mut three = Three::start(ServerOptions::new("source").line("max_allowed_packet=64M"));
    for (schema, settings) in [
        ("full", ""),
        ("minimal", "SET SESSION binlog_row_image='MINIMAL';"),
        ("noblob", "SET SESSION binlog_row_image='NOBLOB';"),
        (
            "partial",
            "SET SESSION binlog_row_value_options='PARTIAL_JSON'; SET GLOBAL binlog_row_metadata='FULL';",
        ),
        (
            "partmin",
            "SET SESSION binlog_row_value_options='PARTIAL_JSON', binlog_row_image='MINIMAL'; SET GLOBAL binlog_row_metadata='MINIMAL';",
        ),
        ("packed", "SET SESSION binlog_transaction_compression=ON; SET GLOBAL binlog_row_metadata='FULL';"),
        ("unchecked", "SET GLOBAL binlog_checksum='NONE'; SET SESSION binlog_row_event_max_size=DEFAULT;"),
        ("checked", "SET GLOBAL binlog_checksum='CRC32'; SET SESSION binlog_rows_query_log_events=ON;"),
    ] {
        let settings = settings.replace("SET SESSION binlog_row_event_max_size=DEFAULT;", "");
        let sql = format!("{}{settings}{}{CHANGES}", TABLES.replace('@', schema), enumerations());
        three.same_after(schema, &sql, &[schema]);
    }
    assert_eq!(three.bridge.stop().code(), Some(0), "{}", three.bridge.log());
    assert!(!three.bridge.log().contains("level=warn"), "{}", three.bridge.log());
}
