# uid and gid of the official image, so that data and snapshots look alike
groupadd -r -g 999 postgres
useradd -r -g postgres -u 999 -d /var/lib/postgresql -s /bin/bash postgres
mkdir -p /etc/postgresql-common /docker-entrypoint-initdb.d
echo 'create_main_cluster = false' >/etc/postgresql-common/createcluster.conf
apt-get install -y -q --no-install-recommends postgresql postgresql-client gosu
ln -s /usr/lib/postgresql/*/bin/* /usr/local/bin/
sed -ri "s/^#?(listen_addresses)\s*=.*/\1 = '*'/" /usr/share/postgresql/*/postgresql.conf.sample
install -d -m 3777 -o postgres -g postgres /var/run/postgresql
install -d -m 1777 -o postgres -g postgres /var/lib/postgresql/data
# the compiler is two thirds of the image and only speeds up long queries
rm -rf /usr/lib/*/libLLVM* /usr/lib/postgresql/*/lib/bitcode /usr/lib/postgresql/*/lib/llvmjit*
