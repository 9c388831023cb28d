#!/usr/bin/env bash
# Build the image where there is no Docker engine, with buildah, as root on Debian:
#
#     docker/build-without-engine.sh [TARGET] [TAG]        TARGET: full (default) or dns
#
# Needs debootstrap, buildah, podman, runc (Debian packages of these names). Nothing is pulled: debian:trixie-slim
# is made here from Debian's own archive. All it keeps is in $FILTERPROXY_CONTAINERS, by default
# /var/tmp/filterproxy-containers; `docker/build-without-engine.sh clean` removes it.
# Where this machine's pip is configured to trust a CA of its own, or to ask an index of its own, pip is told so
# inside, for the build alone, by files that are mounted read-only; of these the image has two empty mount points.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
target=${1:-full}
tag=${2:-filterproxy:$target}
home=${FILTERPROXY_CONTAINERS:-/var/tmp/filterproxy-containers}
mirror=${FILTERPROXY_DEBIAN_MIRROR:-} # empty: the one that debootstrap knows by itself

# shellcheck source=docker/containers-env.sh
. "$here/containers-env.sh" "$home"

if [ "$target" = clean ]; then
  podman rm --all --force >/dev/null
  buildah rm --all >/dev/null
  podman image rm --all --force >/dev/null
  rm -rf -- "$home"/{storage,run,tmp,libpod,trust} "$home"/*.{conf,log}
  exit
fi

base() {
  local root=$home/debian
  rm -rf -- "$root"
  debootstrap --variant=minbase trixie "$root" ${mirror:+"$mirror"} >"$home/debootstrap.log" 2>&1 ||
    { tail -5 "$home/debootstrap.log" >&2; return 1; }
  # What the published slim image leaves out as well.
  rm -rf "$root"/var/cache/apt/* "$root"/var/lib/apt/lists/* "$root"/var/log/*
  find "$root/usr/share/doc" -mindepth 1 -not -type d -not -name copyright -delete
  rm -rf "$root"/usr/share/{man,info,groff,lintian,linda}/* "$root"/usr/share/locale/*
  printf 'path-exclude /usr/share/%s\n' 'doc/*' 'man/*' 'info/*' 'locale/*' >"$root/etc/dpkg/dpkg.cfg.d/slim"
  printf 'path-include /usr/share/doc/*/copyright\n' >>"$root/etc/dpkg/dpkg.cfg.d/slim"
  tar -C "$root" --numeric-owner -cf - . | podman import --quiet - docker.io/library/debian:trixie-slim >/dev/null
  rm -rf -- "$root"
}

configured() { # KEY VARIABLE: what this machine's pip is told, if anything
  local python
  for python in "$here/../.venv/bin/python" python3; do
    "$python" -m pip config get "global.$1" 2>/dev/null && return
  done
  printf '%s' "${!2:-}"
}

trust() {
  local ca index
  ca=$(configured cert PIP_CERT)
  index=$(configured index-url PIP_INDEX_URL)
  [ -n "$ca$index" ] || return 0
  mkdir -p "$home/trust"
  echo '[global]' >"$home/pip.conf"
  if [ -f "$ca" ]; then
    cp "$ca" "$home/trust/ca.crt"
    echo 'cert = /run/build/ca.crt' >>"$home/pip.conf"
  fi
  case $index in http*) echo "index-url = $index" >>"$home/pip.conf" ;; esac
  mounts=(-v "$home/trust:/run/build:ro" -v "$home/pip.conf:/etc/pip.conf:ro")
}

podman image exists docker.io/library/debian:trixie-slim || base
mounts=()
trust
buildah bud --quiet --format docker --isolation chroot --pull=never --layers --target "$target" "${mounts[@]}" \
  -t "$tag" -f "$here/Dockerfile" "$here/.." >"$home/build-$target.log" 2>&1 ||
  { tail -25 "$home/build-$target.log" >&2; exit 1; }
podman image inspect --format '{{.Size}}' "$tag" |
  awk -v tag="$tag" '{ printf "%s: %.0f MB\n", tag, $1 / 1000000 }'
