-- Names and texts in many character sets.
CREATE DATABASE `商店`;
USE `商店`;
CREATE TABLE `注文` (`番号` INT PRIMARY KEY, `名前` VARCHAR(40) CHARACTER SET utf8mb4, g VARCHAR(40) CHARACTER SET gbk,
  l VARCHAR(40) CHARACTER SET latin1, s VARCHAR(40) CHARACTER SET sjis, u VARCHAR(40) CHARACTER SET utf16,
  `größe` ENUM('klein', 'groß') CHARACTER SET latin1, `セット` SET('赤', '青') CHARACTER SET utf8mb4);
INSERT INTO `注文` VALUES (1, '山田太郎 😀', '中文', 'Grüße', '日本', 'utf16 😀', 'groß', '赤,青');
CREATE TABLE `with ``quotes`` and 'more'` (`a b` INT PRIMARY KEY, `c.d` INT);
INSERT INTO `with ``quotes`` and 'more'` VALUES (1, 2);
CREATE TABLE `MixedCase` (`Id` INT PRIMARY KEY);
INSERT INTO `MixedCase` VALUES (1);
CREATE TABLE `aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa` (id INT PRIMARY KEY);
INSERT INTO `aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa` VALUES (1);
CREATE TABLE `表表表表表表表表表表表表表表表表表表表表表表表表表表表表表表表表表表表表表表表表表表表表表表表表` (id INT PRIMARY KEY);
INSERT INTO `表表表表表表表表表表表表表表表表表表表表表表表表表表表表表表表表表表表表表表表表表表表表表表表表` VALUES (1);
SET NAMES gbk;
SET SESSION binlog_format = STATEMENT;
INSERT INTO `MixedCase` VALUES (3);
SET NAMES utf8mb4;
DROP DATABASE `商店`;
