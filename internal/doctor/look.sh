# What salvor doctor asks a host. It changes nothing, and what is not there says nothing.
exec 2>/dev/null </dev/null
LC_ALL=C
export LC_ALL
say() { printf '%s=%s\n' "$1" "$2"; }

sed -n -E 's/^(ID|VERSION_ID|VERSION_CODENAME)=/os.&/p' /etc/os-release
say kernel "$(uname -r)"
say arch "$(uname -m)"
say init "$(cat /proc/1/comm)"
say cgroup "$(stat -f -c %T /sys/fs/cgroup)"
[ -c /dev/fuse ] && say fuse yes
df -Pk /var/lib | awk 'NR == 2 { print "disk=" $2 "\nfree=" $4 }'
awk '$1 == "MemTotal:" { print "memory=" $2 } $1 == "MemAvailable:" { print "available=" $2 }' /proc/meminfo
say container "$(cat /run/systemd/container)"
say synced "$(timeout 5 timedatectl show --property NTPSynchronized --value)"
say docker "$(timeout 10 docker version --format '{{.Server.Version}}')"
say compose "$(timeout 10 docker compose version --short)"
say restic "$(timeout 10 restic version | awk '{ print $2 }')"
say salvord "$(timeout 10 /usr/local/bin/salvord version)"
say service "$(systemctl is-active salvord.service)"
sshd=$(command -v sshd || echo /usr/sbin/sshd)
"$sshd" -T | sed 's/^/sshd=/'
systemctl is-active --quiet ssh.socket && say socket yes
ss -Hltn | awk '{ print "listens=" $4 }'
say tailnet "$(timeout 5 tailscale status --json --peers=false | sed -n 's/^ *"BackendState": "\(.*\)",*$/\1/p')"
say address "$(timeout 5 tailscale ip -4 | head -n 1)"
say clock "$(date +%s)"
