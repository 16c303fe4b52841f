-- A new organization waits for the search index as soon as it is there, however many are inserted in a statement.
CREATE TRIGGER organizations_wait_for_index AFTER INSERT ON organizations BEGIN
    INSERT INTO organizations_to_index (place) VALUES (new.place);
END;
