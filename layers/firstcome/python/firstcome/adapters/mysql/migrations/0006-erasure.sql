-- transactional: false
-- Users who were erased: their claims are written under the pseudonym, however late or often they come.
CREATE TABLE IF NOT EXISTS erasure (
  campaign_id VARCHAR(63) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  coupon_code VARCHAR(32) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  sequence    INT UNSIGNED NOT NULL,
  pseudonym   VARCHAR(128) CHARACTER SET utf8mb4
              COLLATE /*!80017 utf8mb4_0900_bin */ /*M!100600 utf8mb4_nopad_bin */ NOT NULL,
  erased_at   DATETIME(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3),
  PRIMARY KEY (campaign_id, coupon_code)
) ENGINE=InnoDB COMMENT 'Firstcome: pseudonyms of erased users';
