-- Terms of a folded name, as organizations/search.py has them. Declared dear, so that a plan never
-- computes them for many rows where the index has them; and unsafe in parallel, since to start
-- workers takes longer than any look-up.
CREATE FUNCTION organization_terms(environment_id TEXT, folded_name TEXT) RETURNS TSVECTOR
LANGUAGE SQL IMMUTABLE STRICT PARALLEL UNSAFE COST 1000 AS $$
    SELECT array_to_tsvector(array_agg(lower(right(environment_id, 6)) || substr(text, start, 10)))
    FROM (SELECT encode(convert_to(folded_name, 'UTF8'), 'hex') || '00000000' AS text) AS name,
        generate_series(1, length(text) - 9, 2) AS start
$$;

-- Without a list of what waits, since every search would have to go through it.
CREATE INDEX organizations_by_terms ON organizations
    USING gin (organization_terms(environment_id, folded_name)) WITH (fastupdate = off);
