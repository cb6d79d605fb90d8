//! The tables of the workload: many shapes, and the counters that prove that nothing is lost or doubled.

pub(super) const CREATE: &str = "
CREATE DATABASE Shop CHARACTER SET utf8mb4;
CREATE DATABASE `支店` CHARACTER SET utf8mb4;
CREATE DATABASE side CHARACTER SET utf8mb4;
USE Shop;

-- each transaction adds its number to both; the second has no key, so that a number that comes twice stays there twice
CREATE TABLE Commits (client INT, n INT, PRIMARY KEY (client, n));
CREATE TABLE Journal (client INT, n INT);
-- a statement that is run twice counts twice
CREATE TABLE Ticks (client INT PRIMARY KEY, n BIGINT NOT NULL);
INSERT INTO Ticks VALUES (1, 0), (2, 0), (3, 0), (4, 0), (5, 0);

CREATE TABLE Orders (id INT AUTO_INCREMENT PRIMARY KEY, name VARCHAR(60), qty INT, price DECIMAL(14, 3),
  at TIMESTAMP(6) DEFAULT NOW(6), changed DATETIME DEFAULT NOW() ON UPDATE NOW());
CREATE TABLE Words (lang CHAR(2), word VARCHAR(40) COLLATE utf8mb4_0900_ai_ci, n INT, note TEXT,
  PRIMARY KEY (lang, word));
CREATE TABLE NoKey (line VARCHAR(60), n INT, x DOUBLE);
CREATE TABLE Users (id BIGINT UNSIGNED AUTO_INCREMENT PRIMARY KEY, email VARCHAR(60) UNIQUE, phone VARBINARY(20) UNIQUE,
  token CHAR(36), score FLOAT);
CREATE TABLE Parents (id INT PRIMARY KEY, name VARCHAR(20));
CREATE TABLE Children (id INT AUTO_INCREMENT PRIMARY KEY, parent INT, v INT, KEY (parent),
  CONSTRAINT child_of FOREIGN KEY (parent) REFERENCES Parents (id) ON DELETE CASCADE ON UPDATE CASCADE);
CREATE TABLE Kinds (id INT PRIMARY KEY, j JSON, d DECIMAL(30, 10), da DATE, ti TIME(3), dt DATETIME(6), ye YEAR,
  bl MEDIUMBLOB, e ENUM('x', 'y', 'é'), s SET('a', 'b', 'c'), b BIT(10), f DOUBLE, p POINT, l VARCHAR(30) CHARACTER SET latin1,
  g INT GENERATED ALWAYS AS (id * 2) STORED, h VARCHAR(20) GENERATED ALWAYS AS (CONCAT('k', id)) VIRTUAL, KEY (h));
CREATE TABLE Big (id INT AUTO_INCREMENT PRIMARY KEY, body VARCHAR(2000), n INT);
CREATE TABLE Trash (id INT AUTO_INCREMENT PRIMARY KEY, v INT);
CREATE TABLE SwapA (id INT PRIMARY KEY, v VARCHAR(20));
CREATE TABLE SwapB (id INT PRIMARY KEY, v VARCHAR(20));
INSERT INTO SwapA VALUES (1, 'a'), (2, 'a');
INSERT INTO SwapB VALUES (1, 'b');
CREATE TABLE Held (id INT PRIMARY KEY, v INT, at DATETIME(3));
CREATE TABLE `注文` (`番号` INT PRIMARY KEY, `品名` VARCHAR(40), `数量` INT, `備考` TEXT);
CREATE TABLE `支店`.`在庫` (`品名` VARCHAR(40) PRIMARY KEY, `数` INT, `更新` DATETIME(6));
";
