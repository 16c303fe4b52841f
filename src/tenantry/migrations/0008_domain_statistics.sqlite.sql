-- Without statistics SQLite believes that an environment has ten domains, and reads all of them to find those of
-- one organization. These are what ANALYZE says of two environments and half a million organizations
-- (https://www.sqlite.org/lang_analyze.html, "Fixed Results Of ANALYZE").
ANALYZE sqlite_schema;
DELETE FROM sqlite_stat1 WHERE tbl = 'organization_domains';
INSERT INTO sqlite_stat1 (tbl, idx, stat) VALUES
    ('organization_domains', 'organization_domains', '1000000 500000 1'),
    ('organization_domains', 'organization_domains_of_organization', '1000000 500000 2 1'),
    ('organization_domains', 'organization_domains_by_domain', '1000000 500000 2 1'),
    ('organization_domains', 'organization_domains_owned', '750000 375000 2 1'),
    ('organization_domains', 'organization_domains_due', '1000000 2');
ANALYZE sqlite_schema;
