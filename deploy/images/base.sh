#!/usr/bin/env bash
# Makes the two base images where no image registry is reached, from Debian's packages, and names them:
#
#   mvm-ci-base:SUITE      what Dockerfile.* call PYTHON_IMAGE: Debian, python3, the public certificates; nothing else
#   mvm-ci-builder:SUITE   what they call BUILDER_IMAGE: the same, with this machine's certificates, so that pip trusts
#                          what this machine trusts. Nothing of it gets into an image but what was installed
#
# The first run takes a minute and keeps a tar file in the cache, the next ones seconds. Needs root, debootstrap and docker.
set -euo pipefail

suite=${1:-bookworm}
cache=${XDG_CACHE_HOME:-$HOME/.cache}/mvm-ci/images
certificates=/etc/ssl/certs/ca-certificates.crt
packages=ca-certificates,python3,python3-venv
architecture=$(dpkg --print-architecture)
archive=$cache/base-$suite-$architecture-$(sha256sum "$0" | cut -c 1-12).tar

die() {
    echo "base.sh: $*" >&2
    exit 1
}
for tool in debootstrap docker; do
    command -v "$tool" >/dev/null || die "missing: $tool. On Debian: apt-get install debootstrap docker.io"
done
[ "$(id -u)" = 0 ] || die "debootstrap needs root"

mkdir -p "$cache"
work=$(mktemp -d "$cache/.new-XXXXXX")
trap 'rm -rf "$work"' EXIT

if [ ! -f "$archive" ]; then
    echo "Making the base image from Debian's packages ($suite, $architecture); this takes a minute"
    debootstrap --variant=minbase --include="$packages" "$suite" "$work/tree" >"$work/log" 2>&1 ||
        die "debootstrap failed: $(tail -n 20 "$work/log")"
    # As Debian's own images have it: no package lists, no manuals, no translations.
    rm -rf "$work"/tree/var/{cache,lib/apt/lists,log}/* "$work"/tree/usr/share/{doc,info,locale,man}/*
    find "$work/tree" -name __pycache__ -prune -exec rm -rf {} +
    tar --create --file "$work/tar" --numeric-owner --sort=name --directory "$work/tree" .
    rm -f "$cache/base-$suite-$architecture-"*.tar # of earlier versions of this script
    mv "$work/tar" "$archive"
fi

# Importing it again would make another image of it, and every layer above would have to be made anew.
made=$(docker image inspect --format '{{.Config.Labels.archive}}' "mvm-ci-base:$suite" 2>/dev/null) || made=""
if [ "$made" != "$(basename "$archive")" ]; then
    docker import --change 'CMD ["python3"]' --change "LABEL archive=$(basename "$archive")" "$archive" "mvm-ci-base:$suite" >/dev/null
fi
mkdir "$work/context"
cp "$certificates" "$work/context/certificates.crt"
printf '%s\n' "FROM mvm-ci-base:$suite" "COPY certificates.crt $certificates" "ENV PIP_CERT=$certificates" >"$work/context/Dockerfile"
docker build --quiet --tag "mvm-ci-builder:$suite" "$work/context" >"$work/log" 2>&1 || die "$(cat "$work/log")"
echo "mvm-ci-base:$suite mvm-ci-builder:$suite"
