#!/usr/bin/env bash
# Records the binlog fixtures anew: runs each <case>.sql on a fresh binlog of a scratch server and writes <case>.binlog
# and MANIFEST.toml. The server is a throw-away: its binlogs are reset and its databases dropped.
#
#   printf '1\tone\n2\ttwo\n' > /tmp/binbridge-load.tsv   # what LOAD DATA reads
#   MYSQL="mysql --no-defaults -uroot -S /tmp/scratch.sock" MYSQLBINLOG=mysqlbinlog proto-fixtures/record.sh [case..]
#
# It wants gtid_mode=ON, log_bin, local_infile=ON, and read access to @@datadir.
set -euo pipefail
cd "$(dirname "$0")"
: "${MYSQL:?the mysql client with its connection options}" "${MYSQLBINLOG:?the mysqlbinlog program}"

version=$($MYSQL -NBe 'SELECT VERSION()')
cases=("$@")
[ ${#cases[@]} -gt 0 ] || mapfile -t cases < <(ls -- *.sql | sed 's/\.sql$//')

for case in "${cases[@]}"; do
  base=$($MYSQL -NBe 'SELECT @@log_bin_basename')
  for database in $($MYSQL -NBe "SELECT schema_name FROM information_schema.schemata
      WHERE schema_name NOT IN ('mysql','sys','performance_schema','information_schema')"); do
    $MYSQL -e "DROP DATABASE \`$database\`"
  done
  $MYSQL -e "SET GLOBAL gtid_mode = ON_PERMISSIVE" 2> /dev/null || true
  $MYSQL -e "SET GLOBAL gtid_mode = ON; SET GLOBAL binlog_checksum = CRC32; SET GLOBAL binlog_row_metadata = FULL;
    SET GLOBAL binlog_format = ROW; RESET BINARY LOGS AND GTIDS"
  $MYSQL --local-infile=1 --default-character-set=utf8mb4 --force < "$case.sql" > /dev/null
  last=$($MYSQL -NBe 'SHOW BINARY LOG STATUS' | cut -f1)
  $MYSQL -e 'FLUSH BINARY LOGS'
  cp "$(dirname "$base")/$last" "$case.binlog"
done

{
  echo "# Binlog files of real servers and what mysqlbinlog says is in them. Written by record.sh."
  for case in $(ls -- *.sql | sed 's/\.sql$//'); do
    text=$($MYSQLBINLOG --no-defaults --verify-binlog-checksum --base64-output=decode-rows -v "$case.binlog")
    count() { grep -acE "$1" <<< "$text" || true; }
    echo
    echo '[[fixture]]'
    echo "file = \"$case.binlog\""
    echo "orders = \"$case.sql\""
    echo "sha256 = \"$(sha256sum "$case.binlog" | cut -d' ' -f1)\""
    echo "server = \"$(grep -aoP 'server v \K\S+' <<< "$text" | head -1)\""
    echo "events = $(count '^# at ')"
    echo "inserts = $(count '^### INSERT INTO ')"
    echo "updates = $(count '^### UPDATE ')"
    echo "deletes = $(count '^### DELETE FROM ')"
  done
} > MANIFEST.toml
echo "recorded from MySQL $version"
