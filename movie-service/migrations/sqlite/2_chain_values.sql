-- Each change has a chain value: a hash over the chain value before, the revision, the id and the movie. It tells histories
-- apart that have the same revision. Changes from before are told apart by random values.
--
-- A service of an earlier version does not know the column, so its writes fail instead of breaking the chain.
ALTER TABLE head RENAME TO head_1;
CREATE TABLE head (
    only_row INTEGER PRIMARY KEY CHECK (only_row = 1),
    revision BIGINT NOT NULL,
    chain BLOB NOT NULL
);
INSERT INTO head SELECT only_row, revision, randomblob(16) FROM head_1;
DROP TABLE head_1;

ALTER TABLE changes RENAME TO changes_1;
CREATE TABLE changes (revision INTEGER PRIMARY KEY, id TEXT NOT NULL, movie BLOB, chain BLOB NOT NULL);
INSERT INTO changes SELECT revision, id, movie, randomblob(16) FROM changes_1;
DROP TABLE changes_1;

-- Of the oldest row only the chain value counts: it is where the history that is kept begins.
INSERT INTO changes
    SELECT coalesce((SELECT min(revision) FROM changes), revision + 1) - 1, '', NULL, randomblob(16) FROM head;
UPDATE head SET chain = (SELECT chain FROM changes WHERE changes.revision = head.revision);
