#!/usr/bin/env bash
# Tries the commands of the README on a bare Debian, made by debootstrap and thrown away afterwards.
#
# Usage: scripts/debian.sh bookworm|trixie root|user [COMMAND ...]     (default: "make demo" "make test")
#
# Each COMMAND runs in a fresh clone of the last commit, alone: nothing lies beside it. As `user` (without sudo) the first
# command must fail and name Debian's packages; they are installed by root as its message says, and it runs again.
# Needs root and debootstrap; PLACE (default /var/tmp/desdm-debian) keeps the bare systems for the next call.
# BESIDE=FOLDER shows that folder, read only, as `shared` beside the clone: tests that read real data run too.
# KEEP=1 leaves the system where it is, for a look.
# The system gets file systems of its own (/dev and /proc among them), never the host's.
set -eu
suite=${1:?bookworm or trixie}
who=${2:?root or user}
shift 2
[ $# -gt 0 ] || set -- "make demo" "make test"
project=$(cd "$(dirname "$0")/.." && pwd)
place=${PLACE:-/var/tmp/desdm-debian}
bare=$place/$suite
here=$place/$suite-$who

mkdir -p "$place"
if [ ! -e "$bare.made" ]; then
  rm -rf "$bare"
  debootstrap --variant=minbase --include=git,make,python3,ca-certificates "$suite" "$bare" >"$bare.log"
  touch "$bare.made"
fi
rm -rf "$here"
cp -a "$bare" "$here"
[ -n "${KEEP:-}" ] || trap 'rm -rf "$here"' EXIT

# The network's name service and certificates, where it has some of its own.
cp -L /etc/resolv.conf /etc/hosts "$here/etc/"
cp -L /etc/ssl/certs/ca-certificates.crt "$here/etc/ssl/certs/ca-certificates.crt"
for file in "$here"/etc/apt/apt.conf.d; do echo 'Acquire::Retries "3";' >"$file/80retries"; done

home=/root
[ "$who" = root ] || { chroot "$here" useradd --create-home --shell /bin/bash user; home=/home/user; }
git clone -q --no-hardlinks "$project" "$here$home/desdm"
[ "$who" = root ] || chroot "$here" chown -R user: "$home/desdm"

inside() {  # inside USER COMMAND
  unshare --mount --pid --fork --kill-child bash -eu -c '
    here=$1 who=$2 home=$3 command=$4
    mount --make-rprivate /
    mount -t proc proc "$here/proc"
    mount -t tmpfs -o mode=755 dev "$here/dev"
    for node in "null 1 3" "zero 1 5" "full 1 7" "random 1 8" "urandom 1 9" "tty 5 0"; do
      set -- $node; mknod -m 666 "$here/dev/$1" c "$2" "$3"
    done
    if [ -n "${BESIDE:-}" ]; then
      mkdir -p "$here$home/shared"
      mount --bind "$BESIDE" "$here$home/shared"
      mount -o remount,ro,bind "$here$home/shared"
    fi
    mkdir "$here/dev/pts" "$here/dev/shm"
    mount -t devpts -o newinstance,ptmxmode=666 devpts "$here/dev/pts"
    ln -s pts/ptmx "$here/dev/ptmx"; ln -s /proc/self/fd "$here/dev/fd"
    mount -t tmpfs -o mode=1777 shm "$here/dev/shm"
    set -- env -i --default-signal=INT HOME="$home" USER="$who" LANG=C.UTF-8 PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
      PIP_CERT=/etc/ssl/certs/ca-certificates.crt SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt NODE_EXTRA_CA_CERTS=/etc/ssl/certs/ca-certificates.crt \
      setpriv --reuid "$who" --regid "$who" --init-groups bash -c "cd $home/desdm 2>/dev/null || cd /; $command"
    exec chroot "$here" "$@"
  ' inside "$here" "$1" "$home" "$2"
}

for command in "$@"; do
  echo "== $suite, $who: $command"
  begin=$(date +%s)
  if inside "$who" "$command" >"$place/$suite-$who.output" 2>&1; then state=0; else state=$?; fi
  if [ "$who" = user ] && [ "$state" != 0 ] && packages=$(grep -o 'apt-get install [^)]*' "$place/$suite-$who.output"); then
    cat "$place/$suite-$who.output"
    inside root "apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends ${packages#apt-get install }" \
      >"$place/$suite-$who.packages" 2>&1 || { cat "$place/$suite-$who.packages"; exit 1; }
    begin=$(date +%s)
    if inside "$who" "$command" >"$place/$suite-$who.output" 2>&1; then state=0; else state=$?; fi
  fi
  tail -n "${LINES_SHOWN:-40}" "$place/$suite-$who.output"
  echo "== $suite, $who: $command: status $state, $(($(date +%s) - begin)) s"
  [ "$state" = 0 ] || exit "$state"
done
