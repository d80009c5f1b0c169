#!/usr/bin/env bash
# rootfs.sh DIR: a minimal root file system to make images from: busybox, glibc, users; curl if this machine has it.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/settings.sh"
root=$(realpath -m "$1")
mkdir -p "$root"/{bin,sbin,usr/bin,etc,lib/x86_64-linux-gnu,lib64,tmp,root,proc,sys,dev,run,var/run}
chmod 1777 "$root/tmp"

# add PROGRAM PLACE: with the libraries it loads, from Debian's packages unpacked here or from this machine
add() {
  local libraries
  cp -L "$1" "$root$2/"
  libraries=$(LD_LIBRARY_PATH=$DEB/usr/lib/x86_64-linux-gnu ldd "$1")
  ! grep 'not found' <<<"$libraries" || die "$1 lacks these libraries"
  grep -oE '/[^ ]+' <<<"$libraries" | while read -r library; do
    case $library in /lib64/*) cp -L "$library" "$root/lib64/" ;; *) cp -L "$library" "$root/lib/x86_64-linux-gnu/" ;; esac
  done
}

cp "$DEB/usr/bin/busybox" "$root/bin/"
"$DEB/usr/bin/busybox" --list | while read -r applet; do
  [ "$applet" = busybox ] || ln -sf busybox "$root/bin/$applet"
done
printf 'root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n' >"$root/etc/passwd"
printf 'root:x:0:\nnobody:x:65534:\n' >"$root/etc/group"
echo 'hosts: files dns' >"$root/etc/nsswitch.conf"
if curl=$(command -v curl); then add "$curl" /usr/bin; fi

say "$root: $(du -sh "$root" | cut -f1)"
