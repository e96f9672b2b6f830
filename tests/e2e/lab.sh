#!/bin/sh
# lab.sh COMMAND…: runs it with a network, a process table and a /dev/shm of its own. Whatever it started ends with it, so a
# test need not stop anything; ports cannot collide; nothing is reached outside. Its exit code is COMMAND's.
exec unshare --map-root-user --net --pid --fork --kill-child --mount --mount-proc sh -c '
  mount -t tmpfs tmpfs /dev/shm && ip link set lo up && "$@"; exit $?' lab "$@"
