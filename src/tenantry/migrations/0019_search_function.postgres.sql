-- The same terms as before, so that the index stands. A loop makes them in half the time that a query takes; and the
-- query was parsed and planned anew by each statement that inserted a name, which took longer than to insert it.
CREATE OR REPLACE FUNCTION organization_terms(environment_id TEXT, folded_name TEXT) RETURNS TSVECTOR
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL UNSAFE COST 1000 AS $$
DECLARE
    text TEXT := encode(convert_to(folded_name, 'UTF8'), 'hex') || '00000000';
    space TEXT := lower(right(environment_id, 6));
    terms TEXT[];
BEGIN
    FOR start IN 1 .. length(text) - 9 BY 2 LOOP
        terms := array_append(terms, space || substr(text, start, 10));
    END LOOP;
    RETURN array_to_tsvector(terms);
END
$$;
