# shellcheck shell=bash disable=SC2034  # sourced: most of these names are used by the other scripts
# Versions, addresses, paths and small functions: sourced by every script, so that each is written once.

K8S_VERSION=v1.36.3       # etcd's version follows from it: the one in its go.mod
COREDNS_VERSION=v1.14.1   # its own requirements raise none of Kubernetes' modules: both build from one list

# busybox is for images, conntrack for looking; the rest run the node. Libraries are named because
# apt-get download brings no dependencies, and unpacking them beside keeps the machine unchanged.
DEBS=(containerd runc containernetworking-plugins iptables nftables conntrack busybox-static
  libseccomp2 libip4tc2 libip6tc2 libxtables12 libmnl0 libnfnetlink0 libnetfilter-conntrack3
  libnftnl11 libnftables1 libjansson4 libgmp10 libedit2 libbsd0 libmd0)

NODE_NAME=lab-node
LINK=klab0 PEER=klab1             # the veth pair: this machine's end, the node's end
HOST_IP=10.197.0.1 NODE_IP=10.197.0.2
POD_CIDR=10.198.0.0/24
SERVICE_CIDR=10.196.0.0/16 API_SERVICE_IP=10.196.0.1 DNS_IP=10.196.0.10
CGROUP=kith-lab                   # one parent for every pod's cgroup, so that down knows what is ours
PROXY_MODE=${LAB_PROXY:-nftables} # or iptables

HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
STATE=$(realpath -m "${LAB_STATE:-${XDG_CACHE_HOME:-$HOME/.cache}/kith/lab}")
CACHE=$STATE/cache                # survives down: binaries, Debian packages
IMAGES=$STATE/images              # survives down: archives that every up imports
CLUSTER=$STATE/cluster            # dies with down
PKI=$CLUSTER/pki LOGS=$CLUSTER/log
ADMIN=$PKI/admin.conf              # the kubeconfig to give to kubectl

# A cache entry's name changes with all that it is made from: an edit never meets a stale binary.
key() { cat "$@" | sha256sum | cut -c1-12; }
BIN=$CACHE/kubernetes-$K8S_VERSION-$(key "$HERE"/build-go.sh "$HERE"/{hyper,coredns}/main.go.txt <(echo "$COREDNS_VERSION"))
DEB=$CACHE/debian-$(key "$HERE"/build-debian.sh "$HERE/pause.c" "$HERE/mkimage.py" <(echo "${DEBS[@]}"))

say() { printf 'lab: %s\n' "$*" >&2; }
die() { say "$@"; exit 1; }
kubectl() { KUBECONFIG=$ADMIN "$BIN/kubectl" "$@"; }

# The node's pid 1 as this machine counts, or nothing. With its start time: a pid may have been given to another process since.
started() { awk '{ print $22 }' "/proc/$1/stat" 2>/dev/null; }
node_pid() {
  local pid start
  read -r pid start 2>/dev/null <"$CLUSTER/node.pid" || return 0
  if [ "$(started "$pid")" = "$start" ]; then echo "$pid"; fi
}
