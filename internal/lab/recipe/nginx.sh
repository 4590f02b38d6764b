apt-get install -y -q --no-install-recommends nginx-light
rm -rf /etc/nginx/sites-enabled/default /var/www/html
mkdir -p /usr/share/nginx/html /etc/nginx/conf.d
ln -sf /dev/stdout /var/log/nginx/access.log
ln -sf /dev/stderr /var/log/nginx/error.log
cat >/etc/nginx/conf.d/default.conf <<'CONF'
server { listen 80; root /usr/share/nginx/html; index index.html; }
CONF
