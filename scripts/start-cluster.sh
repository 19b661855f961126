#!/usr/bin/env bash
# Starts a control plane and workers in containers of this machine, and says how to use them.
# See docs/deployment/, or --help.
set -euo pipefail

usage() {
    cat <<EOF
usage: start-cluster.sh [--option 1|4] [--workers N]   build, start, wait until all workers have joined
       start-cluster.sh --status                       say what runs; exit 0 only if all of it is well
       start-cluster.sh --down [--volumes]             remove containers and network; --volumes: and all jobs

  --option 4   the engine is in the control plane's container (the default: for first tests)
  --option 1   an engine in each worker (for production)
  --workers N  how many, 1 to 100 (default 3); run again with another number to change it

A second run is safe: it changes only what is different. What the start fails to bring up it removes again.
Variables, all with defaults: PYTHON_IMAGE and BUILDER_IMAGE (base images), API_PORT (3020), IMAGE_TAG (local),
COMPOSE_PROJECT_NAME (mvm-ci); for limits and what jobs may reach see docs/deployment/.
EOF
}

readonly START_S=180 FREE_MIB=2048
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
action=start option=4 workers=3 volumes=()
export COMPOSE_PROJECT_NAME=${COMPOSE_PROJECT_NAME:-mvm-ci}
export PYTHON_IMAGE=${PYTHON_IMAGE:-python:3.13-slim-bookworm}
export BUILDER_IMAGE=${BUILDER_IMAGE:-$PYTHON_IMAGE}
export API_PORT=${API_PORT:-3020} IMAGE_TAG=${IMAGE_TAG:-local}
export PUBLIC_URL=${PUBLIC_URL:-http://127.0.0.1:$API_PORT}
state=${XDG_STATE_HOME:-$HOME/.local/state}/mvm-ci/clusters/$COMPOSE_PROJECT_NAME
credentials=$state/credentials.json

say() { printf '%s\n' "$*"; }
die() {
    printf 'start-cluster.sh: %s\n' "$*" >&2
    exit 1
}
wrong() {
    printf 'start-cluster.sh: %s; see --help\n' "$*" >&2
    exit 2
}

while [ $# -gt 0 ]; do
    case $1 in
    --option) option=${2:-} && shift ;;
    --option=*) option=${1#*=} ;;
    --workers) workers=${2:-} && shift ;;
    --workers=*) workers=${1#*=} ;;
    --status) action=status ;;
    --down) action=down ;;
    --volumes) volumes=(--volumes) ;;
    --help | -h) usage && exit 0 ;;
    *) wrong "unknown argument $1" ;;
    esac
    shift || wrong "a value is missing"
done
case $option in
4) file=docker-compose.yml ;;
1) file=docker-compose.option1.yml ;;
*) wrong "--option is 1 or 4, not '$option'" ;;
esac
[[ $workers =~ ^[1-9][0-9]?$|^100$ ]] || wrong "--workers is a number from 1 to 100, not '$workers'"
[[ $API_PORT =~ ^[1-9][0-9]{0,4}$ && $API_PORT -lt 65536 ]] || wrong "API_PORT is a port, not '$API_PORT'"
[ ${#volumes[@]} -eq 0 ] || [ $action = down ] || wrong "--volumes goes with --down"

# ------------------------------------------------------------------------------------ what is needed

check_tools() {
    command -v docker >/dev/null ||
        die "docker is missing. On Debian: apt-get install docker.io docker-compose; elsewhere: Docker Engine's own packages"
    if docker compose version >/dev/null 2>&1; then
        compose=(docker compose)
    elif command -v docker-compose >/dev/null; then
        compose=(docker-compose)
    else
        die "Compose is missing. On Debian: apt-get install docker-compose; elsewhere: the package docker-compose-plugin"
    fi
    compose+=(--project-directory "$root" --file "$root/$file")
    local answer
    answer=$(docker info --format '{{.ServerVersion}}' 2>&1) ||
        die "the Docker daemon cannot be reached. Start it (systemctl start docker), and be root or in the group docker. It said: $answer"
}

check_port() {
    # Taken by what this script started is not taken.
    [ -z "$(running control-plane)" ] || return 0
    if (exec 3<>"/dev/tcp/127.0.0.1/$API_PORT") 2>/dev/null; then
        die "port $API_PORT of 127.0.0.1 is taken. End what listens there (ss -ltnp 'sport = :$API_PORT'), or choose another: API_PORT=3120 $0"
    fi
}

check_disk() {
    local directory free
    directory=$(docker info --format '{{.DockerRootDir}}')
    [ -d "$directory" ] || return 0 # the daemon is on another machine, or in one
    free=$(df --output=avail --block-size=1M "$directory" | tail -n 1)
    [ "$free" -ge $FREE_MIB ] ||
        die "$((free)) MiB are free in $directory, $FREE_MIB are needed. To see what can go: docker system df"
}

check_base() {
    local image
    for image in "$PYTHON_IMAGE" "$BUILDER_IMAGE"; do
        docker image inspect "$image" >/dev/null 2>&1 || docker pull --quiet "$image" >/dev/null 2>&1 ||
            die "the base image $image is not here and cannot be pulled. Name one that you have (PYTHON_IMAGE=..., and BUILDER_IMAGE=... with python3-venv), or make them without a registry: deploy/images/base.sh, then PYTHON_IMAGE=mvm-ci-base:bookworm BUILDER_IMAGE=mvm-ci-builder:bookworm $0"
    done
}

# ------------------------------------------------------------------------------------ what runs

ours() { # ours KIND [SERVICE]: the ids of containers, networks or volumes of this project
    local filters=(--filter "label=com.docker.compose.project=$COMPOSE_PROJECT_NAME")
    [ $# -lt 2 ] || filters+=(--filter "label=com.docker.compose.service=$2")
    case $1 in
    container) docker ps --all --quiet --no-trunc "${filters[@]}" ;;
    *) docker "$1" ls --quiet "${filters[@]}" ;;
    esac
}

running() {
    docker ps --quiet --no-trunc --filter "label=com.docker.compose.project=$COMPOSE_PROJECT_NAME" \
        --filter "label=com.docker.compose.service=$1"
}

health() { docker inspect --format '{{.State.Health.Status}}' "$1"; }

joined() { # how many of the worker containers the control plane has a session with
    local plane names id count=0
    plane=$(running control-plane)
    names=$(docker exec "$plane" mvm-ci worker list --json 2>/dev/null | docker exec --interactive "$plane" python -I -c \
        'import json, sys; print(*(w["name"] for w in json.load(sys.stdin)["workers"] if w["connected"]), sep="\n")') || names=""
    for id in $(running worker); do
        ! grep -q --fixed-strings --line-regexp "${id:0:12}" <<<"$names" || count=$((count + 1))
    done
    printf '%s' $count
}

show_logs() {
    local id
    for id in $(ours container control-plane) $(ours container worker | head -n 3); do
        printf '\n--- %s\n' "$(docker inspect --format '{{.Name}}: {{.State.Status}}, restarted {{.RestartCount}} times' "$id")"
        docker logs --tail 20 "$id" 2>&1
    done >&2
}

# ------------------------------------------------------------------------------------ --status, --down

show_status() {
    local plane id well=0
    plane=$(running control-plane)
    if [ -z "$(ours container)" ]; then
        say "not running. Volumes that hold its jobs: $(ours volume | wc -l)"
        return 1
    fi
    if [ -z "$plane" ] || [ "$(health "$plane")" != healthy ]; then
        say "control plane: not healthy"
        well=1
    else
        say "control plane: healthy, http://$(docker port "$plane" 3020/tcp)"
        local up all
        up=$(joined) all=$(ours container worker | wc -l)
        say "workers: $up of $all joined"
        [ "$up" = "$all" ] || well=1
    fi
    for id in $(ours container worker); do
        say "  $(docker inspect --format '{{.Name}}: {{.State.Health.Status}}, restarted {{.RestartCount}} times' "$id")"
    done
    return $well
}

remove() { # remove [--volumes]
    "${compose[@]}" down --timeout 50 --remove-orphans "$@" >/dev/null 2>&1 ||
        die "what runs could not be removed: ${compose[*]} down"
    rm -f "$credentials"
}

# ------------------------------------------------------------------------------------ start

undo() { # a start that failed or was interrupted
    local status=$?
    trap - EXIT INT TERM
    [ $status -ne 0 ] || exit 0
    if [ -n "$before" ]; then
        say "The cluster of before is as far as it came; $0 --status says what runs, --down removes it" >&2
    else
        [ -z "$(ours container)" ] || show_logs
        say "Removing what was started" >&2
        if [ -n "$volumes_before" ]; then remove; else remove --volumes; fi
    fi
    exit $status
}

wait_until_joined() {
    local deadline=$((SECONDS + START_S)) up=0 id
    while [ "$up" -lt "$workers" ]; do
        for id in $(ours container); do
            [ "$(docker inspect --format '{{.RestartCount}}' "$id")" -lt 3 ] ||
                die "$(docker inspect --format '{{.Name}}' "$id") ends again and again"
        done
        [ $SECONDS -lt $deadline ] || die "after $START_S s $up of $workers workers have joined"
        sleep 0.5
        up=$(joined)
    done
}

write_credentials() {
    mkdir -p "$state"
    (
        umask 077
        docker exec "$1" python -I -c \
            'import json, os, sys; print(json.dumps(json.load(open(os.environ["MVM_CI_CREDENTIALS"])) | {"url": sys.argv[1]}))' "$2" >"$credentials.new"
    )
    mv "$credentials.new" "$credentials"
}

start() {
    check_tools
    mkdir -p "$state"
    exec 9>"$state/lock"
    flock --nonblock 9 || die "another run for $COMPOSE_PROJECT_NAME is under way"
    before=$(ours container | sort) volumes_before=$(ours volume)
    check_port
    check_disk
    check_base
    IMAGE_VERSION=$(sed -n 's/^__version__ = "\(.*\)"/\1/p' "$root/src/mvm_ci/__init__.py")
    IMAGE_REVISION=$(git -C "$root" rev-parse HEAD 2>/dev/null || printf unknown)
    export IMAGE_VERSION IMAGE_REVISION

    trap undo EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM
    say "Building images (the first time: a minute or two)"
    local log
    log=$("${compose[@]}" build 2>&1) || die "the images cannot be built: $(tail -n 30 <<<"$log")"
    say "Starting a control plane and $workers workers (option $option)"
    log=$("${compose[@]}" up --detach --no-build --scale "worker=$workers" 2>&1) || die "Compose failed: $(tail -n 30 <<<"$log")"
    wait_until_joined
    local plane url
    plane=$(running control-plane) url=http://$(docker port "$plane" 3020/tcp)
    write_credentials "$plane" "$url"
    trap - EXIT INT TERM

    [ -z "$before" ] || [ "$before" != "$(ours container | sort)" ] || say "Nothing had to be changed."
    cat <<EOF
All $workers workers have joined.
  API          $url
  credentials  $credentials (of the administrator; only you can read it)
  ticket       $(docker exec "$plane" cat /run/mvm-ci/ticket)
Try:
  MVM_CI_CREDENTIALS=$credentials mvm-ci status
  docker exec ${plane:0:12} mvm-ci worker list        (if mvm-ci is not installed here)
EOF
}

case $action in
start) start ;;
status) check_tools && show_status ;;
down)
    check_tools
    if [ -z "$(ours container)$(ours network)" ] && { [ ${#volumes[@]} -eq 0 ] || [ -z "$(ours volume)" ]; }; then
        say "Nothing runs."
        exit 0
    fi
    remove "${volumes[@]}"
    if [ ${#volumes[@]} -gt 0 ]; then
        say "Removed, with all jobs. The images are still there."
    else
        say "Removed. The volumes with its jobs are still there: a new start goes on with them, --down --volumes deletes them."
    fi
    ;;
esac
