#!/bin/bash
# Prepares the primary for its standby. The image of PostgreSQL runs this once, when it has created the database.
set -euo pipefail

psql --quiet --set=ON_ERROR_STOP=1 --set=password="$REPLICATION_PASSWORD" \
    --username "$POSTGRES_USER" --dbname "$POSTGRES_DB" <<'SQL'
CREATE ROLE replicator WITH REPLICATION LOGIN PASSWORD :'password';
SELECT pg_create_physical_replication_slot('standby');
SQL
echo 'host replication replicator all scram-sha-256' >>"$PGDATA/pg_hba.conf"
