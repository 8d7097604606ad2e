-- The ledger's tables. Applied by the migration (AdminFunction, {"action": "migrate"}); every statement may be repeated.
-- MySQL >= 8.0.19, MariaDB >= 10.6. Statements end with a semicolon at the end of a line.
--
-- Times are DATETIME(3) in UTC. Texts compare byte by byte and keep trailing spaces (NO PAD): to the gate "ann", "Ann" and
-- "ann " are three users, so they must be three here. That collation has another name on each server; MySQL reads the
-- first comment below and MariaDB the second.
-- No AUTO_INCREMENT anywhere: multi-row upserts beside one lost rows on MariaDB 10.11.

CREATE TABLE IF NOT EXISTS campaign (
  campaign_id VARCHAR(63) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  name        VARCHAR(200) CHARACTER SET utf8mb4 NOT NULL,
  capacity    INT UNSIGNED NOT NULL,
  opens_at    DATETIME(3) NOT NULL,
  closes_at   DATETIME(3) NOT NULL,
  state       VARCHAR(16) CHARACTER SET ascii COLLATE ascii_bin NOT NULL COMMENT 'creating, active, paused or archived',
  version     INT UNSIGNED NOT NULL COMMENT '0 until it is created in full, 1 more with every change',
  created_at  DATETIME(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3),
  updated_at  DATETIME(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3),
  archived_at DATETIME(3) NULL,
  PRIMARY KEY (campaign_id),
  KEY newest (created_at, campaign_id),
  KEY by_state (state, campaign_id)
) ENGINE=InnoDB;

CREATE TABLE IF NOT EXISTS coupon (
  campaign_id VARCHAR(63) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  sequence    INT UNSIGNED NOT NULL COMMENT 'place in line, 1 to capacity',
  user_id     VARCHAR(128) CHARACTER SET utf8mb4
              COLLATE /*!80017 utf8mb4_0900_bin */ /*M!100600 utf8mb4_nopad_bin */ NOT NULL,
  coupon_code VARCHAR(32) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  accepted_at DATETIME(3) NOT NULL COMMENT 'by the clock of the gate',
  issued_at   DATETIME(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3) COMMENT 'by the clock of this server',
  PRIMARY KEY (campaign_id, sequence),
  UNIQUE KEY one_per_user (campaign_id, user_id),
  UNIQUE KEY one_code (coupon_code)
) ENGINE=InnoDB;

CREATE TABLE IF NOT EXISTS coupon_count (
  campaign_id VARCHAR(63) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  range_no    INT UNSIGNED NOT NULL COMMENT '(sequence - 1) DIV 10000',
  issued      INT UNSIGNED NOT NULL COMMENT 'rows in coupon',
  PRIMARY KEY (campaign_id, range_no)
) ENGINE=InnoDB;

CREATE TABLE IF NOT EXISTS overflow (
  campaign_id VARCHAR(63) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  user_id     VARCHAR(128) CHARACTER SET utf8mb4
              COLLATE /*!80017 utf8mb4_0900_bin */ /*M!100600 utf8mb4_nopad_bin */ NOT NULL,
  coupon_code VARCHAR(32) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  sequence    INT UNSIGNED NOT NULL COMMENT 'the seat it was accepted for',
  accepted_at DATETIME(3) NOT NULL,
  reason      VARCHAR(32) CHARACTER SET ascii COLLATE ascii_bin NOT NULL COMMENT 'no_seat, user_has_coupon or code_taken',
  recorded_at DATETIME(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3),
  seated_at   DATETIME(3) NULL COMMENT 'when it got a coupon after all',
  PRIMARY KEY (campaign_id, coupon_code, user_id),
  KEY by_user (campaign_id, user_id),
  KEY waiting (campaign_id, seated_at, reason, accepted_at)
) ENGINE=InnoDB;

CREATE TABLE IF NOT EXISTS campaign_event (
  campaign_id VARCHAR(63) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  event_no    INT UNSIGNED NOT NULL,
  at          DATETIME(3) NOT NULL,
  actor       VARCHAR(128) CHARACTER SET utf8mb4
              COLLATE /*!80017 utf8mb4_0900_bin */ /*M!100600 utf8mb4_nopad_bin */ NOT NULL,
  action      VARCHAR(32) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  `before`    JSON NULL,
  `after`     JSON NULL,
  PRIMARY KEY (campaign_id, event_no)
) ENGINE=InnoDB;

CREATE TABLE IF NOT EXISTS erasure (
  campaign_id VARCHAR(63) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  coupon_code VARCHAR(32) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  sequence    INT UNSIGNED NOT NULL,
  pseudonym   VARCHAR(128) CHARACTER SET utf8mb4
              COLLATE /*!80017 utf8mb4_0900_bin */ /*M!100600 utf8mb4_nopad_bin */ NOT NULL,
  erased_at   DATETIME(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3),
  PRIMARY KEY (campaign_id, coupon_code)
) ENGINE=InnoDB;
