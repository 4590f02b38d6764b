#!/bin/bash
# The baseline of `salvorlab bench recover`: what nobody can leave out to bring six stacks back on a clean Debian 13,
# one step after another, by somebody who has prepared everything: the Compose files of all stacks lie beside this
# script, and `repositories` has a line "STACK VOLUME REPOSITORY PASSWORD" each. No check of what was restored.
set -euo pipefail
cd "$(dirname "$0")"
export DEBIAN_FRONTEND=noninteractive
step() { printf '%(%s)T %s\n' -1 "$*"; }

export RCLONE_CONFIG=/root/baseline/rclone.conf # the environment has all of it
: >"$RCLONE_CONFIG"

step apt
apt-get update -qq
apt-get install -qq --no-install-recommends docker.io docker-cli docker-compose restic rclone >/dev/null 2>&1
RCLONE_CONFIG_NAS_PASS=$(rclone obscure "$REMOTE_PASSWORD")
export RCLONE_CONFIG_NAS_PASS

step pull
compose() { docker compose --progress quiet -p "$1" -f "stacks/$1/compose.yaml" "${@:2}"; }
for stack in stacks/*; do compose "${stack#stacks/}" pull -q; done

fetch() { # REPOSITORY PATH TARGET
  restic -r "rclone:nas:$1" --no-lock --no-cache -q -o rclone.connections=32 \
    -o rclone.args="serve restic --stdio --b2-hard-delete --transfers 32 --checkers 32" restore "latest:$2" --target "$3"
}

while read -r -u 3 stack volume repository RESTIC_PASSWORD; do
  export RESTIC_PASSWORD
  step "restore $stack"
  docker volume create --label "com.docker.compose.project=$stack" --label "com.docker.compose.volume=$volume" "${stack}_$volume" >/dev/null
  if [[ $volume != db ]]; then
    fetch "$repository" "/salvor/$stack/$volume" "/var/lib/docker/volumes/${stack}_$volume/_data"
    continue
  fi
  mkdir dump
  fetch "$repository" "/salvor/$stack/$volume" dump
  compose "$stack" up -d --wait db
  compose "$stack" exec -T -u postgres db dropdb app </dev/null
  compose "$stack" exec -T -u postgres db pg_restore -d postgres --create <dump/app.dump
done 3<repositories

for stack in stacks/*; do
  step "up ${stack#stacks/}"
  compose "${stack#stacks/}" up -d --wait
done
step done
