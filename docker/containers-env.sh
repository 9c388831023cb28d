# Sourced with a folder: has buildah and podman keep everything below it, and run containers by runc without systemd.
# shellcheck shell=bash
mkdir -p "$1/tmp"
cat >"$1/storage.conf" <<END
[storage]
driver = "overlay"
runroot = "$1/run"
graphroot = "$1/storage"
END
cat >"$1/containers.conf" <<END
[containers]
default_ulimits = ["nofile=4096:4096", "nproc=4096:4096"]
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "none"
tmp_dir = "$1/libpod"
END
export CONTAINERS_STORAGE_CONF=$1/storage.conf CONTAINERS_CONF=$1/containers.conf TMPDIR=$1/tmp BUILDAH_ISOLATION=chroot
