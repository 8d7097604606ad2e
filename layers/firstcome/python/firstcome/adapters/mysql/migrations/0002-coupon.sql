-- transactional: false
-- Issued coupons, one row each. Their keys are the last guard: one coupon per seat, per user and per code.
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
) ENGINE=InnoDB COMMENT 'Firstcome: issued coupons';
