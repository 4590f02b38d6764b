# Three verbs, run in a Postgres container:
#   owner                     prints uid:gid of the server
#   find OPTIONS              run as that user: prints where and how the server is reached, ended by NULs
#   with BIN HOST PORT ROLE PASSWORD DATABASE OPTIONS PROGRAM…
#                             runs a program that is connected so
# Programs are those beside the server's own, or where images have them: the
# container's PATH may name a folder that others than the image's maker write to.
# PASSWORD names the variable of the container that has it; the value stays here.

PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
for d in /usr/lib/postgresql/*/bin /usr/pgsql-*/bin /usr/libexec/postgresql* /opt/bitnami/postgresql/bin; do
  if [ -d "$d" ]; then PATH=$PATH:$d; fi
done
export PATH

value() { # $1, or the content of the file that $1_FILE names
  eval "v=\${$1-} f=\${$1_FILE-}"
  if [ -z "$v" ] && [ -n "$f" ]; then v=$(cat "$f" 2>/dev/null); fi
  printf %s "$v"
}

servers() { # the folders below /proc of Postgres processes
  for d in /proc/[0-9]*; do
    n=
    { read -r n <"$d/comm"; } 2>/dev/null || continue
    case $n in postgres | postmaster | edb-postgres) echo "$d" ;; esac
  done
}

owner() {
  if [ -n "${PGDATA-}" ] && stat -c %u:%g "$PGDATA/PG_VERSION" 2>/dev/null; then return; fi
  for d in $(servers); do
    while read -r k u _; do
      case $k in Uid:) uid=$u ;; Gid:) echo "$uid:$u" && return ;; esac
    done <"$d/status"
  done
  echo "no Postgres server answers in this container" >&2
  return 3
}

folder() { # the data folder of the server that runs
  if [ -r "${PGDATA:-/nonexistent}/postmaster.pid" ]; then printf %s "$PGDATA" && return; fi
  for d in $([ -s "${PGDATA:-/nonexistent}/PG_VERSION" ] || servers); do
    c=$(readlink "$d/cwd" 2>/dev/null) || continue
    if [ -r "$c/postmaster.pid" ]; then printf %s "$c" && return; fi
  done
  echo "no Postgres server answers in this container" >&2
  return 3
}

connect() { # BIN HOST PORT ROLE PASSWORD DATABASE OPTIONS
  unset PGHOSTADDR PGSERVICE PGSERVICEFILE PGPASSFILE PGSSLMODE PGREQUIRESSL PGREQUIREAUTH PGCHANNELBINDING PGTARGETSESSIONATTRS PGCLIENTENCODING
  export PATH="${1:+$1:}$PATH" PGHOST="$2" PGPORT="$3" PGUSER="$4" PGDATABASE="$6" PGOPTIONS="$7" PGCONNECT_TIMEOUT=20
  if [ -n "$5" ]; then PGPASSWORD=$(value "$5") && export PGPASSWORD; else unset PGPASSWORD; fi
}

find_server() { # OPTIONS
  data=$(folder) || return
  { read -r pid && read -r _ && read -r _ && read -r port && read -r host && read -r listen; } <"$data/postmaster.pid"
  if [ -z "$host" ]; then
    case $listen in '' | '*' | 0.0.0.0 | ::) host=localhost ;; *) host=$listen ;; esac
  fi
  bin=$(readlink "/proc/$pid/exe" 2>/dev/null) && bin=${bin%/*}
  if ! PATH="${bin:+$bin:}$PATH" pg_isready -q -h "$host" -p "$port"; then
    echo "no Postgres server answers in this container: not at port $port of $host" >&2
    return 3
  fi
  user=$(value POSTGRES_USER)
  said=
  for role in "$user" "$(value POSTGRESQL_USERNAME)" postgres "$(id -un 2>/dev/null)"; do
    [ -n "$role" ] || continue
    for password in '' POSTGRES_PASSWORD POSTGRESQL_POSTGRES_PASSWORD POSTGRES_POSTGRES_PASSWORD POSTGRESQL_PASSWORD PGPASSWORD PGPASSWORD_SUPERUSER PATRONI_SUPERUSER_PASSWORD; do
      if [ -n "$password" ] && [ -z "$(value "$password")" ]; then continue; fi
      for database in postgres "$(value POSTGRES_DB)" "$role" "$(value POSTGRESQL_DATABASE)" template1; do
        [ -n "$database" ] || continue
        if answer=$(
          connect "$bin" "$host" "$port" "$role" "$password" "$database" "$1"
          psql -X -q -A -t -w -c 'SELECT rolsuper FROM pg_catalog.pg_roles WHERE rolname = current_user' 2>&1
        ); then
          if [ "$answer" = t ]; then
            printf '%s\0' "$data" "$bin" "$host" "$port" "$role" "$password" "$database"
            return
          fi
          answer="role $role is not a superuser"
        fi
        case $said in *"$answer"*) ;; *) said="$said$answer
" ;; esac
      done
    done
  done
  printf %s "$said" >&2
  return 4
}

case $1 in
  owner) owner ;;
  find) find_server "$2" ;;
  with)
    shift
    connect "$@"
    shift 7
    exec "$@"
    ;;
esac
