apt-get install -y -q --no-install-recommends valkey-server valkey-tools
