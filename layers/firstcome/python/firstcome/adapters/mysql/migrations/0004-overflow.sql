-- transactional: false
-- Accepted claims that found no seat: kept, counted and alarmed on.
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
) ENGINE=InnoDB COMMENT 'Firstcome: accepted claims without a seat';
