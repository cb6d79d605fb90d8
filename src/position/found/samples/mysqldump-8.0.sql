-- MySQL dump 10.13  Distrib 8.0.41, for Linux (x86_64)
--
-- Host: 10.0.4.17    Database: app
-- ------------------------------------------------------
-- Server version	8.0.40

/*!40101 SET @OLD_CHARACTER_SET_CLIENT=@@CHARACTER_SET_CLIENT */;
/*!50503 SET NAMES utf8mb4 */;
SET @MYSQLDUMP_TEMP_LOG_BIN = @@SESSION.SQL_LOG_BIN;
SET @@SESSION.SQL_LOG_BIN= 0;

--
-- GTID state at the beginning of the backup 
--

SET @@GLOBAL.GTID_PURGED=/*!80000 '+'*/ '3e11fa47-71ca-11e1-9e33-c80aa9429562:1-77,
4f22fb58-71ca-11e1-9e33-c80aa9429563:1-5';

--
-- Position to start replication or point-in-time recovery from
--

-- CHANGE MASTER TO MASTER_LOG_FILE='mysql-bin-changelog.000012', MASTER_LOG_POS=15432;

--
-- Table structure for table `t`
--

DROP TABLE IF EXISTS `t`;
CREATE TABLE `t` (
  `a` text
);
INSERT INTO `t` VALUES ('
CHANGE MASTER TO MASTER_LOG_FILE=\'evil.000001\', MASTER_LOG_POS=4;');
