# uid and gid of the official image, so that data and snapshots look alike
groupadd -r -g 999 mysql
useradd -r -g mysql -u 999 -d /nonexistent mysql
apt-get install -y -q --no-install-recommends mariadb-server-core mariadb-client gosu
rm -rf /var/lib/mysql
install -d -o mysql -g mysql /var/lib/mysql /run/mysqld
