-- transactional: false
-- Rows of coupon in each range of 10,000 sequences, kept in the transaction that writes them: what a campaign has issued,
-- and where it has free seats, is read without reading its coupons.
CREATE TABLE IF NOT EXISTS coupon_count (
  campaign_id VARCHAR(63) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  range_no    INT UNSIGNED NOT NULL COMMENT '(sequence - 1) DIV 10000',
  issued      INT UNSIGNED NOT NULL COMMENT 'rows in coupon',
  PRIMARY KEY (campaign_id, range_no)
) ENGINE=InnoDB COMMENT 'Firstcome: rows of coupon per range of sequences';
