-- One row: the revision of the last change. Each writer increments it in its transaction, so revisions have no gaps, and
-- one that is seen is committed with all before it.
CREATE TABLE head (only_row SMALLINT PRIMARY KEY CHECK (only_row = 1), revision BIGINT NOT NULL);
INSERT INTO head VALUES (1, 0);

-- The movies, in listing order: each at the revision that added it. `movie` is an encoded movie.catalog.v1.Movie.
CREATE TABLE movies (position BIGINT PRIMARY KEY, id TEXT NOT NULL UNIQUE, movie BYTEA NOT NULL);

-- The latest changes; `movie` is NULL where one was removed.
CREATE TABLE changes (revision BIGINT PRIMARY KEY, id TEXT NOT NULL, movie BYTEA);

-- The latest requests that have an id, with a hash of what they asked for.
CREATE TABLE requests (request_id TEXT PRIMARY KEY, revision BIGINT NOT NULL, fingerprint BIGINT NOT NULL);
CREATE INDEX requests_by_revision ON requests (revision);
