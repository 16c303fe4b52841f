-- The terms that the index still has of names that are no more, by place. Each place that comes after a greater one
-- makes the index write what it has, so they are taken out many at once, in their order.
CREATE TABLE organizations_to_unindex (place INTEGER PRIMARY KEY, terms TEXT NOT NULL);

-- Some organizations that were renamed are in the index by the name that they had before. So it is made anew.
INSERT INTO organization_index (organization_index) VALUES ('delete-all');
DELETE FROM organizations_to_index;
INSERT INTO organization_index (rowid, terms)
SELECT place, (
    WITH RECURSIVE term (start, text, bytes) AS (
        SELECT 1, hex(folded_name) || '00000000', length(CAST(folded_name AS BLOB))
        UNION ALL SELECT start + 2, text, bytes - 1 FROM term WHERE bytes > 1
    )
    SELECT group_concat(substr(environment_id, -6) || substr(text, start, 10), ' ') FROM term
)
FROM organizations;
