-- transactional: false
-- Campaigns.
-- Here as in all tables, times are DATETIME(3) in UTC, and texts that name something compare byte by byte and keep
-- trailing spaces (NO PAD): to the gate "ann", "Ann" and "ann " are three users. That collation has another name on each
-- server: MySQL reads the comment with !80017, MariaDB the one with M!100600.
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
) ENGINE=InnoDB COMMENT 'Firstcome: campaigns';
