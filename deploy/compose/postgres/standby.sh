#!/bin/bash
# Runs a standby: copies the primary into an empty volume, then follows it.
set -euo pipefail

if ! [ -e "$PGDATA/PG_VERSION" ]; then
    # It also writes how to connect, into postgresql.auto.conf of the copy.
    PGPASSWORD=$REPLICATION_PASSWORD pg_basebackup --pgdata "$PGDATA" --host "$PRIMARY" --port "${PRIMARY_PORT:-5432}" \
        --username replicator --slot standby --write-recovery-conf --checkpoint fast
    chmod 0700 "$PGDATA"
fi
exec postgres "$@"
