-- Finds tables, and views, that have a name of ours and are not marked as ours.
-- names (a list)
SELECT table_schema, table_name
FROM information_schema.tables
WHERE table_schema = DATABASE() AND table_name IN %s AND table_comment NOT LIKE 'Firstcome: %%'
ORDER BY table_name
