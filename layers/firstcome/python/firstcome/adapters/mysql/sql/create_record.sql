-- Makes the table in which yoyo notes the migrations that were applied; its columns are yoyo's.
CREATE TABLE IF NOT EXISTS firstcome_migration (
  migration_hash VARCHAR(64) CHARACTER SET ascii NOT NULL PRIMARY KEY,
  migration_id   VARCHAR(255) NOT NULL,
  applied_at_utc DATETIME NOT NULL
) ENGINE=InnoDB COMMENT 'Firstcome: migrations that were applied'
