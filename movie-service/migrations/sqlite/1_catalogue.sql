-- One row: the revision of the last change. Each writer increments it in its transaction, so revisions have no gaps.
CREATE TABLE head (only_row INTEGER PRIMARY KEY CHECK (only_row = 1), revision BIGINT NOT NULL);
INSERT INTO head VALUES (1, 0);

-- The movies, in listing order: each at the revision that added it. `movie` is an encoded movie.catalog.v1.Movie.
CREATE TABLE movies (position INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, movie BLOB NOT NULL);

-- The latest changes; `movie` is NULL where one was removed.
CREATE TABLE changes (revision INTEGER PRIMARY KEY, id TEXT NOT NULL, movie BLOB);

-- The latest requests that have an id, with a hash of what they asked for.
CREATE TABLE requests (request_id TEXT PRIMARY KEY, revision BIGINT NOT NULL, fingerprint BIGINT NOT NULL);
CREATE INDEX requests_by_revision ON requests (revision);
