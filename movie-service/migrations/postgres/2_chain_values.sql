-- Each change has a chain value: a hash over the chain value before, the revision, the id and the movie. It tells histories
-- apart that have the same revision. Changes from before are told apart by random values.
--
-- A service of an earlier version does not know the column, so its writes fail instead of breaking the chain.
ALTER TABLE head ADD COLUMN chain BYTEA;
ALTER TABLE changes ADD COLUMN chain BYTEA;
UPDATE changes SET chain = decode(replace(gen_random_uuid()::text, '-', ''), 'hex');

-- Of the oldest row only the chain value counts: it is where the history that is kept begins.
INSERT INTO changes (revision, id, movie, chain)
    SELECT coalesce((SELECT min(revision) FROM changes), revision + 1) - 1, '', NULL,
        decode(replace(gen_random_uuid()::text, '-', ''), 'hex')
    FROM head;
UPDATE head SET chain = (SELECT chain FROM changes WHERE changes.revision = head.revision);
ALTER TABLE head ALTER COLUMN chain SET NOT NULL;
ALTER TABLE changes ALTER COLUMN chain SET NOT NULL;
