-- transactional: false
-- The audit trail: what operators did. Numbered per campaign; an AUTO_INCREMENT beside multi-row upserts lost rows on
-- MariaDB 10.11.
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
) ENGINE=InnoDB COMMENT 'Firstcome: what operators did';
