# Two verbs, run in a container of MariaDB or MySQL:
#   find                      prints where and how the server is reached, ended by NULs
#   with SOCKET USER PASSWORD PROGRAM OPTIONS…
#                             runs a client program that is connected so
# Programs are where images have them: the container's PATH may name a folder that others
# than the image's maker write to. PASSWORD names the variable of the container that
# has it; the value stays here.

PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
for d in /usr/libexec /usr/local/mysql/bin /opt/bitnami/mariadb/bin /opt/bitnami/mariadb/sbin /opt/bitnami/mysql/bin; do
  if [ -d "$d" ]; then PATH=$PATH:$d; fi
done
export PATH

value() { # $1, or the content of the file that $1_FILE names
  eval "v=\${$1-} f=\${$1_FILE-}"
  if [ -z "$v" ] && [ -n "$f" ]; then v=$(cat "$f" 2>/dev/null); fi
  printf %s "$v"
}

first() { # where the first of these programs is that the image has
  for p in "$@"; do
    if command -v "$p" 2>/dev/null; then return; fi
  done
}

server() { # the folder below /proc of the server's process
  for d in /proc/[0-9]*; do
    n=
    { read -r n <"$d/comm"; } 2>/dev/null || continue
    case $n in mariadbd | mysqld) echo "$d" && return ;; esac
  done
}

sockets() { # PROCESS: where the server may listen, the likeliest first
  tr '\0' '\n' <"$1/cmdline" | sed -n 's/^--socket=//p'
  for p in my_print_defaults mariadb-print-defaults; do
    "$p" mysqld server mariadb mariadbd 2>/dev/null | sed -n 's/^--socket=//p'
  done
  printf '%s\n' /run/mysqld/mysqld.sock /var/run/mysqld/mysqld.sock /var/lib/mysql/mysql.sock /tmp/mysql.sock \
    /opt/bitnami/mariadb/tmp/mysql.sock /opt/bitnami/mysql/tmp/mysql.sock
}

connected() { # SOCKET USER PASSWORD PROGRAM OPTIONS…
  socket=$1 user=$2 password=$3 program=$4
  shift 4
  if [ -n "$password" ]; then MYSQL_PWD=$(value "$password") && export MYSQL_PWD; else unset MYSQL_PWD; fi
  exec "$program" --no-defaults "--socket=$socket" "--user=$user" "$@"
}

find_server() {
  process=$(server)
  if [ -z "$process" ]; then echo "no MariaDB server answers in this container" >&2 && return 3; fi
  while read -r k v _; do
    case $k in Uid:) uid=$v ;; Gid:) gid=$v ;; esac
  done <"$process/status"
  program=$(tr '\0' '\n' <"$process/cmdline" | sed -n 1p)
  case $program in /*) ;; *) program=$(first "$program" mariadbd mysqld) ;; esac
  client=$(first mariadb mysql) dump=$(first mariadb-dump mysqldump)
  if [ -z "$client" ] || [ -z "$dump" ]; then echo "the image has no mariadb-dump or mysqldump" >&2 && return 5; fi
  said=
  for socket in $(sockets "$process"); do
    [ -S "$socket" ] || continue
    for user in "$(value MARIADB_ROOT_USER)" "$(value MYSQL_ROOT_USER)" root; do
      [ -n "$user" ] || continue
      for password in '' MARIADB_ROOT_PASSWORD MYSQL_ROOT_PASSWORD; do
        if [ -n "$password" ] && [ -z "$(value "$password")" ]; then continue; fi
        if answer=$(connected "$socket" "$user" "$password" "$client" -N -B -e "SELECT Super_priv FROM mysql.user WHERE CONCAT(User, '@', Host) = CURRENT_USER()" 2>&1); then
          if [ "$answer" = Y ]; then
            printf '%s\0' "$uid:$gid" "$program" "$client" "$dump" "$(first mariadb-install-db mysql_install_db)" "$socket" "$user" "$password"
            return
          fi
          answer="user $user may not read everything"
        fi
        case $said in *"$answer"*) ;; *) said="$said$answer
" ;; esac
      done
    done
  done
  case $said in
    '' | *"ERROR 2002"*) echo "no MariaDB server answers in this container: $said" >&2 && return 3 ;;
  esac
  echo "cannot log in: $said" >&2
  return 4
}

case $1 in
  find) find_server ;;
  with) shift && connected "$@" ;;
esac
