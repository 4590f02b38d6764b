mkdir -p /etc/postgresql-common
echo 'create_main_cluster = false' >/etc/postgresql-common/createcluster.conf
apt-get install -y -q --no-install-recommends age ca-certificates postgresql rclone restic sqlite3 valkey-server valkey-tools
ln -s /usr/lib/postgresql/*/bin/* /usr/local/bin/
rm -rf /usr/lib/*/libLLVM* /usr/lib/postgresql/*/lib/bitcode /usr/lib/postgresql/*/lib/llvmjit*
