mkdir -p /etc/postgresql-common
echo 'create_main_cluster = false' >/etc/postgresql-common/createcluster.conf
apt-get install -y -q --no-install-recommends age ca-certificates git jq mariadb-client mariadb-server-core postgresql rclone restic sqlite3 valkey-server valkey-tools
ln -s /usr/lib/postgresql/*/bin/* /usr/local/bin/
rm -rf /usr/lib/*/libLLVM* /usr/lib/postgresql/*/lib/bitcode /usr/lib/postgresql/*/lib/llvmjit*
# empty servers to load dumps into
install -d -o postgres /srv/postgres
runuser -u postgres -- initdb -D /srv/postgres -U postgres -A trust >/dev/null
mariadb-install-db --no-defaults --user=root --datadir=/srv/mariadb --skip-test-db --auth-root-authentication-method=normal --innodb-log-file-size=4M >/dev/null
